#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "quern/core/error.hpp"
#include "quern/http/server.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/raw_http.hpp"

using namespace quern::http;
using namespace std::chrono_literals;
using quern_test::eventually;
using quern_test::get_request;
using quern_test::post_request;
using quern_test::RawAnswer;
using quern_test::RawHttp;

namespace {

Response ok(Request& /*request*/) { return Response{.body = "ok"}; }

/// However slow this machine is beside the server's deadlines.
bool is_served(Server& server) {
  return eventually([&] {
    try {
      return RawHttp(server.port()).ask(get_request("/")).status == 200;
    } catch (const std::runtime_error&) {
      return false;
    }
  });
}

/// Sends a byte at a time, whatever the server thinks of it, until there is an answer.
RawAnswer drip(RawHttp& client, std::string_view byte) {
  while (!client.readable()) client.send(byte);
  return client.answer();
}

std::vector<std::string> faults_of(const ServerOptions& options) {
  try {
    options.check();
  } catch (const quern::ConfigError& error) {
    return error.faults();
  }
  return {};
}

}  // namespace

TEST_CASE(
    "a header that comes too slowly is refused however many bytes come, and others are served meanwhile",
    "[http][server][limits]") {
  ServerOptions options;
  options.timeouts.head = 400ms;
  Server server(ok, options);
  server.start();
  RawHttp slow(server.port());
  slow.send("GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
  CHECK(is_served(server));
  const RawAnswer answer = drip(slow, "a");
  CHECK(answer.status == 408);
  CHECK(nlohmann::json::parse(answer.body).at("type") == "urn:quern:problem:timeout");
  CHECK(slow.read_to_end().empty());
  // Also the second one of a connection, whose time begins with its first byte.
  RawHttp second(server.port());
  CHECK(second.ask(get_request("/")).status == 200);
  second.send("G");
  CHECK(drip(second, "E").status == 408);
}

TEST_CASE("a connection on which nothing is ever asked is closed", "[http][server][limits]") {
  ServerOptions options;
  options.timeouts.head = 50ms;
  Server server(ok, options);
  server.start();
  RawHttp silent(server.port());
  CHECK(silent.read_to_end().empty());
  CHECK(server.counts().refused == 0);
}

TEST_CASE("a body that comes too slowly is refused", "[http][server][limits]") {
  ServerOptions options;
  options.timeouts.body = 100ms;
  options.timeouts.body_rate = 1'000'000;
  Server server(ok, options);
  server.start();
  RawHttp still(server.port());
  still.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n");
  CHECK(still.answer().status == 408);
  RawHttp slow(server.port());
  slow.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n");
  CHECK(drip(slow, "a").status == 408);
  RawHttp chunked(server.port());
  chunked.send("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1;");
  CHECK(drip(chunked, "a").status == 408);
  CHECK(is_served(server));
}

TEST_CASE("a connection that is idle for too long is closed", "[http][server][limits]") {
  ServerOptions options;
  options.timeouts.idle = 50ms;
  Server server(ok, options);
  server.start();
  RawHttp client(server.port());
  CHECK(client.ask(get_request("/")).status == 200);
  CHECK(client.read_to_end().empty());
}

TEST_CASE("a client that does not read its answer is dropped, and others are served meanwhile",
          "[http][server][limits]") {
  ServerOptions options;
  options.timeouts.write = 100ms;
  Server server(
      [](Request& request) {
        return Response{.body = request.target == "/large" ? std::string(32 << 20, 'x') : std::string("ok")};
      },
      options);
  server.start();
  RawHttp deaf(server.port(), 4096);
  deaf.send(get_request("/large"));
  REQUIRE(eventually([&] { return server.counts().requests == 1; }));
  CHECK(is_served(server));
  CHECK(eventually([&] { return server.counts().connections == 0; }));
}

TEST_CASE("a large answer arrives whole", "[http][server][limits]") {
  const std::string large(5'000'001, 'x');
  Server server([&](Request&) { return Response{.body = large}; });
  server.start();
  RawHttp client(server.port());
  for (int i = 0; i < 3; ++i) REQUIRE(client.ask(get_request("/")).body == large);
}

TEST_CASE("connections above the limit are turned away, and there is room again when others close",
          "[http][server][limits]") {
  ServerOptions options;
  const bool by_peer = GENERATE(false, true);
  (by_peer ? options.limits.connections_per_peer : options.limits.connections) = 3;
  std::atomic<int> warnings = 0;
  options.log = {[&](const quern::LogRecord&) { ++warnings; }, quern::LogLevel::warning};
  Server server(ok, options);
  server.start();
  std::vector<std::unique_ptr<RawHttp>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<RawHttp>(server.port()));
    REQUIRE(clients.back()->ask(get_request("/")).status == 200);
  }
  for (int i = 0; i < 3; ++i) CHECK(RawHttp(server.port()).read_to_end().empty());
  CHECK(server.counts().turned_away == 3);
  CHECK(server.counts().connections == 3);
  CHECK(warnings == 1);
  CHECK(clients.back()->ask(get_request("/")).status == 200);
  clients.pop_back();
  REQUIRE(eventually([&] { return server.counts().connections == 2; }));
  CHECK(is_served(server));
}

