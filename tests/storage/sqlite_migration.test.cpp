// A file of schema version 1, as text, and what becomes of it.

#include <string>
#include <vector>

#include "storage/sqlite_consistency.hpp"
#include "storage/sqlite_fixture.hpp"
#include "support/catch.hpp"

namespace {

using namespace std::chrono_literals;
using quern::JobFilter;
using quern::JobId;
using quern::JobState;
using quern::SqliteStorage;
using quern_test::RawDb;
using quern_test::TempFolder;

// As it was published; must not change any more.
constexpr const char* version_1 = R"sql(
PRAGMA journal_mode=WAL;
BEGIN;
CREATE TABLE quern_meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO quern_meta VALUES('schema', 0), ('next_id', 1), ('next_node', 1);
CREATE TABLE quern_lanes(id INTEGER PRIMARY KEY, queue TEXT NOT NULL, kind TEXT NOT NULL, UNIQUE(queue, kind));
CREATE TABLE quern_queues(
  name TEXT PRIMARY KEY, paused INTEGER NOT NULL DEFAULT 0, max_waiting INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE INDEX quern_queues_paused ON quern_queues(name) WHERE paused = 1;
CREATE INDEX quern_queues_limited ON quern_queues(name, max_waiting) WHERE max_waiting > 0;
CREATE TABLE quern_jobs(
  id INTEGER PRIMARY KEY, lane INTEGER NOT NULL, priority INTEGER NOT NULL, max_attempts INTEGER NOT NULL,
  run_at INTEGER NOT NULL, created_at INTEGER NOT NULL, deadline INTEGER, more BLOB, payload BLOB NOT NULL);
CREATE TABLE quern_changed(
  id INTEGER PRIMARY KEY, priority INTEGER NOT NULL, run INTEGER NOT NULL, attempt INTEGER NOT NULL,
  epoch INTEGER NOT NULL, crashes INTEGER NOT NULL, snoozes INTEGER NOT NULL, run_at INTEGER NOT NULL, deadline INTEGER, started_at INTEGER);
CREATE TABLE quern_ready(
  lane INTEGER NOT NULL, priority INTEGER NOT NULL, run_at INTEGER NOT NULL, first_id INTEGER NOT NULL,
  last_id INTEGER NOT NULL, changed INTEGER NOT NULL, ids BLOB,
  PRIMARY KEY(lane, priority, run_at, first_id)) WITHOUT ROWID;
CREATE TABLE quern_sched(
  run_at INTEGER NOT NULL, id INTEGER NOT NULL, lane INTEGER NOT NULL, priority INTEGER NOT NULL,
  changed INTEGER NOT NULL, PRIMARY KEY(run_at, id)) WITHOUT ROWID;
CREATE UNIQUE INDEX quern_sched_id ON quern_sched(id);
CREATE TABLE quern_expiry(deadline INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY(deadline, id)) WITHOUT ROWID;
CREATE TABLE quern_blocked(id INTEGER PRIMARY KEY);
CREATE TABLE quern_deps(
  parent INTEGER NOT NULL, child INTEGER NOT NULL, policy INTEGER NOT NULL, PRIMARY KEY(parent, child)) WITHOUT ROWID;
CREATE INDEX quern_deps_child ON quern_deps(child);
CREATE TABLE quern_claims(
  id INTEGER PRIMARY KEY, node INTEGER NOT NULL, claimed_at INTEGER NOT NULL, settled BLOB NOT NULL,
  entries BLOB NOT NULL);
CREATE TABLE quern_completed(
  first_id INTEGER PRIMARY KEY, last_id INTEGER NOT NULL, attempt INTEGER NOT NULL, epoch INTEGER NOT NULL,
  started_at INTEGER, finished_at INTEGER NOT NULL, result BLOB);
CREATE INDEX quern_completed_finished ON quern_completed(finished_at);
CREATE TABLE quern_failed(
  id INTEGER PRIMARY KEY, state INTEGER NOT NULL, attempt INTEGER NOT NULL, epoch INTEGER NOT NULL, started_at INTEGER,
  finished_at INTEGER NOT NULL, dead_reason INTEGER NOT NULL, message TEXT NOT NULL);
CREATE INDEX quern_failed_state ON quern_failed(state);
CREATE INDEX quern_failed_finished ON quern_failed(state, finished_at);
CREATE TABLE quern_errors(
  job INTEGER NOT NULL, epoch INTEGER NOT NULL, attempt INTEGER NOT NULL, at INTEGER NOT NULL, fault INTEGER NOT NULL,
  message TEXT NOT NULL, PRIMARY KEY(job, epoch)) WITHOUT ROWID;
CREATE TABLE quern_steps(id INTEGER PRIMARY KEY, job INTEGER NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL,
  UNIQUE(job, name));
CREATE TABLE quern_progress(
  id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, percent INTEGER NOT NULL, message TEXT NOT NULL);
CREATE TABLE quern_cancels(id INTEGER PRIMARY KEY, reason TEXT NOT NULL);
CREATE TABLE quern_unique(key TEXT PRIMARY KEY, id INTEGER NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE quern_counts(
  state INTEGER NOT NULL, lane INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY(state, lane)) WITHOUT ROWID;
CREATE TABLE quern_nodes(
  id INTEGER PRIMARY KEY, state INTEGER NOT NULL, boot TEXT NOT NULL, expires INTEGER NOT NULL, lease INTEGER NOT NULL,
  started_at INTEGER NOT NULL, name TEXT NOT NULL, host TEXT NOT NULL, process INTEGER NOT NULL,
  capacity TEXT NOT NULL);
CREATE TABLE quern_records(
  id INTEGER PRIMARY KEY, collection TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, UNIQUE(collection, key));
UPDATE quern_meta SET value = 1 WHERE name = 'schema';
UPDATE quern_meta SET value = 400001 WHERE name = 'next_id';
COMMIT;
)sql";

// Times are minutes since 1970. Lane 1: mail, mail.send. Lane 2: default, audit.
//   id 1        completed at 100, by itself          id 2       dead at 200, with a tenant and two tags
//   ids 3, 4    completed at 100, audit; in one range with 5, mail.send
//   id 300      ready, tagged            id 301     scheduled       id 302   blocked by 300
//   id 400000   ready, far away and created late
constexpr const char* jobs_of_version_1 = R"sql(
BEGIN;
INSERT INTO quern_lanes VALUES(1, 'mail', 'mail.send'), (2, 'default', 'audit');
INSERT INTO quern_jobs(id, lane, priority, max_attempts, run_at, created_at, deadline, more, payload) VALUES
  (1, 1, 10, 0, 60000000, 60000000, NULL, NULL, CAST('1' AS BLOB)),
  (2, 1, 10, 0, 60000000, 120000000, NULL, x'020461636d65' || x'0303726564' || x'0304626c7565', CAST('2' AS BLOB)),
  (3, 2, 10, 0, 60000000, 180000000, NULL, NULL, CAST('3' AS BLOB)),
  (4, 2, 10, 0, 60000000, 180000000, NULL, NULL, CAST('4' AS BLOB)),
  (5, 1, 10, 0, 60000000, 180000000, NULL, NULL, CAST('5' AS BLOB)),
  (300, 1, 10, 0, 3600000000, 3600000000, NULL, CAST(x'0303726564' AS BLOB), CAST('300' AS BLOB)),
  (301, 2, 10, 0, 900000000000000, 3600000000, NULL, NULL, CAST('301' AS BLOB)),
  (302, 2, 10, 0, 3600000000, 3600000000, NULL, x'0702ac02', CAST('302' AS BLOB)),
  (400000, 2, 10, 0, 36000000000, 36000000000, NULL, NULL, CAST('400000' AS BLOB));
INSERT INTO quern_completed VALUES(1, 1, 1, 1, 6000000000, 6000000000, NULL), (3, 5, 1, 1, 6000000000, 6000000000, NULL);
INSERT INTO quern_failed VALUES(2, 6, 1, 1, 12000000000, 12000000000, 2, 'failed');
INSERT INTO quern_ready VALUES(1, 10, 3600000000, 300, 300, 0, NULL), (2, 10, 36000000000, 400000, 400000, 0, NULL);
INSERT INTO quern_sched VALUES(900000000000000, 301, 2, 10, 0);
INSERT INTO quern_blocked VALUES(302);
INSERT INTO quern_deps VALUES(300, 302, 0);
INSERT INTO quern_counts VALUES(5, 1, 2), (5, 2, 2), (6, 1, 1), (3, 1, 1), (3, 2, 1), (2, 2, 1), (1, 2, 1);
COMMIT;
)sql";

std::vector<std::uint64_t> listed(SqliteStorage& storage, JobFilter filter) {
  filter.oldest_first = true;
  std::vector<std::uint64_t> ids;
  for (const auto& job : storage.list(filter).jobs) ids.push_back(job.id.value);
  return ids;
}
using Ids = std::vector<std::uint64_t>;

quern::TimePoint minute(int number) { return quern::TimePoint() + number * 1min; }

}  // namespace

