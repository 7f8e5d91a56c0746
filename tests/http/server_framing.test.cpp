#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "quern/http/server.hpp"
#include "support/catch.hpp"
#include "support/raw_http.hpp"

using namespace quern::http;
using namespace std::string_literals;
using quern_test::get_request;
using quern_test::post_request;
using quern_test::RawAnswer;
using quern_test::RawHttp;

namespace {

class Fixture {
 public:
  explicit Fixture(ServerOptions options = {})
      : server(
            [this](Request& request) {
              seen = request;
              return Response{.body = request.target + " " + request.body};
            },
            std::move(options)) {
    server.start();
  }

  /// Sends it with a second request behind, and returns the status of the one answer that there may be.
  int refused(const std::string& bytes) {
    const auto before = server.counts().requests;
    RawHttp client(server.port());
    client.send(bytes);
    client.send(get_request("/smuggled"));
    const RawAnswer answer = client.answer();
    INFO(bytes);
    CHECK(answer.header("connection") == "close");
    CHECK(answer.header("content-type") == "application/problem+json");
    CHECK(nlohmann::json::parse(answer.body).at("status") == answer.status);
    CHECK(nlohmann::json::parse(answer.body).at("title") != "");
    CHECK(client.read_to_end().empty());
    CHECK(server.counts().requests == before);
    return answer.status;
  }
  RawAnswer ask(const std::string& bytes) { return RawHttp(server.port()).ask(bytes); }

  Request seen{};
  Server server;
};

std::string with(const std::string& fields, const std::string& body = "") {
  return "POST / HTTP/1.1\r\nHost: localhost\r\n" + fields + "\r\n" + body;
}

std::string line(const std::string& text) { return text + "\r\nHost: localhost\r\n\r\n"; }

}  // namespace

