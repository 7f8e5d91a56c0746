#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/fields.hpp"
#include "quern/core/job.hpp"
#include "quern/core/limits.hpp"
#include "quern/queue/typed_job.hpp"
#include "quern/schedule/timing.hpp"

namespace quern::inline v1 {

/// What becomes of instants that passed while nobody looked: the fleet was down, or the machine slept.
enum class MissedRuns : std::uint8_t {
  once,  ///< The last of them is made up for, where none has come on time since.
  skip,  ///< None is.
  all,   ///< Each is, up to `missed_limit`, the latest ones.
};

/// What becomes of an instant while the schedule's last job has not ended.
enum class WhenBusy : std::uint8_t {
  allow,      ///< Its job is added all the same.
  skip,       ///< It is left out.
  queue_one,  ///< Its job waits for the last one's end; left out where one waits already.
  queue_all,  ///< Each waits for the one before.
  cancel,     ///< The last job is cancelled, and its own waits for that one's end.
};

/// What a schedule does, and when. Plain values that travel as JSON.
struct ScheduleSpec {
  std::string name{};  ///< 1 to 128 bytes.
  TimingSpec timing{};

  // The job, as NewJob has it.
  std::string kind{};
  std::string payload = "null";  ///< JSON.
  std::string queue = "default";
  int priority = Priority::normal.level;
  std::string tenant{};
  std::vector<std::string> tags{};  ///< Beside "schedule:NAME", which each job has; up to 31.
  int max_attempts = 0;
  Duration timeout{0};

  MissedRuns missed = MissedRuns::once;
  std::size_t missed_limit = 100;  ///< Of `all`: 1 to 1000.
  Duration missed_within{0};       ///< Only what is no later than this is made up for; 0: however late.
  WhenBusy when_busy = WhenBusy::allow;
  /// An instant is left out while any job of its queue waits or runs. For schedules that must not run beside each other: they
  /// share a queue, and a rule lets one job of it run at once (docs/scheduler.md). Of those that come together the more
  /// urgent one has its job.
  bool skip_if_queue_busy = false;
  std::uint64_t max_runs = 0;  ///< So many jobs at most; 0: any number.
  friend bool operator==(const ScheduleSpec&, const ScheduleSpec&) = default;
};
QUERN_FIELDS(ScheduleSpec, name, timing, kind, payload, queue, priority, tenant, tags, max_attempts, timeout,
             missed, missed_limit, missed_within, when_busy, skip_if_queue_busy, max_runs)

/// A schedule of a typed job.
template <TypedJob T>
[[nodiscard]] ScheduleSpec schedule_of(std::string name, TimingSpec timing, const T& job) {
  ScheduleSpec spec;
  spec.name = std::move(name);
  spec.timing = std::move(timing);
  spec.kind = T::kind;
  spec.payload = Payload::of(job).text();
  return spec;
}

/// Why an instant has no job.
enum class SkipReason : std::uint8_t {
  none,            ///< It has one.
  missed,          ///< It passed while nobody looked, and is not made up for.
  busy,            ///< The last job had not ended.
  conflict,        ///< Another job of its queue waited or ran.
  ended,           ///< All runs that there may be have been.
  paused,          ///< The schedule was paused.
  clock_set_back,  ///< The clock had been ahead for long, and all until then had been decided.
};
[[nodiscard]] std::string_view to_string(SkipReason reason) noexcept;

/// What was decided about an instant, or about several in a row that were left out for one reason.
struct ScheduleRun {
  TimePoint instant{};      ///< The first of them.
  TimePoint last{};         ///< The last of them.
  std::uint64_t count = 1;  ///< How many; 10,000 stands for as many or more.
  TimePoint decided{};
  std::uint64_t job = 0;  ///< 0: none.
  SkipReason reason = SkipReason::none;
  friend bool operator==(const ScheduleRun&, const ScheduleRun&) = default;
};
QUERN_FIELDS(ScheduleRun, instant, last, count, decided, job, reason)

/// How many decisions a schedule remembers.
inline constexpr std::size_t kept_schedule_runs = 25;

/// What has become of a schedule so far; kept beside its spec, in one record.
struct ScheduleState {
  bool paused = false;
  bool declared = false;    ///< See Scheduler::declare.
  bool undeclared = false;  ///< Paused, since the program does not declare it any more.
  TimePoint created{};
  TimePoint changed{};        ///< By somebody, not by its runs.
  TimePoint handled{};        ///< All instants up to here are decided.
  std::uint64_t runs = 0;     ///< Jobs that were added.
  std::uint64_t skipped = 0;  ///< Instants that have none.
  std::uint64_t last_job = 0;
  // How late decisions were, of instants that got a job.
  Duration lateness_sum{0};
  Duration lateness_max{0};
  std::vector<ScheduleRun> recent{};  ///< The last decisions, oldest first.
  friend bool operator==(const ScheduleState&, const ScheduleState&) = default;
};
QUERN_FIELDS(ScheduleState, paused, declared, undeclared, created, changed, handled, runs, skipped, last_job,
             lateness_sum, lateness_max, recent)

/// A schedule as it stands.
struct ScheduleStatus {
  ScheduleSpec spec{};
  ScheduleState state{};
  std::optional<TimePoint> next{};  ///< None: paused, over, or faulty.
  std::string description{};        ///< Of its timing, in English.
  std::string fault{};              ///< Why it can't run: its zone is unknown here, say. Empty: it can.
};

/// Why a schedule can't run.
struct ScheduleFault {
  std::string schedule{};
  std::string fault{};
};

/// An instant that is to come.
struct ScheduledTime {
  TimePoint instant{};
  TimePoint due{};                 ///< With the jitter.
  std::chrono::seconds offset{0};  ///< Local time minus UTC then.
  bool shifted =
      false;  ///< The clocks have shifted since the one before (of the first: since the time that was asked from).
};

/// An instant at which many schedules come.
struct PileUp {
  TimePoint instant{};
  std::size_t schedules = 0;
  std::vector<std::string> names{};  ///< The first ten of them, by name.
};

/// Something about a schedule, told by the node that has decided it, after it is in the storage.
struct ScheduleEvent {
  std::string schedule{};
  ScheduleRun run{};
  Duration lateness{0};  ///< Of one that has a job.
};

/// Throws InvalidArgument that names the first faulty field. Does not look for the zone, nor whether an instant ever comes.
void check(const ScheduleSpec& spec, const JobLimits& limits);

}  // namespace quern::inline v1
