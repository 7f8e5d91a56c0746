// What a storage is asked to claim.
#include <chrono>

#include "quern/storage/requests.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using quern::ClaimRequest;
using quern::Duration;
using quern::Priority;
using quern::TimePoint;

TEST_CASE("I21 the turn of a job is its time and an ageing for each level, and saturates",
          "[storage][claim]") {
  const TimePoint noon = TimePoint() + 12h;
  ClaimRequest request;
  request.ageing = 1min;
  CHECK(request.turn(Priority::critical, noon) == noon);
  CHECK(request.turn(Priority{9}, noon) == noon + 9min);
  for (const Duration ageing : {Duration::max(), Duration::max() / 2, Duration::max() / 9 + Duration(1)}) {
    CAPTURE(ageing.count());
    request.ageing = ageing;
    CHECK(request.turn(Priority::critical, noon) == noon);
    CHECK(request.turn(Priority{9}, noon) == TimePoint::max());
    CHECK(request.turn(Priority{9}, TimePoint() - 12h) == TimePoint::max() - 12h);
  }
}
