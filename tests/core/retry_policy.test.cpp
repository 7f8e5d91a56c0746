#include "quern/core/retry_policy.hpp"

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "quern/core/error.hpp"
#include "quern/core/random.hpp"
#include "support/catch.hpp"

using namespace quern;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t max_draw = std::numeric_limits<std::uint64_t>::max();
constexpr int max_attempt = std::numeric_limits<int>::max();

template <class Make>
std::string refused_field(const Make& make) {
  try {
    static_cast<void>(make());
  } catch (const InvalidArgument& e) {
    return e.field();
  }
  return {};
}

}  // namespace

TEST_CASE("exponential waits double up to their ceiling", "[retry]") {
  const auto policy = RetryPolicy::exponential(2s, 5min, 2.0, Jitter::none);
  const std::vector<Duration> waits{2s, 4s, 8s, 16s, 32s, 64s, 128s, 256s, 300s, 300s};
  for (std::size_t i = 0; i < waits.size(); ++i) CHECK(policy.delay(static_cast<int>(i) + 1, 0) == waits[i]);
  CHECK(RetryPolicy::exponential(1s, 1h, 1.5, Jitter::none).delay(3, 0) == 2250ms);
  CHECK(RetryPolicy::exponential(1s, 1h, 1.0, Jitter::none).delay(max_attempt, 0) == 1s);
  CHECK(RetryPolicy::exponential(1s, 24h, 100.0, Jitter::none).delay(2, 0) == 100s);
}

TEST_CASE("linear and fixed waits are what they say", "[retry]") {
  const auto linear = RetryPolicy::linear(10s, 1min);
  CHECK(linear.delay(1, 99) == 10s);
  CHECK(linear.delay(5, 99) == 50s);
  CHECK(linear.delay(6, 99) == 1min);
  CHECK(linear.delay(7, 99) == 1min);
  const auto fixed = RetryPolicy::fixed(7s);
  for (const int attempt : {1, 2, 1000, max_attempt}) CHECK(fixed.delay(attempt, max_draw) == 7s);
}

TEST_CASE("no attempt and no draw leads outside the limits", "[retry]") {
  const std::vector<RetryPolicy> policies{
      RetryPolicy(),
      RetryPolicy::exponential(RetryPolicy::longest, RetryPolicy::longest, 100.0),
      RetryPolicy::exponential(1ms, RetryPolicy::longest, 100.0, Jitter::equal),
      RetryPolicy::exponential(1ms, 1ms, 1.0, Jitter::full),
      RetryPolicy::exponential(1ms, 1ms, 1.0, Jitter::equal),
      RetryPolicy::exponential(1ms, RetryPolicy::longest, 1.0000001, Jitter::none),
      RetryPolicy::linear(RetryPolicy::longest, RetryPolicy::longest, Jitter::full),
      RetryPolicy::linear(1ms, RetryPolicy::longest, Jitter::equal),
      RetryPolicy::fixed(RetryPolicy::longest, Jitter::full),
      RetryPolicy::fixed(1ms, Jitter::equal),
      RetryPolicy::custom([](int attempt) { return attempt % 2 == 0 ? Duration::max() : Duration::min(); }),
  };
  Random random(3);
  for (const auto& policy : policies) {
    for (const int attempt : {std::numeric_limits<int>::min(), -1, 0, 1, 2, 3, 10, 63, 64, 65, 1024,
                              1'000'000, max_attempt - 1, max_attempt}) {
      for (int i = 0; i < 200; ++i) {
        const std::uint64_t draw = i == 0 ? 0 : i == 1 ? max_draw : random.next();
        const Duration wait = policy.delay(attempt, draw);
        if (wait < RetryPolicy::minimum || wait > RetryPolicy::longest)
          FAIL(attempt << ": " << to_text(wait));
      }
    }
  }
}

TEST_CASE("an attempt below one counts as the first", "[retry]") {
  const auto policy = RetryPolicy::exponential(2s, 5min, 2.0, Jitter::none);
  CHECK(policy.delay(0, 0) == policy.delay(1, 0));
  CHECK(policy.delay(std::numeric_limits<int>::min(), 0) == policy.delay(1, 0));
}

TEST_CASE("waits without jitter never shrink from one attempt to the next", "[retry]") {
  for (const double factor : {1.0, 1.0001, 1.5, 2.0, 3.7, 100.0}) {
    const auto policy = RetryPolicy::exponential(3ms, 24h, factor, Jitter::none);
    Duration last{0};
    for (int attempt = 1; attempt < 3000; ++attempt) {
      const Duration wait = policy.delay(attempt, 0);
      REQUIRE(wait >= last);
      last = wait;
    }
    REQUIRE(last <= 24h);
  }
}

