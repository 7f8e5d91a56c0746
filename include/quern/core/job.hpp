#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "quern/core/job_id.hpp"
#include "quern/core/job_state.hpp"
#include "quern/core/payload.hpp"
#include "quern/core/priority.hpp"
#include "quern/core/time.hpp"

namespace quern::inline v1 {

/// Counts the claims of one job. It grows with each claim, and every later write of a run names it: a run
/// whose epoch is no longer the job's changes nothing.
using Epoch = std::uint32_t;

/// What becomes of a job when one of its parents dies or is cancelled.
enum class ParentPolicy : std::uint8_t {
  cancel = 0,        ///< The job is cancelled too, and so on down.
  run = 1,           ///< An end is an end: the job no longer waits for that parent.
  stay_blocked = 2,  ///< The job waits until the parent is retried and completes, or somebody cancels it.
};

/// What to do when another job holds the unique key.
enum class UniqueConflict : std::uint8_t {
  skip = 0,  ///< Nothing; the answer names the holder.
  replace =
      1,  ///< A holder that waits is cancelled and this job takes its place; a running one stays: as skip.
  reschedule = 2,  ///< A holder that waits for its time gets this job's time; otherwise as skip.
};

/// At most one job with this key: a job that would be a second one is not added.
///
/// A job holds its key while it is blocked, scheduled, ready or running; the options extend that.
struct Unique {
  std::string key{};             ///< Empty: no uniqueness. Scope: the whole storage.
  bool by_arguments = false;     ///< The queue makes the key of the job's kind and payload.
  Duration period{0};            ///< 0: no limit; else the key is held this long from creation at most.
  bool while_completed = false;  ///< Also held after the job completed (until pruned, or the period ends).
  bool while_dead = false;       ///< Also held after it died.
  bool while_cancelled = false;  ///< Also held after it was cancelled.
  UniqueConflict on_conflict = UniqueConflict::skip;

  friend bool operator==(const Unique&, const Unique&) = default;
};

/// A job to be added. Only `kind` is needed.
struct NewJob {
  JobId id{};                       ///< From `reserve_ids`; the queue fills it in.
  std::string kind{};               ///< Names its handler.
  Payload payload{};                ///< Its argument.
  std::string queue = "default";    ///< Where it waits.
  Priority priority{};              ///< Lower is served first.
  When run_at{};                    ///< Not before this.
  std::optional<When> deadline{};   ///< If it has not started by then, it expires.
  int max_attempts = 0;             ///< 0: as its handler or the configuration says.
  Duration timeout{0};              ///< Of one attempt. 0: as its handler or the configuration says.
  std::string tenant{};             ///< Whose job it is; free for the host to use.
  std::vector<std::string> tags{};  ///< For finding it again.
  std::vector<JobId> parents{};  ///< Must end first; each exists already or stands earlier in the same batch.
  ParentPolicy on_parent_failure = ParentPolicy::cancel;
  std::string created_by{};  ///< Who asked for it: a user, "job:17", "schedule:nightly".
  std::string digest{};      ///< The digest that this job belongs to, if any.
  std::string trace{};       ///< The W3C trace context that it belongs to, if any; see TraceContext.
  // The last one: where a member after it may throw, g++ 12 at -O3 falsely warns of -Wmaybe-uninitialized.
  Unique unique{};  ///< At most one such job.
};

/// How an attempt went wrong.
enum class AttemptFault : std::uint8_t {
  error = 1,    ///< Its handler failed.
  timeout = 2,  ///< It took too long.
  crash = 3,    ///< Its node died.
};

/// One failed attempt.
struct AttemptError {
  int attempt = 0;
  Epoch epoch = 0;
  TimePoint at{};
  AttemptFault fault = AttemptFault::error;
  std::string message{};
};

/// How far a running job has come.
struct Progress {
  int percent = 0;  ///< 0 to 100.
  std::string message{};
  friend bool operator==(const Progress&, const Progress&) = default;
};

/// A job as the storage holds it, at one moment.
struct Job {
  JobId id{};
  std::string kind{};
  Payload payload{};
  std::string queue{};
  Priority priority{};
  JobState state = JobState::ready;
  std::string tenant{};
  std::vector<std::string> tags{};
  std::string unique_key{};
  std::vector<JobId> parents{};
  ParentPolicy on_parent_failure = ParentPolicy::cancel;
  std::string created_by{};
  std::string digest{};
  std::string trace{};  ///< See TraceContext.

  int run = 1;           ///< 1, and one more for each explicit retry after an end.
  int attempt = 0;       ///< Attempts begun in this run, snoozed and handed-back ones not counted.
  int max_attempts = 0;  ///< 0: as its handler or the configuration says.
  Epoch epoch = 0;
  int crashes = 0;  ///< Deaths of a process that it was running in.
  int snoozes = 0;  ///< Snoozes and hand-backs in this run.
  bool cancel_requested = false;

  TimePoint created_at{};
  TimePoint run_at{};  ///< When it is or was due.
  std::optional<TimePoint> deadline{};
  std::optional<TimePoint> started_at{};  ///< Of the current or last attempt.
  std::optional<TimePoint> finished_at{};
  Duration timeout{0};     ///< 0: as its handler or the configuration says.
  std::uint64_t node = 0;  ///< Who runs it; 0 when nobody does.

  Progress progress{};
  std::optional<Payload> result{};
  DeadReason dead_reason = DeadReason::none;
  std::string end_message{};           ///< Why it died or was cancelled.
  std::vector<AttemptError> errors{};  ///< The last failed attempts, oldest first.
};

}  // namespace quern::inline v1