TEST_CASE("a server that is out of files goes on once there are some again", "[http][server][limits]") {
  std::atomic<int> failures = 0;
  ServerOptions options;
  options.on_error = [&](std::string_view what) {
    if (what.starts_with("a connection could not be accepted")) ++failures;
  };
  Server server(ok, options);
  server.start();
  CHECK(is_served(server));
  REQUIRE(eventually([&] { return server.counts().connections == 0; }));
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  // The client's own file is the last one that there is.
  std::unique_ptr<RawHttp> client;
  {
    rlimit tight = before;
    tight.rlim_cur = 0;
    int highest = 0;
    DIR* const files = opendir("/proc/self/fd");
    REQUIRE(files != nullptr);
    while (const dirent* const file = readdir(files)) highest = std::max(highest, std::atoi(file->d_name));
    closedir(files);
    tight.rlim_cur = static_cast<rlim_t>(highest) + 1;
    std::vector<int> fillers;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &tight) == 0);
    for (int filler = 0; (filler = dup(0)) >= 0;) fillers.push_back(filler);
    if (!fillers.empty()) {
      close(fillers.back());
      fillers.pop_back();
      client = std::make_unique<RawHttp>(server.port());
    }
    CHECK(eventually([&] { return failures >= 2; }));
    CHECK(failures < 50);
    for (const int filler : fillers) close(filler);
    setrlimit(RLIMIT_NOFILE, &before);
  }
  REQUIRE(client != nullptr);
  CHECK(client->ask(get_request("/")).status == 200);
}

TEST_CASE("thousands of connections that are idle leave room for others", "[http][server][limits]") {
  ServerOptions options;
  options.limits.connections = options.limits.connections_per_peer = 3000;
  Server server(ok, options);
  server.start();
  std::vector<std::unique_ptr<RawHttp>> idle;
  for (int i = 0; i < 2000; ++i) {
    idle.push_back(std::make_unique<RawHttp>(server.port()));
    if (i % 2 == 0) REQUIRE(idle.back()->ask(get_request("/")).status == 200);
  }
  REQUIRE(eventually([&] { return server.counts().connections == 2000; }));
  CHECK(is_served(server));
  server.stop();
  CHECK(idle.front()->read_to_end().empty());
}

TEST_CASE("a server stays on loopback unless somebody is asked who they are, or the host says so",
          "[http][server][limits]") {
  ServerOptions options;
  for (const char* address : {"127.0.0.1", "127.9.9.9", "localhost", "::1"}) {
    options.address = address;
    CHECK(faults_of(options).empty());
  }
  for (const char* address : {"0.0.0.0", "::", "192.168.1.1", "::ffff:10.0.0.1"}) {
    options.address = address;
    REQUIRE(faults_of(options).size() == 1);
    CHECK(faults_of(options)[0].starts_with("address: " + options.address +
                                            " can be reached from other machines"));
    options.authenticated = true;
    CHECK(faults_of(options).empty());
    options.authenticated = false;
    options.allow_unauthenticated_remote = true;
    CHECK(faults_of(options).empty());
    options.allow_unauthenticated_remote = false;
  }
}

TEST_CASE("faulty options are refused with all that is wrong with them", "[http][server][limits]") {
  CHECK(faults_of({}).empty());
  ServerOptions options;
  options.address = "example.org";
  options.hosts = {"fine", "with:80", "", "[::1]", "*", "a b"};
  options.handler_threads = 0;
  options.io_threads = 65;
  options.limits.head_bytes = 10;
  options.limits.connections = 0;
  options.timeouts.idle = 0ms;
  options.timeouts.grace = -1ms;
  options.tls = ServerTls{};
  const auto faults = faults_of(options);
  const auto has = [&](std::string_view field) {
    return std::ranges::count_if(faults, [&](const std::string& fault) { return fault.starts_with(field); });
  };
  for (const char* field :
       {"address: ", "hosts[1]: ", "hosts[2]: ", "hosts[5]: ", "handler_threads: ", "io_threads: ",
        "limits.head_bytes: ", "limits.target_bytes: ", "limits.connections: ", "timeouts.idle (ms): ",
        "timeouts.grace (ms): ", "tls.certificate: ", "tls.key: "})
    CHECK(has(field) == 1);
  CHECK(faults.size() == 13);
  CHECK_THROWS_AS(Server(ok, options), quern::ConfigError);
  CHECK_THROWS_AS(Server(nullptr), quern::InvalidArgument);
}
