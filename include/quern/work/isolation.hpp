#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "quern/core/time.hpp"
#include "quern/storage/requests.hpp"

namespace quern::inline v1 {

/// Where the handler of a kind runs.
enum class Isolation : std::uint8_t {
  none,     ///< On a thread of this process.
  process,  ///< In a child process of its own for each attempt. Linux only.
};

/// What an attempt in a process of its own may use.
struct IsolationLimits {
  /// Memory that it may map beyond what its process has at its start, in bytes: heap, stacks of threads,
  /// files. 0: no limit. Else at least 1 MiB. What goes beyond it is an allocation that fails
  /// (std::bad_alloc).
  std::uint64_t memory_bytes = 0;
  /// Processor time of all of its threads, in whole seconds, rounded up. 0: no limit. Up to 365 days.
  Duration cpu_time{0};
  /// How long it may go on after it was asked to stop; then it is killed. At most 1 hour. What counts is
  /// three quarters of the processor's `stop_grace`, where that is less.
  Duration stop_grace = std::chrono::seconds(2);
};

/// How isolated handlers are run, for all kinds of a registry. See `HandlerRegistry::start_isolation`.
struct IsolationOptions {
  /// Processes that are forked ahead of the jobs, so that a job need not wait for it. 0 to 64.
  int ready = 1;
  /// Is given each line that an isolated handler writes to standard error (at most 4 KiB of it, without its
  /// end, any bytes), on the thread that waits for the handler; must be thread-safe. What it throws is
  /// dropped. None: the lines go to this process's own standard error.
  std::function<void(const Claim& job, std::string_view line)> on_line{};
};

namespace detail {

/// Forks the processes in which isolated handlers run.
///
/// Contract  an attempt of an isolated kind is one process; whatever that does, it is one outcome of one
///           attempt. Only `HandlerRegistry::start_isolation` forks from the host's process, and only while
///           that has one thread, so that no lock of another thread can be left locked in a child.
/// Flow      host's main ──fork──► guard ──fork──► server ──fork──► runner, one for each attempt
///           A thread of the host's executor makes three pairs of sockets and pipes, and passes the far ends
///           to the server: the *channel* (the claim; then progress, steps, follow-ups, the result, and the
///           wish to stop), *output* (the runner's standard error) and *line* (kill it; how it ended, what it
///           used). The server hands channel and output on to a runner. All that is durable is written by the
///           host's thread.
/// Failures  runner  the end of its process comes over the line: one failed attempt that says why.
///           server  takes its runners along: their attempts have failed. The guard, which does nothing but
///                   wait, forks the next one.
///           guard   takes all others along. Nothing can be forked any more; jobs are snoozed, with that
///                   reason.
///           host    its ends of all sockets close: the server kills the runners and ends, then the guard.
/// Threads   `begin` from any.
class ForkServer;

}  // namespace detail
}  // namespace quern::inline v1
