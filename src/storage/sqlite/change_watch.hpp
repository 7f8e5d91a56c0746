#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>

namespace quern::inline v1::sqlite {

/// A thread that notices commits of others without asking on a timer: it sleeps in the kernel until somebody
/// writes to the write-ahead log (inotify), and only then asks whether that was a commit of somebody else.
///
/// The log is written before its index says that there is a commit, with the wait for the disk in between;
/// and what wakes the thread may as well be a write of our own. So it asks a few times, at growing distances,
/// until 16 seconds after the last write (`look_pace.hpp`). Idle it does not wake at all. A storage that is
/// busy itself costs about 30 wake-ups a second. The host's signal handlers never run in this thread.
///
/// No file is opened, for closing one again would drop the locks that SQLite holds on it.
class ChangeWatch {
 public:
  struct Questions {
    /// Whether somebody else has committed since the last time; tells the observers if so. May throw.
    std::function<bool()> look;
    /// A number that changes before and after each write of our own.
    std::function<std::uint64_t()> own_writes;
  };

  /// `log`: the path of the write-ahead log. Never throws: where watching is not possible, it does not.
  ChangeWatch(std::string log, Questions questions) noexcept;
  ChangeWatch(const ChangeWatch&) = delete;
  ChangeWatch& operator=(const ChangeWatch&) = delete;
  /// Waits for a look under way.
  ~ChangeWatch();

  /// False: somebody must ask on a timer. Where there is no inotify, on file systems of a network, and while
  /// there is no log.
  [[nodiscard]] bool watching() const noexcept { return watching_.load(std::memory_order_acquire); }

 private:
  void run() noexcept;
  void arm() noexcept;
  /// Takes what has come; true when the log was written to.
  bool take_events() noexcept;
  /// True when somebody else has committed.
  bool look() const noexcept;
  /// True when the thread shall go on. `wake_on_write`: returns early when the log is written to.
  [[nodiscard]] bool sleep(int timeout_ms, bool wake_on_write) noexcept;

  const std::string log_;
  const Questions questions_;
  int events_ = -1;  // inotify
  int stop_ = -1;    // an eventfd, readable once the thread shall end
  int watched_ = -1;
  std::atomic<bool> watching_{false};
  std::thread thread_;
};

}  // namespace quern::inline v1::sqlite
