#pragma once

#include "isolation_io.hpp"
#include "quern/work/handler_registry.hpp"

namespace quern::inline v1::detail {

/// The life of a runner: waits for its job on `line`, runs that job's handler, tells how it went, and ends.
/// It ends without having done anything when nobody is at the other end of `line` any more.
[[noreturn]] void run_runner(Fd line, const HandlerRegistry& handlers) noexcept;

/// Signals of a process that was forked from a host: none is blocked, the host's handlers are not called,
/// what the host ignores stays ignored. What is meant for the host (SIGTERM from who stops a service, SIGINT
/// from a terminal) does nothing here, and is again as usual in programs that a handler starts.
void reset_signals() noexcept;

/// What `ps` and `top` show; at most 15 characters.
void name_process(const char* name) noexcept;
/// The kernel kills this process when its parent, which must be `parent`, ends.
void end_with_parent(int parent) noexcept;

}  // namespace quern::inline v1::detail
