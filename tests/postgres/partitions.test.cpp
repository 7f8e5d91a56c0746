// Old jobs go by dropping partitions.
#include <libpq-fe.h>

#include <string>

#include "postgres/fixture.hpp"
#include "quern/core/clock.hpp"
#include "quern/postgres.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using quern::JobId;
using quern::JobState;
using quern::NewJob;
using quern::PostgresStorage;
using quern_test::PostgresServer;

namespace {

/// A storage that puts a thousand ids into a partition.
struct Old {
  quern::ManualClock clock;
  std::string schema = PostgresServer::new_schema();
  PostgresStorage storage{PostgresServer::shared()->address(), {.schema = schema, .clock = clock}};
  quern::NodeId node;

  Old() {
    sql("DROP TABLE " + schema + ".job_0, " + schema + ".outcome_0, " + schema + ".tag_0");
    sql("UPDATE " + schema + ".meta SET value = 1000 WHERE name = 'partition'");
    sql("SELECT " + schema + ".make_partitions(1, 3000)");
    storage.reserve_ids(2500);
    node = storage.register_node({.name = "node", .host = "here", .lease = 24h});
  }
  static std::string sql(const std::string& text) { return PostgresServer::shared()->run(text); }
  void add(NewJob job) { CHECK(storage.insert({&job, 1}).at(0).status == quern::InsertStatus::added); }
  /// Runs what is ready, to an end as the id says.
  void run_all() {
    storage.promote(10'000);
    for (const auto& claim : storage.claim(
             {.node = node, .limit = 10'000, .kinds = {{"work", 10'000, 3}, {"other", 10'000, 3}}})) {
      const quern::Finish finish{
          .ref = claim.ref,
          .outcome = claim.ref.id.value % 10 == 3 ? quern::Outcome::discarded : quern::Outcome::completed};
      storage.finish({&finish, 1});
    }
  }
  std::size_t prune(JobState state, quern::Duration older_than, std::size_t limit = 10) {
    return storage.prune({.state = state, .older_than = older_than, .limit = limit}).pruned;
  }
  [[nodiscard]] bool there(int partition) const {
    return sql("SELECT to_regclass('" + schema + ".job_" + std::to_string(partition) + "') IS NOT NULL") ==
           "t";
  }
  [[nodiscard]] bool exists(std::uint64_t id) {
    const JobId job{id};
    return storage.find({&job, 1}).at(0).has_value();
  }
};

}  // namespace

TEST_CASE("a partition is dropped once everything in it may be pruned", "[postgres][partitions]") {
  if (PostgresServer::shared() == nullptr) return;
  Old old;
  for (std::uint64_t id = 1; id <= 150; ++id) {
    NewJob job{.id = JobId{id}, .kind = id % 2 == 0 ? "work" : "other", .tags = {"tag"}};
    if (id == 8) job.unique = {.key = "kept", .while_completed = true};
    old.add(job);
  }
  old.add({.id = JobId{1500}, .kind = "work"});
  old.run_all();
  old.sql("ANALYZE " + old.schema + ".outcome_0");
  REQUIRE(old.storage.key_holder("kept") == JobId{8});
  old.clock.advance(2h);
  // The dead ones are to be kept for longer.
  CHECK(old.prune(JobState::dead, 24h) == 0);
  CHECK(old.prune(JobState::completed, 2h) == 1);  // the lone one; the others wait for their partition
  CHECK_FALSE(old.exists(1500));
  CHECK(old.there(0));
  old.clock.advance(30min);
  CHECK(old.prune(JobState::completed, 2h) == 10);  // no longer
  CHECK(old.exists(23));
  old.clock.advance(23h);
  CHECK(old.prune(JobState::dead, 24h, 1) >= 5);
  while (old.prune(JobState::completed, 2h) > 0) {
  }
  CHECK_FALSE(old.there(0));
  CHECK_FALSE(old.exists(23));
  CHECK(old.prune(JobState::completed, 2h) == 0);
  CHECK_FALSE(old.there(1));  // it was empty
  CHECK_FALSE(old.storage.key_holder("kept").has_value());
  CHECK(old.there(2));  // it is in use
  CHECK(old.storage.recount().empty());
  // An id of it that somebody reserved long ago can still be used.
  old.add({.id = JobId{999}, .kind = "work"});
  CHECK(old.exists(999));
}

TEST_CASE("a partition with a job that lives, or that another one waits for, stays",
          "[postgres][partitions]") {
  if (PostgresServer::shared() == nullptr) return;
  for (const bool needed : {false, true}) {
    CAPTURE(needed);
    Old old;
    for (std::uint64_t id = 1; id <= 5; ++id) old.add({.id = JobId{id}, .kind = "work"});
    if (needed) {
      old.add({.id = JobId{2100},
               .kind = "work",
               .parents = {JobId{3}},
               .on_parent_failure = quern::ParentPolicy::stay_blocked});
    } else {
      old.add({.id = JobId{6}, .kind = "work", .run_at = quern::When::after(10'000h)});
    }
    old.run_all();  // number 3 is dead now
    old.clock.advance(100h);
    old.prune(JobState::dead, 1h);
    for (int i = 0; i < 5; ++i) {
      old.prune(JobState::completed, 1h);
      old.clock.advance(1h);
    }
    CHECK(old.there(0));
    CHECK_FALSE(old.exists(1));
    CHECK(old.exists(needed ? 3 : 6));
    CHECK(old.storage.recount().empty());
    // When nothing of it is needed any more it goes.
    const JobId last{needed ? 2100U : 6U};
    old.storage.cancel({&last, 1}, "somebody");
    old.clock.advance(100h);
    for (const auto state : {JobState::cancelled, JobState::dead, JobState::completed}) {
      while (old.prune(state, 1h) > 0) {
      }
      old.clock.advance(1h);
    }
    old.prune(JobState::completed, 1h);
    CHECK_FALSE(old.there(0));
    CHECK(old.storage.recount().empty());
  }
}

TEST_CASE("a transaction that uses a partition puts its end off, and prune goes on",
          "[postgres][partitions]") {
  if (PostgresServer::shared() == nullptr) return;
  Old old;
  old.add({.id = JobId{1}, .kind = "work"});
  old.run_all();
  old.clock.advance(100h);
  PGconn* const host = PQconnectdb(PostgresServer::shared()->address().c_str());
  PQclear(PQexec(host, "BEGIN"));
  PQclear(PQexec(host, ("SELECT count(*) FROM " + old.schema + ".job").c_str()));
  CHECK(old.prune(JobState::completed, 1h) == 1);  // by itself
  old.clock.advance(1h);
  CHECK(old.prune(JobState::completed, 1h) == 0);
  CHECK(old.there(0));
  PQclear(PQexec(host, "COMMIT"));
  PQfinish(host);
  old.clock.advance(1h);
  old.prune(JobState::completed, 1h);
  CHECK_FALSE(old.there(0));
  CHECK(old.storage.recount().empty());
}
