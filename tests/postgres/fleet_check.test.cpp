// The fleet's checker finds each kind of fault, and none where there is none.
#include "support/fleet_check.hpp"

#include <vector>

#include "support/catch.hpp"

using quern_test::check_fleet;
using quern_test::FleetHistory;
using quern_test::FleetVerdict;
using Answer = FleetHistory::Answer;
using Jobs = std::vector<std::uint64_t>;

namespace {

/// Three jobs that went well: 1 at once; 2 after its first worker died and came back to end it in vain; 3 after
/// a failure and a hand-back. 2 and 3 have the same key, one after the other; 1 and 4 are a batch, which 4
/// shares although nobody knew; 5 was refused, and 6 and 7 were never added.
FleetHistory good_history() {
  FleetHistory history;
  history.attempts = {{.job = 1, .answer = Answer::acknowledged, .batch = 1},
                      {.job = 4, .answer = Answer::unknown, .batch = 1},
                      {.job = 2, .answer = Answer::acknowledged},
                      {.job = 3, .answer = Answer::found},
                      {.job = 5, .answer = Answer::refused},
                      {.job = 6, .answer = Answer::unknown, .batch = 2},
                      {.job = 7, .answer = Answer::unknown, .batch = 2}};
  history.runs = {
      {.job = 1, .epoch = 1, .attempt = 1, .token = 11, .began_us = 100, .ended_us = 110},
      {.job = 2, .epoch = 1, .attempt = 1, .token = 21, .began_us = 100, .ended_us = 300, .refused = true},
      {.job = 2, .epoch = 2, .attempt = 2, .token = 22, .began_us = 210, .ended_us = 220},
      {.job = 3, .epoch = 1, .attempt = 1, .token = 31, .began_us = 230, .ended_us = 240},
      {.job = 3, .epoch = 2, .attempt = 2, .token = 32, .began_us = 250},
      {.job = 3, .epoch = 3, .attempt = 2, .token = 33, .began_us = 260, .ended_us = 270},
      {.job = 4, .epoch = 1, .attempt = 1, .token = 41, .began_us = 100, .ended_us = 110},
  };
  history.kept = {
      {.job = 1, .completed = true, .epoch = 1, .attempt = 1, .token = 11},
      {.job = 2,
       .completed = true,
       .epoch = 2,
       .attempt = 2,
       .token = 22,
       .key = "k",
       .failures = {{.epoch = 1, .at_us = 200, .crash = true}}},
      {.job = 3,
       .completed = true,
       .epoch = 3,
       .attempt = 2,
       .snoozes = 1,
       .token = 33,
       .key = "k",
       .failures = {{.epoch = 1, .at_us = 241}}},
      {.job = 4, .completed = true, .epoch = 1, .attempt = 1, .token = 41},
  };
  return history;
}

/// What a change makes of the good history.
template <class Change>
FleetVerdict after(const Change& change) {
  FleetHistory history = good_history();
  change(history);
  return check_fleet(std::move(history));
}

bool only_broken(const FleetVerdict& verdict, const std::string& part) {
  return verdict.lost.empty() && verdict.unexpected.empty() && verdict.duplicated.empty() &&
         verdict.broken.size() == 1 && verdict.broken[0].find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the fleet's checker is content with a good history and counts what is in it", "[fleet-check]") {
  const auto verdict = check_fleet(good_history());
  INFO(to_text(verdict));
  CHECK(verdict.good());
  CHECK(verdict.recovered == Jobs{3, 4});
  CHECK(verdict.crashed_leases == 1);
  CHECK(verdict.stale_ends == 1);
  CHECK(verdict.refusals == 1);
}

TEST_CASE("the fleet's checker finds what is lost", "[fleet-check]") {
  // Without its runs, which would be unexpected.
  CHECK(after([](FleetHistory& h) {
          h.kept.erase(h.kept.begin() + 1);
          std::erase_if(h.runs, [](const auto& run) { return run.job == 2; });
        }).lost == Jobs{2});
  CHECK(after([](FleetHistory& h) { h.kept[0].completed = false; }).lost == Jobs{1});
  CHECK(after([](FleetHistory& h) { h.kept[3].completed = false; }).lost == Jobs{4});
  CHECK(after([](FleetHistory& h) {
          h.kept.erase(h.kept.begin() + 2);
          std::erase_if(h.runs, [](const auto& run) { return run.job == 3; });
        }).lost == Jobs{3});
}

TEST_CASE("the fleet's checker finds what is unexpected", "[fleet-check]") {
  CHECK(after([](FleetHistory& h) { h.kept.push_back({.job = 9, .epoch = 0}); }).unexpected == Jobs{9});
  CHECK(after([](FleetHistory& h) {
          h.runs.push_back({.job = 9, .epoch = 1, .attempt = 1, .token = 91, .began_us = 1});
        }).unexpected == Jobs{9});
  CHECK(after([](FleetHistory& h) { h.kept.push_back({.job = 5, .epoch = 0}); }).unexpected == Jobs{5});
  // It ran, and is not there.
  CHECK(after([](FleetHistory& h) {
          h.runs.push_back({.job = 6, .epoch = 1, .attempt = 1, .token = 61, .began_us = 1});
        }).unexpected == Jobs{6});
}

TEST_CASE("the fleet's checker finds what is duplicated", "[fleet-check]") {
  SECTION("two rows of one job") {
    CHECK(after([](FleetHistory& h) { h.kept.push_back(h.kept[0]); }).duplicated == Jobs{1});
  }
  SECTION("two runs with one epoch") {
    CHECK(after([](FleetHistory& h) {
            h.runs.push_back(
                {.job = 1, .epoch = 1, .attempt = 1, .token = 12, .began_us = 120, .ended_us = 130});
          }).duplicated == Jobs{1});
  }
  SECTION("a run after its end") {
    CHECK(after([](FleetHistory& h) {
            h.runs.push_back(
                {.job = 1, .epoch = 2, .attempt = 2, .token = 12, .began_us = 120, .ended_us = 130});
          }).duplicated == Jobs{1});
  }
  SECTION("the end of an old epoch was taken") {
    CHECK(after([](FleetHistory& h) { h.kept[1].token = 21; }).duplicated == Jobs{2});
  }
  SECTION("an end that no run has reported") {
    CHECK(after([](FleetHistory& h) { h.runs[0].ended_us = 0; }).duplicated == Jobs{1});
  }
  SECTION("an epoch that both failed and completed") {
    CHECK(after([](FleetHistory& h) {
            h.kept[0].failures.push_back({.epoch = 1, .at_us = 105, .crash = true});
          }).duplicated == Jobs{1});
  }
}

TEST_CASE("the fleet's checker finds what breaks leases, attempts, batches and keys", "[fleet-check]") {
  SECTION("a run that begins before the last one has lost its lease") {
    CHECK(only_broken(after([](FleetHistory& h) { h.runs[2].began_us = 199; }), "before epoch 1 had ended"));
  }
  SECTION("a run that was followed by another without a reason") {
    CHECK(only_broken(after([](FleetHistory& h) { h.kept[1].failures.clear(); }), "neither failed"));
    CHECK(only_broken(after([](FleetHistory& h) { h.kept[2].failures.clear(); }), "neither failed"));
  }
  SECTION("an attempt that was not counted") {
    CHECK(only_broken(after([](FleetHistory& h) { h.runs[2].attempt = 1; }), "comes after attempt 1"));
  }
  SECTION("half a batch") {
    CHECK(only_broken(after([](FleetHistory& h) {
                        h.kept.pop_back();
                        h.runs.pop_back();
                      }),
                      "batch 1: 1 of 2"));
  }
  SECTION("a key that two jobs held together") {
    CHECK(only_broken(after([](FleetHistory& h) { h.runs[2].ended_us = 265; }), "key k: jobs 2 and 3"));
  }
}
