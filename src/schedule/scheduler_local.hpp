#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "quern/schedule/scheduler.hpp"
#include "schedule/schedule_plan.hpp"
#include "schedule/schedule_store.hpp"

namespace quern::inline v1::detail {

/// A schedule as this node knows it.
struct ScheduleEntry {
  ScheduleRecord record{};
  std::optional<Timing> timing{};   ///< None: it can't run, see `fault`.
  std::optional<TimePoint> next{};  ///< When it is to be looked at; none: it has nothing to come.
  std::string fault{};
};

/// What is to become of a schedule, with what of it was read.
struct ScheduleDecision {
  ScheduleRecord before{};
  StoredSchedule after{};
  std::vector<ScheduleRun> runs{};
  std::vector<NewJob> jobs{};
  std::vector<JobId> cancel{};
};

/// What a schedule's timing is made of; `fault` where it can't be.
[[nodiscard]] std::optional<Timing> timing_of(const ScheduleSpec& spec, const ZoneDatabase& zones,
                                              std::string& fault);

/// The job that an instant gets, not numbered.
[[nodiscard]] NewJob job_of(const ScheduleSpec& spec);

/// The queues in which jobs wait or run, asked of the storage once, and with those that get one now.
class BusyQueues {
 public:
  explicit BusyQueues(QueueCore& queue) : queue_(queue) {}
  /// Throws StorageError.
  [[nodiscard]] bool has(const std::string& name);
  void add(const std::string& name) { got_.insert(name); }

 private:
  QueueCore& queue_;
  bool asked_ = false;
  std::set<std::string> got_{};
};

/// None: nothing is to be decided now. Throws StorageError.
[[nodiscard]] std::optional<ScheduleDecision> decide(QueueCore& queue, const ScheduleEntry& entry,
                                                     TimePoint now, const SchedulerOptions& options,
                                                     BusyQueues& busy);

/// All of them in one transaction; false: nothing has changed, since one of the records is not as it was read, a queue is
/// full, or a job that one has to wait for is gone. Throws StorageError.
[[nodiscard]] bool commit(QueueCore& queue, std::span<ScheduleDecision> decisions);

/// What the thread that ticks knows.
struct SchedulerCore::Local {
  Local(QueueCore& queue, std::uint64_t seed);

  /// In the place of what is known of it.
  void take(ScheduleEntry&& entry, const ZoneDatabase& zones, TimePoint now, const SchedulerOptions& options);
  void put_off(ScheduleEntry& entry, std::optional<TimePoint> next);
  void erase(const std::string& name);
  /// The decision is in the storage.
  void settle(ScheduleDecision& decision, TimePoint now, const SchedulerOptions& options, QueueCore& queue);
  void forget();
  /// None: it has none.
  void note_fault(const std::string& name, const std::string& fault);

  ScheduleStore store;
  std::map<std::string, ScheduleEntry> entries{};
  std::set<std::pair<TimePoint, std::string>> due{};
  std::string revision{};
  std::uint64_t generation = 0;
  bool loaded = false;
  bool failing = false;  ///< And that was told.
  TimePoint look_at = TimePoint::min();
  TimePoint last_tick = TimePoint::min();
  const Duration patience;  ///< How long this node stands back, where it does.
  Duration stand_back{0};   ///< Where another one was first: so long after each instant it looks.
  mutable std::mutex faults_mutex{};
  std::map<std::string, std::string> faults{};  ///< Guarded by the mutex: others ask for them.
};

}  // namespace quern::inline v1::detail
