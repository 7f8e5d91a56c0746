#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "quern/core/clock.hpp"
#include "quern/core/config.hpp"
#include "quern/core/error.hpp"
#include "quern/queue/job_log.hpp"
#include "quern/queue/typed_job.hpp"
#include "quern/storage/requests.hpp"
#include "quern/testing/enqueued.hpp"
#include "quern/testing/finding.hpp"
#include "quern/work/handler_registry.hpp"

namespace quern::inline v1::testing {

/// In which situation a handler runs.
struct PerformOptions {
  int attempt = 1;
  /// 0: as the job's options, its handler or the configuration say.
  int max_attempts = 0;
  JobId id{1};
  /// 0: the attempt's number, at least.
  Epoch fence = 0;
  /// What earlier attempts have stored: these steps do not run again. `stored_step("fetch", 42)` makes one.
  std::vector<Step> steps{};
  /// Why the handler is asked to stop. `lost`: its steps throw RunLost.
  StopReason stop = StopReason::none;
  /// When: 0 before the handler begins, n within its n-th call of `context.progress`.
  int stop_at_progress = 0;
  /// What time it is.
  TimePoint now = ManualClock().now();
  JobQueueConfig config{};
  Logger sink{};  ///< Also told what it logs.
  /// How the job was enqueued: its queue, tenant, tags, ... Not used where the job is a NewJob.
  JobOptions job{};
};

/// A step as an earlier attempt has stored it.
template <class V>
[[nodiscard]] Step stored_step(std::string_view name, const V& value) {
  return {std::string(name), Payload::of(value)};
}
/// One that returns nothing.
[[nodiscard]] inline Step stored_step(std::string_view name) { return {std::string(name), Payload()}; }

/// How the run ended, and everything that it would have written.
struct Performed {
  JobId id{};
  Outcome outcome = Outcome::completed;
  /// Where the job would stand: `scheduled` after a failure that is tried again, `dead` after the last.
  JobState state = JobState::completed;
  /// What the handler said, or its exception; why it failed, was snoozed, discarded or cancelled.
  std::string message{};
  AttemptFault fault = AttemptFault::error;   ///< When it failed.
  DeadReason dead_reason = DeadReason::none;  ///< When the job is dead.
  std::optional<Payload> result{};            ///< When it completed with one.
  std::optional<TimePoint> run_at{};          ///< When it will run again, if it is scheduled.
  std::vector<Progress> progress{};           ///< Each report, in order.
  std::vector<JobLogLine> log{};              ///< Each line that it logged, as it would be kept.
  std::vector<Step> steps{};                  ///< All stored steps, the given ones first.
  std::vector<Job> jobs{};                    ///< The follow-up jobs; none unless it completed.
  std::vector<Record> records{};              ///< The records; none unless it completed.
  /// The run had lost its job: everything above is dropped, and another run will do it.
  bool lost = false;
  /// The handler was asked to stop. False when it made fewer reports than `stop_at_progress`.
  bool stop_requested = false;

  /// The result as R. Throws Error when there is none, saying how the run ended.
  template <class R>
  [[nodiscard]] R result_as() const {
    return require_result().template as<R>();
  }
  /// The value of a stored step. Throws Error when it was not stored.
  template <class V>
  [[nodiscard]] V step_as(std::string_view name) const {
    return require_step(name).template as<V>();
  }
  /// The follow-ups of T, and whether there is a certain one; as for a queue, see enqueued.hpp.
  template <TypedJob T>
  [[nodiscard]] std::vector<EnqueuedJob<T>> enqueued(const JobMatch& match = {}) const {
    return detail::decoded<T>(jobs, match, now);
  }
  template <TypedJob T, JobPredicate<T> P>
  [[nodiscard]] Finding has_enqueued(const P& predicate, const JobMatch& match = {}) const {
    return detail::find_among(jobs, T::kind, match, now, detail::why_not<T>(predicate));
  }
  template <TypedJob T>
  [[nodiscard]] Finding has_enqueued(const JobMatch& match = {}) const {
    return has_enqueued<T>(detail::Any{}, match);
  }

  TimePoint now{};  ///< As the options had it.

 private:
  [[nodiscard]] const Payload& require_result() const;
  [[nodiscard]] const Payload& require_step(std::string_view name) const;
};

/// "completed", "failed: no route to host; again at 2026-01-01T00:00:02Z", "dead (undecodable): ..."
[[nodiscard]] std::string to_string(const Performed& performed);
std::ostream& operator<<(std::ostream& out, const Performed& performed);

/// Runs one handler, once, on one job, without a queue, a storage or a thread: through the middleware, with
/// a JobContext that does all it does in production. What comes out is decided by the engine's own code: an
/// exception is a failure, and a payload that can't be read makes the job dead (undecodable).
///
/// Threads  on the caller's thread. The handlers are not changed.
/// Errors   InvalidArgument for a kind without a handler, naming those that have one, and for a job that an
///          enqueue would refuse. Nothing that the handler throws.
/// Limits   follow-ups are checked one by one: that their parents exist only a storage can tell.
[[nodiscard]] Performed perform(const HandlerRegistry& handlers, NewJob job, PerformOptions options = {});

template <TypedJob T>
[[nodiscard]] Performed perform(const HandlerRegistry& handlers, const T& job, PerformOptions options = {}) {
  NewJob made = make_job(job, std::move(options.job));
  return perform(handlers, std::move(made), std::move(options));
}
[[nodiscard]] inline Performed perform(const HandlerRegistry& handlers, std::string_view kind,
                                       Payload payload, PerformOptions options = {}) {
  NewJob made = make_job(kind, std::move(payload), {}, std::move(options.job));
  return perform(handlers, std::move(made), std::move(options));
}

}  // namespace quern::inline v1::testing
