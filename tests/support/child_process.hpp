#pragma once

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace quern_test {

/// A program that a test starts, waits for, and kills; killed with its test at the latest.
class ChildProcess {
 public:
  /// `environment` entries ("NAME=value") are added to this process's own.
  ChildProcess(const std::vector<std::string>& command, const std::vector<std::string>& environment = {}) {
    std::vector<char*> words;
    for (const auto& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    std::vector<char*> variables;
    for (const auto& variable : environment) variables.push_back(const_cast<char*>(variable.c_str()));
    for (char** variable = environ; *variable != nullptr; ++variable) variables.push_back(*variable);
    variables.push_back(nullptr);
    if (::posix_spawn(&pid_, words[0], nullptr, nullptr, words.data(), variables.data()) != 0)
      throw std::runtime_error("can't start " + command[0]);
  }
  ChildProcess(ChildProcess&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)), status_(std::exchange(other.status_, std::nullopt)) {}
  ChildProcess& operator=(ChildProcess&&) = delete;
  ~ChildProcess() {
    if (pid_ < 0 || status_) return;
    kill();
    wait();
  }

  void kill(int signal = SIGKILL) const { ::kill(pid_, signal); }

  /// Waits for its end.
  void wait() {
    int status = 0;
    while (!status_ && ::waitpid(pid_, &status, 0) < 0)
      if (errno != EINTR) throw std::runtime_error("waitpid failed");
    if (!status_) status_ = status;
  }
  /// Waits for its end, but no longer than so long; true when it has ended.
  [[nodiscard]] bool wait_for(std::chrono::milliseconds patience) {
    if (status_) return true;
    const int handle = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
    if (handle < 0) throw std::runtime_error("pidfd_open failed; the tests need Linux 5.3 or later");
    pollfd ended{handle, POLLIN, 0};
    const int ready = ::poll(&ended, 1, static_cast<int>(patience.count()));
    ::close(handle);
    if (ready > 0) wait();
    return status_.has_value();
  }

  [[nodiscard]] bool killed() const {
    return status_ && WIFSIGNALED(*status_) && WTERMSIG(*status_) == SIGKILL;
  }
  [[nodiscard]] int exit_code() const { return status_ && WIFEXITED(*status_) ? WEXITSTATUS(*status_) : -1; }

 private:
  pid_t pid_ = -1;
  std::optional<int> status_;
};

}  // namespace quern_test
