#pragma once

#include <unistd.h>

#include <cstddef>
#include <span>
#include <string>
#include <utility>

namespace quern::inline v1::detail {

/// Owns a file descriptor.
class Fd {
 public:
  Fd() noexcept = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { reset(); }

  void reset() noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

struct FdPair {
  Fd near;
  Fd far;
};

// All are closed by exec, and none is a standard stream. Each throws std::system_error when there is none to
// be had.
/// Two ends of a socket that keeps messages apart, or of a stream.
[[nodiscard]] FdPair packet_pair();
[[nodiscard]] FdPair stream_pair();
/// `near` reads what is written to `far`.
[[nodiscard]] FdPair pipe_pair();
void set_non_blocking(int fd);

/// One byte and some descriptors over a packet socket. False: nobody is at the other end.
[[nodiscard]] bool send_fds(int socket, char what, std::span<const int> fds) noexcept;

struct ReceivedFds {
  bool end = false;  ///< The other end has gone.
  char what = '\0';
  std::size_t count = 0;
  Fd fds[3]{};
};
/// Waits for what `send_fds` sent. Fewer descriptors than were sent come where this process can have no more.
[[nodiscard]] ReceivedFds receive_fds(int socket) noexcept;

/// Writes all of it, whoever interrupts. False: the other end has gone.
bool send_all(int socket, const char* bytes, std::size_t count) noexcept;

}  // namespace quern::inline v1::detail
