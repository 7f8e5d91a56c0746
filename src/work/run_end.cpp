#include "quern/work/detail/run_end.hpp"

#include <fmt/format.h>

#include "quern/core/error.hpp"

namespace quern::inline v1::detail {
namespace {

JobResult checked_result(JobResult result, const JobLimits& limits) {
  if (!result.result()) return result;
  try {
    check_json(*result.result(), "result", limits);
    return result;
  } catch (const InvalidArgument& e) {
    return JobResult::failed(e.what());
  }
}

}  // namespace

JobResult run_handler(const HandlerRegistry& handlers, const HandlerRegistry::Entry& entry,
                      const std::shared_ptr<RunState>& state, const JobLimits& limits) noexcept {
  try {
    JobContext context(state);
    return checked_result(handlers.run(entry, context), limits);
  } catch (const std::exception& e) {
    // RunLost mostly. The storage drops this when the run is indeed lost, and knows better when it is not.
    return JobResult::failed(e.what());
  }
}

Duration timeout_of(const Claim& job, const HandlerOptions& handler, Duration configured) {
  if (job.timeout != Duration::zero()) return job.timeout;
  return handler.timeout != Duration::zero() ? handler.timeout : configured;
}

Finish finish_of(RunState& state, const RetryPolicy& retry, const JobResult& result, Random& random) {
  const StopReason stopped_for = state.stop_reason();
  Finish finish;
  finish.ref = state.claim().ref;
  finish.outcome = result.outcome();
  finish.message = result.message();
  finish.result = result.result();
  finish.dead_reason = result.dead_reason();
  const bool ended_badly = finish.outcome == Outcome::failed || finish.outcome == Outcome::cancelled;
  if (ended_badly && stopped_for == StopReason::shutdown) {
    finish.outcome = Outcome::released;
  } else if (ended_badly && stopped_for == StopReason::timeout) {
    finish.outcome = Outcome::failed;
    finish.fault = AttemptFault::timeout;
    finish.message = fmt::format("timed out after {}{}{}", to_text(state.timeout),
                                 finish.message.empty() ? "" : ": ", finish.message);
  }
  if (finish.outcome == Outcome::completed) {
    finish.jobs = state.take_jobs();
    finish.records = state.take_records();
  } else if (finish.outcome == Outcome::failed) {
    finish.again =
        result.again() ? *result.again() : When::after(retry.delay(state.claim().attempt, random.next()));
  } else if (finish.outcome == Outcome::snoozed) {
    finish.again = result.again().value_or(When::after(RetryPolicy::minimum));
  }
  return finish;
}

}  // namespace quern::inline v1::detail
