#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/clock.hpp"
#include "quern/queue/queue_core.hpp"
#include "quern/testing/drained.hpp"
#include "quern/work/detail/processor_core.hpp"

namespace quern::inline v1::testing::detail {

/// All of Engine but its types.
class EngineCore final : private StorageObserver {
 public:
  EngineCore(quern::detail::QueueCore& queue, ManualClock& clock, HandlerRegistry handlers,
             ProcessorOptions options);
  ~EngineCore() override;

  [[nodiscard]] const HandlerRegistry& handlers() const noexcept { return handlers_; }
  /// Lets `change` change the handlers; the engine that has the old ones stops in good order.
  template <class F>
  void change_handlers(F&& change) {
    stop();
    std::forward<F>(change)(handlers_);
    publish_defaults();
  }

  Drained drain(const DrainOptions& options);
  Drained drain_all(const DrainOptions& options);
  Drained advance_to(TimePoint end, const DrainOptions& options);

  [[nodiscard]] Job job(JobId id) const;
  [[nodiscard]] std::string last_error(JobId id) const;
  /// The job's result, or an Error that says why there is none.
  [[nodiscard]] Payload result(JobId id) const;
  [[nodiscard]] std::size_t count(JobState state, std::string_view kind) const;

 private:
  struct Worker;

  // StorageObserver
  [[nodiscard]] bool wants_events() const noexcept override { return true; }
  void on_events(std::span<const JobEvent> events) noexcept override;

  template <class Work>
  Drained observed(const DrainOptions& options, Work&& work);
  /// Runs all that is ready, until there is nothing to do at this moment.
  NextTick settle(Worker& worker);
  void check_crash() const;
  void check_limit();
  [[nodiscard]] std::size_t runs();
  void note_unfinished(const Worker& worker);
  [[nodiscard]] bool waits_for_time(const std::string& queue) const;
  void stop();
  void publish_defaults();
  [[nodiscard]] std::unique_ptr<Worker> make_worker(const std::string& queue);

  quern::detail::QueueCore& queue_;
  StoragePort& storage_;
  ManualClock& clock_;
  HandlerRegistry handlers_;
  ProcessorOptions options_;
  std::unique_ptr<Worker> worker_;

  std::mutex mutex_;  // handlers may use threads of their own
  bool counting_ = false;
  std::size_t max_runs_ = 0;
  Drained drained_;
  std::map<std::string, std::size_t, std::less<>> runs_of_kind_;
};

}  // namespace quern::inline v1::testing::detail
