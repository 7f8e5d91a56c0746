#pragma once

#include <cstdint>

#include "isolation_server.hpp"
#include "quern/work/detail/run_state.hpp"

namespace quern::inline v1::detail {

/// What an isolated attempt has used.
struct RunUsage {
  Duration cpu{0};
  std::uint64_t peak_memory = 0;
};

/// Runs a handler in a process of its own and waits for its end, as the handler's thread would: `state` gets
/// its progress and follow-ups, storages its steps. The process has gone when this returns, whatever it did;
/// where even SIGKILL does not end it, this returns some seconds later. `grace` bounds the handler's own
/// after a stop.
[[nodiscard]] JobResult run_isolated(ForkServer& server, const HandlerOptions& handler, RunState& state,
                                     const JobLimits& limits, Duration grace, RunUsage& usage) noexcept;

/// What became of a process, for people: "was killed by SIGSEGV". `status` as waitpid gives it.
[[nodiscard]] std::string describe_end(int status, const IsolationLimits& limits);

}  // namespace quern::inline v1::detail
