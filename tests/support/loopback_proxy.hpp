#pragma once

#include <netinet/in.h>
#include <poll.h>

#include <chrono>
#include <cstddef>
#include <deque>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace quern_test {

/// Stands between clients and a server on the loopback, and does to what passes what networks do. One object
/// is one loop, driven by `step`; see ProxyThread. Threads: `step` from one, all else from any.
class LoopbackProxy {
 public:
  enum class Traffic {
    pass,
    delay,      ///< Everything arrives later, in order.
    cut,        ///< All connections end, and new ones end at once.
    half_open,  ///< Nothing arrives and nobody is told. What was sent meanwhile arrives when this is over,
                ///< also from a client that has given up since.
  };

  explicit LoopbackProxy(int server_port);
  LoopbackProxy(const LoopbackProxy&) = delete;
  LoopbackProxy& operator=(const LoopbackProxy&) = delete;
  ~LoopbackProxy();

  [[nodiscard]] int port() const noexcept { return port_; }
  /// Of PostgreSQL, as the superuser of the tests' servers.
  [[nodiscard]] std::string address() const;

  /// From now on; `by` is how much later things arrive where the traffic is delayed.
  void set(Traffic traffic, std::chrono::milliseconds by = {});
  /// The connections that there are: nothing passes on them any more and nobody is told, as where a firewall has
  /// forgotten them. New ones are not concerned.
  void forget_connections();
  /// So many of the next answers are dropped, and their connections cut: the server has done what it was
  /// asked, and the client never hears of it. Greetings are no answers.
  void drop_answers(int count);
  /// How many were.
  [[nodiscard]] int dropped() const;

  /// One round of the loop: waits for something to do, at most so long, and does it.
  void step(std::chrono::milliseconds patience);
  /// Ends a wait of `step`.
  void wake() const noexcept;

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Chunk {
    Time due{};
    std::string bytes{};
    std::size_t sent = 0;
  };
  /// One direction of a connection.
  struct Flow {
    int from = -1;
    int to = -1;
    std::deque<Chunk> chunks{};
    std::size_t waiting = 0;  ///< Bytes.
    bool ended = false;       ///< Nothing more comes.
  };
  struct Pair {
    Flow up{};
    Flow down{};
    int answers = 0;
    bool over = false;
  };
  struct Wish {
    Traffic traffic = Traffic::pass;
    std::chrono::milliseconds by{};
  };

  void accept_one();
  void read(Pair& pair, Flow& flow, const Wish& wish);
  static void write(Pair& pair, Flow& flow);
  [[nodiscard]] static short events(const Flow& reads, const Flow& writes, Time now);
  void close_those_that_are_over();
  [[nodiscard]] bool drops_this_one();

  const int server_port_;
  int listener_ = -1;
  int bell_ = -1;
  int port_ = 0;
  std::list<Pair> pairs_;
  std::list<Pair> forgotten_;
  std::vector<pollfd> sockets_;

  mutable std::mutex mutex_;
  Wish wish_;
  bool forget_ = false;
  int to_drop_ = 0;
  int dropped_ = 0;
};

/// A LoopbackProxy with a thread that drives it.
class ProxyThread {
 public:
  explicit ProxyThread(int server_port)
      : proxy(server_port), thread_([this](const std::stop_token& stop) {
          while (!stop.stop_requested()) proxy.step(std::chrono::seconds(10));
        }) {}
  ProxyThread(const ProxyThread&) = delete;
  ProxyThread& operator=(const ProxyThread&) = delete;
  ~ProxyThread() {
    thread_.request_stop();
    proxy.wake();
  }

  LoopbackProxy proxy;

 private:
  std::jthread thread_;
};

}  // namespace quern_test