TEST_CASE("full jitter is spread evenly from the minimum to the wait, equal jitter over its upper half",
          "[retry]") {
  struct Expected {
    RetryPolicy policy;
    Duration least;
  };
  const std::vector<Expected> cases{
      {RetryPolicy::exponential(16s, 1h, 2.0, Jitter::full), RetryPolicy::minimum},
      {RetryPolicy::exponential(16s, 1h, 2.0, Jitter::equal), 16s}};
  for (const auto& [policy, least] : cases) {
    constexpr Duration most = 32s;  // the second wait
    constexpr int draws = 40'000;
    constexpr std::size_t buckets = 8;
    std::vector<int> hits(buckets);
    Random random(4);
    double sum = 0;
    for (int i = 0; i < draws; ++i) {
      const Duration wait = policy.delay(2, random.next());
      if (wait < least || wait > most) FAIL(to_text(wait));
      sum += static_cast<double>(wait.count());
      const auto bucket =
          static_cast<std::size_t>((wait - least) * static_cast<int>(buckets) / (most - least + 1us));
      ++hits[bucket];
    }
    const double mean = static_cast<double>((least + most).count()) / 2;
    CHECK(std::abs(sum / draws - mean) < mean * 0.02);
    for (const int hit : hits) CHECK(std::abs(hit - draws / static_cast<int>(buckets)) < 350);  // 5 sigma
    CHECK(policy.delay(2, 0) == least);
    CHECK(policy.delay(2, static_cast<std::uint64_t>((most - least).count())) == most);
  }
}

TEST_CASE("the default policy is exponential with full jitter from 2 s to 5 min", "[retry]") {
  const RetryPolicy policy;
  const auto same = RetryPolicy::exponential();
  for (int attempt = 1; attempt < 20; ++attempt) {
    for (const std::uint64_t draw : {std::uint64_t{0}, std::uint64_t{123'456'789}, max_draw}) {
      CHECK(policy.delay(attempt, draw) == same.delay(attempt, draw));
    }
  }
  CHECK(policy.delay(1, 0) == RetryPolicy::minimum);
}

TEST_CASE("a custom wait is clamped, and one that throws waits as by default", "[retry]") {
  std::vector<int> asked;
  const auto policy = RetryPolicy::custom([&](int attempt) {
    asked.push_back(attempt);
    if (attempt == 3) throw std::runtime_error("no");
    if (attempt == 4) throw 4;
    return attempt == 2 ? Duration(-5s) : Duration(3s);
  });
  CHECK(policy.delay(1, 7) == 3s);
  CHECK(policy.delay(2, 7) == RetryPolicy::minimum);
  CHECK(policy.delay(3, 7) == RetryPolicy().delay(3, 7));
  CHECK(policy.delay(4, 7) == RetryPolicy().delay(4, 7));
  CHECK(policy.delay(-4, 7) == 3s);
  CHECK(asked == std::vector{1, 2, 3, 4, 1});
}

TEST_CASE("values outside the limits are refused by name", "[retry]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(refused_field([] { return RetryPolicy::exponential(0s); }) == "base");
  CHECK(refused_field([] { return RetryPolicy::exponential(-1s); }) == "base");
  CHECK(refused_field([] { return RetryPolicy::exponential(999us); }) == "base");
  CHECK(refused_field([] { return RetryPolicy::exponential(1s, 24h * 366); }) == "ceiling");
  CHECK(refused_field([] { return RetryPolicy::exponential(2min, 1min); }) == "base");
  CHECK(refused_field([] { return RetryPolicy::exponential(1s, 1min, 0.99); }) == "factor");
  CHECK(refused_field([] { return RetryPolicy::exponential(1s, 1min, 100.01); }) == "factor");
  CHECK(refused_field([=] { return RetryPolicy::exponential(1s, 1min, nan); }) == "factor");
  CHECK(refused_field([=] { return RetryPolicy::exponential(1s, 1min, infinity); }) == "factor");
  CHECK(refused_field([] { return RetryPolicy::linear(0s); }) == "base");
  CHECK(refused_field([] { return RetryPolicy::linear(10min); }) == "base");
  CHECK(refused_field([] { return RetryPolicy::fixed(0s); }) == "wait");
  CHECK(refused_field([] { return RetryPolicy::fixed(24h * 366); }) == "wait");
  CHECK(refused_field([] { return RetryPolicy::custom({}); }) == "wait");
  CHECK(refused_field([] { return RetryPolicy::exponential(1ms, 24h * 365, 100.0); }).empty());
}
