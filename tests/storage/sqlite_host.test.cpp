// Enqueueing inside the host's own transaction.

#include <sqlite3.h>

#include <thread>

#include "quern/sqlite.hpp"
#include "storage/sqlite_consistency.hpp"
#include "support/catch.hpp"

namespace {

using namespace std::chrono_literals;
using quern::InsertStatus;
using quern::InvalidArgument;
using quern::JobId;
using quern::JobState;
using quern::NewJob;
using quern::SqliteStorage;
using quern::StorageError;
using quern_test::RawDb;
using quern_test::TempFolder;

std::optional<quern::Job> find(SqliteStorage& storage, JobId id) { return storage.find({&id, 1}).at(0); }

/// A host with a table of its own, and quern's jobs in the same file.
struct Host {
  TempFolder folder;
  std::string path = (folder / "host.db").string();
  RawDb db{path};
  SqliteStorage storage{(db.run("CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT)"), path)};

  std::vector<NewJob> jobs(std::size_t count, const std::string& queue = "mails") {
    std::vector<NewJob> jobs(count);
    for (NewJob& job : jobs) job = {.kind = "mail", .queue = queue};
    return jobs;
  }
  std::string field_of(sqlite3* handle) {
    auto one = jobs(1);
    try {
      storage.insert_within(handle, one);
    } catch (const InvalidArgument& e) {
      CHECK_FALSE(one[0].id);
      return e.field() + ": " + e.what();
    }
    return "none";
  }
  ~Host() { CHECK(quern_test::SqliteConsistency(path).faults().empty()); }
};

}  // namespace

TEST_CASE("I02 a job added within the host's transaction is there if and only if that commits",
          "[storage][sqlite]") {
  Host host;
  const bool commits = GENERATE(true, false);
  const auto changes = host.storage.foreign_changes();
  host.db.run("BEGIN IMMEDIATE");
  host.db.run("INSERT INTO orders(item) VALUES('book')");
  const auto row = sqlite3_last_insert_rowid(host.db.handle());
  auto jobs = host.jobs(3);
  const auto results = host.storage.insert_within(host.db.handle(), jobs);
  REQUIRE(results.size() == 3);
  for (const auto& result : results) CHECK(result.status == InsertStatus::added);
  CHECK(jobs[0].id);
  CHECK(jobs[1].id.value == jobs[0].id.value + 1);
  CHECK(sqlite3_last_insert_rowid(host.db.handle()) == row);
  CHECK_FALSE(find(host.storage, jobs[0].id));  // not yet
  host.db.run(commits ? "COMMIT" : "ROLLBACK");
  CHECK(host.db.value("SELECT count(*) FROM orders") == (commits ? "1" : "0"));
  for (const auto& job : jobs) CHECK(find(host.storage, job.id).has_value() == commits);
  CHECK((host.storage.foreign_changes() != changes) == commits);
  CHECK(host.storage.count().empty() != commits);
}

TEST_CASE("I02 a lane of a transaction that was rolled back is not remembered", "[storage][sqlite]") {
  Host host;
  host.db.run("BEGIN IMMEDIATE");
  auto lost = host.jobs(1, "lost");
  host.storage.insert_within(host.db.handle(), lost);
  host.db.run("ROLLBACK");
  // Other names now get the numbers that the host's transaction had used.
  const std::vector<NewJob> other{{.id = host.storage.reserve_ids(1), .kind = "other", .queue = "kept"}};
  host.storage.insert(other);
  host.db.run("BEGIN IMMEDIATE");
  auto again = host.jobs(1, "lost");
  host.storage.insert_within(host.db.handle(), again);
  host.db.run("COMMIT");
  CHECK(find(host.storage, other[0].id)->queue == "kept");
  CHECK(find(host.storage, again[0].id)->queue == "lost");
  const auto counts = host.storage.count();
  REQUIRE(counts.size() == 2);
  CHECK(counts[0] == quern::JobCount{"kept", "other", JobState::ready, 1});
  CHECK(counts[1] == quern::JobCount{"lost", "mail", JobState::ready, 1});
}

TEST_CASE("jobs added within the host's transaction keep every rule of an insert", "[storage][sqlite]") {
  Host host;
  NewJob holder{.id = host.storage.reserve_ids(1), .kind = "mail", .unique = {.key = "k"}};
  host.storage.insert({&holder, 1});
  host.db.run("BEGIN IMMEDIATE");
  std::vector<NewJob> jobs{
      {.kind = "mail", .unique = {.key = "k"}},                                                // a duplicate
      {.kind = "mail", .run_at = quern::When::after(1h), .deadline = quern::When::after(2h)},  // scheduled
      {.kind = "mail", .parents = {holder.id}},                                                // blocked
      {.id = holder.id, .kind = "mail"},                                                       // repeated
      {.kind = "mail", .unique = {.key = "k", .on_conflict = quern::UniqueConflict::replace}},
  };
  const auto results = host.storage.insert_within(host.db.handle(), jobs);
  CHECK(results[0].status == InsertStatus::duplicate);
  CHECK(results[0].holder == holder.id);
  CHECK(results[3].status == InsertStatus::repeated);
  CHECK(results[4].status == InsertStatus::replaced);
  host.db.run("COMMIT");
  CHECK(find(host.storage, jobs[1].id)->state == JobState::scheduled);
  CHECK(find(host.storage, jobs[2].id)->state == JobState::cancelled);  // with its parent, which was replaced
  CHECK(find(host.storage, holder.id)->state == JobState::cancelled);
  CHECK(find(host.storage, jobs[4].id)->state == JobState::ready);
}

