#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "quern/quern.hpp"
#include "support/catch.hpp"
#include "support/engine_storage.hpp"

namespace quern_test {

using namespace std::chrono_literals;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
#else
inline constexpr bool sanitized = false;
#endif

/// ThreadSanitizer has a thread of its own.
#if defined(__SANITIZE_THREAD__)
inline constexpr std::size_t least_threads = 2;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr std::size_t least_threads = 2;
#else
inline constexpr std::size_t least_threads = 1;
#endif
#else
inline constexpr std::size_t least_threads = 1;
#endif

/// Asks until it is so; false: it was not within a minute.
inline bool eventually(const std::function<bool()>& so) {
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (!so()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

inline std::size_t entries_of(const std::string& folder) {
  std::error_code error;
  std::size_t count = 0;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    ++count;
  return count;
}
inline std::size_t open_files(pid_t process) {
  return entries_of("/proc/" + std::to_string(process) + "/fd");
}

/// Those that a run has, and not what a storage may open when it needs it.
inline std::size_t open_pipes(pid_t process) {
  std::size_t count = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/fd")) {
    const std::string what = std::filesystem::read_symlink(entry.path(), error).string();
    if (what.starts_with("pipe:") || what.starts_with("anon_inode:")) ++count;
  }
  return count;
}

/// Threads of an earlier test may be on their last steps.
inline void be_alone() {
  [[maybe_unused]] const bool alone =
      eventually([] { return entries_of("/proc/self/task") <= least_threads; });
}

struct ProcessLine {
  pid_t id = 0;
  std::string name{};
  char state = '?';
  pid_t parent = 0;
};
inline std::optional<ProcessLine> process_line(pid_t id) {
  std::ifstream file("/proc/" + std::to_string(id) + "/stat");
  std::string text;
  if (!std::getline(file, text)) return std::nullopt;
  ProcessLine line;
  line.id = id;
  const auto open = text.find('(');
  const auto close = text.rfind(')');
  line.name = text.substr(open + 1, close - open - 1);
  std::istringstream rest(text.substr(close + 2));
  rest >> line.state >> line.parent;
  return line;
}
inline std::vector<ProcessLine> children_of(pid_t parent) {
  std::vector<ProcessLine> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (auto line = process_line(std::stoi(name)); line && line->parent == parent) found.push_back(*line);
  }
  return found;
}

/// A process that somebody else waits for.
class WatchedProcess {
 public:
  explicit WatchedProcess(pid_t process) : handle_(static_cast<int>(::syscall(SYS_pidfd_open, process, 0))) {}
  WatchedProcess(const WatchedProcess&) = delete;
  WatchedProcess& operator=(const WatchedProcess&) = delete;
  ~WatchedProcess() {
    if (handle_ >= 0) ::close(handle_);
  }
  /// True when it has ended, or does within a minute.
  [[nodiscard]] bool ends() const {
    if (handle_ < 0) return true;
    pollfd ended{handle_, POLLIN, 0};
    return ::poll(&ended, 1, 60'000) > 0;
  }

 private:
  int handle_;
};

/// A way from isolated handlers to their test: made before isolation starts, it is inherited.
class Whisper {
 public:
  Whisper() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  }
  Whisper(const Whisper&) = delete;
  Whisper& operator=(const Whisper&) = delete;
  ~Whisper() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  void say(const std::string& text) const {
    const std::string line = text + '\n';
    if (::write(ends_[1], line.data(), line.size()) < 0) std::abort();
  }
  /// The next line; "nothing" when none comes within so long.
  [[nodiscard]] std::string hear(std::chrono::milliseconds patience = 60s) const {
    std::string line;
    while (true) {
      pollfd there{ends_[0], POLLIN, 0};
      if (::poll(&there, 1, static_cast<int>(patience.count())) <= 0) return "nothing";
      char one = '\0';
      if (::read(ends_[0], &one, 1) != 1) return "nothing";
      if (one == '\n') return line;
      line += one;
    }
  }

 private:
  std::array<int, 2> ends_{};
};

/// An engine whose handlers may be isolated, on this thread, the machine's clock and the storage of
/// EngineStorage.
struct IsolatedEngine {
  quern::HandlerRegistry handlers;
  std::optional<EngineStorage> own;
  std::optional<quern::JobQueue<quern::AnyStorage>> queue;

  static quern::HandlerOptions isolated(quern::HandlerOptions options = {}) {
    options.isolation = quern::Isolation::process;
    if (!options.retry) options.retry = quern::RetryPolicy::fixed(1ms);
    return options;
  }
  template <class F>
  void on(std::string_view kind, F&& handler, quern::HandlerOptions options = {}) {
    handlers.on(kind, std::forward<F>(handler), isolated(std::move(options)));
  }

  /// Then jobs can be added.
  void start(quern::IsolationOptions options = {}) {
    be_alone();
    handlers.start_isolation(std::move(options));
    own.emplace();
    queue.emplace(own->storage);
  }
  quern::JobId add(std::string_view kind, quern::JobOptions options = {}) {
    return queue->enqueue(kind, quern::Payload(), std::move(options)).id;
  }
  [[nodiscard]] quern::Job job(quern::JobId id) { return queue->find(id).value(); }

  /// Works until every job has ended.
  void drain(quern::ProcessorOptions options = {}) {
    quern::Processor processor(*queue, handlers, std::move(options));
    processor.run_until([&] { return all_ended(); });
    processor.stop();
  }
  /// The end of a job with one attempt.
  quern::Job run(std::string_view kind) {
    const auto id = add(kind, {.max_attempts = 1});
    drain();
    return job(id);
  }
  /// Why it failed.
  std::string failure(std::string_view kind) {
    const quern::Job ended = run(kind);
    return ended.errors.empty() ? "it did not fail" : ended.errors.back().message;
  }
  [[nodiscard]] bool all_ended() {
    for (const auto& count : queue->count())
      if (!is_terminal(count.state)) return false;
    return true;
  }
};

}  // namespace quern_test
