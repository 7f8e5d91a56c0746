// The proxy that stands between storages and their server in tests, stepped by hand.
#include "support/loopback_proxy.hpp"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "support/catch.hpp"

using namespace std::chrono_literals;
using quern_test::LoopbackProxy;
using Traffic = LoopbackProxy::Traffic;

namespace {

class Socket {
 public:
  explicit Socket(int handle) : handle_(handle) {}
  Socket(Socket&& other) noexcept : handle_(std::exchange(other.handle_, -1)) {}
  Socket& operator=(Socket&&) = delete;
  ~Socket() { hang_up(); }

  static Socket to(int port) {
    Socket socket(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    REQUIRE(::connect(socket.handle_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    return socket;
  }
  void hang_up() {
    if (handle_ >= 0) ::close(std::exchange(handle_, -1));
  }
  void say(const std::string& text) const {
    REQUIRE(::send(handle_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
  }
  /// True when something can be read, or the other side has hung up.
  [[nodiscard]] bool hears() const {
    pollfd socket{handle_, POLLIN, 0};
    return ::poll(&socket, 1, 0) > 0;
  }
  [[nodiscard]] std::string read() const {
    char buffer[100];
    const auto size = ::recv(handle_, buffer, sizeof buffer, 0);
    return size > 0 ? std::string(buffer, static_cast<std::size_t>(size)) : "over";
  }
  [[nodiscard]] int handle() const { return handle_; }

 private:
  int handle_;
};

/// A server that listens, a proxy, and a client with its connection.
struct Line {
  Line() : listener(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(listener.handle(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(listener.handle(), 8) == 0);
    REQUIRE(::getsockname(listener.handle(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    proxy.emplace(ntohs(address.sin_port));
    client.emplace(Socket::to(proxy->port()));
    REQUIRE(steps_until([&] { return listener.hears(); }));
    server.emplace(::accept(listener.handle(), nullptr, nullptr));
  }
  template <class Condition>
  bool steps_until(const Condition& condition) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      proxy->step(10ms);
    }
    return true;
  }
  /// What the other side says comes through.
  bool passes(const Socket& from, const Socket& to, const std::string& text) {
    from.say(text);
    return steps_until([&] { return to.hears(); }) && to.read() == text;
  }
  void step_some() {
    for (int i = 0; i < 5; ++i) proxy->step(1ms);
  }

  Socket listener;
  std::optional<LoopbackProxy> proxy;
  std::optional<Socket> client;
  std::optional<Socket> server;
};

}  // namespace

TEST_CASE("the proxy passes on what both sides say, and that one of them hangs up", "[proxy]") {
  Line line;
  CHECK(line.passes(*line.client, *line.server, "hello"));
  CHECK(line.passes(*line.server, *line.client, "good day"));
  line.client->say("last");
  line.client->hang_up();
  CHECK(line.steps_until([&] { return line.server->hears(); }));
  CHECK(line.server->read() == "last");
  CHECK(line.steps_until([&] { return line.server->hears(); }));
  CHECK(line.server->read() == "over");
}

TEST_CASE("the proxy delays", "[proxy]") {
  Line line;
  line.proxy->set(Traffic::delay, 80ms);
  const auto start = std::chrono::steady_clock::now();
  CHECK(line.passes(*line.client, *line.server, "hello"));
  CHECK(std::chrono::steady_clock::now() - start >= 80ms);
}

TEST_CASE("the proxy cuts what there is and what comes", "[proxy]") {
  Line line;
  line.proxy->set(Traffic::cut);
  CHECK(line.steps_until([&] { return line.server->hears() && line.client->hears(); }));
  CHECK(line.server->read() == "over");
  CHECK(line.client->read() == "over");
  const Socket late = Socket::to(line.proxy->port());
  CHECK(line.steps_until([&] { return late.hears(); }));
  CHECK(late.read() == "over");
}

TEST_CASE("a half-open proxy tells nobody anything, and later all of it", "[proxy]") {
  Line line;
  line.proxy->set(Traffic::half_open);
  line.client->say("are you there");
  line.client->hang_up();
  line.step_some();
  CHECK_FALSE(line.server->hears());
  line.proxy->set(Traffic::pass);
  CHECK(line.steps_until([&] { return line.server->hears(); }));
  CHECK(line.server->read() == "are you there");
}

TEST_CASE("a connection that the proxy has forgotten is silent for good, and a new one passes", "[proxy]") {
  Line line;
  line.proxy->forget_connections();
  line.client->say("are you there");
  line.step_some();
  CHECK_FALSE(line.server->hears());
  const Socket other = Socket::to(line.proxy->port());
  REQUIRE(line.steps_until([&] { return line.listener.hears(); }));
  const Socket answers(::accept(line.listener.handle(), nullptr, nullptr));
  CHECK(line.passes(other, answers, "hello"));
  CHECK_FALSE(line.server->hears());
}

TEST_CASE("the proxy drops as many answers as it is told, but no greeting", "[proxy]") {
  Line line;
  line.proxy->drop_answers(1);
  for (const char* const greeting : {"one", "two", "three"})
    CHECK(line.passes(*line.server, *line.client, greeting));
  CHECK(line.proxy->dropped() == 0);
  CHECK(line.passes(*line.client, *line.server, "commit"));
  line.server->say("done");
  CHECK(line.steps_until([&] { return line.client->hears(); }));
  CHECK(line.client->read() == "over");
  CHECK(line.proxy->dropped() == 1);
}
