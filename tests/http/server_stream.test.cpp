#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "quern/http/event_stream.hpp"
#include "quern/http/server.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/raw_http.hpp"

using namespace quern::http;
using namespace std::chrono_literals;
using quern_test::eventually;
using quern_test::Gate;
using quern_test::get_request;
using quern_test::RawAnswer;
using quern_test::RawHttp;

namespace {

/// Says what the test gives it.
class Script final : public ResponseStream {
 public:
  void start(std::function<void()> wake) override {
    const std::lock_guard lock(mutex_);
    wake_ = std::move(wake);
  }
  std::optional<std::string> read(std::size_t most) override {
    const std::lock_guard lock(mutex_);
    ++reads;
    if (broken_) throw std::runtime_error("the stream broke");
    if (endless) {
      taken += most;
      return std::string(most, 'x');
    }
    if (lines_.empty()) return ended_ ? std::nullopt : std::optional<std::string>("");
    std::string piece = lines_.front().substr(0, most);
    lines_.front().erase(0, piece.size());
    if (lines_.front().empty()) lines_.pop_front();
    return piece;
  }
  void stop() noexcept override {
    const std::lock_guard lock(mutex_);
    wake_ = nullptr;
    ++stops;
  }

  void say(std::string text) {
    const std::lock_guard lock(mutex_);
    lines_.push_back(std::move(text));
    if (wake_) wake_();
  }
  void end() {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    if (wake_) wake_();
  }
  void break_off() {
    const std::lock_guard lock(mutex_);
    broken_ = true;
    if (wake_) wake_();
  }

  std::atomic<bool> endless = false;
  std::atomic<int> stops = 0;
  std::atomic<int> reads = 0;
  std::atomic<std::size_t> taken = 0;

 private:
  std::mutex mutex_;
  std::function<void()> wake_;
  std::deque<std::string> lines_;
  bool ended_ = false;
  bool broken_ = false;
};

class Fixture {
 public:
  explicit Fixture(ServerOptions options = {}, std::string type = "text/event-stream")
      : server(
            [this, type](Request& request) {
              if (request.target != "/stream") return Response{.body = "ok"};
              Response response{.stream = stream};
              response.headers.set("Content-Type", type);
              return response;
            },
            std::move(options)) {
    server.start();
  }

  std::shared_ptr<Script> stream = std::make_shared<Script>();
  Server server;
};

}  // namespace

TEST_CASE("a stream is sent as it comes, in chunks, and the connection closes at its end",
          "[http][server][stream]") {
  Fixture fixture;
  RawHttp client(fixture.server.port());
  client.send(get_request("/stream"));
  const std::string head = client.read_until("\r\n\r\n");
  for (const char* field :
       {"HTTP/1.1 200 OK\r\n", "Transfer-Encoding: chunked\r\n", "Cache-Control: no-store\r\n",
        "X-Accel-Buffering: no\r\n", "Content-Type: text/event-stream\r\n", "Connection: close\r\n"})
    CHECK(head.find(field) != std::string::npos);
  CHECK(head.find("Content-Length") == std::string::npos);
  fixture.stream->say("data: one\n\n");
  CHECK(client.read_until("\n\n\r\n") == "b\r\ndata: one\n\n\r\n");
  CHECK(fixture.server.counts().streams == 1);
  fixture.stream->say("data: two\n\n");
  CHECK(client.read_until("\n\n\r\n") == "b\r\ndata: two\n\n\r\n");
  fixture.stream->end();
  CHECK(client.read_to_end() == "0\r\n\r\n");
  CHECK(eventually([&] { return fixture.server.counts().streams == 0; }));
  CHECK(fixture.stream->stops == 1);
}

TEST_CASE("HTTP 1.0 gets a stream without chunks", "[http][server][stream]") {
  Fixture fixture;
  fixture.stream->say("data: one\n\n");
  RawHttp client(fixture.server.port());
  client.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const std::string head = client.read_until("\r\n\r\n");
  CHECK(head.find("Transfer-Encoding") == std::string::npos);
  CHECK(head.find("Connection: close\r\n") != std::string::npos);
  CHECK(client.read_until("\n\n") == "data: one\n\n");
  fixture.stream->end();
  CHECK(client.read_to_end().empty());
}

TEST_CASE("a stream is not begun for HEAD", "[http][server][stream]") {
  Fixture fixture;
  RawHttp client(fixture.server.port());
  client.send("HEAD /stream HTTP/1.1\r\nHost: localhost\r\n\r\n" + get_request("/"));
  CHECK(client.answer(true).status == 200);
  CHECK(client.answer().body == "ok");
  CHECK(fixture.stream->reads == 0);
  CHECK(fixture.stream->stops == 0);
}

TEST_CASE("events of which there are none for a while are kept alive by comments", "[http][server][stream]") {
  ServerOptions options;
  options.timeouts.heartbeat = 20ms;
  Fixture fixture(options);
  RawHttp client(fixture.server.port());
  client.send(get_request("/stream"));
  client.read_until("\r\n\r\n");
  for (int i = 0; i < 3; ++i) CHECK(client.read_until("\n\n\r\n") == "3\r\n:\n\n\r\n");
  fixture.stream->say("data: on");  // in the middle of an event there is no comment
  CHECK(client.read_until("data: on\r\n").ends_with("8\r\ndata: on\r\n"));
  CHECK_FALSE([&] {
    for (int i = 0; i < 10; ++i)
      if (client.readable()) return true;
    return false;
  }());
  fixture.stream->say("e\n\n");
  CHECK(client.read_until("\n\n\r\n") == "3\r\ne\n\n\r\n");
  CHECK(client.read_until("\n\n\r\n") == "3\r\n:\n\n\r\n");
}

