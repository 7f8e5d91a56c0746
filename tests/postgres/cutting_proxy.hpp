#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace quern_test {

/// Stands between a storage and its server on the loopback, and can lose an answer: the server has done what
/// it was asked, and the client never hears of it.
class CuttingProxy {
 public:
  explicit CuttingProxy(int server_port) : server_port_(server_port) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 16) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw std::runtime_error("no port for the proxy");
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~CuttingProxy() {
    stop_ = true;
    acceptor_.join();
    for (std::thread& pair : pairs_) pair.join();
    ::close(listener_);
  }
  CuttingProxy(const CuttingProxy&) = delete;
  CuttingProxy& operator=(const CuttingProxy&) = delete;

  [[nodiscard]] std::string address() const {
    return "postgresql://quern@127.0.0.1:" + std::to_string(port_) + "/postgres";
  }
  /// The next answer of the server to anything is dropped, and its connection cut.
  void lose_next_answer() { lose_ = true; }
  [[nodiscard]] int lost() const { return lost_; }

 private:
  static constexpr int look_ms = 10;  // how often a thread looks whether it is to stop

  static sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    return address;
  }

  void accept_all() {
    while (!stop_) {
      pollfd waiting{listener_, POLLIN, 0};
      if (::poll(&waiting, 1, look_ms) <= 0) continue;
      const int client = ::accept(listener_, nullptr, nullptr);
      if (client < 0) continue;
      pairs_.emplace_back([this, client] { serve(client); });
    }
  }

  void serve(int client) {
    const int server = ::socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in address = loopback(server_port_);
    bool open = ::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    while (open && !stop_) {
      pollfd sockets[]{{client, POLLIN, 0}, {server, POLLIN, 0}};
      if (::poll(sockets, 2, look_ms) <= 0) continue;
      if (sockets[0].revents != 0) open = pass(client, server);
      if (!open || sockets[1].revents == 0) continue;
      if (lose_.exchange(false)) {
        ++lost_;
        break;
      }
      open = pass(server, client);
    }
    ::close(client);
    ::close(server);
  }

  static bool pass(int from, int to) {
    char buffer[65536];
    const auto size = ::recv(from, buffer, sizeof buffer, 0);
    return size > 0 && ::send(to, buffer, static_cast<std::size_t>(size), MSG_NOSIGNAL) == size;
  }

  const int server_port_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stop_{false};
  std::atomic<bool> lose_{false};
  std::atomic<int> lost_{0};
  std::thread acceptor_;
  std::vector<std::thread> pairs_;  // of the acceptor, until it has ended
};

}  // namespace quern_test
