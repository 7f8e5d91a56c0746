#include "quern/http/rate_limiter.hpp"

#include "quern/core/error.hpp"
#include "quern/http/failure_limiter.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using namespace quern::http;
using quern::SteadyTime;

TEST_CASE("a bucket gives its quota at once, and then one for each part of the window", "[rate]") {
  RateLimiter limiter({.name = "default", .quota = 100, .window = 60s});
  const SteadyTime start = 1h;
  for (std::uint32_t i = 0; i < 100; ++i) {
    const RateDecision decision = limiter.decide("a", start);
    REQUIRE(decision.allowed);
    REQUIRE(decision.remaining == 99 - i);
  }
  const RateDecision refused = limiter.decide("a", start);
  CHECK_FALSE(refused.allowed);
  CHECK(refused.wait == 600ms);
  CHECK(limiter.decide("b", start).allowed);
  CHECK_FALSE(limiter.decide("a", start + 600ms - 1us).allowed);
  CHECK(limiter.decide("a", start + 600ms).allowed);
  CHECK_FALSE(limiter.decide("a", start + 600ms).allowed);
  CHECK(limiter.decide("a", start + 60'600ms).remaining == 99);
}

TEST_CASE("over a long time a bucket gives no more than its rate and one quota", "[rate]") {
  RateLimiter limiter({.quota = 7, .window = 1s});
  int allowed = 0;
  for (quern::Duration t = 0s; t < 100s; t += 1ms) allowed += limiter.decide("a", 1h + t).allowed ? 1 : 0;
  CHECK(allowed >= 700);
  CHECK(allowed <= 707);
}

TEST_CASE("what costs more than the quota waits for a full bucket, and is paid for afterwards", "[rate]") {
  RateLimiter limiter({.quota = 10, .window = 10s});
  CHECK(limiter.decide("a", 1h, 30).allowed);
  CHECK_FALSE(limiter.decide("a", 1h + 20s).allowed);
  CHECK(limiter.decide("a", 1h + 21s).allowed);
  CHECK_FALSE(limiter.decide("a", 1h + 21s, 30).allowed);
  CHECK(limiter.decide("b", 1h, 4'000'000'000).allowed);
  CHECK(limiter.decide("b", 1h).wait > 1h);
}

TEST_CASE("looking takes nothing, and without a quota nothing is limited", "[rate]") {
  RateLimiter limiter({.quota = 1});
  CHECK(limiter.look("a", 1h).remaining == 1);
  CHECK(limiter.look("a", 1h).allowed);
  CHECK(limiter.decide("a", 1h).allowed);
  CHECK_FALSE(limiter.look("a", 1h).allowed);
  RateLimiter none({.quota = 0});
  for (int i = 0; i < 1000; ++i) REQUIRE(none.decide("a", 1h).allowed);
  Fields fields;
  add_rate_fields(fields, none.policy(), none.look("a", 1h));
  CHECK(fields.size() == 0);
}

TEST_CASE("the table of buckets stays bounded, and forgets whom it has not seen for longest", "[rate]") {
  RateLimiter limiter({.quota = 1}, 3);
  CHECK(limiter.decide("a", 1h).allowed);
  CHECK(limiter.decide("b", 1h).allowed);
  CHECK(limiter.decide("c", 1h).allowed);
  CHECK_FALSE(limiter.decide("a", 1h).allowed);
  CHECK(limiter.decide("d", 1h).allowed);  // in the place of b
  CHECK_FALSE(limiter.decide("a", 1h).allowed);
  CHECK_FALSE(limiter.decide("c", 1h).allowed);
  CHECK(limiter.decide("b", 1h).allowed);

  quern::http::detail::LruTable<int> table(100);
  for (int i = 0; i < 100'000; ++i) table.get(std::to_string(i)) = i;
  CHECK(table.size() == 100);
  CHECK(table.find("5") == nullptr);
  CHECK(*table.find("99999") == 99'999);
  table.erase("99999");
  CHECK(table.size() == 99);
}

TEST_CASE("the fields tell the policy, what is left and when to come again", "[rate]") {
  RateLimiter limiter({.name = "caller", .quota = 100, .window = 60s});
  Fields fields;
  add_rate_fields(fields, limiter.policy(), limiter.decide("a", 1h, 50));
  CHECK(fields.find("RateLimit-Policy") == R"("caller";q=100;w=60)");
  CHECK(fields.find("RateLimit") == R"("caller";r=50;t=30)");
  CHECK_FALSE(fields.find("Retry-After"));
  (void)limiter.decide("a", 1h, 50);
  add_rate_fields(fields, limiter.policy(), limiter.decide("a", 1h, 2));
  CHECK(fields.find("RateLimit") == R"("caller";r=0;t=2)");
  CHECK(fields.find("Retry-After") == "2");
}

TEST_CASE("a policy outside what is allowed is refused", "[rate]") {
  CHECK_THROWS_AS(RateLimiter({.name = "a\"b", .quota = 1}), quern::InvalidArgument);
  CHECK_THROWS_AS(RateLimiter({.name = "", .quota = 1}), quern::InvalidArgument);
  CHECK_THROWS_AS(RateLimiter({.quota = 1'000'001}), quern::InvalidArgument);
  CHECK_THROWS_AS(RateLimiter({.quota = 1, .window = 999ms}), quern::InvalidArgument);
  CHECK_THROWS_AS(RateLimiter({.quota = 1, .window = 25h}), quern::InvalidArgument);
}

TEST_CASE("an address is what one party has: all of IPv4, half of IPv6", "[rate]") {
  CHECK(address_key("192.0.2.7") == "192.0.2.7");
  CHECK(address_key("::ffff:192.0.2.7") == "192.0.2.7");
  CHECK(address_key("2001:db8:1:2:3:4:5:6") == address_key("2001:db8:1:2::1"));
  CHECK(address_key("2001:db8:1:2::1") != address_key("2001:db8:1:3::1"));
  CHECK(address_key("fe80::1%eth0") == address_key("fe80::2"));
  CHECK(address_key("") == "");
}

TEST_CASE("wrong credentials make an address wait longer and longer, and are forgotten", "[rate]") {
  FailureLimiter limiter({.free = 3, .base = 1s, .ceiling = 8s, .forget = 1min});
  const SteadyTime start = 1h;
  for (int i = 0; i < 3; ++i) limiter.failed("a", start);
  CHECK(limiter.wait("a", "x", start) == 0s);
  std::vector<quern::Duration> waits;
  for (int i = 0; i < 5; ++i) {
    limiter.failed("a", start);
    waits.push_back(limiter.wait("a", "x", start));
  }
  CHECK(waits == std::vector<quern::Duration>{1s, 2s, 4s, 8s, 8s});
  CHECK(limiter.wait("a", "x", start + 8s) == 0s);
  CHECK(limiter.wait("b", "x", start) == 0s);
  limiter.failed("a", start + 1min);
  CHECK(limiter.wait("a", "x", start + 1min) == 0s);
}

TEST_CASE("a credential that was right lately is looked at though its address has to wait", "[rate]") {
  FailureLimiter limiter({.free = 0, .base = 1min, .ceiling = 1h, .forget = 10min});
  limiter.succeeded("a", "right", 1h);
  limiter.failed("a", 1h);
  CHECK(limiter.wait("a", "right", 1h) == 0s);
  CHECK(limiter.wait("a", "wrong", 1h) == 1min);
  limiter.failed("b", 1h);
  CHECK(limiter.wait("b", "right", 1h) == 1min);
  for (int i = 0; i < 6; ++i) limiter.failed("a", 1h + 10min);
  CHECK(limiter.wait("a", "right", 1h + 10min) > 0s);

  CHECK_THROWS_AS(FailureLimiter({.base = 0s}), quern::InvalidArgument);
  CHECK_THROWS_AS(FailureLimiter({.base = 2s, .ceiling = 1s}), quern::InvalidArgument);
}
