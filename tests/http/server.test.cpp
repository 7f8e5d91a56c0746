#include "quern/http/server.hpp"

#include <atomic>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

#include "quern/core/error.hpp"
#include "quern/http/router.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/raw_http.hpp"

using namespace quern::http;
using namespace std::chrono_literals;
using quern_test::eventually;
using quern_test::Gate;
using quern_test::get_request;
using quern_test::post_request;
using quern_test::RawAnswer;
using quern_test::RawHttp;

namespace {

/// Says what it was asked.
Response echo(Request& request) {
  Response response;
  response.headers.set("Content-Type", "text/plain");
  response.body = std::string(to_text(request.method)) + " " + request.target + " " + request.body;
  return response;
}

}  // namespace

TEST_CASE("a server listens on a free port of loopback and answers", "[http][server]") {
  Server server(echo);
  CHECK_FALSE(server.running());
  CHECK(server.port() == 0);
  CHECK(server.url().empty());
  server.start();
  CHECK(server.running());
  CHECK(server.url() == "http://127.0.0.1:" + std::to_string(server.port()));
  RawHttp client(server.port());
  const RawAnswer answer = client.ask(get_request("/a?b=c"));
  CHECK(answer.status == 200);
  CHECK(answer.body == "GET /a?b=c ");
  CHECK(answer.header("content-type") == "text/plain");
  CHECK(answer.header("server").empty());
  CHECK(answer.header("connection").empty());
}

TEST_CASE("a router can be served", "[http][server]") {
  Router router;
  router.add({.method = Method::get, .pattern = "/jobs/:id", .handler = [](const Request& request) {
                return Response{.body = std::string(request.part("id"))};
              }});
  Server server([&](Request& request) { return router.handle(request); });
  server.start();
  RawHttp client(server.port());
  CHECK(client.ask(get_request("/jobs/17")).body == "17");
  CHECK(client.ask(get_request("/nothing")).status == 404);
}

TEST_CASE("a connection is used for one request after another, and a body of any framing arrives whole",
          "[http][server]") {
  Server server(echo);
  server.start();
  RawHttp client(server.port());
  CHECK(client.ask(post_request("/", "first")).body == "POST / first");
  CHECK(client
            .ask("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "3\r\nsec\r\n3;a=\"b\"\r\nond\r\n0\r\n\r\n")
            .body == "POST / second");
  const std::string large(1 << 20, 'x');
  CHECK(client.ask(post_request("/", large)).body == "POST / " + large);
  CHECK(client.ask(post_request("/", "")).body == "POST / ");
  CHECK(server.counts().requests == 4);
  CHECK(server.counts().connections == 1);
}

