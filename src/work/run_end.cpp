#include "quern/work/detail/run_end.hpp"

#include <fmt/format.h>

#include "quern/core/error.hpp"

namespace quern::inline v1::detail {
namespace {

void check_result(JobResult& result, const JobLimits& limits) {
  if (!result.result()) return;
  try {
    check_json(*result.result(), "result", limits);
  } catch (const InvalidArgument& e) {
    result = JobResult::failed(e.what());
  }
}

}  // namespace

JobResult run_handler(const HandlerRegistry& handlers, const HandlerRegistry::Entry& entry, RunState& state,
                      const JobLimits& limits) noexcept {
  try {
    // Whoever calls keeps it alive, so the context need not count it.
    JobContext context(std::shared_ptr<RunState>(std::shared_ptr<void>(), &state));
    JobResult result = handlers.run(entry, context);
    check_result(result, limits);
    return result;
  } catch (const std::exception& e) {
    // RunLost mostly. The storage drops this when the run is indeed lost, and knows better when it is not.
    return JobResult::failed(e.what());
  }
}

Duration timeout_of(const Claim& job, const HandlerOptions& handler, Duration configured) {
  if (job.timeout != Duration::zero()) return job.timeout;
  return handler.timeout != Duration::zero() ? handler.timeout : configured;
}

Finish finish_of(RunState& state, const RetryPolicy& retry, JobResult&& result, Random& random) {
  const StopReason stopped_for = state.stop_reason();
  Finish finish;
  finish.ref = state.claim().ref;
  finish.outcome = result.outcome();
  finish.dead_reason = result.dead_reason();
  finish.message = std::move(result).message();
  finish.result = std::move(result).result();
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
