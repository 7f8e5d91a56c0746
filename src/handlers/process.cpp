#include "process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <optional>
#include <system_error>
#include <utility>

namespace quern::inline v1::detail {
namespace {

constexpr std::size_t max_error_text = 4096;

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() { reset(); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    reset();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  void reset() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_ = -1;
};

struct Pipe {
  Fd read;
  Fd write;
};

void set_flags(int fd, int non_blocking) {
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  if (non_blocking != 0) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

// Both ends above the standard streams, even in a program that has closed those, or the child's dup2 calls
// would overwrite one another's sources.
Pipe make_pipe() {
  std::array<int, 2> ends{};
#ifdef __linux__
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
#else
  if (pipe(ends.data()) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
#endif
  Pipe made{Fd(ends[0]), Fd(ends[1])};
  for (Fd* end : {&made.read, &made.write}) {
    if (end->get() <= 2) {
      const int moved = fcntl(end->get(), F_DUPFD_CLOEXEC, 3);
      if (moved < 0) throw std::system_error(errno, std::generic_category(), "fcntl");
      *end = Fd(moved);
    }
    set_flags(end->get(), 0);
  }
  set_flags(made.read.get(), 1);
  return made;
}

class SpawnSettings {
 public:
  SpawnSettings() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};
};

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  // posix_spawn takes char* const[], and changes nothing.
  for (const auto& text : texts)
    out.push_back(const_cast<char*>(text.c_str()));  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  out.push_back(nullptr);
  return out;
}

int spawn(const ProcessRequest& request, int output, int errors, pid_t& child) {
  SpawnSettings settings;
  posix_spawn_file_actions_addopen(&settings.actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&settings.actions, output, 1);
  posix_spawn_file_actions_adddup2(&settings.actions, errors, 2);
#if defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 34)
  posix_spawn_file_actions_addclosefrom_np(&settings.actions, 3);
#endif
#endif
  // A group of its own, so that it can be killed with its children; signals as a fresh program has them.
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&settings.attributes, &none);
  posix_spawnattr_setsigdefault(&settings.attributes, &all);
  posix_spawnattr_setpgroup(&settings.attributes, 0);
  posix_spawnattr_setflags(&settings.attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  const auto arguments = pointers(request.arguments);
  const auto environment = pointers(request.environment);
  return posix_spawnp(&child, arguments[0], &settings.actions, &settings.attributes, arguments.data(),
                      environment.data());
}

// The child, until it is waited for. Whatever happens on the way, it does not outlive this.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  ~Child() {
    if (waited_) return;
    kill_group();
    static_cast<void>(wait());
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void kill_group() const { kill(-pid_, SIGKILL); }
  // Blocks; nothing when the host program has made the kernel forget children (SIGCHLD ignored).
  std::optional<int> wait() {
    int status = 0;
    pid_t result = 0;
    do {
      result = waitpid(pid_, &status, 0);
    } while (result < 0 && errno == EINTR);
    waited_ = true;
    return result == pid_ ? std::optional(status) : std::nullopt;
  }
  // A descriptor that is readable once the child has ended; none on an old kernel.
  [[nodiscard]] Fd end_signal() const {
#if defined(__linux__) && defined(SYS_pidfd_open)
    return Fd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
#else
    return Fd();
#endif
  }

 private:
  pid_t pid_;
  bool waited_ = false;
};

// One read of what is there: the piece, empty at the end of the stream; nothing when it has to be polled
// again.
std::optional<std::string_view> read_piece(int fd, std::array<char, 65536>& buffer) {
  const ssize_t got = read(fd, buffer.data(), buffer.size());
  if (got >= 0) return std::string_view(buffer.data(), static_cast<std::size_t>(got));
  if (errno == EINTR || errno == EAGAIN) return std::nullopt;
  throw std::system_error(errno, std::generic_category(), "read");
}

}  // namespace

ProcessResult run_process(const ProcessRequest& request) {
  Pipe output = make_pipe();
  Pipe errors = make_pipe();
  Pipe wake = make_pipe();
  pid_t pid = 0;
  if (const int error = spawn(request, output.write.get(), errors.write.get(), pid); error != 0)
    return {error == ENOENT ? ProcessEnd::not_found : ProcessEnd::not_started, error, {}};
  Child child(pid);
  output.write.reset();
  errors.write.reset();
  Fd ended = child.end_signal();
  const std::stop_callback on_stop(request.stop, [&wake] {
    const char byte = 0;
    static_cast<void>(!write(wake.write.get(), &byte, 1));  // The pipe is empty, so this can't fail or block.
  });

  ProcessResult result;
  std::size_t total = 0;
  std::array<char, 65536> buffer{};
  // Ends when both streams and the program itself have ended, or when there is a reason to end it.
  const auto give_up = [&](ProcessEnd why) {
    child.kill_group();
    static_cast<void>(child.wait());
    result.end = why;
    return result;
  };
  while (output.read.get() >= 0 || errors.read.get() >= 0 || ended.get() >= 0) {
    std::array<pollfd, 4> fds{{{wake.read.get(), POLLIN, 0},
                               {output.read.get(), POLLIN, 0},
                               {errors.read.get(), POLLIN, 0},
                               {ended.get(), POLLIN, 0}}};
    if (poll(fds.data(), fds.size(), -1) < 0) {
      if (errno == EINTR) continue;
      throw std::system_error(errno, std::generic_category(), "poll");
    }
    if (fds[0].revents != 0) return give_up(ProcessEnd::stopped);
    if (fds[1].revents != 0) {
      if (const auto piece = read_piece(output.read.get(), buffer)) {
        if (piece->empty()) output.read.reset();
        total += piece->size();
        if (total > request.max_output_bytes) return give_up(ProcessEnd::too_much_output);
        if (!piece->empty() && !request.on_output(*piece)) return give_up(ProcessEnd::reader_done);
      }
    }
    if (fds[2].revents != 0) {
      if (const auto piece = read_piece(errors.read.get(), buffer)) {
        if (piece->empty()) errors.read.reset();
        result.error_text +=
            piece->substr(0, max_error_text - std::min(max_error_text, result.error_text.size()));
      }
    }
    if (fds[3].revents != 0) ended.reset();
  }

  const auto status = child.wait();
  if (!status) {
    result.end = ProcessEnd::not_started;
    result.exit_code = ECHILD;
  } else if (WIFEXITED(*status)) {
    result.exit_code = WEXITSTATUS(*status);
  } else {
    result.end = ProcessEnd::killed_by_signal;
    result.exit_code = WTERMSIG(*status);
  }
  return result;
}

}  // namespace quern::inline v1::detail
