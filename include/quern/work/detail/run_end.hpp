#pragma once

#include <memory>

#include "quern/core/limits.hpp"
#include "quern/core/random.hpp"
#include "quern/core/retry_policy.hpp"
#include "quern/work/detail/run_state.hpp"
#include "quern/work/handler_registry.hpp"

namespace quern::inline v1::detail {

/// Runs a handler to its end, through the middleware. Whatever it threw has become a result, and a result
/// that is not allowed to be stored a failure.
[[nodiscard]] JobResult run_handler(const HandlerRegistry& handlers, const HandlerRegistry::Entry& entry,
                                    RunState& state, const JobLimits& limits) noexcept;

/// From now on the run shows none of its payload's secrets. `run_handler` does it, too.
void learn_secrets(const HandlerRegistry::Entry& entry, RunState& state);

/// Whether the job ends with this, as far as the run can know.
[[nodiscard]] bool ends_job(const RunState& state, const JobResult& result) noexcept;

/// How long an attempt may take: as the job says, or its handler, or the configuration.
[[nodiscard]] Duration timeout_of(const Claim& job, const HandlerOptions& handler, Duration configured);

/// What the end of a run is to its job: why it was asked to stop counts, a failure gets its next time by
/// `retry`, and the follow-ups go along with a completion.
[[nodiscard]] Finish finish_of(RunState& state, const RetryPolicy& retry, JobResult&& result, Random& random);

}  // namespace quern::inline v1::detail