TEST_CASE("a request that comes byte by byte is understood as one that comes at once", "[http][server]") {
  Server server(echo);
  server.start();
  RawHttp client(server.port());
  for (const std::string& request :
       {std::string("\r\n") + post_request("/a", "body", "X-Field: value \r\n"),
        std::string("POST /b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "4\r\nbody\r\n0\r\nX-Trailer: 1\r\n\r\n")}) {
    for (const char byte : request) REQUIRE(client.send(std::string(1, byte)));
    CHECK(client.answer().status == 200);
  }
}

TEST_CASE("requests that are sent without waiting are answered one each, in order", "[http][server]") {
  Server server(echo);
  server.start();
  RawHttp client(server.port());
  std::string all;
  for (int i = 0; i < 50; ++i)
    all += i % 2 == 0 ? get_request("/" + std::to_string(i)) : post_request("/" + std::to_string(i), "x");
  client.send(all);
  for (int i = 0; i < 50; ++i) {
    const std::string expected =
        (i % 2 == 0 ? "GET /" : "POST /") + std::to_string(i) + (i % 2 == 0 ? " " : " x");
    REQUIRE(client.answer().body == expected);
  }
}

TEST_CASE("HTTP 1.0 closes after the answer, unless it asks to be kept", "[http][server]") {
  Server server(echo);
  server.start();
  RawHttp closing(server.port());
  const RawAnswer last = closing.ask("GET / HTTP/1.0\r\n\r\n");
  CHECK(last.status == 200);
  CHECK(last.header("connection") == "close");
  CHECK(closing.read_to_end().empty());
  RawHttp kept(server.port());
  CHECK(kept.ask("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").header("connection") == "keep-alive");
  CHECK(kept.ask("GET / HTTP/1.0\r\n\r\n").status == 200);
  CHECK(kept.read_to_end().empty());
}

TEST_CASE("a client that wants the connection closed gets its answer first", "[http][server]") {
  Server server(echo);
  server.start();
  RawHttp client(server.port());
  client.send(get_request("/", "Connection: foo, Close\r\n") + get_request("/never"));
  CHECK(client.answer().header("connection") == "close");
  CHECK(client.read_to_end().empty());
  CHECK(server.counts().requests == 1);
}

TEST_CASE("a client that has sent all it wants to is still answered", "[http][server]") {
  Server server(echo);
  server.start();
  RawHttp client(server.port());
  client.send(get_request("/"));
  client.end_sending();
  CHECK(client.answer().status == 200);
  CHECK(client.read_to_end().empty());
}

TEST_CASE("HEAD has the length of GET's body, and no body", "[http][server]") {
  Server server([](Request&) { return Response{.body = "12345"}; });
  server.start();
  RawHttp client(server.port());
  client.send("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n" + get_request("/"));
  CHECK(client.answer(true).header("content-length") == "5");
  CHECK(client.answer().body == "12345");
}

TEST_CASE("an answer that has no body by its status has no length either", "[http][server]") {
  Server server([](Request&) { return Response{.status = 204, .headers = {}, .body = "not sent"}; });
  server.start();
  RawHttp client(server.port());
  client.send(get_request("/") + get_request("/"));
  for (int i = 0; i < 2; ++i) {
    const RawAnswer answer = client.answer();
    CHECK(answer.status == 204);
    CHECK(answer.header("content-length").empty());
  }
}

TEST_CASE("a client that waits to be told to send its body is told", "[http][server]") {
  Server server(echo);
  server.start();
  RawHttp client(server.port());
  client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  CHECK(client.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("body");
  CHECK(client.answer().body == "POST / body");
  // One that is too large is refused before it is sent, and one that is here already needs no permission.
  CHECK(client.ask(post_request("/", "body", "Expect: 100-continue\r\n")).body == "POST / body");
  CHECK(
      client
          .ask(
              "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\nExpect: 100-continue\r\n\r\n")
          .status == 413);
}

TEST_CASE("a handler learns who asks, and when that was by the clock it was given", "[http][server]") {
  const quern::ManualClock clock(quern::from_us(784'111'777'000'000));
  Request seen;
  Server server(
      [&](Request& request) {
        seen = request;
        return Response{};
      },
      {}, clock);
  server.start();
  RawHttp client(server.port());
  CHECK(client.ask(post_request("/x", "b", "X-One: 1\r\nx-one:2\r\n")).header("date") ==
        "Sun, 06 Nov 1994 08:49:37 GMT");
  CHECK(seen.peer == "127.0.0.1");
  CHECK_FALSE(seen.secure);
  CHECK(seen.received == clock.steady());
  CHECK(seen.headers.count("X-ONE") == 2);
  CHECK(seen.headers.find("x-one") == "1");
}

TEST_CASE("no field of an answer can end it early, however it was made", "[http][server]") {
  CHECK_THROWS_AS((Fields{{"X-One", "a\r\nX-Two: b"}}), quern::InvalidArgument);
  CHECK_THROWS_AS((Fields{{"X: a\r\nX-Two", "b"}}), quern::InvalidArgument);
  Server server([](Request&) { return Response{.headers = {{"X-One", "a\nX-Two: b"}}}; });
  server.start();
  RawHttp client(server.port());
  const RawAnswer answer = client.ask(get_request("/"));
  CHECK(answer.status == 500);
  CHECK(answer.header("x-two").empty());
}

TEST_CASE("what belongs to the server in an answer is the server's", "[http][server]") {
  Server server([](Request&) {
    return Response{.headers = {{"Content-Length", "1"}, {"Connection", "close"}, {"Transfer-Encoding", "x"}},
                    .body = "12345"};
  });
  server.start();
  RawHttp client(server.port());
  for (int i = 0; i < 2; ++i) {
    const RawAnswer answer = client.ask(get_request("/"));
    CHECK(answer.body == "12345");
    CHECK(answer.header("connection").empty());
    CHECK(answer.header("transfer-encoding").empty());
  }
}

TEST_CASE("a handler that throws gives 500 without a word of what it was, which the host is told",
          "[http][server]") {
  std::mutex mutex;
  std::vector<std::string> told;
  ServerOptions options;
  options.on_error = [&](std::string_view what) {
    const std::lock_guard lock(mutex);
    told.emplace_back(what);
    throw std::runtime_error("the host's own trouble");
  };
  Server server(
      [](Request& request) -> Response {
        if (request.target == "/problem") throw Problem::conflict("it runs");
        if (request.target == "/status") return {.status = 42};
        throw std::runtime_error("secret");
      },
      options);
  server.start();
  RawHttp client(server.port());
  const RawAnswer failed = client.ask(get_request("/"));
  CHECK(failed.status == 500);
  CHECK(failed.header("content-type") == "application/problem+json");
  CHECK(failed.body.find("secret") == std::string::npos);
  CHECK(client.ask(get_request("/problem")).status == 409);
  CHECK(client.ask(get_request("/status")).status == 500);
  REQUIRE(told.size() == 2);
  CHECK(told[0] == "a handler threw: secret");
}

TEST_CASE("a slow handler does not keep others from being answered", "[http][server]") {
  Gate gate;
  Server server([&](Request& request) {
    if (request.target == "/slow") gate.pass();
    return echo(request);
  });
  server.start();
  RawHttp slow(server.port());
  slow.send(get_request("/slow"));
  gate.wait_for(1);
  RawHttp quick(server.port());
  for (int i = 0; i < 20; ++i) REQUIRE(quick.ask(get_request("/quick")).status == 200);
  gate.open();
  CHECK(slow.answer().status == 200);
}

TEST_CASE("requests above those that may wait get 503, and the connection stays", "[http][server]") {
  Gate gate;
  ServerOptions options;
  options.handler_threads = 2;
  options.limits.waiting_requests = 1;
  Server server(
      [&](Request& request) {
        if (request.target == "/held") gate.pass();
        return echo(request);
      },
      options);
  server.start();
  RawHttp first(server.port());
  RawHttp second(server.port());
  RawHttp waiting(server.port());
  first.send(get_request("/held"));
  second.send(get_request("/held"));
  gate.wait_for(2);
  waiting.send(get_request("/later"));
  REQUIRE(eventually([&] { return server.counts().waiting == 1; }));
  RawHttp refused(server.port());
  const RawAnswer busy = refused.ask(get_request("/"));
  CHECK(busy.status == 503);
  CHECK(busy.header("retry-after") == "1");
  CHECK(nlohmann::json::parse(busy.body).at("type") == "urn:quern:problem:busy");
  gate.open();
  CHECK(first.answer().status == 200);
  CHECK(second.answer().status == 200);
  CHECK(waiting.answer().status == 200);
  CHECK(refused.ask(get_request("/")).status == 200);
}

TEST_CASE("a server that stops answers what is under way, closes what is idle, and takes nothing new",
          "[http][server]") {
  Gate gate;
  Server server([&](Request& request) {
    if (request.target == "/held") gate.pass();
    return echo(request);
  });
  server.start();
  const std::uint16_t port = server.port();
  RawHttp idle(port);
  CHECK(idle.ask(get_request("/")).status == 200);
  RawHttp fresh(port);
  RawHttp busy(port);
  busy.send(get_request("/held"));
  gate.wait_for(1);
  std::jthread stopping([&] { server.stop(); });
  CHECK(idle.read_to_end().empty());
  CHECK(fresh.read_to_end().empty());
  CHECK_THROWS_AS(RawHttp(port), std::system_error);
  gate.open();
  const RawAnswer last = busy.answer();
  CHECK(last.status == 200);
  CHECK(last.header("connection") == "close");
  CHECK(busy.read_to_end().empty());
  busy.close();
  stopping.join();
  CHECK_FALSE(server.running());
  server.stop();
}

TEST_CASE("a server that stops gives up on clients after its grace, and waits for handlers that run",
          "[http][server]") {
  Gate gate;
  std::atomic<int> done = 0;
  ServerOptions options;
  options.timeouts.grace = 10ms;
  Server server(
      [&](Request& request) {
        gate.pass();
        ++done;
        return echo(request);
      },
      options);
  server.start();
  RawHttp held(server.port());
  held.send(get_request("/"));
  RawHttp half(server.port());
  half.send("GET / HT");
  gate.wait_for(1);
  std::jthread stopping([&] { server.stop(); });
  CHECK(held.read_to_end().empty());
  CHECK(half.read_to_end().empty());
  CHECK(done == 0);
  gate.open();
  stopping.join();
  CHECK(done == 1);
}

TEST_CASE("a server starts again after it was stopped, and twice is once", "[http][server]") {
  Server server(echo);
  for (int i = 0; i < 3; ++i) {
    server.start();
    const std::uint16_t port = server.port();
    server.start();
    CHECK(server.port() == port);
    RawHttp client(port);
    CHECK(client.ask(get_request("/")).status == 200);
    server.stop();
    CHECK(server.port() == 0);
  }
}

TEST_CASE("several I/O threads serve many clients at once", "[http][server]") {
  ServerOptions options;
  options.io_threads = 3;
  Server server(echo, options);
  server.start();
  std::atomic<int> right = 0;
  {
    std::vector<std::jthread> clients;
    for (int c = 0; c < 8; ++c) {
      clients.emplace_back([&] {
        RawHttp client(server.port());
        for (int i = 0; i < 50; ++i)
          if (client.ask(post_request("/", std::to_string(i))).body == "POST / " + std::to_string(i)) ++right;
      });
    }
  }
  CHECK(right == 400);
}

TEST_CASE("a port that is taken is an error that names it", "[http][server]") {
  Server first(echo);
  first.start();
  ServerOptions options;
  options.port = first.port();
  Server second(echo, options);
  CHECK_THROWS_WITH(second.start(), Catch::Matchers::ContainsSubstring(std::to_string(first.port())));
  CHECK_FALSE(second.running());
}
