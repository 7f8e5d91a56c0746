// One process keeps the jobs in memory: how it takes them, how it gives them back, and how it loses them.
#include <vector>

#include "storage/write_behind_stage.hpp"

using namespace std::chrono_literals;
using quern::JobId;
using quern::JobState;
using quern::NewJob;
using quern::NodeId;
using quern::StorageError;
using quern_test::WriteBehindStage;

TEST_CASE("stopping writes everything and gives the file back", "[storage][write-behind]") {
  WriteBehindStage s;
  const JobId id = s.add("behind");
  s.storage().stop();
  s.storage().stop();
  quern::SqliteStorage plain(s.path, {.clock = s.clock});
  CHECK(plain.find({&id, 1}).at(0)->state == JobState::ready);
  const NewJob job{.id = plain.reserve_ids(1), .kind = "plain"};
  plain.insert({&job, 1});
  // What comes too late is said so.
  s.add("behind");
  CHECK_THROWS_WITH(s.storage().write(), Catch::Matchers::Contains("stopped"));
  NewJob late{.id = JobId{999'999}, .kind = "committed"};
  CHECK_THROWS_AS(s.storage().insert({&late, 1}), StorageError);
}

TEST_CASE("while one process keeps the jobs in memory no other one changes them", "[storage][write-behind]") {
  WriteBehindStage s;
  const JobId id = s.add("committed");
  quern::SqliteStorage other(s.path, {.clock = s.clock});
  CHECK(other.find({&id, 1}).at(0).has_value());  // reading is free
  CHECK_THROWS_WITH(other.reserve_ids(1),
                    Catch::Matchers::Contains("another process keeps its jobs in memory"));
  CHECK_THROWS_AS(other.cancel({&id, 1}, "x"), StorageError);
  CHECK_THROWS_AS(other.register_node({.name = "n", .host = "h", .lease = 1min}), StorageError);
  const auto second = [&] { const quern::WriteBehindStorage storage(other); };
  CHECK_THROWS_WITH(second(), Catch::Matchers::Contains("another process keeps its jobs in memory"));
  try {
    second();
  } catch (const StorageError& e) {
    CHECK(e.transient());
  }
  // Nor does anybody behind its back through the keeper's own object, or in a host's transaction.
  CHECK_THROWS_WITH(s.process->file.cancel({&id, 1}, "x"), Catch::Matchers::Contains("kept in memory"));
  const quern_test::RawDb host(s.path);
  host.run("BEGIN IMMEDIATE");
  std::vector<NewJob> jobs{{.kind = "behind"}};
  CHECK_THROWS_AS(other.insert_within(host.handle(), jobs), StorageError);
  host.run("ROLLBACK");

  // Once it has gone, in whatever way, the next one may.
  s.crash();
  CHECK(other.cancel({&id, 1}, "x").at(0) == quern::CancelResult::cancelled);
  const quern::WriteBehindStorage storage(other);
}

TEST_CASE("nobody keeps jobs in memory that other nodes work on", "[storage][write-behind]") {
  WriteBehindStage s;
  s.storage().stop();
  s.process.reset();
  quern::SqliteStorage plain(s.path, {.clock = s.clock});
  const NodeId node = plain.register_node({.name = "worker-7", .host = "h", .process = 42, .lease = 1min});
  CHECK_THROWS_WITH(s.start(), Catch::Matchers::Contains("worker-7"));
  plain.retire(node);
  s.start();
}

TEST_CASE("jobs move from a plain file into memory and back, and go on", "[storage][write-behind]") {
  WriteBehindStage s;
  s.storage().stop();
  s.process.reset();
  JobId ready{};
  JobId child{};
  quern::Claim running;
  {
    quern::SqliteStorage plain(s.path, {.clock = s.clock});
    const NodeId node = plain.register_node({.name = "n", .host = "h", .lease = 1s});
    std::vector<NewJob> jobs(3);
    for (NewJob& job : jobs) job = {.id = plain.reserve_ids(1), .kind = "behind"};
    jobs[1].parents = {jobs[0].id};
    jobs[1].unique.key = "key";
    plain.insert(jobs);
    running = plain.claim({.node = node, .limit = 1, .kinds = {{"behind", 1, 3}}}).at(0);
    child = jobs[1].id;
    ready = jobs[2].id;
  }
  s.clock.advance(2s);
  s.start();
  CHECK(s.state(child) == JobState::blocked);
  CHECK(s.state(ready) == JobState::ready);
  CHECK(s.state(running.ref.id) == JobState::running);
  CHECK(s.storage().key_holder("key") == child);
  s.storage().rescue(10, 3);
  const auto claims = s.claim(s.node());
  REQUIRE(claims.size() == 2);
  for (const auto& claim : claims) {
    const quern::Finish finish{.ref = claim.ref};
    s.storage().finish({&finish, 1});
  }
  CHECK(s.state(child) == JobState::ready);
  s.storage().stop();
  s.process.reset();
  quern::SqliteStorage plain(s.path, {.clock = s.clock});
  const NodeId node = plain.register_node({.name = "n", .host = "h", .lease = 1min});
  CHECK(plain.claim({.node = node, .limit = 9, .kinds = {{"behind", 9, 3}}}).at(0).ref.id == child);
}

TEST_CASE("a keeper that was replaced learns it and does no more harm", "[storage][write-behind]") {
  WriteBehindStage s;
  const NodeId node = s.node();
  s.add("behind");
  // As if somebody had taken the file over in spite of the lock.
  quern_test::RawDb(s.path).run("UPDATE quern_meta SET value = 99 WHERE name = 'keeper'");
  CHECK_THROWS_AS(s.storage().write(), quern::KeeperLost);
  CHECK_THROWS_AS(s.claim(node), quern::KeeperLost);
  CHECK_THROWS_AS(s.add("behind"), quern::KeeperLost);
  CHECK(s.storage().renew(node) == quern::RenewResult::lost);
  s.clock.advance(1h);
  CHECK(s.storage().tick(s.clock.now()).at == quern::NextTick{}.at);  // never again
}