TEST_CASE("a refused insert leaves the host's transaction as it was", "[storage][sqlite]") {
  Host host;
  host.db.run("BEGIN IMMEDIATE");
  host.db.run("INSERT INTO orders(item) VALUES('book')");
  auto good = host.jobs(1);
  host.storage.insert_within(host.db.handle(), good);
  std::vector<NewJob> bad{{.kind = "mail"}, {.kind = "mail", .parents = {JobId{4'000'000}}}};
  CHECK_THROWS_AS(host.storage.insert_within(host.db.handle(), bad), InvalidArgument);
  CHECK_FALSE(bad[0].id);
  CHECK_FALSE(bad[1].id);
  auto more = host.jobs(2);
  host.storage.insert_within(host.db.handle(), more);
  CHECK(more[0].id.value == good[0].id.value + 1);  // the ids of the refused ones were undone, too
  host.db.run("COMMIT");
  CHECK(host.db.value("SELECT count(*) FROM orders") == "1");
  CHECK(find(host.storage, good[0].id).has_value());
  CHECK(host.storage.count().at(0).count == 3);
}

TEST_CASE("a connection that can't take part is refused with the reason", "[storage][sqlite]") {
  Host host;
  CHECK(host.field_of(nullptr).starts_with("host: host: is null"));
  CHECK(host.field_of(host.db.handle()).find("no open transaction") != std::string::npos);

  const RawDb other((host.folder / "other.db").string());
  other.run("BEGIN IMMEDIATE");
  CHECK(host.field_of(other.handle()).find(host.path) != std::string::npos);
  other.run("ROLLBACK");

  const RawDb memory(":memory:");
  memory.run("BEGIN");
  CHECK(host.field_of(memory.handle()).find("not the file of this storage") != std::string::npos);
}

TEST_CASE("the host may name the file by another path", "[storage][sqlite]") {
  Host host;
  std::filesystem::create_symlink(host.path, host.folder / "link.db");
  const RawDb link((host.folder / "link.db").string());
  link.run("BEGIN IMMEDIATE");
  auto jobs = host.jobs(1);
  host.storage.insert_within(link.handle(), jobs);
  link.run("COMMIT");
  CHECK(find(host.storage, jobs[0].id).has_value());
}

TEST_CASE("a host's transaction that is only read so far and meets a writer fails cleanly",
          "[storage][sqlite]") {
  Host host;
  sqlite3_busy_timeout(host.db.handle(), 10);
  host.db.run("BEGIN");
  static_cast<void>(host.db.value("SELECT count(*) FROM orders"));
  const NewJob elsewhere{.id = host.storage.reserve_ids(1), .kind = "mail"};
  host.storage.insert({&elsewhere, 1});
  auto jobs = host.jobs(1);
  try {
    host.storage.insert_within(host.db.handle(), jobs);
    FAIL("it can't see what it would write over");
  } catch (const StorageError& e) {
    CHECK(e.transient());
  }
  CHECK_FALSE(jobs[0].id);
  host.db.run("ROLLBACK");
  host.db.run("BEGIN IMMEDIATE");
  host.storage.insert_within(host.db.handle(), jobs);
  host.db.run("COMMIT");
  CHECK(find(host.storage, jobs[0].id).has_value());
}

TEST_CASE("a host that holds the lock and a writer of the storage do not wait for each other for ever",
          "[storage][sqlite]") {
  Host host;
  host.db.run("BEGIN IMMEDIATE");
  std::atomic<bool> inserted = false;
  std::thread writer([&] {
    const NewJob job{.id = host.storage.reserve_ids(1), .kind = "mail"};  // waits for the host
    host.storage.insert({&job, 1});
    inserted = true;
  });
  auto jobs = host.jobs(1);
  for (int i = 0; i < 5; ++i) {
    for (auto& job : jobs) job.id = JobId{};
    host.storage.insert_within(host.db.handle(), jobs);
  }
  CHECK_FALSE(inserted);
  host.db.run("COMMIT");
  writer.join();
  CHECK(host.storage.count().at(0).count + host.storage.count().at(1).count == 6);
}

TEST_CASE("quern leaves everything of the host's file alone", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "host.db").string();
  const RawDb db(path);
  db.run(
      "PRAGMA user_version=77; PRAGMA application_id=1234; CREATE TABLE jobs(x); INSERT INTO jobs VALUES(1)");
  {
    SqliteStorage storage(path);
    const NewJob job{.id = storage.reserve_ids(1), .kind = "mail"};
    storage.insert({&job, 1});
  }
  CHECK(db.value("PRAGMA user_version") == "77");
  CHECK(db.value("PRAGMA application_id") == "1234");
  CHECK(db.value("SELECT count(*) FROM jobs") == "1");
  for (const auto& row :
       db.rows("SELECT name FROM sqlite_master WHERE type IN ('table', 'index') AND tbl_name <> 'jobs'"))
    CHECK((row[0].starts_with("quern_") || row[0].starts_with("sqlite_autoindex_quern_")));
}
