#pragma once

#include <cstdint>
#include <memory>

#include "isolation_io.hpp"
#include "quern/work/handler_registry.hpp"

namespace quern::inline v1::detail {

/// What the server says over a runner's line, once: how it ended.
struct RunnerEnd {
  std::int32_t error = 0;   ///< 0, or the errno for which there was no runner.
  std::int32_t status = 0;  ///< As waitpid gives it.
  std::int64_t cpu_us = 0;  ///< User and system time of all its threads.
  std::int64_t peak_bytes = 0;
};
/// What the host says over it: end it now. Closing the line says the same.
inline constexpr char kill_runner = 'K';

/// The host's handle on its guard and its server; see the header for the whole.
class ForkServer {
 public:
  /// Forks. `handlers` must be complete. Throws InvalidArgument where this process has other threads, and
  /// std::system_error.
  ForkServer(const HandlerRegistry& handlers, IsolationOptions options);
  ForkServer(const ForkServer&) = delete;
  ForkServer& operator=(const ForkServer&) = delete;
  /// Ends them all, runners included; waits for that, some seconds at most.
  ~ForkServer();

  /// Asks for a runner that has these far ends. False: there is nobody to ask.
  [[nodiscard]] bool begin(const Fd& channel, const Fd& output, const Fd& line) const noexcept;
  [[nodiscard]] const IsolationOptions& options() const noexcept { return options_; }

 private:
  const IsolationOptions options_;
  Fd control_;
  int owner_ = -1;  ///< Which process that was: a child that it forks may have a copy of this.
  int guard_ = -1;
};

/// The server's life: forks runners for who asks over `control`, and tells how they end. It ends with the
/// other end of `control`, together with all of its runners.
[[noreturn]] void serve_forks(Fd control, const HandlerRegistry& handlers, int ready) noexcept;

}  // namespace quern::inline v1::detail
