// The arithmetic of rates: each start it has ever let happen, held against every window.

#include "storage/rate_state.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "quern/core/random.hpp"
#include "support/catch.hpp"

namespace {

using namespace quern::detail;
using namespace std::chrono_literals;
using quern::Duration;
using quern::Random;
using quern::RateAlgorithm;
using quern::StartRate;

StartRate bucket(std::int64_t count, Duration per, std::int64_t burst = 0) {
  return {.count = count, .per = per, .algorithm = RateAlgorithm::token_bucket, .burst = burst};
}
StartRate window(std::int64_t count, Duration per) {
  return {.count = count, .per = per, .algorithm = RateAlgorithm::sliding_window};
}

/// A rate on a clock of its own, and all that it has let start: by the time that has really passed.
struct Gate {
  explicit Gate(StartRate its_rate) : rate(its_rate) {}
  void pass(Duration time) {
    real += time.count();
    clock += time.count();
  }
  std::int64_t left() const { return starts_left(rate, state, clock); }
  std::int64_t wait() const { return wait_for_start(rate, state, clock); }
  /// As many as wanted, and as it lets.
  std::int64_t start(std::int64_t wanted) {
    follow_clock(rate, state, clock);
    const std::int64_t count = std::min(wanted, left());
    add_starts(rate, state, clock, count);
    if (count > 0) started.emplace_back(real, count);
    REQUIRE(is_sound(rate, state));
    return count;
  }
  /// The most starts in any window of that length: each begins at a start.
  std::int64_t most_in(std::int64_t length) const {
    std::int64_t most = 0;
    for (std::size_t from = 0; from < started.size(); ++from) {
      std::int64_t sum = 0;
      for (std::size_t i = from; i < started.size() && started[i].first < started[from].first + length; ++i)
        sum += started[i].second;
      most = std::max(most, sum);
    }
    return most;
  }

  StartRate rate;
  RateState state{};
  std::int64_t clock = 1'000'000'000'000;
  std::int64_t real = 0;
  std::vector<std::pair<std::int64_t, std::int64_t>> started{};
};

}  // namespace

