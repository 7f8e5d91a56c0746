// Rates over the last minutes, step by step.
#include "quern/monitor/rate_window.hpp"

#include <cmath>

#include "support/catch.hpp"

using namespace std::chrono_literals;
using quern::Duration;
using quern::RateWindow;

TEST_CASE("a rate counts the whole steps of its window and no other", "[rate]") {
  RateWindow window;
  const Duration start = 1h;
  CHECK(window.over(1min, start).ended == 0);
  CHECK(window.over(1min, start).per_second == 0);
  for (int second = 0; second < 120; ++second) window.add(start + second * 1s, 10, second % 2 == 0 ? 1 : 0);
  const Duration now = start + 120s;
  CHECK(window.over(10s, now).ended == 100);
  CHECK(window.over(1min, now).ended == 600);
  CHECK(window.over(1min, now).per_second == 10);
  CHECK(window.over(1min, now).failed == 30);
  CHECK(window.over(1min, now).failed_share == 0.05);
  CHECK(window.over(5min, now).ended == 1200);
  CHECK(window.over(5min, now).per_second == 4);
  // The step that is under way comes once it is over.
  window.add(now, 1000, 0);
  CHECK(window.over(1min, now + 4s).ended == 600);
  CHECK(window.over(1min, now + 5s).ended == 1550);
}

TEST_CASE("what is older than its window counts no more, however long nothing was counted", "[rate]") {
  RateWindow window;
  window.add(1h, 7, 7);
  CHECK(window.over(15min, 1h + 5s).ended == 7);
  CHECK(window.over(15min, 1h + 15min).ended == 7);
  CHECK(window.over(15min, 1h + 15min + 5s).ended == 0);
  for (const Duration at : {Duration(3h), Duration(3h + 15min), Duration(3h + 31min), Duration(27h)}) {
    window.add(at, 1, 0);
    CHECK(window.over(15min, at + 5s).ended == 1);
  }
}

TEST_CASE("a rate's window is bound to 5 s and 15 min, and a clock that goes back does no harm", "[rate]") {
  RateWindow window;
  window.add(1h, 5, 0);
  CHECK(window.over(0s, 1h + 5s).per_second == 1);
  CHECK(window.over(24h, 1h + 5s).per_second == 5.0 / 900);
  window.add(30min, 2, 0);
  CHECK(window.over(5s, 1h + 5s).ended == 7);
  CHECK(window.over(5s, 10min).ended == 0);
}
