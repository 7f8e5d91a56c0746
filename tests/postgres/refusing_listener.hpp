#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <stdexcept>

namespace quern_test {

/// Takes a server's place on its port of the loopback while that is away: hangs up on everybody, and counts
/// them.
class RefusingListener {
 public:
  explicit RefusingListener(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const int yes = 1;
    ::setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    if (::bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(socket_, 128) != 0) {
      ::close(socket_);
      throw std::runtime_error("the server's port is taken");
    }
  }
  ~RefusingListener() { ::close(socket_); }
  RefusingListener(const RefusingListener&) = delete;
  RefusingListener& operator=(const RefusingListener&) = delete;

  /// Refuses whoever comes until that time.
  void refuse_until(std::chrono::steady_clock::time_point end) {
    while (true) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
      if (left <= 0) return;
      pollfd waiting{socket_, POLLIN, 0};
      if (::poll(&waiting, 1, static_cast<int>(std::min<std::int64_t>(left, 60'000))) <= 0) continue;
      const int client = ::accept(socket_, nullptr, nullptr);
      if (client < 0) continue;
      ++refused_;
      ::close(client);
    }
  }
  [[nodiscard]] int refused() const noexcept { return refused_; }

 private:
  const int socket_;
  int refused_ = 0;
};

}  // namespace quern_test
