#include "quern/handlers/http_transport.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "quern/handlers/curl_transport.hpp"
#include "support/catch.hpp"
#include "support/http_test_server.hpp"

using namespace std::chrono_literals;
using quern::HttpError;
using quern::HttpFailure;
using quern::HttpRequest;
using quern_test::HttpTestServer;
using quern_test::Reply;
using quern_test::ServedRequest;

namespace {

Reply hello(const ServedRequest&) { return {.headers = {{"X-One", "1"}, {"x-one", "2"}}, .body = "hello"}; }

// What becomes of a request that fails.
HttpError failure_of(quern::HttpTransport& transport, const HttpRequest& request) {
  try {
    static_cast<void>(transport.perform(request));
  } catch (const HttpError& error) {
    return error;
  }
  FAIL("the request was answered");
  throw std::logic_error("unreachable");
}

// A variable of the environment, for the length of a test.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) { setenv(name, value.c_str(), 1); }
  ~Variable() { unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

}  // namespace

TEST_CASE("headers are found whatever their case", "[http]") {
  const quern::HttpHeaders headers{{"Link", "a"}, {"LINK", "b"}};
  CHECK(headers.first("link") == "a");
  CHECK(headers.last("Link") == "b");
  CHECK_FALSE(headers.first("etag"));
}

TEST_CASE("a request and its answer arrive whole", "[http]") {
  HttpTestServer server(hello);
  quern::CurlTransport transport;
  HttpRequest request{.method = "POST", .url = server.url() + "/a?b=c", .body = std::string("x\0y", 3)};
  request.headers = {{"X-Custom", "value"}, {"X-Empty", ""}};
  const auto response = transport.perform(request);
  CHECK(response.status == 200);
  CHECK(response.body == "hello");
  CHECK(response.headers.first("x-one") == "1");
  CHECK(response.headers.last("x-one") == "2");

  const auto log = server.log();
  REQUIRE(log.size() == 1);
  CHECK(log[0].method == "POST");
  CHECK(log[0].target == "/a?b=c");
  CHECK(log[0].body == std::string("x\0y", 3));
  CHECK(log[0].header("x-custom") == "value");
  CHECK(log[0].headers.contains("x-empty"));
  CHECK_FALSE(log[0].headers.contains("expect"));
}

TEST_CASE("any status is an answer and redirects are not followed", "[http]") {
  HttpTestServer server(
      [](const ServedRequest&) { return Reply{.status = 302, .headers = {{"Location", "/elsewhere"}}}; });
  quern::CurlTransport transport;
  CHECK(transport.perform({.url = server.url() + "/"}).status == 302);
  CHECK(server.log().size() == 1);
}

TEST_CASE("a request that could smuggle something is refused before it is sent", "[http]") {
  HttpTestServer server(hello);
  quern::CurlTransport transport;
  const auto refused = [&](const HttpRequest& request) {
    CHECK_THROWS_AS(transport.perform(request), quern::InvalidArgument);
  };
  refused({.url = server.url() + "/", .headers = {{"X-A", "b\r\nX-Evil: 1"}}});
  refused({.url = server.url() + "/", .headers = {{"X-A", "b\nc"}}});
  refused({.url = server.url() + "/", .headers = {{"X-A", std::string("b\0c", 3)}}});
  refused({.url = server.url() + "/", .headers = {{"X-A: b\r\nX-B", "c"}}});
  refused({.url = server.url() + "/", .headers = {{"", "c"}}});
  refused({.method = "GET / HTTP/1.1\r\nX:", .url = server.url() + "/"});
  refused({.url = server.url() + "/ HTTP/1.1\r\nX: y"});
  refused({.url = "file:///etc/passwd"});
  refused({.url = "ftp://127.0.0.1/"});
  refused({.url = ""});
  CHECK(server.log().empty());
}

TEST_CASE("a failed exchange says how it failed and whether to try again", "[http]") {
  HttpTestServer server(hello);
  quern::CurlTransport transport;
  HttpRequest request{.url = server.url() + "/secret-path?token=t"};

  SECTION("the connection is closed without an answer") {
    server.inject("/", {.fault = Reply::Fault::drop});
    const auto error = failure_of(transport, request);
    CHECK(error.failure() == HttpFailure::cut);
    CHECK(error.transient());
    CHECK(std::string(error.what()).find("secret") == std::string::npos);
    CHECK(std::string(error.what()).find("127.0.0.1") != std::string::npos);
  }
  SECTION("the answer is cut") {
    server.inject("/", {.body = "a longer body", .fault = Reply::Fault::truncate});
    const auto error = failure_of(transport, request);
    CHECK(error.failure() == HttpFailure::cut);
    CHECK(error.transient());
  }
  SECTION("there is no answer in time") {
    request.timeout = 50ms;
    server.inject("/", {.fault = Reply::Fault::hang});
    const auto error = failure_of(transport, request);
    CHECK(error.failure() == HttpFailure::timeout);
    CHECK(error.transient());
  }
  SECTION("the answer stalls half way") {
    request.timeout = 50ms;
    server.inject("/", {.body = "a longer body", .fault = Reply::Fault::stall});
    CHECK(failure_of(transport, request).failure() == HttpFailure::timeout);
  }
  SECTION("nobody listens") {
    std::string url;
    {
      HttpTestServer gone(hello);
      url = gone.url();
    }
    request.url = url;
    const auto error = failure_of(transport, request);
    CHECK(error.failure() == HttpFailure::unreachable);
    CHECK(error.transient());
  }
  SECTION("the other end does not speak TLS") {
    request.url = "https://127.0.0.1:" + std::to_string(server.port()) + "/";
    request.timeout = 200ms;
    // The server waits for a header that never ends, libcurl for a handshake.
    const auto kind = failure_of(transport, request).failure();
    CHECK((kind == HttpFailure::tls || kind == HttpFailure::timeout));
  }
  SECTION("and the next request works again") { CHECK(transport.perform(request).status == 200); }
}

TEST_CASE("an answer larger than allowed is refused or cut", "[http]") {
  HttpTestServer server([](const ServedRequest&) { return Reply{.body = std::string(100'000, 'x')}; });
  quern::CurlTransport transport;
  HttpRequest request{.url = server.url() + "/"};

  request.max_response_bytes = 100'000;
  CHECK(transport.perform(request).body.size() == 100'000);

  request.max_response_bytes = 99'999;
  const auto error = failure_of(transport, request);
  CHECK(error.failure() == HttpFailure::too_large);
  CHECK_FALSE(error.transient());

  request.overflow = quern::Overflow::cut;
  const auto response = transport.perform(request);
  CHECK(response.status == 200);
  CHECK(response.truncated);
  CHECK(response.body.size() == 99'999);

  SECTION("also when its length is not announced") {
    server.inject("/", {.body = std::string(100'000, 'x'), .chunked = true});
    request.overflow = quern::Overflow::fail;
    CHECK(failure_of(transport, request).failure() == HttpFailure::too_large);
  }
  SECTION("also when it is the header that is large") {
    Reply reply;
    for (int i = 0; i < 40; ++i)
      reply.headers.emplace_back("X-" + std::to_string(i), std::string(10'000, 'y'));
    server.inject("/", reply);
    request.overflow = quern::Overflow::fail;
    CHECK_THROWS_AS(transport.perform(request), HttpError);
  }
}

TEST_CASE("trailers never pass for headers", "[http]") {
  HttpTestServer server([](const ServedRequest&) {
    return Reply{
        .body = "body", .chunked = true, .trailers = {{"X-RateLimit-Remaining", "5000"}, {"Link", "<x>"}}};
  });
  quern::CurlTransport transport;
  const auto response = transport.perform({.url = server.url() + "/"});
  CHECK(response.body == "body");
  CHECK_FALSE(response.headers.first("x-ratelimit-remaining"));
  CHECK_FALSE(response.headers.first("link"));
}

TEST_CASE("a stop ends a request at once", "[http]") {
  HttpTestServer server(hello);
  quern::CurlTransport transport;
  std::stop_source stop;
  HttpRequest request{.url = server.url() + "/", .timeout = 600s, .stop = stop.get_token()};

  SECTION("before it begins") {
    stop.request_stop();
    CHECK(failure_of(transport, request).failure() == HttpFailure::aborted);
    CHECK(server.log().empty());
  }
  SECTION("while it waits") {
    server.inject("/", {.fault = Reply::Fault::hang});
    std::thread stopper([&] {
      while (server.log().empty()) std::this_thread::yield();
      stop.request_stop();
    });
    CHECK(failure_of(transport, request).failure() == HttpFailure::aborted);
    stopper.join();
  }
}

TEST_CASE("with public addresses only nothing on this machine is reached", "[http]") {
  HttpTestServer server(hello);
  quern::CurlTransport transport;
  // Leaves a connection open that must not be taken for the next request.
  CHECK(transport.perform({.url = server.url() + "/"}).status == 200);
  server.forget_log();

  const std::string port = std::to_string(server.port());
  for (const std::string host :
       {"127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"}) {
    INFO(host);
    HttpRequest request{.url = "http://" + host + ":" + port + "/"};
    request.reach = quern::Reach::public_only;
    const auto error = failure_of(transport, request);
    CHECK(error.failure() == HttpFailure::address_refused);
    CHECK_FALSE(error.transient());
  }
  CHECK(server.log().empty());
}

TEST_CASE("proxies of the environment are used or not as the request says", "[http]") {
  HttpTestServer server(hello);
  HttpTestServer proxy([](const ServedRequest&) { return Reply{.body = "through the proxy"}; });
  const Variable variable("http_proxy", proxy.url());
  const Variable none("no_proxy", "");
  quern::CurlTransport transport;
  HttpRequest request{.url = server.url() + "/"};
  CHECK(transport.perform(request).body == "through the proxy");
  request.environment_proxy = false;
  CHECK(transport.perform(request).body == "hello");

  SECTION("and never for public addresses only") {
    request.environment_proxy = true;
    request.reach = quern::Reach::public_only;
    CHECK(failure_of(transport, request).failure() == HttpFailure::address_refused);
  }
}

TEST_CASE("one transport serves several threads at once", "[http]") {
  HttpTestServer server([](const ServedRequest& request) { return Reply{.body = request.target}; });
  quern::CurlTransport transport;
  std::vector<std::string> bodies(8);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < bodies.size(); ++i)
    threads.emplace_back([&, i] {
      for (int n = 0; n < 5; ++n)
        bodies[i] = transport.perform({.url = server.url() + "/" + std::to_string(i)}).body;
    });
  for (auto& thread : threads) thread.join();
  for (std::size_t i = 0; i < bodies.size(); ++i) CHECK(bodies[i] == fmt::format("/{}", i));
  CHECK(server.log().size() == 40);
}
