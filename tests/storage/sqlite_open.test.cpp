// Opening, making and upgrading a file, alone and by many at once.

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <set>
#include <thread>

#include "quern/sqlite.hpp"
#include "storage/sqlite_consistency.hpp"
#include "support/catch.hpp"

namespace {

namespace fs = std::filesystem;
using quern::JobId;
using quern::NewJob;
using quern::SqliteStorage;
using quern::StorageError;
using quern_test::RawDb;
using quern_test::TempFolder;

std::string refusal(const std::string& path) {
  try {
    const SqliteStorage storage(path);
  } catch (const StorageError& e) {
    CHECK_FALSE(e.transient());
    return e.what();
  }
  return "opened";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("sqlite:PATH opens a SqliteStorage", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  const quern::ManualClock clock;
  auto storage = quern::open_storage("sqlite:" + path, clock);
  CHECK(storage.describe() == "sqlite:" + path);
  CHECK(storage.clock().now() == clock.now());
  const NewJob job{.id = storage.reserve_ids(1), .kind = "work"};
  storage.insert({&job, 1});
  CHECK(SqliteStorage(path).count().size() == 1);
}

TEST_CASE("a new file is durable by default and says whose it is", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  {
    const SqliteStorage storage(path);
  }
  const RawDb db(path);
  CHECK(db.value("PRAGMA journal_mode") == "wal");
  CHECK(db.value("PRAGMA application_id") == "1903522414");  // "qurn"
  CHECK(db.value("SELECT value FROM quern_meta WHERE name = 'schema'") == "2");
  CHECK(fs::file_size(path) % 4096 == 0);
}

TEST_CASE("an existing file of the host's is taken as it is", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "host.db").string();
  SECTION("empty") { quern_test::write_text(path, ""); }
  SECTION("in another journal mode and page size") {
    RawDb(path).run("PRAGMA page_size=8192; PRAGMA journal_mode=DELETE; CREATE TABLE t(x)");
  }
  SECTION("open elsewhere") {
    const RawDb other(path);
    other.run("CREATE TABLE t(x)");
    CHECK(refusal(path) == "opened");
    other.run("INSERT INTO t VALUES(1)");
  }
  SqliteStorage storage(path);
  const NewJob job{.id = storage.reserve_ids(1), .kind = "work"};
  storage.insert({&job, 1});
  CHECK(storage.count().size() == 1);
}

TEST_CASE("I33 a file of a newer quern is refused, naming both versions, and left as it is",
          "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  {
    const SqliteStorage storage(path);
  }
  RawDb(path).run("UPDATE quern_meta SET value = 9 WHERE name = 'schema'; PRAGMA wal_checkpoint(TRUNCATE)");
  const auto before = quern_test::read_text(path);
  const auto text = refusal(path);
  CHECK(contains(text, path));
  CHECK(contains(text, "schema version 9"));
  CHECK(contains(text, "up to 2"));
  CHECK(quern_test::read_text(path) == before);
}

TEST_CASE("I33 a storage whose file was upgraded meanwhile does not write into it through a host",
          "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  SqliteStorage storage(path);
  const RawDb host(path);
  host.run("UPDATE quern_meta SET value = 9 WHERE name = 'schema'");
  host.run("BEGIN IMMEDIATE");
  std::vector<NewJob> jobs(1);
  jobs[0].kind = "work";
  CHECK_THROWS_AS(storage.insert_within(host.handle(), jobs), StorageError);
}

TEST_CASE("a table that only looks like quern's is left alone", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "host.db").string();
  const RawDb db(path);
  const auto table =
      GENERATE(as<std::string>(), "CREATE TABLE quern_meta(a, b)", "CREATE TABLE quern_meta(name, value)",
               "CREATE TABLE quern_meta(name, value); INSERT INTO "
               "quern_meta VALUES('schema', 'x')");
  db.run(table);
  CHECK(contains(refusal(path), "not quern's own"));
  CHECK(db.value("SELECT count(*) FROM sqlite_master") == "1");
}

TEST_CASE("a database that keeps text as UTF-16 is refused", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "host.db").string();
  RawDb(path).run("PRAGMA encoding='UTF-16'; CREATE TABLE t(x)");
  CHECK(contains(refusal(path), "UTF-16"));
}

