// PostgreSQL behind a storage in memory, and jobs that are copied from one storage to another.
#include <memory>
#include <string>

#include "postgres/fixture.hpp"
#include "quern/postgres.hpp"
#include "quern/sqlite.hpp"
#include "quern/storage/copy_jobs.hpp"
#include "quern/storage/write_behind.hpp"
#include "quern/testing/random_life.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"

using namespace std::chrono_literals;
using quern::JobDurability;
using quern::JobState;
using quern::NewJob;
using quern::PostgresStorage;
using quern::StorageError;
using quern_test::PostgresServer;

namespace {

std::vector<std::string> images(quern::BackupPort& backup) {
  std::vector<std::string> lines;
  for (quern::JobId after{};;) {
    const auto some = backup.read_images(after, 100);
    if (some.empty()) return lines;
    for (const auto& image : some) lines.push_back(quern::testing::to_text(image));
    after = some.back().job.id;
  }
}

using WriteBehind = quern::WriteBehindStorage<quern::MemoryStorage, PostgresStorage>;

}  // namespace

TEST_CASE("jobs are kept in memory with PostgreSQL behind them", "[postgres][images]") {
  if (PostgresServer::shared() == nullptr) return;
  const auto schema = PostgresServer::new_schema();
  const quern::PostgresOptions options{.schema = schema};
  const quern::WriteBehindOptions behind{.kinds = {{"committed", JobDurability::committed}}};
  quern::JobId committed;
  quern::JobId later;
  {
    PostgresStorage database(PostgresServer::shared()->address(), options);
    WriteBehind storage(database, behind);
    quern::JobQueue queue(storage);
    committed = queue.enqueue("committed", quern::Payload()).id;
    CHECK(database.find({&committed, 1}).at(0)->state == JobState::ready);  // already there
    later = queue.enqueue("later", quern::Payload()).id;
    quern::HandlerRegistry handlers;
    handlers.on("committed", [](quern::JobContext&) {});
    quern::Processor(queue, handlers).run_until_idle();
    CHECK(database.find({&committed, 1}).at(0)->state == JobState::completed);

    // Another process can't have them meanwhile.
    PostgresStorage other(PostgresServer::shared()->address(), options);
    CHECK(other.find({&committed, 1}).at(0).has_value());
    const NewJob job{.id = quern::JobId{900'000'000}, .kind = "work"};
    CHECK_THROWS_AS(other.insert({&job, 1}), StorageError);
    CHECK_THROWS_AS(WriteBehind(other, behind), StorageError);
  }
  PostgresStorage database(PostgresServer::shared()->address(), options);
  CHECK(database.find({&committed, 1}).at(0)->state == JobState::completed);
  CHECK(database.find({&later, 1}).at(0)->state == JobState::ready);
  CHECK(database.recount().empty());
}

TEST_CASE("the jobs of a keeper whose session has ended are anybody's, and it notices",
          "[postgres][images]") {
  if (PostgresServer::shared() == nullptr) return;
  const auto schema = PostgresServer::new_schema();
  PostgresStorage database(PostgresServer::shared()->address(), {.schema = schema});
  WriteBehind storage(database, {.durability = JobDurability::committed, .thread = false});
  const auto node = storage.register_node({.name = "node", .host = "here"});
  const NewJob job{.id = storage.reserve_ids(1), .kind = "work"};
  storage.insert({&job, 1});
  REQUIRE(storage.claim({.node = node, .limit = 1, .kinds = {{"work", 1, 3}}}).size() == 1);
  PostgresServer::shared()->end_sessions(
      "pg_locks WHERE locktype = 'advisory' AND classid = "
      "1903522419 AND mode = 'ExclusiveLock'");
  PostgresStorage other(PostgresServer::shared()->address(), {.schema = schema});
  const auto next = other.register_node({.name = "next", .host = "there"});
  CHECK(other.rescue(10, 3).rescued == 1);
  CHECK(other.claim({.node = next, .limit = 1, .kinds = {{"work", 1, 3}}}).size() == 1);
  const NewJob late{.id = quern::JobId{job.id.value + 1}, .kind = "work"};
  CHECK_THROWS_AS(storage.insert({&late, 1}), StorageError);
  CHECK(other.find({&late.id, 1}).at(0) == std::nullopt);
  CHECK(other.recount().empty());
}

TEST_CASE("a SQLite file is copied to PostgreSQL, and back", "[postgres][images]") {
  if (PostgresServer::shared() == nullptr) return;
  const quern_test::TempFolder folder;
  quern::ManualClock clock;
  quern::StorageAdapter<quern::SqliteStorage> file((folder / "jobs.db").string(),
                                                   quern::SqliteOptions{.clock = clock});
  quern::testing::RandomLife life(clock, 7);
  life.begin(file);
  for (int i = 0; i < 800; ++i) life.step();
  clock.advance(48h);  // no lease lives on
  file.rescue(100'000, 3);
  const quern::LimitRule rule{.name = "two", .queue = "mail", .max_running = 2};
  file.set_limit(rule);
  const auto before = images(*file.backup());
  REQUIRE(before.size() > 50);

  const auto open = [&] {
    return std::make_unique<quern::StorageAdapter<PostgresStorage>>(
        PostgresServer::shared()->address(),
        quern::PostgresOptions{.schema = PostgresServer::new_schema(), .clock = clock});
  };
  const auto database = open();
  const auto result = quern::copy_jobs(file, *database);
  CHECK(result.jobs == before.size());
  CHECK(quern::testing::differences(images(*database->backup()), before).empty());
  CHECK(
      quern::testing::differences(quern::testing::to_text(*database), quern::testing::to_text(file)).empty());
  CHECK(database->recount().empty());
  REQUIRE(database->limits().size() == 1);
  CHECK(database->limits()[0].rule == rule);
  const auto reserved = database->reserve_ids(1);
  CHECK(reserved.value > database->backup()->read_images({}, 100'000).back().job.id.value);
  CHECK_THROWS_AS(quern::copy_jobs(file, *database), quern::InvalidArgument);  // it has jobs
  CHECK(database->nodes().empty());
  CHECK(file.nodes().empty());

  quern::StorageAdapter<quern::SqliteStorage> second((folder / "second.db").string(),
                                                     quern::SqliteOptions{.clock = clock});
  CHECK(quern::copy_jobs(*database, second).jobs == before.size());
  CHECK(quern::testing::differences(images(*second.backup()), before).empty());

  // While somebody works there nothing is copied.
  const auto busy = open();
  const auto node = busy->register_node({.name = "node", .host = "here"});
  CHECK_THROWS_AS(quern::copy_jobs(file, *busy), StorageError);
  busy->retire(node);
  CHECK(quern::copy_jobs(file, *busy).jobs == before.size());
}
