// The server that forks runners. It has one thread, runs no handler, and keeps nothing but who runs.
#if defined(__linux__)
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include "isolation_runner.hpp"
#include "isolation_server.hpp"

namespace quern::inline v1::detail {
namespace {

class Server {
 public:
  Server(Fd control, const HandlerRegistry& handlers, int ready)
      : control_(std::move(control)), handlers_(handlers), ready_(static_cast<std::size_t>(ready)) {
    sigset_t child;
    ::sigemptyset(&child);
    ::sigaddset(&child, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &child, nullptr);
    ended_ = Fd(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!ended_) ::_exit(1);  // the guard tries again
  }

  [[noreturn]] void serve() {
    while (true) {
      // What can't be forked now is forked when a job asks for it, or not.
      while (idle_.size() < ready_ && fork_runner() == 0) {
      }
      polled_.clear();
      polled_.push_back({control_.get(), POLLIN, 0});
      polled_.push_back({ended_.get(), POLLIN, 0});
      for (const Busy& busy : busy_) polled_.push_back({busy.killed ? -1 : busy.line.get(), POLLIN, 0});
      if (::poll(polled_.data(), polled_.size(), -1) < 0) continue;
      // Something was said, or the host's end was closed: both mean the same.
      for (std::size_t i = 0; i < busy_.size(); ++i)
        if (polled_[i + 2].revents != 0) end(busy_[i]);
      if (polled_[1].revents != 0) collect();
      if (polled_[0].revents != 0) take_request();
    }
  }

 private:
  struct Idle {
    pid_t process = -1;
    Fd line{};  ///< Where it waits for a job.
  };
  struct Busy {
    pid_t process = -1;
    Fd line{};  ///< To the host's thread.
    bool killed = false;
  };

  /// The answer is 0 or an errno.
  int fork_runner() {
    FdPair line;
    try {
      line = packet_pair();
      idle_.reserve(idle_.size() + 1);
    } catch (const std::exception&) {
      return EMFILE;
    }
    const pid_t server = ::getpid();
    const pid_t process = ::fork();
    if (process < 0) return errno;
    if (process == 0) {
      end_with_parent(server);
      ::setpgid(0, 0);
      reset_signals();
      name_process("quern-runner");
      line.near.reset();
      // Others' ends must not stay open here: who waits for them to close would wait for this process.
      control_.reset();
      ended_.reset();
      request_ = {};
      idle_.clear();
      busy_.clear();
      run_runner(std::move(line.far), handlers_);
    }
    ::setpgid(process, process);  // both do, so that it is done whoever comes first
    idle_.push_back({process, std::move(line.near)});
    return 0;
  }

  void take_request() {
    request_ = receive_fds(control_.get());
    if (request_.end) leave();
    if (request_.count == 3) begin();
    request_ = {};  // a request that came without all of its ends is answered by their closing
  }

  void begin() {
    const std::array<int, 2> passed{request_.fds[0].get(), request_.fds[1].get()};
    for (int attempt = 0; attempt < 2; ++attempt) {
      if (idle_.empty()) {
        if (const int error = fork_runner(); error != 0) return tell(request_.fds[2], {.error = error});
      }
      Idle runner = std::move(idle_.back());
      idle_.pop_back();
      if (send_fds(runner.line.get(), 'J', passed)) {
        busy_.push_back({runner.process, std::move(request_.fds[2]), false});
        return;
      }
      // It has ended while it waited; it is collected like any other.
    }
    tell(request_.fds[2], {.error = ECHILD});
  }

  static void tell(const Fd& line, const RunnerEnd& end) {
    static_cast<void>(::send(line.get(), &end, sizeof(end), MSG_NOSIGNAL | MSG_DONTWAIT));
  }

  static void end(Busy& busy) {
    ::kill(-busy.process, SIGKILL);
    ::kill(busy.process, SIGKILL);  // it may have made a group of its own
    busy.killed = true;
  }

  void collect() {
    std::array<signalfd_siginfo, 16> signals;  // NOLINT(cppcoreguidelines-pro-type-member-init): only dropped
    while (::read(ended_.get(), signals.data(), sizeof(signals)) > 0) {
    }
    while (true) {
      siginfo_t info{};
      // Its group first, while its number can't be anybody else's: what a handler has started ends with it.
      if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
      ::kill(-info.si_pid, SIGKILL);
      int status = 0;
      rusage usage{};
      if (::wait4(info.si_pid, &status, 0, &usage) != info.si_pid) return;
      std::erase_if(idle_, [&](const Idle& idle) { return idle.process == info.si_pid; });
      const auto busy = std::ranges::find(busy_, info.si_pid, &Busy::process);
      if (busy == busy_.end()) continue;
      const auto us = [](const timeval& time) {
        return std::int64_t{time.tv_sec} * 1'000'000 + time.tv_usec;
      };
      tell(busy->line, {.error = 0,
                        .status = status,
                        .cpu_us = us(usage.ru_utime) + us(usage.ru_stime),
                        .peak_bytes = std::int64_t{usage.ru_maxrss} * 1024});
      busy_.erase(busy);
    }
  }

  /// The host has gone, or wants no more.
  [[noreturn]] void leave() {
    for (Busy& busy : busy_) end(busy);
    idle_.clear();  // they end by themselves
    while (::wait4(-1, nullptr, 0, nullptr) > 0 || errno == EINTR) {
    }
    ::_exit(0);
  }

  Fd control_;
  const HandlerRegistry& handlers_;
  const std::size_t ready_;
  Fd ended_;  // readable when a child has ended
  std::vector<Idle> idle_;
  std::vector<Busy> busy_;
  ReceivedFds request_;  // the one at hand
  std::vector<pollfd> polled_;
};

}  // namespace

void serve_forks(Fd control, const HandlerRegistry& handlers, int ready) noexcept {
  Server(std::move(control), handlers, ready).serve();
}

}  // namespace quern::inline v1::detail
#endif
