#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/log.hpp"
#include "quern/core/runner.hpp"
#include "quern/queue/queue_core.hpp"
#include "quern/work/detail/run_placement.hpp"
#include "quern/work/handler_registry.hpp"
#include "quern/work/load_balancing.hpp"
#include "quern/work/scaling.hpp"
#include "quern/work/worker.hpp"

namespace quern::inline v1::detail {

/// What PoolCore is made with: PoolOptions, and what of the processor's concerns it.
struct PoolSetup {
  std::vector<WorkerOptions> workers{};
  Balancer balancing{};
  Resources budget{};
  std::optional<ScalingOptions> scaling{};
  int unhealthy_failures = 0;
  std::function<void(const WorkerEvent&)> on_event{};
  std::vector<std::string> queues{};
  Duration poll_interval = std::chrono::seconds(1);
  Logger log{};
};

/// The workers of one pool: who may run what, who runs what, and how they are. All of WorkerPool but its types and its
/// processor.
///
/// Data flow   the engine asks for a round (`next_round`), claims, and tells of each run (`begin`, `end`); `tick` tells
///             of events, looks at the workers' health and scales; the other members change workers.
/// Rounds      the workers that support the same kinds are a group, and its kinds without a cost are one round, for as
///             many jobs as it has free slots. Each kind with a cost is a round by itself, for as many as have room. A job
///             may go to any worker, of another group too: what follows in the round finds room all the same. Which
///             round begins a cycle goes round, so that none starves.
/// Changes     while the engine claims don't reach that claim: its jobs begin as if they had begun before the change.
/// Threads     a lock of its own, taken last of all. The engine is woken without it; who is told of events, by `tick`.
class PoolCore final : public RunPlacement {
 public:
  /// Throws InvalidArgument, ConfigError. The queue must outlive it.
  PoolCore(QueueCore& queue, const HandlerRegistry& handlers, PoolSetup setup);
  ~PoolCore() override;

  /// What is called after each change that may let more jobs begin, or has to make some stop.
  void wake_with(std::function<void()> wake) { wake_ = std::move(wake); }
  /// The most slots that there may be, as far as is known now: 1 to 100,000.
  [[nodiscard]] std::size_t most_slots() const;

  std::string add(WorkerOptions options);
  bool remove(std::string_view id);
  bool enable(std::string_view id);
  bool disable(std::string_view id);
  bool drain(std::string_view id);
  bool resize(std::string_view id, int max_jobs);
  void set_scaling(std::optional<ScalingOptions> scaling);
  /// Tells of what has happened. `tick` does so, too; this is for when no tick follows.
  void tell_events() noexcept;
  [[nodiscard]] std::vector<WorkerStatus> workers() const;
  [[nodiscard]] std::size_t healthy_workers() const;

  NextTick tick(TimePoint now) noexcept;
  [[nodiscard]] ClockRef clock() const { return clock_; }
  [[nodiscard]] const std::shared_ptr<Waker>& waker() const noexcept { return waker_; }

  // RunPlacement
  [[nodiscard]] std::size_t slots() const noexcept override { return slots_.load(); }
  [[nodiscard]] std::size_t free() const noexcept override { return free_.load(); }
  [[nodiscard]] bool uniform() override;
  [[nodiscard]] bool next_round(bool first, Round& round) override;
  std::string_view begin(TaskToken token, const Claim& claim, std::size_t kind, SteadyTime steady) override;
  void end(TaskToken token, End how, SteadyTime steady) override;
  void ticked(SteadyTime steady) noexcept override { engine_seen_.store(steady); }
  void take_stops(SteadyTime steady, std::vector<TaskToken>& tokens) override;
  [[nodiscard]] SteadyTime next_stop() const noexcept override { return next_stop_.load(); }

 private:
  struct Worker;
  struct Kind {
    std::string name{};
    Resources cost{};
  };
  /// A run in a slot of the engine's.
  struct Run {
    TaskToken token = 0;       // 0: none
    Worker* worker = nullptr;  // null: there was none left when it began
    std::size_t kind = 0;
    JobId id{};
    SteadyTime since{0};
    bool stopping = false;
  };
  struct PlannedRound {
    std::vector<bool> supports{};         // of a group
    std::optional<std::size_t> costed{};  // or this kind alone
  };

  // All of these with the lock held.
  [[nodiscard]] Worker* find(std::string_view id) const;
  Worker& add_locked(WorkerOptions options, std::string_view prefix, const std::string& reason);
  void check_new(const WorkerOptions& options, const std::string& path) const;
  void leave(Worker& worker, std::string reason);
  void erase_gone();
  [[nodiscard]] std::size_t room_for(const Worker& worker, const Kind& kind) const;
  [[nodiscard]] Worker* choose(const Claim& claim, std::size_t kind);
  [[nodiscard]] std::size_t ask_balancer(const PlacementRequest& request);
  void plan_rounds();
  [[nodiscard]] bool fill(const PlannedRound& planned, Round& round) const;
  /// After each change of what workers take.
  void changed();
  void note(WorkerEventType type, const Worker& worker, std::string reason);
  void set_health(Worker& worker, bool healthy, const std::string& reason);
  void replace(Worker& worker, const std::string& reason);
  [[nodiscard]] SteadyTime check_health(SteadyTime steady);
  void apply(const Autoscaler::Decision& decision);

  // Without it.
  template <class Change>
  bool change(std::string_view id, const Change& change);
  void scale(SteadyTime steady) noexcept;
  /// What waits for this pool.
  [[nodiscard]] ScalingSample ask_storage() const;
  void take_scaling();
  void wake() const;

  QueueCore& queue_;
  const ClockRef clock_;
  const std::shared_ptr<Waker> waker_;
  const PoolSetup setup_;  // its scaling: at the start
  const Balancer balancer_;
  std::function<void()> wake_;
  std::vector<Kind> kinds_;  // in the handlers' order

  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Worker>> workers_;  // in the order in which they were added
  std::vector<Run> runs_;                         // by the engine's slots
  Resources used_;                                // of the node's budget
  std::vector<WorkerEvent> events_;               // not told yet
  std::uint64_t last_number_ = 0;
  bool balancer_failed_ = false;
  /// Of set_scaling, until the next tick.
  std::optional<std::optional<ScalingOptions>> next_scaling_;

  std::vector<PlannedRound> rounds_;
  bool planned_ = false;
  std::size_t first_round_ = 0;      // of this cycle
  std::size_t next_round_ = 0;       // counted from it
  std::vector<WorkerLoad> loads_;    // only within choose
  std::vector<Worker*> candidates_;  // the same

  std::atomic<std::size_t> slots_{0};
  std::atomic<std::size_t> free_{0};
  std::atomic<SteadyTime> next_stop_{SteadyTime::max()};
  std::atomic<SteadyTime> engine_seen_{SteadyTime{0}};

  // Only within tick.
  std::optional<Autoscaler> scaler_;
  SteadyTime scale_at_{0};
};

}  // namespace quern::inline v1::detail
