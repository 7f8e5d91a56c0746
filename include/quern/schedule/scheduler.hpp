#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "quern/core/log.hpp"
#include "quern/core/runner.hpp"
#include "quern/queue/job_queue.hpp"
#include "quern/schedule/schedule.hpp"

namespace quern::inline v1 {

/// What becomes of a schedule that was declared before, and is not any more.
enum class Undeclared : std::uint8_t { erase, pause, keep };

/// All nodes of a storage should have the same.
struct SchedulerOptions {
  /// How soon another process's change is noticed. 100 ms to 1 min. While there is no schedule at all that takes up to half of
  /// `missed_after`, at most 30 s: so a service that has none is hardly woken up for them.
  Duration refresh_interval = std::chrono::seconds(2);
  /// An instant that nobody looked at for so long counts as missed. 1 s to 1 h.
  Duration missed_after = std::chrono::minutes(1);
  /// How far the clock may be behind what has been decided before that is taken for the fault of a clock that had been
  /// ahead; see Scheduler. 1 min to 365 days.
  Duration set_back = std::chrono::hours(24);
  /// Before a storage that failed, or a queue that was full, is tried again. 100 ms to 1 min.
  Duration retry_interval = std::chrono::seconds(1);
  /// Of how long this node stands back, see Scheduler. 0: from the operating system.
  std::uint64_t seed = 0;
  /// Called for each decision, on the thread that ticks. What it throws is dropped.
  std::function<void(const ScheduleEvent&)> on_event{};
  Logger log{};
};

/// A job that is added now, beside what the timing says.
struct TriggerOptions {
  std::optional<std::string> payload{};  ///< JSON, in the place of the schedule's.
  std::string key{};  ///< The same key triggers once, as long as its job is in the storage. Up to 256 bytes.
  std::string who{};  ///< Kept as the job's created_by. Empty: "schedule:NAME".
};

namespace detail {

struct ScheduleDecision;

/// All of Scheduler but its types.
class SchedulerCore {
 public:
  SchedulerCore(QueueCore& queue, const ZoneDatabase& zones, SchedulerOptions options);
  SchedulerCore(const SchedulerCore&) = delete;
  SchedulerCore& operator=(const SchedulerCore&) = delete;
  ~SchedulerCore();

  NextTick tick(TimePoint now) noexcept;
  [[nodiscard]] ClockRef clock() const { return clock_; }
  [[nodiscard]] const std::shared_ptr<Waker>& waker() const noexcept { return waker_; }

  void tell_zones() const noexcept;
  bool put(const ScheduleSpec& spec, bool replace, bool declared);
  void declare(std::span<const ScheduleSpec> specs, Undeclared others);
  bool set_paused(std::string_view name, bool paused, bool undeclared = false);
  bool erase(std::string_view name);
  [[nodiscard]] std::optional<ScheduleStatus> find(std::string_view name);
  [[nodiscard]] std::vector<ScheduleStatus> list(std::string_view after, std::size_t limit);
  [[nodiscard]] std::vector<ScheduledTime> preview(const ScheduleSpec& spec, TimePoint from,
                                                   std::size_t count);
  /// When it happens, in English. Throws as `preview`.
  [[nodiscard]] std::string describe(const ScheduleSpec& spec);
  [[nodiscard]] std::vector<PileUp> pile_ups(TimePoint from, TimePoint to, std::size_t least);
  [[nodiscard]] std::vector<ScheduleFault> faults() const;
  Enqueued trigger(std::string_view name, const TriggerOptions& options);
  std::size_t backfill(std::string_view name, TimePoint from, TimePoint to, std::size_t limit);

 private:
  struct Local;
  void refresh(TimePoint now);
  void load(TimePoint now);
  void fire(TimePoint now);
  void fire_one(ScheduleDecision& decision, TimePoint now);
  bool catch_up(std::vector<std::string> names, TimePoint now);
  [[nodiscard]] ScheduleStatus status_of(ScheduleSpec spec, ScheduleState state) const;
  void changed() noexcept;

  QueueCore& queue_;
  const ZoneDatabase& zones_;
  const SchedulerOptions options_;
  const ClockRef clock_;
  const std::shared_ptr<Waker> waker_;
  std::atomic<bool> reload_{true};
  const std::unique_ptr<Local> local_;
};

}  // namespace detail

/// Adds jobs at the instants of schedules, which are kept in the storage, each in one record with what has become of it.
///
///     quern::ZoneDatabase zones;
///     quern::Scheduler scheduler{queue, zones};
///     scheduler.upsert(quern::schedule_of("nightly", {.cron = "30 2 * * *", .zone = "Europe/Berlin"}, Report{}));
///     scheduler.start();
///
/// Once      an instant is decided (it gets its job, or a reason why not) in the transaction that changes the schedule's record,
///           and only where that is as it was read: so by one node, once, over restarts, and also where the clock is set back.
///           Each process may have a scheduler; none leads. One that finds that another was first with an instant stands back
///           from then on: it looks 30 to 90 ms after each instant (a time of its own, drawn from `seed`), which is one read where all is
///           done, and decides what is not; once it was first, it is as before. So where the first one dies, the next
///           instant comes late by that.
/// Job       with the schedule's name as `created_by` ("schedule:NAME") and tag, due at the instant and its jitter.
/// Clock     instants are judged by the storage's clock as this process sees it. Set back by up to `set_back`, what is decided
///           stays so, and nothing comes until it is where it was. Where it is behind by more, it had been ahead: then all
///           counts from now on anew, and an instant may come once more.
/// Failing   while the storage does not answer or a queue is full, instants wait; what then is late by more than `missed_after` is
///           missed, and goes by the schedule's policy.
/// Cost      a read of one small record each `refresh_interval`, of which there is also less while there are no schedules; an instant costs one transaction, and instants of up to 256 schedules
///           that come together share one. Nothing is scanned: the next instant is known. Some 1 KB of memory per schedule.
/// Threads   every member but `tick` may be called from any thread; `tick` from one at a time, and not while started. `on_event` must
///           not stop the scheduler that it is called by.
template <Storage S = AnyStorage>
class Scheduler {
 public:
  /// The queue and the zones must outlive it. Throws ConfigError for options out of range.
  Scheduler(JobQueue<S>& queue, const ZoneDatabase& zones, SchedulerOptions options = {})
      : core_(queue.core(), zones, std::move(options)) {}
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;
  ~Scheduler() { stop(); }