TEST_CASE("I33 a file of schema version 1 is brought up to date, with all its jobs", "[storage][sqlite]") {
  const TempFolder folder;
  const std::string path = (folder / "jobs.db").string();
  {
    const RawDb db(path);
    db.run(version_1);
    db.run(jobs_of_version_1);
  }
  quern::ManualClock clock(minute(1000));
  SqliteStorage storage(path, {.clock = clock});
  CHECK(RawDb(path).value("SELECT value FROM quern_meta WHERE name = 'schema'") == "2");
  CHECK(quern_test::SqliteConsistency(path).faults() == std::vector<std::string>{});
  CHECK(storage.recount().empty());
  CHECK(listed(storage, {}) == Ids{1, 2, 3, 4, 5, 300, 301, 302, 400'000});

  SECTION("they are listed by what version 1 had no index for") {
    CHECK(listed(storage, {.tenant = "acme"}) == Ids{2});
    CHECK(listed(storage, {.tag = "red"}) == Ids{2, 300});
    CHECK(listed(storage, {.tag = "blue"}) == Ids{2});
    CHECK(listed(storage, {.kind = "audit"}) == Ids{3, 4, 301, 302, 400'000});
    CHECK(listed(storage, {.created_from = minute(2), .created_before = minute(4)}) == Ids{2, 3, 4, 5});
    CHECK(listed(storage, {.created_from = minute(100)}) == Ids{400'000});
  }
  SECTION("the ended ones are pruned by kind") {
    CHECK(storage.prune({.older_than = 901min, .kind = "audit"}).pruned == 0);
    CHECK(storage.prune({.older_than = 900min, .kind = "audit"}).pruned == 2);
    CHECK(storage.prune({.except = {"audit"}}).pruned == 2);
    CHECK(storage.prune({.state = JobState::dead, .kind = "mail.send"}).pruned == 1);
    CHECK(listed(storage, {}) == Ids{300, 301, 302, 400'000});
  }
  SECTION("the waiting ones run") {
    const auto node = storage.register_node({.name = "test"});
    const auto claims = storage.claim(
        {.node = node, .limit = 10, .kinds = {{"mail.send", 10, 3}, {"audit", 10, 3}}, .queues = {}});
    REQUIRE(claims.size() == 2);
    std::vector<quern::Finish> finishes(2);
    for (std::size_t i = 0; i < 2; ++i) finishes[i].ref = claims[i].ref;
    storage.finish(finishes);
    CHECK(storage.find(std::vector{JobId{302}}).at(0)->state == JobState::ready);
  }
  CHECK(quern_test::SqliteConsistency(path).faults() == std::vector<std::string>{});
  CHECK(storage.reserve_ids(1) == JobId{400'001});
}

TEST_CASE("a file of schema version 1 with more tags than are kept in memory keeps them all",
          "[storage][sqlite]") {
  const TempFolder folder;
  const std::string path = (folder / "jobs.db").string();
  {
    // Each of 10,001 jobs has a tag of its own, "00001" to "10001"; one far behind them shares the first.
    const RawDb db(path);
    db.run(version_1);
    db.run(R"sql(
BEGIN;
INSERT INTO quern_lanes VALUES(1, 'mail', 'mail.send');
WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 10001)
INSERT INTO quern_jobs(id, lane, priority, max_attempts, run_at, created_at, deadline, more, payload)
SELECT i, 1, 2, 0, 60000000, 60000000, NULL, CAST(x'0305' || printf('%05d', i) AS BLOB), CAST('1' AS BLOB) FROM c
UNION ALL SELECT 70000, 1, 2, 0, 60000000, 60000000, NULL, CAST(x'0305' || '00001' AS BLOB), CAST('1' AS BLOB);
INSERT INTO quern_completed VALUES
  (1, 10001, 1, 1, 6000000000, 6000000000, NULL), (70000, 70000, 1, 1, 6000000000, 6000000000, NULL);
INSERT INTO quern_counts VALUES(5, 1, 10002);
COMMIT;
)sql");
  }
  SqliteStorage storage(path);
  CHECK(listed(storage, {.tag = "00001"}) == Ids{1, 70'000});
  CHECK(listed(storage, {.tag = "10001"}) == Ids{10'001});
  CHECK(RawDb(path).value("SELECT count(*) FROM quern_labels") == "10001");
  CHECK(quern_test::SqliteConsistency(path).faults() == std::vector<std::string>{});
}

TEST_CASE("a process of schema version 1 that still has the file open fails at its next write",
          "[storage][sqlite]") {
  const TempFolder folder;
  const std::string path = (folder / "jobs.db").string();
  const RawDb old(path);
  old.run(version_1);
  const std::string count =
      "INSERT INTO quern_counts(state, lane, n) VALUES(3, 1, 1) ON CONFLICT(state, lane) DO UPDATE SET n = n "
      "+ 1";
  old.run(count);
  SqliteStorage storage(path);
  CHECK_THROWS_WITH(old.run(count), Catch::Matchers::ContainsSubstring("no such table"));
  CHECK(RawDb(path).value("SELECT n FROM quern_totals") == "1");
}
