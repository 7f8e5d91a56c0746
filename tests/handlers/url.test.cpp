#include "quern/handlers/detail/url.hpp"

#include <arpa/inet.h>

#include <array>
#include <cstdint>
#include <string>

#include "quern/handlers/detail/address.hpp"
#include "support/catch.hpp"

namespace {

bool public_v4(const std::string& text) {
  std::array<std::uint8_t, 4> address{};
  REQUIRE(inet_pton(AF_INET, text.c_str(), address.data()) == 1);
  return quern::detail::is_public_v4(address);
}

bool public_v6(const std::string& text) {
  std::array<std::uint8_t, 16> address{};
  REQUIRE(inet_pton(AF_INET6, text.c_str(), address.data()) == 1);
  return quern::detail::is_public_v6(address);
}

}  // namespace

TEST_CASE("only public unicast IPv4 addresses count as public", "[url]") {
  for (const char* address :
       {"8.8.8.8", "1.1.1.1", "140.82.121.4", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0",
        "192.167.255.255", "198.17.255.255", "198.20.0.0", "223.255.255.255"}) {
    INFO(address);
    CHECK(public_v4(address));
  }
  for (const char* address :
       {"0.0.0.0",        "0.1.2.3",         "10.0.0.1",        "100.64.0.1",  "100.127.255.255",
        "127.0.0.1",      "127.255.255.255", "169.254.169.254", "172.16.0.1",  "172.31.255.255",
        "192.0.0.8",      "192.0.2.1",       "192.88.99.1",     "192.168.1.1", "198.18.0.1",
        "198.19.255.255", "198.51.100.1",    "203.0.113.1",     "224.0.0.1",   "240.0.0.1",
        "255.255.255.255"}) {
    INFO(address);
    CHECK_FALSE(public_v4(address));
  }
}

TEST_CASE("only public unicast IPv6 addresses count as public", "[url]") {
  for (const char* address :
       {"2606:4700:4700::1111", "2a00:1450:4001::200e", "2001:4860:4860::8888", "2003::1"}) {
    INFO(address);
    CHECK(public_v6(address));
  }
  for (const char* address : {"::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1",
                              "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1",
                              "fc00::1", "fd12::1", "fe80::1", "fec0::1", "ff02::1", "5f00::1"}) {
    INFO(address);
    CHECK_FALSE(public_v6(address));
  }
}

TEST_CASE("a URL is read with its defaults and refused when it is not plain http", "[url]") {
  using quern::detail::parse_url;
  const auto url = parse_url("HTTPS://API.GitHub.com/repos/a/b?x=1");
  REQUIRE(url);
  CHECK(url->origin() == "https://api.github.com:443");
  CHECK(parse_url("http://h")->origin() == "http://h:80");
  CHECK(parse_url("http://h:8080/")->origin() == "http://h:8080");
  CHECK(parse_url("http://user:secret@h/")->has_userinfo);

  for (const char* bad : {"", "h", "/path", "//h/path", "ftp://h/", "file:///etc/passwd",
                          "javascript:alert(1)", "http://", "http://h h/", "http://h/\r\nX: y", "http://h/\t",
                          "gopher://h/", "data:text/html,x", "http://h:99999/", "http://h:0/"}) {
    INFO(bad);
    CHECK_FALSE(parse_url(bad));
  }
  CHECK_FALSE(parse_url(std::string_view("http://h/\0x", 11)));
}

TEST_CASE("every spelling of a loopback address is known as one", "[url]") {
  using quern::detail::parse_url;
  for (const char* own : {"http://127.0.0.1/", "http://127.9.9.9/", "http://localhost:3000/", "http://[::1]/",
                          "http://2130706433/", "http://0x7f.1/"}) {
    INFO(own);
    REQUIRE(parse_url(own));
    CHECK(parse_url(own)->loopback());
  }
  for (const char* other :
       {"http://127.0.0.1.evil.example/", "http://localhost.evil.example/", "http://10.0.0.1/"}) {
    INFO(other);
    REQUIRE(parse_url(other));
    CHECK_FALSE(parse_url(other)->loopback());
  }
}

TEST_CASE("a redirect's target is resolved against where it came from", "[url]") {
  using quern::detail::resolve_url;
  CHECK(resolve_url("http://h:1/a/b?c", "/x")->text == "http://h:1/x");
  CHECK(resolve_url("http://h:1/a/b", "c")->text == "http://h:1/a/c");
  CHECK(resolve_url("http://h:1/a", "https://other/y")->origin() == "https://other:443");
  CHECK(resolve_url("http://h:1/a", "//other/y")->origin() == "http://other:80");
  CHECK_FALSE(resolve_url("http://h:1/a", "file:///etc/passwd"));
  CHECK_FALSE(resolve_url("http://h:1/a", ""));
}