TEST_CASE("tables that are missing are an error that names the file", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  {
    const SqliteStorage storage(path);
  }
  RawDb(path).run("DROP TABLE quern_jobs");
  SqliteStorage storage(path);
  const NewJob job{.id = JobId{1}, .kind = "work"};
  try {
    storage.insert({&job, 1});
    FAIL("inserted into nothing");
  } catch (const StorageError& e) {
    CHECK_FALSE(e.transient());
    CHECK(contains(e.what(), path));
    CHECK(contains(e.what(), "quern_jobs"));
  }
}

TEST_CASE("I33 many threads that open a new file at once make it once", "[storage][sqlite]") {
  for (int round = 0; round < 5; ++round) {
    const TempFolder folder;
    const auto path = (folder / "jobs.db").string();
    std::atomic<int> failures = 0;
    std::atomic<bool> go = false;
    std::vector<std::thread> threads;
    for (int i = 0; i < 6; ++i) {
      threads.emplace_back([&] {
        while (!go) std::this_thread::yield();
        try {
          SqliteStorage storage(path);
          const NewJob job{.id = storage.reserve_ids(1), .kind = "work"};
          storage.insert({&job, 1});
        } catch (const std::exception&) {
          ++failures;
        }
      });
    }
    go = true;
    for (auto& thread : threads) thread.join();
    CHECK(failures == 0);
    CHECK(SqliteStorage(path).count().at(0).count == 6);
    CHECK(quern_test::SqliteConsistency(path).faults().empty());
  }
}

TEST_CASE("I33 many processes that open a new file at once make it once", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  std::vector<pid_t> children;
  for (int i = 0; i < 6; ++i) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      int result = 1;
      try {
        SqliteStorage storage(path);
        const NewJob job{.id = storage.reserve_ids(1), .kind = "work"};
        storage.insert({&job, 1});
        result = 0;
      } catch (const std::exception&) {
      }
      _exit(result);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  }
  CHECK(SqliteStorage(path).count().at(0).count == 6);
  CHECK(quern_test::SqliteConsistency(path).faults().empty());
}

TEST_CASE("other objects' changes are noticed, and one's own are not", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  SqliteStorage first(path);
  SqliteStorage second(path);
  const auto before = first.foreign_changes();
  CHECK(first.foreign_changes() == before);
  const NewJob job{.id = first.reserve_ids(1), .kind = "work"};
  first.insert({&job, 1});
  static_cast<void>(first.list({}));
  static_cast<void>(second.list({}));
  CHECK(first.foreign_changes() == before);
  second.put_record({.collection = "c", .key = "k"});
  const auto after = first.foreign_changes();
  CHECK(after != before);
  CHECK(first.foreign_changes() == after);
}

TEST_CASE("calls that find nothing to do take no lock from others", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  SqliteStorage storage(path, {.busy_timeout = std::chrono::microseconds(0)});
  const auto node = storage.register_node({.name = "n", .host = "h"});
  const RawDb other(path);
  other.run("BEGIN IMMEDIATE");  // whoever wants to write now fails at once
  CHECK(storage.claim({.node = node, .limit = 1, .kinds = {{"work", 1, 3}}, .queues = {}}).empty());
  CHECK(storage.promote(10).next == quern::TimePoint::max());
  CHECK(storage.rescue(10, 3).rescued == 0);
  static_cast<void>(storage.foreign_changes());
  CHECK(storage.cancel_requests(node).empty());
}

TEST_CASE("more threads read than there are connections", "[storage][sqlite]") {
  const TempFolder folder;
  SqliteStorage storage((folder / "jobs.db").string(), {.readers = 2});
  std::vector<NewJob> jobs(20);
  JobId next = storage.reserve_ids(jobs.size());
  for (auto& job : jobs) job = {.id = JobId{next.value++}, .kind = "work"};
  storage.insert(jobs);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        if (storage.list({}).jobs.size() != jobs.size()) ++wrong;
        if (!storage.find({&jobs[0].id, 1}).at(0)) ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
}
