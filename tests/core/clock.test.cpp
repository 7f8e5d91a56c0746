#include "quern/core/clock.hpp"

#include <thread>

#include "support/catch.hpp"

using namespace quern;
using namespace std::chrono_literals;

static_assert(Clock<SystemClock> && Clock<ManualClock> && Clock<ClockRef>);

TEST_CASE("the system clock tells civil time, a steady time and the boot", "[clock]") {
  const SystemClock clock;
  CHECK(clock.now() > from_us(1'767'225'600'000'000));  // 2026
  const SteadyTime first = clock.steady();
  CHECK(first > 0us);
  for (int i = 0; i < 1000; ++i) REQUIRE(clock.steady() >= first);
  CHECK_FALSE(clock.boot_id().empty());
  CHECK(clock.boot_id() == SystemClock().boot_id());
}

TEST_CASE("a manual clock moves only when told", "[clock]") {
  ManualClock clock;
  const TimePoint start = clock.now();
  CHECK(to_rfc3339(start) == "2026-01-01T00:00:00Z");
  CHECK(clock.steady() == 1h);
  clock.advance(5s);
  CHECK(clock.now() == start + 5s);
  CHECK(clock.steady() == 1h + 5s);
  clock.set_wall(start - 24h);
  CHECK(clock.now() == start - 24h);
  CHECK(clock.steady() == 1h + 5s);
  const std::string boot = clock.boot_id();
  clock.reboot(3s);
  CHECK(clock.boot_id() != boot);
  CHECK(clock.steady() == 3s);
  CHECK(ManualClock(from_us(7)).now() == from_us(7));
}

TEST_CASE("a clock reference is the clock that it refers to", "[clock]") {
  ManualClock clock;
  const ClockRef ref = clock;
  const ClockRef copy = ref;
  clock.advance(1min);
  CHECK(copy.now() == clock.now());
  CHECK(copy.steady() == clock.steady());
  CHECK(copy.boot_id() == clock.boot_id());
}

TEST_CASE("a clock reference without a clock is the system clock", "[clock]") {
  const ClockRef ref;
  const TimePoint before = SystemClock().now();
  const TimePoint now = ref.now();
  CHECK(now >= before);
  CHECK(now <= SystemClock().now());
  CHECK(ref.boot_id() == SystemClock().boot_id());
}

TEST_CASE("a manual clock may be moved by one thread and read by others", "[clock]") {
  ManualClock clock;
  const TimePoint start = clock.now();
  bool back = false;
  std::thread reader([&] {
    TimePoint last = start;
    while (last < start + 1000us) {
      const TimePoint now = clock.now();
      back = back || now < last;
      last = now;
    }
  });
  for (int i = 0; i < 1000; ++i) clock.advance(1us);
  reader.join();
  CHECK_FALSE(back);
}
