#include "storage/sqlite/change_watch.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <exception>
#include <utility>

#include "storage/sqlite/look_pace.hpp"

#ifdef __linux__
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>
#endif

namespace quern::inline v1::sqlite {

#ifdef __linux__

namespace {

/// Between two looks while we write ourselves: at first, and when that does not end.
constexpr int least_busy_ms = 4;
constexpr int most_busy_ms = 32;
/// Between two attempts to find the log.
constexpr int search_ms = 1000;

/// While it lives, the calling thread takes no signals; the threads that it starts never do. But for faults
/// of the thread itself: where those are blocked, they end the process without the host's handler.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept {
    sigset_t blocked{};
    ::sigfillset(&blocked);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT})
      ::sigdelset(&blocked, fault);
    ::pthread_sigmask(SIG_BLOCK, &blocked, &before_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

/// The kernel tells of writes through this kernel alone. SQLite's log needs memory that all writers share, so
/// on a local disk that is all there are; a file system that others mount, too, is better not trusted.
bool is_local(const std::string& file) {
  constexpr std::array<std::uint32_t, 8> shared{
      0x6969,      // NFS
      0xFF534D42,  // CIFS
      0xFE534D42,  // SMB 2
      0x517B,      // SMB
      0x65735546,  // FUSE
      0x01021997,  // 9P
      0x00C36400,  // Ceph
      0x0BD00BD0,  // Lustre
  };
  struct statfs status{};
  if (::statfs(file.c_str(), &status) != 0) return false;
  return std::find(shared.begin(), shared.end(), static_cast<std::uint32_t>(status.f_type)) == shared.end();
}

}  // namespace

ChangeWatch::ChangeWatch(std::string log, Questions questions) noexcept
    : log_(std::move(log)), questions_(std::move(questions)) {
  events_ = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  stop_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (events_ < 0 || stop_ < 0) return;
  arm();
  try {
    const SignalsBlocked blocked;  // a host's handlers are not for our thread
    thread_ = std::thread([this] { run(); });
  } catch (const std::exception&) {
    watching_ = false;  // no thread or no memory to be had: who wants to know asks
  }
}

ChangeWatch::~ChangeWatch() {
  if (thread_.joinable()) {
    const std::uint64_t one = 1;
    // It can't fail: the counter of an eventfd has room for the only 1 that is ever added.
    [[maybe_unused]] const auto written = ::write(stop_, &one, sizeof one);
    thread_.join();
  }
  if (events_ >= 0) ::close(events_);
  if (stop_ >= 0) ::close(stop_);
}

void ChangeWatch::arm() noexcept {
  const int before = watched_;
  watched_ =
      is_local(log_) ? ::inotify_add_watch(events_, log_.c_str(), IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF) : -1;
  // A log that was deleted lives on as long as somebody has it open; we want the one in its place.
  if (before >= 0 && before != watched_) ::inotify_rm_watch(events_, before);
  watching_.store(watched_ >= 0, std::memory_order_release);
}

bool ChangeWatch::take_events() noexcept {
  bool written = false;
  bool replaced = false;
  alignas(inotify_event) std::array<char, 4096> buffer{};
  for (;;) {
    const auto size = ::read(events_, buffer.data(), buffer.size());
    if (size <= 0) break;
    for (std::size_t at = 0; at + sizeof(inotify_event) <= static_cast<std::size_t>(size);) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof event);
      at += sizeof event + event.len;
      written = true;
      // IN_ATTRIB: among others, it has a name less. IN_Q_OVERFLOW: we do not know.
      if ((event.mask & (IN_ATTRIB | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT | IN_Q_OVERFLOW)) != 0 &&
          (event.wd == watched_ || event.wd < 0))
        replaced = true;
    }
  }
  if (replaced) arm();
  return written;
}

bool ChangeWatch::look() const noexcept {
  try {
    return questions_.look();
  } catch (const std::exception&) {
    return false;  // whoever uses the storage next gets the same error, and can be told
  }
}

bool ChangeWatch::sleep(int timeout_ms, bool wake_on_write) noexcept {
  std::array<pollfd, 2> files{{{stop_, POLLIN, 0}, {events_, POLLIN, 0}}};
  ::poll(files.data(), wake_on_write ? 2 : 1, timeout_ms);
  return files[0].revents == 0;
}

void ChangeWatch::run() noexcept {
  std::uint64_t own = questions_.own_writes();
  int wait_ms = first_look_ms;  // what came before we watched
  for (;;) {
    if (!watching()) {
      if (!sleep(search_ms, false)) return;
      arm();
      wait_ms = first_look_ms;
      if (!watching()) continue;
    }
    if (!sleep(wait_ms, wait_ms == for_ever || wait_ms >= near_ms)) return;
    const bool written = take_events();
    const std::uint64_t own_now = questions_.own_writes();
    const bool own_write = std::exchange(own, own_now) != own_now || own_now % 2 != 0;
    if (written && own_write) {
      // Ours, most likely. What else it was is found when we are quiet again: without a wake-up per write.
      std::uint64_t own_before = 0;
      int busy_ms = least_busy_ms;
      do {
        if (!sleep(busy_ms, false)) return;
        busy_ms = std::min(busy_ms * 2, most_busy_ms);
        take_events();
        own_before = std::exchange(own, questions_.own_writes());
        look();
      } while (own != own_before);
      wait_ms = near_ms;
      continue;
    }
    if (written && (wait_ms == for_ever || wait_ms >= near_ms)) {
      wait_ms = first_look_ms;  // somebody else's; not committed yet
      continue;
    }
    wait_ms = look() ? next_look_ms : wait_after_nothing(wait_ms);
  }
}

#else

ChangeWatch::ChangeWatch(std::string log, Questions questions) noexcept
    : log_(std::move(log)), questions_(std::move(questions)) {}
ChangeWatch::~ChangeWatch() = default;

#endif

}  // namespace quern::inline v1::sqlite
