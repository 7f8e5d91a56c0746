// The host's side of forking, and the guard.
#if defined(__linux__)
#include "isolation_server.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "isolation_runner.hpp"

namespace quern::inline v1::detail {
namespace {

/// A server that takes longer to take a request does not work.
constexpr timeval send_patience{5, 0};
constexpr int end_patience_ms = 5000;

#if defined(__SANITIZE_THREAD__)
constexpr std::size_t own_threads = 2;  // ThreadSanitizer has one of its own, which forks well
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
constexpr std::size_t own_threads = 2;
#else
constexpr std::size_t own_threads = 1;
#endif
#else
constexpr std::size_t own_threads = 1;
#endif

void refuse_threads() {
  std::error_code error;
  std::size_t threads = 0;
  for (std::filesystem::directory_iterator task("/proc/self/task", error), end; !error && task != end;
       task.increment(error))
    ++threads;
  if (error)
    throw InvalidArgument("isolation", "can't tell how many threads this process has: " + error.message());
  if (threads > own_threads)
    throw InvalidArgument("isolation", fmt::format("must be started while the process has one thread, and it "
                                                   "has {}: a lock that another thread holds "
                                                   "would stay locked for ever in a forked child. Call "
                                                   "start_isolation first in main, before storages "
                                                   "are opened, processors are made and threads are started",
                                                   threads));
}

void pause(long milliseconds) noexcept {
  const timespec wait{0, milliseconds * 1'000'000};
  ::nanosleep(&wait, nullptr);
}

bool host_is_gone(int control) noexcept {
  pollfd look{control, 0, 0};
  return ::poll(&look, 1, 0) > 0 && (look.revents & (POLLHUP | POLLERR)) != 0;
}

/// Keeps a server running, and does nothing else: what it has of the host's memory stays as it was at the
/// fork.
[[noreturn]] void keep_server(Fd control, const HandlerRegistry& handlers, int ready) noexcept {
  ::setpgid(0, 0);  // what a terminal sends to the host's group is the host's business
  reset_signals();
  name_process("quern-guard");
  const pid_t self = ::getpid();
  while (true) {
    const pid_t server = ::fork();
    if (server == 0) {
      end_with_parent(self);
      name_process("quern-forks");
      serve_forks(std::move(control), handlers, ready);
    }
    if (server < 0) {
      if (host_is_gone(control.get())) ::_exit(0);
      pause(100);
      continue;
    }
    int status = 0;
    while (::waitpid(server, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) ::_exit(0);
    pause(10);
  }
}

}  // namespace

ForkServer::ForkServer(const HandlerRegistry& handlers, IsolationOptions options)
    : options_(std::move(options)) {
  refuse_threads();
  FdPair control = packet_pair();
  ::setsockopt(control.near.get(), SOL_SOCKET, SO_SNDTIMEO, &send_patience, sizeof(send_patience));
  std::fflush(nullptr);  // or what waits to be written would be written by each child, too
  owner_ = ::getpid();
  guard_ = ::fork();
  if (guard_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (guard_ == 0) {
    control.near.reset();
    keep_server(std::move(control.far), handlers, options_.ready);
  }
  control_ = std::move(control.near);
}

ForkServer::~ForkServer() {
  if (::getpid() != owner_) return;
  ::shutdown(control_.get(), SHUT_RDWR);
#if defined(SYS_pidfd_open)
  // None on an old kernel; then it is waited for as long as it takes.
  if (const Fd guard(static_cast<int>(::syscall(SYS_pidfd_open, guard_, 0))); guard) {
    pollfd ended{guard.get(), POLLIN, 0};
    int ready = 0;
    do {
      ready = ::poll(&ended, 1, end_patience_ms);
    } while (ready < 0 && errno == EINTR);
    if (ready == 0) ::kill(guard_, SIGKILL);
  }
#endif
  while (::waitpid(guard_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

bool ForkServer::begin(const Fd& channel, const Fd& output, const Fd& line) const noexcept {
  return send_fds(control_.get(), 'R', std::array{channel.get(), output.get(), line.get()});
}

}  // namespace quern::inline v1::detail
#endif