TEST_CASE("a body whose length could be read in two ways is refused, and the connection closed",
          "[http][server][framing]") {
  Fixture fixture;
  CHECK(fixture.refused(with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")) == 400);
  CHECK(fixture.refused(with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")) == 400);
  CHECK(fixture.refused(with("Content-Length: 1\r\nContent-Length: 2\r\n", "ab")) == 400);
  CHECK(fixture.refused(with("Content-Length: 1\r\nContent-Length: 1\r\n", "a")) == 400);
  CHECK(fixture.refused(with("Content-Length: 1, 2\r\n", "ab")) == 400);
  CHECK(fixture.refused(with("Content-Length: 1, 1\r\n", "a")) == 400);
  for (const char* length : {"", "-1", "+1", "1a", "0x1", "1 1", " ", "1.0"})
    CHECK(fixture.refused(with("Content-Length: "s + length + "\r\n", "a")) == 400);
  CHECK(fixture.refused(with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")) ==
        400);
  CHECK(fixture.refused(
            "POST / HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") == 400);
  for (const char* coding :
       {"gzip", "gzip, chunked", "chunked, gzip", "identity", "xchunked", "chunked, chunked", ""})
    CHECK(fixture.refused(with("Transfer-Encoding: "s + coding + "\r\n", "0\r\n\r\n")) >= 400);
}

TEST_CASE("chunks that are not what the standard says are refused", "[http][server][framing]") {
  Fixture fixture;
  const auto chunked = [&](const std::string& body) {
    return fixture.refused(with("Transfer-Encoding: chunked\r\n", body));
  };
  CHECK(chunked("x\r\n") == 400);
  CHECK(chunked("-1\r\na\r\n0\r\n\r\n") == 400);
  CHECK(chunked("+1\r\na\r\n0\r\n\r\n") == 400);
  CHECK(chunked("0x1\r\na\r\n0\r\n\r\n") == 400);
  CHECK(chunked(" 1\r\na\r\n0\r\n\r\n") == 400);
  CHECK(chunked("1 \r\na\r\n0\r\n\r\n") == 400);
  CHECK(chunked("\r\na\r\n0\r\n\r\n") == 400);
  CHECK(chunked("1\na\r\n0\r\n\r\n") == 400);
  CHECK(chunked("1\r\nab\r\n0\r\n\r\n") == 400);
  CHECK(chunked("1\r\na\n0\r\n\r\n\r\n") == 400);
  CHECK(chunked("1;a=\n\r\na\r\n0\r\n\r\n") == 400);
  CHECK(chunked("10000000000000001\r\na\r\n0\r\n\r\n") >= 400);
  CHECK(chunked("ffffffffffffffff\r\na\r\n0\r\n\r\n") == 413);
}

TEST_CASE("lines that parsers read in different ways are refused", "[http][server][framing]") {
  Fixture fixture;
  CHECK(fixture.refused(with("X-Folded: a\r\n b\r\n")) == 400);
  CHECK(fixture.refused(with("X-Folded: a\r\n\tb\r\n")) == 400);
  CHECK(fixture.refused(with("Content-Length : 0\r\n")) == 400);
  CHECK(fixture.refused(with("X-Space\t: 0\r\n")) == 400);
  CHECK(fixture.refused(with(" X-Space: 0\r\n")) == 400);
  CHECK(fixture.refused(with("no colon\r\n")) == 400);
  CHECK(fixture.refused(with(": no name\r\n")) == 400);
  CHECK(fixture.refused(with("X(): 1\r\n")) == 400);
  CHECK(fixture.refused("GET / HTTP/1.1\nHost: localhost\n\n") == 400);
  CHECK(fixture.refused("GET / HTTP/1.1\r\nHost: localhost\n\r\n") == 400);
  CHECK(fixture.refused(with("X-Return: a\rb\r\n")) == 400);
  CHECK(fixture.refused(with("X-Nul: a\0b\r\n"s)) == 400);
  CHECK(fixture.refused(with("X-Control: a\x01z\r\n"s)) == 400);
  CHECK(fixture.refused(with("X-Escape: a\x1b[0m\r\n"s)) == 400);
  CHECK(fixture.refused(with("X-Delete: a\x7f\r\n"s)) == 400);
  CHECK(fixture.refused("\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n") == 400);
}

TEST_CASE("a request line that is none is refused", "[http][server][framing]") {
  Fixture fixture;
  for (const char* text : {"GET  / HTTP/1.1", " GET / HTTP/1.1", "GET / HTTP/1.1 ", "GET /", "GET / HTTP/1",
                           "GET / HTTP/2.0", "GET / HTTP/0.9", "GET / http/1.1", "GET\t/ HTTP/1.1",
                           "GET /a b HTTP/1.1", "G(T / HTTP/1.1", "GET HTTP/1.1"})
    CHECK(fixture.refused(line(text)) == 400);
}

TEST_CASE("a method that is not known here is 501", "[http][server][framing]") {
  Fixture fixture;
  for (const char* method : {"TRACE", "CONNECT", "get", "PROPFIND", "GETS"})
    CHECK(fixture.refused(line(method + " / HTTP/1.1"s)) == 501);
}

TEST_CASE("a target is a path, in UTF-8 once decoded", "[http][server][framing]") {
  Fixture fixture;
  for (const std::string& target : {"/%00"s, "/%FF"s, "/%C0%AF"s, "/%ED%A0%80"s, "/\xFF"s, "/%zz"s, "/%1"s,
                                    "/?a=%FF"s, "jobs"s, "localhost:80"s, "*"s, "?a"s, "ftp://localhost/"s,
                                    "http:///x"s, "http://user@localhost/"s, "/\x7F"s, "/\x01"s})
    CHECK(fixture.refused(line("GET " + target + " HTTP/1.1")) == 400);
  CHECK(fixture.ask(get_request("/%C3%A4?q=%E2%82%AC+1")).body == "/%C3%A4?q=%E2%82%AC+1 ");
}

TEST_CASE("a target may name the host as well, which then is the one that counts",
          "[http][server][framing]") {
  Fixture fixture;
  CHECK(fixture.ask(get_request("http://localhost:8080/a?b")).body == "/a?b ");
  CHECK(fixture.ask(get_request("HTTP://127.0.0.1")).body == "/ ");
  CHECK(fixture.ask(get_request("http://localhost?b")).body == "/?b ");
  CHECK(fixture.refused(line("GET http://attacker.example/ HTTP/1.1")) == 403);
}

TEST_CASE("a question about the whole server is answered by the server", "[http][server][framing]") {
  Fixture fixture;
  const RawAnswer answer = fixture.ask(line("OPTIONS * HTTP/1.1"));
  CHECK(answer.status == 204);
  CHECK(answer.header("allow") == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
  CHECK(fixture.server.counts().requests == 0);
}

TEST_CASE("a request says once, and readably, which host it is for", "[http][server][framing]") {
  Fixture fixture;
  CHECK(fixture.refused("GET / HTTP/1.1\r\n\r\n") == 400);
  CHECK(fixture.refused("GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n") == 400);
  for (const char* host : {"", "a b", "local/host", "localhost:x", "localhost:123456", "[::1", "[zz]",
                           "user@localhost", "a,b", "::1", "localhost:80:80", "[::1]x"})
    CHECK(fixture.refused("GET / HTTP/1.1\r\nHost: "s + host + "\r\n\r\n") == 400);
}

TEST_CASE("a web page whose name was made to lead here is not served", "[http][server][framing]") {
  ServerOptions options;
  options.hosts = {"jobs.example.org"};
  Fixture fixture(options);
  const auto asked_by = [&](const std::string& host) {
    return "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n";
  };
  for (const char* host :
       {"localhost", "LOCALHOST:1", "localhost.", "127.0.0.1", "127.0.0.1:8080", "127.1.2.3", "[::1]",
        "[0:0:0:0:0:0:0:1]:80", "Jobs.Example.org", "jobs.example.org:443"})
    CHECK(fixture.ask(asked_by(host)).status == 200);
  for (const char* host :
       {"attacker.example", "jobs.example.org.attacker.example", "127.0.0.1.attacker.example", "10.0.0.1",
        "localhost.attacker.example", "[fe80::1]", "0.0.0.0"})
    CHECK(fixture.refused(asked_by(host)) == 403);
}

TEST_CASE("on an address that others reach, addresses and the names that were given are hosts",
          "[http][server][framing]") {
  ServerOptions options;
  options.address = "0.0.0.0";
  options.authenticated = true;
  options.hosts = {"jobs.example.org"};
  const auto asked_by = [&](Fixture& fixture, const std::string& host) {
    return fixture.ask("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n").status;
  };
  Fixture named(options);
  CHECK(asked_by(named, "10.0.0.1:80") == 200);
  CHECK(asked_by(named, "[fe80::1]") == 200);
  CHECK(asked_by(named, "jobs.example.org") == 200);
  CHECK(asked_by(named, "attacker.example") == 403);
  options.hosts = {"*"};
  Fixture any(options);
  CHECK(asked_by(any, "whatever.example") == 200);
}

TEST_CASE("what follows a chunked body never counts as a header", "[http][server][framing]") {
  Fixture fixture;
  RawHttp client(fixture.server.port());
  const RawAnswer answer =
      client.ask(with("Transfer-Encoding: chunked\r\nTrailer: Authorization\r\n",
                      "4\r\nbody\r\n0\r\nAuthorization: Bearer forged\r\nHost: attacker.example\r\n"
                      "Connection: close\r\nX-Other: 1\r\n\r\n"));
  CHECK(answer.body == "/ body");
  CHECK(answer.header("connection").empty());
  CHECK_FALSE(fixture.seen.headers.find("Authorization"));
  CHECK_FALSE(fixture.seen.headers.find("X-Other"));
  CHECK(fixture.seen.headers.find("Host") == "localhost");
  CHECK(client.ask(get_request("/next")).body == "/next ");
}

TEST_CASE("what is too long is refused by its own status", "[http][server][framing]") {
  ServerOptions options;
  options.limits.body_bytes = 1000;
  Fixture fixture(options);
  const std::string kib(1024, 'a');
  std::string long_path = "/";
  while (long_path.size() <= 8192) long_path += kib;
  CHECK(fixture.refused(line("GET " + long_path + " HTTP/1.1")) == 414);
  std::string longest_path = "/" + std::string(8191, 'a');
  CHECK(fixture.ask(line("GET " + longest_path + " HTTP/1.1")).status == 200);
  CHECK(fixture.refused("GET " + long_path + long_path + long_path) == 414);  // its end is not waited for
  std::string fields;
  for (int i = 0; i < 17; ++i) fields += "X-" + std::to_string(i) + ": " + kib + "\r\n";
  CHECK(fixture.refused(with(fields)) == 431);
  CHECK(fixture.refused("GET / HTTP/1.1\r\n" + fields) == 431);
  std::string many;
  for (int i = 0; i < 101; ++i) many += "a: b\r\n";
  CHECK(fixture.refused(with(many)) == 431);
}

TEST_CASE("a body above the limit is refused, before it is read where its length is said",
          "[http][server][framing]") {
  ServerOptions options;
  options.limits.body_bytes = 1000;
  Fixture fixture(options);
  CHECK(fixture.ask(post_request("/", std::string(1000, 'b'))).status == 200);
  RawHttp client(fixture.server.port());
  CHECK(client.ask(with("Content-Length: 1001\r\n")).status == 413);
  CHECK(fixture.refused(with("Content-Length: 9999999999999\r\n")) == 413);
  CHECK(fixture.refused(with("Content-Length: 99999999999999999999\r\n")) == 400);  // no number that fits
  std::string chunks;
  for (int i = 0; i < 10; ++i) chunks += "64\r\n" + std::string(100, 'b') + "\r\n";
  CHECK(fixture.ask(with("Transfer-Encoding: chunked\r\n", chunks + "0\r\n\r\n")).status == 200);
  CHECK(fixture.refused(with("Transfer-Encoding: chunked\r\n", chunks + "1\r\nb\r\n")) == 413);
  CHECK(fixture.refused(with("Transfer-Encoding: chunked\r\n", "400\r\n")) == 413);
}

TEST_CASE("a client that is refused in the middle of a large body still reads why",
          "[http][server][framing]") {
  Fixture fixture;
  RawHttp client(fixture.server.port());
  client.send(with("Content-Length: 9000000\r\n"));
  const std::string piece(65536, 'x');
  for (int i = 0; i < 8; ++i) client.send(piece);
  CHECK(client.answer().status == 413);
}

TEST_CASE("chunks that are nearly all framing are no way around the limit", "[http][server][framing]") {
  Fixture fixture;
  const std::string padding(2000, 'a');
  std::string chunks;
  for (int i = 0; i < 20; ++i) chunks += "1;" + padding + "\r\nb\r\n";
  CHECK(fixture.refused(with("Transfer-Encoding: chunked\r\n", chunks)) == 400);
  std::string tiny;
  for (int i = 0; i < 20'000; ++i) tiny += "1\r\nb\r\n";
  CHECK(fixture.ask(with("Transfer-Encoding: chunked\r\n", tiny + "0\r\n\r\n")).body ==
        "/ " + std::string(20'000, 'b'));
  std::string trailers = "0\r\n";
  for (int i = 0; i < 100; ++i) trailers += "X: " + padding + "\r\n";
  CHECK(fixture.refused(with("Transfer-Encoding: chunked\r\n", trailers)) == 400);
}

TEST_CASE("whatever bytes come, there are answers or none, and the server goes on",
          "[http][server][framing]") {
  ServerOptions options;
  options.limits.body_bytes = 1000;
  Fixture fixture(options);
  const std::vector<std::string> models{
      get_request("/a?b=c", "X-One: 1\r\nConnection: keep-alive\r\n"), post_request("/b", "body"),
      with("Transfer-Encoding: chunked\r\n", "4;a=b\r\nbody\r\n0\r\nX-Trailer: 1\r\n\r\n") +
          get_request("/next"),
      "HEAD http://localhost/ HTTP/1.0\r\nHost: localhost\r\n\r\n"};
  const std::string pieces = "\r\n\t :;,/%0123456789abcdefxX\0\x7F\xFF"s;
  std::mt19937 random(17);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same in each run
  const auto below = [&](std::size_t bound) { return static_cast<std::size_t>(random()) % bound; };
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = models[below(models.size())];
    for (std::size_t change = 0; change <= below(4); ++change) {
      const std::size_t at = below(bytes.size());
      switch (below(4)) {
        case 0:
          bytes.insert(at, 1, pieces[below(pieces.size())]);
          break;
        case 1:
          bytes.erase(at, 1 + below(3));
          break;
        case 2:
          bytes.insert(at, bytes.substr(below(bytes.size()), below(20)));
          break;
        default:
          bytes[at] = pieces[below(pieces.size())];
      }
      if (bytes.empty()) bytes = "\r";
    }
    RawHttp client(fixture.server.port());
    client.send(bytes);
    client.end_sending();
    const std::string answers = client.read_to_end();
    INFO(bytes);
    REQUIRE((answers.empty() || answers.starts_with("HTTP/1.1 ")));
  }
  CHECK(fixture.ask(get_request("/")).status == 200);
}
