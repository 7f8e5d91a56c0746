// What goes wrong with a file: each fault is a clear StorageError, loses nothing that was acknowledged, and
// is over when its cause is.

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <optional>
#include <thread>

#include "quern/sqlite.hpp"
#include "storage/sqlite_consistency.hpp"
#include "storage/sqlite_fault_vfs.hpp"
#include "support/catch.hpp"

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using quern::JobId;
using quern::NewJob;
using quern::SqliteOptions;
using quern::SqliteStorage;
using quern::StorageError;
using quern_test::failing;
using quern_test::FaultVfs;
using quern_test::Io;
using quern_test::RawDb;
using quern_test::TempFolder;

/// What a call failed with; fails the test when it did not.
template <class Call>
StorageError error_of(const Call& call) {
  try {
    call();
  } catch (const StorageError& e) {
    return e;
  }
  FAIL("no StorageError");
  return StorageError("", false);
}

bool says(const StorageError& error, const std::string& text) {
  return std::string(error.what()).find(text) != std::string::npos;
}

JobId add_one(SqliteStorage& storage, std::size_t payload_size = 10) {
  const std::string text(payload_size, 'x');
  const NewJob job{.id = storage.reserve_ids(1),
                   .kind = "work",
                   .payload = quern::Payload::json(fmt::format("\"{}\"", text))};
  storage.insert({&job, 1});
  return job.id;
}

bool is_there(SqliteStorage& storage, JobId id) { return storage.find({&id, 1}).at(0).has_value(); }

void check_sound(const std::string& path) { CHECK(quern_test::SqliteConsistency(path).faults().empty()); }

/// Acts as a user without root's right to write everything, where the tests run as root.
class PlainUser {
 public:
  PlainUser() {
    if (geteuid() == 0 && seteuid(65534) != 0) throw std::runtime_error("cannot become another user");
  }
  ~PlainUser() {
    if (getuid() == 0) static_cast<void>(!seteuid(0));
  }
};

}  // namespace

