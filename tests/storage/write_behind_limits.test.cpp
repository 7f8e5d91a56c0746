// Rules for how many jobs run and start, of a storage in memory: they are in the file at once.
#include "storage/write_behind_stage.hpp"

using namespace std::chrono_literals;
using quern::LimitRule;
using quern::RateAlgorithm;
using quern_test::WriteBehindStage;

namespace {

LimitRule window(std::int64_t count, quern::Duration per) {
  LimitRule rule{.name = "rule"};
  rule.rate = {.count = count, .per = per, .algorithm = RateAlgorithm::sliding_window};
  return rule;
}

}  // namespace

TEST_CASE("rules are durable when they are set, and hold after a crash", "[storage][write-behind][limits]") {
  WriteBehindStage s;
  s.storage().set_limit({.name = "two", .max_running = 2});
  s.storage().set_limit({.name = "gone", .max_running = 1});
  CHECK(s.storage().erase_limit("gone"));
  CHECK(quern::SqliteStorage(s.path).limits().size() == 1);
  s.crash_and_start();
  REQUIRE(s.storage().limits().size() == 1);
  CHECK(s.storage().limits()[0].rule == LimitRule{.name = "two", .max_running = 2});
  for (int i = 0; i < 5; ++i) s.add("behind");
  CHECK(s.claim(s.node()).size() == 2);
  s.storage().set_limit({.name = "two", .max_running = 3});
  CHECK(s.claim(s.node()).size() == 1);
  CHECK(quern::SqliteStorage(s.path).limits().at(0).rule.max_running == 3);
}

TEST_CASE("what runs when a process crashes counts until it is rescued", "[storage][write-behind][limits]") {
  WriteBehindStage s;
  s.storage().set_limit({.name = "two", .max_running = 2});
  for (int i = 0; i < 5; ++i) s.add("committed");
  CHECK(s.claim(s.node()).size() == 2);
  s.crash_and_start();
  CHECK(s.storage().limits().at(0).running == 2);
  CHECK(s.claim(s.node()).empty());
  CHECK(s.storage().rescue(100, 3).rescued == 2);
  CHECK(s.claim(s.node()).size() == 2);
}

TEST_CASE("I20 after a crash a rate lets nothing start of which nobody knows whether it has started before",
          "[storage][write-behind][limits]") {
  for (const bool sliding : {false, true}) {
    WriteBehindStage s;
    LimitRule rule = window(3, 1min);
    if (!sliding) rule.rate.algorithm = RateAlgorithm::token_bucket;
    s.storage().set_limit(rule);
    for (int i = 0; i < 9; ++i) s.add("committed");
    CHECK(s.claim(s.node(), 2).size() == 2);
    s.crash_and_start();
    CHECK(s.claim(s.node()).empty());
    s.clock.advance(20s);
    CHECK(s.claim(s.node()).size() == (sliding ? 0 : 1));
    s.clock.advance(40s);
    CHECK(s.claim(s.node()).size() == (sliding ? 3 : 2));
  }
}

TEST_CASE("a rule that can't be made durable does not hold", "[storage][write-behind][limits]") {
  WriteBehindStage s;
  s.process->backup.fails = true;
  CHECK_THROWS_AS(s.storage().set_limit({.name = "two", .max_running = 2}), quern::StorageError);
  CHECK(s.storage().limits().empty());
  s.process->backup.fails = false;
  s.storage().set_limit({.name = "two", .max_running = 2});
  s.process->backup.fails = true;
  CHECK_THROWS_AS(s.storage().erase_limit("two"), quern::StorageError);
  CHECK(s.storage().limits().size() == 1);
  s.process->backup.fails = false;
}