  /// For code that does not know the storage's type.
  [[nodiscard]] detail::SchedulerCore& core() noexcept { return core_; }

  /// Decides what is due as of `now`, up to 256 schedules; says when it wants to be called next. Never throws.
  NextTick tick(TimePoint now) noexcept { return core_.tick(now); }
  /// Ticks on a thread of its own; tells the log first where zone data is missing or stale, unless that is not asked for (it reads
  /// the folder: some milliseconds). Harmless when started. Throws std::system_error where no thread can be had.
  void start(bool tell_zones = true) {
    const std::lock_guard lock(runner_mutex_);
    if (runner_.running()) return;
    if (tell_zones) core_.tell_zones();
    runner_.start(core_, core_.clock(), core_.waker());
  }
  /// Ends the thread after a tick that is under way. Can be started again.
  void stop() noexcept {
    const std::lock_guard lock(runner_mutex_);
    runner_.stop();
  }

  /// Adds a schedule; its instants count from now on. False: there is one of that name, and nothing has changed. Throws
  /// InvalidArgument that names the faulty field, ZoneError, StorageError.
  bool create(const ScheduleSpec& spec) { return core_.put(spec, false, false); }
  /// Adds a schedule, or puts it in the place of that name's, whose runs go on being counted; where its timing changes, instants
  /// count from now on. Throws as `create`.
  void upsert(const ScheduleSpec& spec) { core_.put(spec, true, false); }
  /// The schedules that the program itself has, to be told at each start: each as by `upsert`; and what becomes of those that
  /// were declared before, and are not any more. One that was paused for that, and is declared again, goes on. Throws as `create`; then nothing has changed if a spec is faulty.
  void declare(std::span<const ScheduleSpec> specs, Undeclared others = Undeclared::pause) {
    core_.declare(specs, others);
  }
  /// No instants until it is resumed; those that pass meanwhile are left out. False: there is no such schedule.
  bool pause(std::string_view name) { return core_.set_paused(name, true); }
  bool resume(std::string_view name) { return core_.set_paused(name, false); }
  /// Jobs that it has added stay. False: there is no such schedule.
  bool erase(std::string_view name) { return core_.erase(name); }

  /// Those that can't run here, as the last tick knew them, by name; without asking the storage.
  [[nodiscard]] std::vector<ScheduleFault> faults() const { return core_.faults(); }

  /// Read from the storage.
  [[nodiscard]] std::optional<ScheduleStatus> find(std::string_view name) { return core_.find(name); }
  /// Up to `limit` schedules by name, after one.
  [[nodiscard]] std::vector<ScheduleStatus> list(std::string_view after = {}, std::size_t limit = 1000) {
    return core_.list(after, limit);
  }
  /// The next instants of a schedule that need not exist, up to 10,000. Throws as `create`.
  [[nodiscard]] std::vector<ScheduledTime> preview(const ScheduleSpec& spec, TimePoint from,
                                                   std::size_t count = 10) {
    return core_.preview(spec, from, count);
  }

  /// The instants from `from` to `to`, both included, at which `least` (2 or more) schedules or more come, those with the most
  /// first, up to 100; paused ones don't count. `H` and `jitter` spread them. Looks at each instant: some 100 ns for
  /// one. Throws InvalidArgument where there are more than a million in that time.
  [[nodiscard]] std::vector<PileUp> pile_ups(TimePoint from, TimePoint to, std::size_t least = 10) {
    return core_.pile_ups(from, to, least);
  }

  /// Adds the schedule's job now, also where it is paused or busy; its instants go on as they would. Throws InvalidArgument
  /// (field "name") where there is no such schedule, and as an enqueue.
  Enqueued trigger(std::string_view name, const TriggerOptions& options = {}) {
    return core_.trigger(name, options);
  }
  /// Adds a job for each instant from `from` to `to`, both included, that has none from an earlier backfill which is still in
  /// the storage; each due at once. Answers how many were added. Throws InvalidArgument where there is no such schedule, or
  /// where there are more than `limit` instants (at most 100,000).
  std::size_t backfill(std::string_view name, TimePoint from, TimePoint to, std::size_t limit = 10'000) {
    return core_.backfill(name, from, to, limit);
  }

 private:
  detail::SchedulerCore core_;
  std::mutex runner_mutex_;
  Runner runner_;
};

}  // namespace quern::inline v1
