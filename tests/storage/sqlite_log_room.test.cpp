// The write-ahead log grows ahead of the commits, so that they do not wait for the file system's journal.
#include <filesystem>
#include <string>
#include <vector>

#include "sqlite_consistency.hpp"
#include "sqlite_fault_vfs.hpp"
#include "sqlite_fixture.hpp"
#include "support/catch.hpp"

using quern::SqliteStorage;
using quern_test::FaultVfs;
using quern_test::Io;
using quern_test::TempFolder;

namespace {

void put(SqliteStorage& storage, int number) {
  storage.put_record({.collection = "c", .key = std::to_string(number)});
}

}  // namespace

TEST_CASE("the log of a SQLite file grows in large steps, and no further than to its checkpoint",
          "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  const auto log_size = [&] { return std::filesystem::file_size(path + "-wal"); };
  {
    SqliteStorage storage(path, {.wal_autocheckpoint = 100});
    for (int i = 0; i < 5; ++i) put(storage, i);
    CHECK(log_size() < 256U << 10U);  // whoever writes little keeps a small log
    for (int i = 5; i < 50; ++i) put(storage, i);
    int steps = 0;
    auto last = log_size();
    CHECK(last >= 256U << 10U);
    for (int i = 50; i < 400; ++i) {
      put(storage, i);
      if (log_size() != last) ++steps;
      last = log_size();
    }
    CHECK(steps <= 2);
    CHECK(last < 100U * 4120U + (600U << 10U));
    CHECK(storage.list_records("c", "", 1000).size() == 400);
    // Who opens it now reads the log with its zeros at the end.
    CHECK(SqliteStorage(path).list_records("c", "", 1000).size() == 400);
  }
  CHECK(quern_test::SqliteConsistency(path).faults().empty());
  CHECK(SqliteStorage(path).list_records("c", "", 1000).size() == 400);
}

TEST_CASE("a log that cannot grow ahead of the commits grows with them", "[storage][sqlite]") {
  FaultVfs vfs;
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  {
    SqliteStorage storage(path, {.vfs = vfs.name()});
    int refused = 0;
    vfs.set([&](Io call, const char* file) {
      const bool to_log = file != nullptr && std::string(file).ends_with("-wal");
      if (call != Io::write || !to_log || vfs.write_size <= 4096) return SQLITE_OK;
      ++refused;
      return SQLITE_FULL;
    });
    for (int i = 0; i < 50; ++i) put(storage, i);
    CHECK(refused >= 1);
    CHECK(refused <= 2);  // it is not tried for each commit
    vfs.set({});
    CHECK(storage.list_records("c", "", 1000).size() == 50);
  }
  CHECK(quern_test::SqliteConsistency(path).faults().empty());
}

TEST_CASE("after a large transaction the log does not grow as much again", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  const auto log_size = [&] { return std::filesystem::file_size(path + "-wal"); };
  SqliteStorage storage(path, {.durability = quern::Durability::normal});
  std::vector<quern::NewJob> jobs(41);
  for (auto& job : jobs) {
    job.id = storage.reserve_ids(1);
    job.kind = "work";
    job.payload = quern::Payload::json("\"" + std::string(1'000'000, 'x') + "\"");
  }
  storage.insert(jobs);
  const auto large = log_size();
  CHECK(large >= 40'000'000);
  put(storage, 1);
  CHECK(log_size() <= large + 8'000'000);
}
