// When it writes, and what happens while the database does not answer.
#include <string>
#include <vector>

#include "storage/write_behind_stage.hpp"

using namespace std::chrono_literals;
using quern::JobId;
using quern::JobState;
using quern::NewJob;
using quern::NodeId;
using quern::StorageError;
using quern_test::WriteBehind;
using quern_test::WriteBehindStage;

TEST_CASE("it writes when its interval has passed or enough jobs have changed, and not without need",
          "[storage][write-behind]") {
  WriteBehindStage s;
  s.crash();
  s.options.persistence_interval = 10s;
  s.options.max_unwritten = 5;
  s.start();
  WriteBehind& storage = s.storage();
  const auto writes = [&] { return s.process->backup.writes.load(); };
  s.add("behind");
  CHECK(storage.tick(s.clock.now()).at == s.clock.now() + 10s);
  CHECK(writes() == 0);
  CHECK(storage.status().unwritten == 1);
  CHECK_FALSE(storage.status().written_at);
  s.clock.advance(10s);
  CHECK(storage.tick(s.clock.now()).at == s.clock.now() + 10s);
  CHECK(writes() == 1);
  CHECK(storage.status().unwritten == 0);
  CHECK(storage.status().written_at == s.clock.now());
  s.clock.advance(10s);
  storage.tick(s.clock.now());
  CHECK(writes() == 1);  // there was nothing to write
  CHECK(storage.status().written_at == s.clock.now());
  for (int i = 0; i < 4; ++i) s.add("behind");
  storage.tick(s.clock.now());
  CHECK(writes() == 1);
  s.add("behind");
  storage.tick(s.clock.now());
  CHECK(writes() == 2);
  for (int i = 0; i < 10; ++i) s.add("memory");
  storage.tick(s.clock.now());
  CHECK(writes() == 2);
}

TEST_CASE("while the database fails, work goes on in memory, and what is committed is refused",
          "[storage][write-behind]") {
  WriteBehindStage s;
  const NodeId node = s.node();
  const JobId waiting = s.add("committed");
  NewJob refused = s.job("committed");  // its id is known before
  s.process->backup.fails = true;

  const JobId behind = s.add("behind");
  CHECK_THROWS_AS(s.storage().insert({&refused, 1}), StorageError);
  // Whether it was recorded is not known; who sends it again learns it. That is no acknowledgement either.
  CHECK_THROWS_AS(s.storage().insert({&refused, 1}), StorageError);

  // A claim that could not be recorded gives its jobs back, as they were.
  CHECK_THROWS_AS(s.claim(node), StorageError);
  CHECK(s.state(waiting) == JobState::ready);
  CHECK(s.storage().find({&waiting, 1}).at(0)->attempt == 0);
  CHECK(s.storage().find({&waiting, 1}).at(0)->snoozes == 0);
  CHECK(s.state(behind) == JobState::ready);
  // Kinds that are not committed run.
  CHECK_THROWS_AS(s.storage().pause("default"), StorageError);
  const auto claims = s.storage().claim({.node = node, .limit = 9, .kinds = {{"behind", 9, 3}}});
  CHECK(claims.empty());  // the pause of the queue holds in memory, though its caller does not know
  CHECK_THROWS_AS(s.storage().resume("default"), StorageError);
  const auto claim = s.storage().claim({.node = node, .limit = 9, .kinds = {{"behind", 9, 3}}}).at(0);
  const quern::Finish finish{.ref = claim.ref};
  CHECK(s.storage().finish({&finish, 1}).at(0).status == quern::FinishStatus::recorded);

  s.process->backup.fails = false;
  CHECK(s.storage().insert({&refused, 1}).at(0).status == quern::InsertStatus::repeated);
  s.crash_and_start();
  CHECK(s.state(refused.id) == JobState::ready);
  CHECK(s.state(behind) == JobState::completed);
  CHECK(s.state(waiting) == JobState::ready);
}

TEST_CASE("a failing write is tried again ever more seldom, and said so", "[storage][write-behind]") {
  WriteBehindStage s;
  s.crash();
  std::vector<std::string> log;
  s.options.log = [&](const quern::LogRecord& record) { log.emplace_back(record.message); };
  s.start();
  s.add("behind");
  s.process->backup.fails = true;
  s.clock.advance(10s);
  std::vector<quern::Duration> waits;
  for (int i = 0; i < 12; ++i) {
    const auto next = s.storage().tick(s.clock.now()).at;
    waits.push_back(next - s.clock.now());
    s.clock.advance(next - s.clock.now());
  }
  CHECK(waits.front() >= 50ms);
  CHECK(waits.front() <= 100ms);
  CHECK(waits.back() >= 5s);
  CHECK(waits.back() <= 10s);
  CHECK(s.storage().status().failures == 12);
  CHECK_THAT(s.storage().status().error, Catch::Matchers::Contains("the disk is on fire"));
  CHECK(log.size() == 4);  // of the failures 1, 2, 4, 8
  CHECK_THAT(log.at(0), Catch::Matchers::Contains("the disk is on fire"));
  s.process->backup.fails = false;
  s.storage().tick(s.clock.now());
  CHECK(s.storage().status().failures == 0);
  CHECK(s.storage().status().error.empty());
  CHECK(s.storage().status().unwritten == 0);
}

TEST_CASE("stopping while the database fails says so and is over", "[storage][write-behind]") {
  WriteBehindStage s;
  s.add("behind");
  s.process->backup.fails = true;
  CHECK_THROWS_AS(s.storage().stop(), StorageError);
}

TEST_CASE("options out of range are refused by name", "[storage][write-behind]") {
  WriteBehindStage s;
  s.storage().stop();
  s.process.reset();
  s.options.persistence_interval = 0s;
  CHECK_THROWS_WITH(s.start(), Catch::Matchers::Contains("persistence_interval"));
  s.options.persistence_interval = 1s;
  s.options.max_unwritten = 0;
  CHECK_THROWS_WITH(s.start(), Catch::Matchers::Contains("max_unwritten"));
}