TEST_CASE("a fresh bucket gives its burst, and then one for each part of its time", "[storage][limits]") {
  Gate gate(bucket(10, 1s, 3));
  CHECK(gate.left() == 3);
  CHECK(gate.start(100) == 3);
  CHECK(gate.wait() == 100'000);
  gate.pass(99'999us);
  CHECK(gate.start(100) == 0);
  CHECK(gate.wait() == 1);
  gate.pass(1us);
  CHECK(gate.start(100) == 1);
  gate.pass(1h);
  CHECK(gate.start(100) == 3);
}

TEST_CASE("a bucket loses no part of a start, however often it is asked", "[storage][limits]") {
  Gate gate(bucket(3, 1s));  // one in 333,333.3 us
  gate.start(3);
  std::int64_t sum = 0;
  for (int i = 0; i < 30'000; ++i) {
    gate.pass(1ms);
    sum += gate.start(5);
  }
  CHECK(sum == 90);
}

TEST_CASE("I20 a window gives its count, and the next ones as those before leave it", "[storage][limits]") {
  Gate gate(window(2, 1s));
  CHECK(gate.start(5) == 2);
  CHECK(gate.wait() == 1'000'000);
  gate.pass(999'999us);
  CHECK(gate.left() == 0);
  gate.pass(1us);
  CHECK(gate.wait() == 0);
  CHECK(gate.start(1) == 1);
  gate.pass(500ms);
  CHECK(gate.start(5) == 1);
  gate.pass(500ms);
  CHECK(gate.start(5) == 1);
  CHECK(gate.wait() == 500'000);
}

TEST_CASE("I20 no window of any begin has more starts than its rate says", "[storage][limits]") {
  Random random(20'261'130);
  for (int round = 0; round < 300; ++round) {
    const auto per = Duration(1'000 + static_cast<std::int64_t>(random.below(50'000)));
    Gate gate(window(1 + static_cast<std::int64_t>(random.below(40)), per));
    const std::uint64_t pace = 1 + random.below(static_cast<std::uint64_t>(per.count()));
    for (int step = 0; step < 400; ++step) {
      gate.pass(Duration(static_cast<std::int64_t>(random.below(pace))));
      gate.start(static_cast<std::int64_t>(random.below(6)));
    }
    REQUIRE(gate.most_in(per.count()) <= gate.rate.count);
    REQUIRE(gate.state.size() <= 3 * 70);
  }
}

TEST_CASE("a window makes a start wait for no more than a 64th of it too long", "[storage][limits]") {
  Random random(7);
  for (int round = 0; round < 100; ++round) {
    const auto per = Duration(6'400 + static_cast<std::int64_t>(random.below(100'000)));
    Gate gate(window(1 + static_cast<std::int64_t>(random.below(100)), per));
    for (int step = 0; step < 400; ++step) {
      gate.pass(Duration(static_cast<std::int64_t>(random.below(1'000))));
      if (gate.start(1) == 1) continue;
      // Refused: then as many have started not much longer ago than a window.
      std::int64_t recent = 0;
      for (const auto& [at, count] : gate.started)
        if (gate.real - at < per.count() + per.count() / 64 + 1) recent += count;
      REQUIRE(recent >= gate.rate.count);
    }
  }
}

TEST_CASE("I20 in no time has a bucket given more than its burst and what came in meanwhile",
          "[storage][limits]") {
  Random random(20);
  for (int round = 0; round < 200; ++round) {
    const auto per = Duration(1'000 + static_cast<std::int64_t>(random.below(50'000)));
    Gate gate(bucket(1 + static_cast<std::int64_t>(random.below(40)), per,
                     1 + static_cast<std::int64_t>(random.below(40))));
    for (int step = 0; step < 300; ++step) {
      gate.pass(Duration(static_cast<std::int64_t>(random.below(3'000))));
      gate.start(static_cast<std::int64_t>(random.below(8)));
    }
    for (const std::int64_t length : {std::int64_t{1}, per.count() / 3, per.count(), per.count() * 5}) {
      const std::int64_t most = gate.rate.burst + (length * gate.rate.count + per.count() - 1) / per.count();
      REQUIRE(gate.most_in(length) <= most);
    }
  }
}

TEST_CASE("what a rate says of the next start is true to the microsecond", "[storage][limits]") {
  Random random(3);
  for (const bool sliding : {false, true}) {
    for (int round = 0; round < 200; ++round) {
      const auto count = 1 + static_cast<std::int64_t>(random.below(20));
      const auto per = Duration(1'000 + static_cast<std::int64_t>(random.below(9'000)));
      Gate gate(sliding ? window(count, per) : bucket(count, per));
      for (int step = 0; step < 50; ++step) {
        gate.pass(Duration(static_cast<std::int64_t>(random.below(500))));
        gate.start(static_cast<std::int64_t>(random.below(10)));
        const std::int64_t wait = gate.wait();
        REQUIRE((wait == 0) == (gate.left() > 0));
        if (wait == 0) continue;
        REQUIRE(starts_left(gate.rate, gate.state, gate.clock + wait) > 0);
        REQUIRE(starts_left(gate.rate, gate.state, gate.clock + wait - 1) == 0);
      }
    }
  }
}

TEST_CASE("I20 a clock that is set back gives no start more, and does not stop the rate",
          "[storage][limits]") {
  Random random(11);
  for (const bool sliding : {false, true}) {
    for (int round = 0; round < 100; ++round) {
      const auto per = Duration(2'000 + static_cast<std::int64_t>(random.below(20'000)));
      Gate gate(sliding ? window(7, per) : bucket(7, per));
      for (int step = 0; step < 300; ++step) {
        gate.pass(Duration(static_cast<std::int64_t>(random.below(1'500))));
        if (random.below(10) == 0) gate.clock -= static_cast<std::int64_t>(random.below(1'000'000'000));
        gate.start(static_cast<std::int64_t>(random.below(4)));
      }
      REQUIRE(gate.most_in(per.count()) <= (sliding ? 7 : 14));
      gate.start(100);
      gate.clock -= 3'600'000'000;
      REQUIRE(gate.start(100) == 0);
      gate.pass(per);
      REQUIRE(gate.start(100) == 7);
    }
  }
}

TEST_CASE("I20 a clock that jumps forward gives at most what the rate gives after a rest",
          "[storage][limits]") {
  for (const StartRate& rate : {window(7, 1s), bucket(7, 1s)}) {
    Gate gate(rate);
    gate.start(7);
    gate.clock += 1'000'000'000'000;
    CHECK(gate.start(100) == 7);
    CHECK(gate.start(100) == 0);
    gate.clock = std::int64_t{1} << 62U;
    CHECK(gate.start(100) == 7);
    gate.clock = -(std::int64_t{1} << 62U);
    CHECK(gate.start(100) == 0);
  }
}

TEST_CASE("a changed rate lets no more start than the one before did", "[storage][limits]") {
  Random random(99);
  const auto some_rate = [&] {
    const auto count = 1 + static_cast<std::int64_t>(random.below(100));
    const auto per = Duration(1'000 + static_cast<std::int64_t>(random.below(1'000'000)));
    if (random.below(2) == 0) return window(count, per);
    return bucket(count, per, static_cast<std::int64_t>(random.below(100)));
  };
  for (int round = 0; round < 3'000; ++round) {
    Gate gate(some_rate());
    for (int step = 0; step < 5; ++step) {
      gate.start(static_cast<std::int64_t>(random.below(60)));
      gate.pass(Duration(static_cast<std::int64_t>(random.below(5'000))));
    }
    const StartRate after = some_rate();
    const RateState state = carried_over(gate.rate, gate.state, after, gate.clock);
    REQUIRE(is_sound(after, state));
    const bool windows = gate.rate.algorithm == RateAlgorithm::sliding_window &&
                         after.algorithm == RateAlgorithm::sliding_window;
    // Two windows count the same starts.
    if (!windows) REQUIRE(starts_left(after, state, gate.clock) <= gate.left());
    if (windows) REQUIRE(state == gate.state);
  }
}

TEST_CASE("a rate that is set as it is goes on as if it had not been touched", "[storage][limits]") {
  for (const StartRate& rate : {window(7, 1s), bucket(7, 1s), bucket(3, 1s, 10)}) {
    Gate gate(rate);
    gate.start(5);
    gate.pass(10'001us);
    const RateState state = carried_over(rate, gate.state, rate, gate.clock);
    for (const std::int64_t later : {0, 1, 132'855, 132'856, 999'999, 1'000'000})
      CHECK(starts_left(rate, state, gate.clock + later) ==
            starts_left(rate, gate.state, gate.clock + later));
  }
}

TEST_CASE("the largest rates do not overflow", "[storage][limits]") {
  for (const StartRate& rate :
       {window(100'000, 24h * 366), bucket(100'000, 24h * 366), bucket(1, 24h * 366, 100'000)}) {
    Gate gate(rate);
    CHECK(gate.start(100'000) == 100'000);
    CHECK(gate.left() == 0);
    gate.clock += rate.per.count();
    CHECK(gate.left() == rate.count);
    CHECK(starts_left(rate, used_up(rate, gate.clock), gate.clock) == 0);
  }
}

TEST_CASE("a window's state stays small, whatever its length is changed to", "[storage][limits]") {
  Gate gate(window(100'000, 1ms));
  for (int step = 0; step < 20'000; ++step) {
    gate.pass(Duration(16 + step / 4));
    gate.start(1);
    if (step % 100 == 99) {
      const StartRate longer = window(100'000, gate.rate.per * 3 / 2 + 1ms);
      gate.state = carried_over(gate.rate, gate.state, longer, gate.clock);
      if (longer.per < 24h) gate.rate = longer;
    }
    REQUIRE(gate.state.size() <= 128 * 3);
  }
  std::int64_t counted = 0;
  for (std::size_t i = 2; i < gate.state.size(); i += 3) counted += gate.state[i];
  CHECK(counted + gate.left() >= gate.rate.count);
}