TEST_CASE("a path that can't be a database is refused with the reason", "[storage][sqlite]") {
  const TempFolder folder;
  const auto refused = [](const fs::path& path) {
    const auto error = error_of([&] { const SqliteStorage storage(path.string()); });
    CHECK_FALSE(error.transient());
    CHECK(says(error, path.string()));
    return error;
  };
  SECTION("a directory") { CHECK(says(refused(folder.path()), "is a directory")); }
  SECTION("a directory that is missing") {
    CHECK(says(refused(folder / "missing" / "jobs.db"), "missing does not exist"));
  }
  SECTION("a file of another kind stays as it was") {
    const std::string text = "This is a letter and no database.\n" + std::string(10'000, '-');
    quern_test::write_text(folder / "letter.txt", text);
    CHECK(says(refused(folder / "letter.txt"), "not a SQLite database"));
    CHECK(quern_test::read_text(folder / "letter.txt") == text);
  }
  SECTION("a file that may not be written") {
    const auto path = folder / "jobs.db";
    {
      SqliteStorage storage(path.string());
    }
    REQUIRE(::chmod(folder.path().c_str(), 0777) == 0);
    REQUIRE(::chmod(path.c_str(), 0444) == 0);
    const PlainUser user;
    CHECK(says(refused(path), "read-only"));
  }
  SECTION("a directory that may not be written") {
    const auto path = folder / "jobs.db";
    {
      SqliteStorage storage(path.string());
    }
    REQUIRE(::chmod(path.c_str(), 0666) == 0);
    REQUIRE(::chmod(folder.path().c_str(), 0555) == 0);
    {
      const PlainUser user;
      const auto error = refused(path);
      CHECK((says(error, "right to read and write") || says(error, "read-only")));
    }
    REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
  }
  SECTION("a directory in which nothing may be made") {
    REQUIRE(::chmod(folder.path().c_str(), 0555) == 0);
    {
      const PlainUser user;
      CHECK(says(refused(folder / "new.db"), "right to read and write"));
    }
    REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
  }
}

TEST_CASE("faulty options are refused by name", "[storage][sqlite]") {
  const TempFolder folder;
  const auto field_of = [&](std::string path, SqliteOptions options) {
    try {
      const SqliteStorage storage(std::move(path), std::move(options));
    } catch (const quern::InvalidArgument& e) {
      return e.field();
    }
    return std::string("none");
  };
  const auto path = (folder / "jobs.db").string();
  CHECK(field_of("", {}) == "path");
  CHECK(field_of(":memory:", {}) == "path");
  CHECK(field_of(std::string("a\0b", 3), {}) == "path");
  CHECK(field_of(path, {.busy_timeout = -1ms}) == "busy_timeout");
  CHECK(field_of(path, {.busy_timeout = 2h}) == "busy_timeout");
  CHECK(field_of(path, {.readers = 0}) == "readers");
  CHECK(field_of(path, {.wal_autocheckpoint = 0}) == "wal_autocheckpoint");
  CHECK(field_of(path, {.cache_mib = 0}) == "cache_mib");
  CHECK(field_of(path, {.vfs = "no such vfs"}) == "vfs");
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("a path is never read as a URI", "[storage][sqlite]") {
  const TempFolder folder;
  const auto before = fs::current_path();
  fs::current_path(folder.path());
  {
    SqliteStorage storage("file:jobs.db?mode=memory");
  }
  fs::current_path(before);
  CHECK(fs::exists(folder / "file:jobs.db?mode=memory"));
}

TEST_CASE("a lock held by another process is a transient error after the busy timeout", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  SqliteStorage storage(path, {.busy_timeout = 20ms});
  const JobId before = add_one(storage);
  const RawDb other(path);
  other.run("BEGIN IMMEDIATE");
  const auto error = error_of([&] { storage.reserve_ids(1); });
  CHECK(error.transient());
  CHECK(says(error, "locked"));
  CHECK(is_there(storage, before));  // reading goes on
  other.run("COMMIT");
  CHECK(is_there(storage, add_one(storage)));
}

TEST_CASE("a full disk acknowledges nothing and is over when there is room", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  FaultVfs vfs;
  {
    SqliteStorage storage(path, {.vfs = vfs.name()});
    const JobId before = add_one(storage);
    const JobId lost = storage.reserve_ids(1);
    vfs.set(failing(Io::write, SQLITE_FULL));
    const NewJob job{.id = lost, .kind = "work"};
    const auto error = error_of([&] { storage.insert({&job, 1}); });
    CHECK(error.transient());
    CHECK(says(error, "disk is full"));
    CHECK(is_there(storage, before));
    CHECK_FALSE(is_there(storage, lost));
    vfs.set({});
    CHECK(storage.insert({&job, 1}).at(0).status == quern::InsertStatus::added);
    CHECK(is_there(storage, lost));
  }
  check_sound(path);
}

TEST_CASE("a file at the size limit of its process behaves as a full disk", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  {
    SqliteStorage storage(path);
  }
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {  // no assertions here: the child only says by its exit code what it saw
    std::signal(SIGXFSZ, SIG_IGN);
    int result = 1;
    {
      SqliteStorage storage(path);
      const rlimit tight{600'000, RLIM_INFINITY};
      setrlimit(RLIMIT_FSIZE, &tight);
      std::vector<JobId> added;
      std::optional<bool> transient;
      try {
        for (int i = 0; i < 1000; ++i) added.push_back(add_one(storage, 2'000));
      } catch (const StorageError& e) {
        transient = e.transient() && says(e, "size limit");
      }
      const rlimit wide{RLIM_INFINITY, RLIM_INFINITY};
      setrlimit(RLIMIT_FSIZE, &wide);
      bool all = transient == true && added.size() > 10;
      try {
        added.push_back(add_one(storage, 2'000));
        for (const JobId id : added) all = all && is_there(storage, id);
      } catch (const StorageError&) {
        all = false;
      }
      result = all ? 0 : 2;
    }
    _exit(result);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  check_sound(path);
}

TEST_CASE("a failed fsync acknowledges nothing, and the file is opened anew", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  FaultVfs vfs;
  {
    SqliteStorage storage(path, {.vfs = vfs.name()});
    const JobId before = add_one(storage);
    std::atomic<int> opened = 0;
    std::atomic<bool> broken = true;
    vfs.set([&](Io call, const char*) {
      if (call == Io::open) ++opened;
      return call == Io::sync && broken ? SQLITE_IOERR_FSYNC : SQLITE_OK;
    });
    const auto error = error_of([&] { storage.reserve_ids(1); });
    CHECK(error.transient());
    CHECK(says(error, "fsync"));
    CHECK(opened == 0);
    broken = false;
    const JobId after = add_one(storage);
    CHECK(opened > 0);
    CHECK(is_there(storage, before));
    CHECK(is_there(storage, after));
    vfs.set({});
  }
  check_sound(path);
}

TEST_CASE("any single failure of the disk is an error that loses nothing acknowledged", "[storage][sqlite]") {
  // The n-th call of the kind fails, for each n until none fails any more.
  struct Fault {
    Io call;
    int code;
    bool for_ever;
  };
  const auto fault =
      GENERATE(Fault{Io::write, SQLITE_FULL, false}, Fault{Io::write, SQLITE_IOERR_WRITE, false},
               Fault{Io::sync, SQLITE_IOERR_FSYNC, false}, Fault{Io::read, SQLITE_IOERR_READ, false},
               Fault{Io::write, SQLITE_FULL, true}, Fault{Io::sync, SQLITE_IOERR_FSYNC, true},
               Fault{Io::map, SQLITE_IOERR_SHMMAP, false}, Fault{Io::size, SQLITE_IOERR_FSTAT, false},
               Fault{Io::truncate, SQLITE_IOERR_TRUNCATE, false});
  FaultVfs vfs;
  int failures = 0;
  for (int nth = 1;; ++nth) {
    const TempFolder folder;
    const auto path = (folder / "jobs.db").string();
    std::vector<JobId> added;
    std::vector<JobId> finished;
    int calls = 0;
    bool failed = false;
    {
      // Checkpoints often, so that the writes to the file itself are among those that fail.
      const auto durability = fault.call == Io::sync ? quern::Durability::full : quern::Durability::normal;
      SqliteStorage storage(path, {.durability = durability, .wal_autocheckpoint = 4, .vfs = vfs.name()});
      const auto node = storage.register_node({.name = "n", .host = "h"});
      const auto attempt = [&](const auto& call) {
        try {
          call();
        } catch (const StorageError&) {
          failed = true;
          vfs.set({});  // the disk is well again
          call();       // and the same object works
        }
      };
      vfs.set([&](Io call, const char*) {
        if (call != fault.call) return SQLITE_OK;
        ++calls;
        return calls == nth || (fault.for_ever && calls > nth) ? fault.code : SQLITE_OK;
      });
      for (int round = 0; round < 2; ++round) {
        JobId id{};
        attempt([&] { id = storage.reserve_ids(2); });
        const std::vector<NewJob> jobs{{.id = id, .kind = "work"},
                                       {.id = JobId{id.value + 1}, .kind = "work"}};
        attempt([&] { storage.insert(jobs); });
        for (const auto& job : jobs) added.push_back(job.id);
        std::vector<quern::Claim> claims;
        attempt([&] {
          claims = storage.claim({.node = node, .limit = 2, .kinds = {{"work", 2, 3}}, .queues = {}});
        });
        std::vector<quern::Finish> finishes;
        for (const auto& claim : claims)
          finishes.push_back({.ref = claim.ref, .result = quern::Payload::json("1")});
        std::vector<quern::FinishResult> results;
        attempt([&] { results = storage.finish(finishes); });
        for (std::size_t i = 0; i < results.size(); ++i) {
          if (results[i].status == quern::FinishStatus::recorded) finished.push_back(finishes[i].ref.id);
        }
        std::size_t counts = 0;
        attempt([&] { counts = storage.count().size(); });
        CHECK(counts > 0);
      }
      vfs.set({});
      for (const JobId id : added) CHECK(is_there(storage, id));
      for (const auto& job : storage.find(finished)) CHECK(job.value().state == quern::JobState::completed);
    }
    check_sound(path);
    // Some failures are no failure of a call: a checkpoint that did not succeed is tried again.
    failures += failed ? 1 : 0;
    if (calls < nth) break;
  }
  CAPTURE(static_cast<int>(fault.call), fault.code);
  if (fault.call == Io::write || fault.call == Io::sync) CHECK(failures > 3);
}

TEST_CASE("a damaged file is an error that stays and is never written over", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  {
    SqliteStorage storage(path);
    for (int i = 0; i < 50; ++i) add_one(storage, 1'000);
  }
  std::string bytes = quern_test::read_text(path);
  SECTION("pages overwritten") {
    for (std::size_t at = 4096; at < bytes.size(); ++at) bytes[at] = static_cast<char>(at * 7 % 251);
    quern_test::write_text(path, bytes);
    const auto error = error_of([&] {
      SqliteStorage storage(path);
      add_one(storage);
    });
    CHECK_FALSE(error.transient());
    CHECK(says(error, "damaged"));
    CHECK(quern_test::read_text(path).substr(4096) == bytes.substr(4096));
  }
  SECTION("the head overwritten") {
    bytes.replace(0, 100, std::string(100, 'Z'));
    quern_test::write_text(path, bytes);
    const auto error = error_of([&] { const SqliteStorage storage(path); });
    CHECK_FALSE(error.transient());
    CHECK(quern_test::read_text(path) == bytes);
  }
  SECTION("cut short") {
    quern_test::write_text(path, bytes.substr(0, 8192));
    const auto error = error_of([&] {
      SqliteStorage storage(path);
      for (int i = 0; i < 3; ++i) add_one(storage, 1'000);
    });
    CHECK_FALSE(error.transient());
  }
}

TEST_CASE("damage found while open is an error, and the file works again once it is whole",
          "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  FaultVfs vfs;
  SqliteStorage storage(path, {.cache_mib = 1, .vfs = vfs.name()});
  const JobId id = add_one(storage);
  vfs.set(failing(Io::read, SQLITE_CORRUPT));
  SqliteStorage* const same = &storage;
  const auto error = error_of([&] {
    for (int i = 0; i < 10; ++i) static_cast<void>(same->list({}));
  });
  CHECK_FALSE(error.transient());
  CHECK(says(error, "damaged"));
  vfs.set({});
  CHECK(is_there(storage, id));
  CHECK(is_there(storage, add_one(storage)));
}

TEST_CASE("a file deleted or replaced while it is open is refused, and goes on when it is back",
          "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = folder / "jobs.db";
  const auto aside = folder / "aside.db";
  SqliteStorage storage(path.string());
  const JobId id = add_one(storage);
  fs::rename(path, aside);
  const auto refused = [&] {
    const auto writing = error_of([&] { storage.reserve_ids(1); });
    CHECK_FALSE(writing.transient());
    CHECK(says(writing, "deleted or replaced"));
    CHECK(says(error_of([&] { static_cast<void>(storage.count()); }), "deleted or replaced"));
  };
  refused();
  CHECK_FALSE(fs::exists(path));  // and nothing is made in its place
  SECTION("another file in its place") {
    fs::copy_file(aside, path);
    refused();
    fs::remove(path);
  }
  fs::rename(aside, path);
  CHECK(is_there(storage, id));
  CHECK(is_there(storage, add_one(storage)));
}

TEST_CASE("a file system without shared memory is refused with what to do", "[storage][sqlite]") {
  const TempFolder folder;
  FaultVfs vfs;
  vfs.set(failing(Io::map, SQLITE_IOERR_SHMMAP));
  const auto error =
      error_of([&] { const SqliteStorage storage((folder / "jobs.db").string(), {.vfs = vfs.name()}); });
  CHECK(says(error, "jobs.db"));
}

TEST_CASE("a packed column that can't be read is an error and no crash", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  SqliteStorage storage(path);
  const auto node = storage.register_node({.name = "n", .host = "h"});
  for (int i = 0; i < 3; ++i) add_one(storage);
  const quern::ClaimRequest one{.node = node, .limit = 1, .kinds = {{"work", 1, 3}}, .queues = {}};
  const auto claims = storage.claim(one);
  REQUIRE(claims.size() == 1);
  const RawDb db(path);
  const auto blob =
      GENERATE(as<std::string>(), "x'00'", "x'FF'", "x'01FFFFFFFFFFFFFFFFFF7F'", "x'0101010101030002'",
               "x'010101010103000101FFFFFFFFFFFFFFFFFF01'", "x'01010101010300FFFFFFFF0F0101'");
  db.run("UPDATE quern_claims SET entries = " + blob);
  const quern::Finish finish{.ref = claims[0].ref};
  CHECK(says(error_of([&] { storage.finish({&finish, 1}); }), "quern_claims"));
  CHECK_FALSE(error_of([&] { static_cast<void>(storage.nodes()); }).transient());
  CAPTURE(blob);
  db.run("UPDATE quern_ready SET ids = " + blob);
  CHECK(says(error_of([&] { static_cast<void>(storage.claim(one)); }), "quern_ready"));
}