TEST_CASE("a stream of something else than events gets no comments", "[http][server][stream]") {
  ServerOptions options;
  options.timeouts.heartbeat = 10ms;
  Fixture fixture(options, "application/x-ndjson");
  RawHttp client(fixture.server.port());
  client.send(get_request("/stream"));
  client.read_until("\r\n\r\n");
  CHECK_FALSE([&] {
    for (int i = 0; i < 20; ++i)
      if (client.readable()) return true;
    return false;
  }());
  fixture.stream->say("{}\n");
  fixture.stream->end();
  CHECK(client.read_to_end() == "3\r\n{}\n\r\n0\r\n\r\n");
}

TEST_CASE("a stream whose client has gone is stopped", "[http][server][stream]") {
  Fixture fixture;
  RawHttp client(fixture.server.port());
  client.send(get_request("/stream"));
  client.read_until("\r\n\r\n");
  REQUIRE(eventually([&] { return fixture.server.counts().streams == 1; }));
  client.close();
  CHECK(eventually([&] { return fixture.stream->stops == 1; }));
  CHECK(eventually([&] { return fixture.server.counts().connections == 0; }));
  fixture.stream->say("to nobody");
}

TEST_CASE("a stream is read no faster than its client reads, which is dropped when it stops reading",
          "[http][server][stream]") {
  ServerOptions options;
  options.timeouts.write = 300ms;
  Fixture fixture(options);
  fixture.stream->endless = true;
  RawHttp client(fixture.server.port(), 4096);
  client.send(get_request("/stream"));
  REQUIRE(eventually([&] { return fixture.server.counts().streams == 1; }));
  CHECK(RawHttp(fixture.server.port()).ask(get_request("/")).status == 200);
  CHECK(eventually([&] { return fixture.stream->stops == 1; }));
  CHECK(fixture.stream->taken < std::size_t{32} << 20U);
}

TEST_CASE("a stream that fails is broken off, so that its client knows", "[http][server][stream]") {
  std::atomic<int> told = 0;
  ServerOptions options;
  options.on_error = [&](std::string_view what) {
    if (what == "the stream broke") ++told;
  };
  Fixture fixture(options);
  RawHttp client(fixture.server.port());
  client.send(get_request("/stream"));
  client.read_until("\r\n\r\n");
  fixture.stream->break_off();
  CHECK(client.read_to_end().find("0\r\n\r\n") == std::string::npos);
  CHECK(told == 1);
  CHECK(fixture.stream->stops == 1);
}

TEST_CASE("a server that stops ends its streams", "[http][server][stream]") {
  Fixture fixture;
  RawHttp client(fixture.server.port());
  client.send(get_request("/stream"));
  client.read_until("\r\n\r\n");
  std::jthread stopping([&] { fixture.server.stop(); });
  CHECK(client.read_to_end() == "0\r\n\r\n");
  client.close();
  stopping.join();
  CHECK(fixture.stream->stops == 1);
}

TEST_CASE("handlers that are all busy do not stop streams", "[http][server][stream]") {
  Gate gate;
  EventStream events;
  ServerOptions options;
  options.handler_threads = 1;
  Server server(
      [&](Request& request) {
        if (request.target == "/events") return events.subscribe(request);
        gate.pass();
        return Response{};
      },
      options);
  server.start();
  RawHttp listener(server.port());
  listener.send(get_request("/events"));
  listener.read_until("\n\n\r\n");
  RawHttp busy(server.port());
  busy.send(get_request("/busy"));
  gate.wait_for(1);
  for (int i = 0; i < 10; ++i) {
    const auto id = events.publish("tick", std::to_string(i));
    CHECK(listener.read_until("\n\n\r\n")
              .ends_with("id: " + std::to_string(id) + "\nevent: tick\ndata: " + std::to_string(i) +
                         "\n\n\r\n"));
  }
  gate.open();
  CHECK(busy.answer().status == 200);
}

TEST_CASE("a client that comes back gets the events that it has missed", "[http][server][stream]") {
  EventStream events;
  Server server([&](Request& request) { return events.subscribe(request); });
  server.start();
  std::uint64_t seen = 0;
  {
    RawHttp client(server.port());
    client.send(get_request("/"));
    client.read_until("id: ");
    REQUIRE(eventually([&] { return events.subscribers() == 1; }));
    seen = events.publish("one", "1");
    client.read_until("event: one");
  }
  REQUIRE(eventually([&] { return events.subscribers() == 0; }));
  events.publish("two", "2");
  RawHttp client(server.port());
  client.send(get_request("/", "Last-Event-ID: " + std::to_string(seen) + "\r\n"));
  CHECK(client.read_until("data: 2\n\n").find("event: two") != std::string::npos);
}

TEST_CASE("events reach many listeners from many threads", "[http][server][stream]") {
  EventStream events;
  ServerOptions options;
  options.io_threads = 2;
  Server server([&](Request& request) { return events.subscribe(request); }, options);
  server.start();
  std::vector<std::unique_ptr<RawHttp>> listeners;
  for (int i = 0; i < 20; ++i) {
    listeners.push_back(std::make_unique<RawHttp>(server.port()));
    listeners.back()->send(get_request("/"));
    listeners.back()->read_until("id: ");
  }
  {
    std::vector<std::jthread> publishers;
    for (int t = 0; t < 4; ++t)
      publishers.emplace_back([&] {
        for (int i = 0; i < 100; ++i) events.publish("tick", "x");
      });
  }
  events.publish("last", "x");
  for (const auto& listener : listeners) {
    const std::string all = listener->read_until("event: last");
    std::size_t ticks = 0;
    for (std::size_t at = all.find("event: tick"); at != std::string::npos;
         at = all.find("event: tick", at + 1))
      ++ticks;
    CHECK(ticks == 400);
  }
}
