// Processes that work on one database while they, it and the network between them fail in every way.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "support/catch.hpp"
#include "support/fleet_nemesis.hpp"

using namespace std::chrono_literals;
using quern_test::Fleet;
using quern_test::PostgresServer;

TEST_CASE(
    "I01 I03 I04 I10 I26 a fleet loses nothing, runs nothing twice and keeps its unique keys, whatever fails",
    "[postgres][fleet]") {
  if (PostgresServer::shared() == nullptr) return;
  const char* const wanted = std::getenv("QUERN_FLEET_SEED");
  const std::uint64_t seed =
      wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : quern::Random::entropy();
  std::printf("QUERN_FLEET_SEED=%llu\n", static_cast<unsigned long long>(seed));
  Fleet fleet({.lease = 500ms, .poll = 250ms, .seed = seed});
  const auto report = quern_test::torment(fleet, seed, 3000, 1, 1500ms, [](std::string_view) {});
  std::printf("%s\n", to_text(report).c_str());
  CHECK(report.good());
  CHECK(report.acknowledged + report.found + report.unknown >= report.kept);
  CHECK(report.acknowledged > 0);
  CHECK(report.runs >= report.kept);
}
