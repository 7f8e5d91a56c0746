// Processes that work on one database while they, it and the network between them fail in every way.
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

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

TEST_CASE("a graceful rolling restart of a fleet loses no attempt and delays no job beyond the poll interval",
          "[postgres][fleet]") {
  if (PostgresServer::shared() == nullptr) return;
  // Far more than a restart takes anywhere, and still what is promised.
  constexpr auto poll = 5s;
  Fleet fleet({.workers = 3,
               .lease = 2s,
               .poll = poll,
               .producers = 1,
               .batch = 10,
               .plain_jobs = true,
               .most_waiting = UINT64_MAX,
               .producer_pause = 50ms});
  const auto more_jobs = [&](std::uint64_t count) {
    const auto end = std::chrono::steady_clock::now() + fleet.options().patience;
    for (const std::uint64_t until = fleet.added() + count; fleet.added() < until; ::poll(nullptr, 0, 10))
      if (std::chrono::steady_clock::now() > end) return false;
    return true;
  };
  REQUIRE(more_jobs(50));
  for (int round = 0; round < 2; ++round) {
    for (auto& worker : fleet.workers()) {
      worker.process->kill(SIGTERM);
      REQUIRE(worker.process->wait_for(fleet.options().patience));
      CHECK(worker.process->exit_code() == 0);
      fleet.start(worker);
      REQUIRE(more_jobs(50));
    }
  }
  const auto history = fleet.finish();
  CHECK(fleet.trouble().empty());
  CHECK(history.kept.size() >= 350);
  CHECK(history.runs.size() == history.kept.size());
  std::int64_t longest_us = 0;
  for (const auto& kept : history.kept) {
    REQUIRE((kept.completed && kept.attempt == 1 && kept.snoozes == 0 && kept.failures.empty()));
    const auto run = std::ranges::find(history.runs, kept.job, &quern_test::FleetHistory::Run::job);
    REQUIRE(run != history.runs.end());
    longest_us = std::max(longest_us, run->began_us - kept.created_us);
  }
  INFO("the longest wait: " << longest_us << " us");
  CHECK(std::chrono::microseconds(longest_us) <= poll);
  const auto verdict = quern_test::check_fleet(history);
  INFO(to_text(verdict));
  CHECK(verdict.good());
  CHECK(verdict.crashed_leases == 0);
}
