#include "quern/work/detail/run_end.hpp"

#include <fmt/format.h>

#include "quern/core/error.hpp"
#include "quern/core/trace_context.hpp"

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
    learn_secrets(entry, state);
    const TraceScope scope(TraceScope::Kept{}, state.trace());
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

void learn_secrets(const HandlerRegistry::Entry& entry, RunState& state) {
  if (entry.secrets == nullptr) return;
  try {
    entry.secrets(state.claim().payload, state.redactor());
  } catch (const InvalidArgument&) {  // no such payload: its handler is not called either, and says why
  }
}

bool ends_job(const RunState& state, const JobResult& result) noexcept {
  const StopReason stop = state.stop_reason();
  switch (result.outcome()) {
    case Outcome::completed:
    case Outcome::discarded:
      return true;
    case Outcome::cancelled:
      return stop != StopReason::shutdown && stop != StopReason::timeout;
    case Outcome::failed:
      return stop == StopReason::cancel ||
             (stop != StopReason::shutdown && state.claim().attempt >= state.claim().max_attempts);
    case Outcome::snoozed:
    case Outcome::released:
      break;
  }
  return false;
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
  finish.message = state.redactor().redact(std::move(result).message());
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
