// What goes wrong in a transaction that calls of many threads share concerns whom it should, and nobody else.

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "quern/testing/crash.hpp"
#include "storage/sqlite_group.hpp"

namespace {

using namespace std::chrono_literals;
using quern::InsertStatus;
using quern::JobEventType;
using quern::JobId;
using quern::JobState;
using quern::NewJob;
using quern::SqliteStorage;
using quern::StorageError;
using quern_test::check_sound;
using quern_test::failing;
using quern_test::failure_of;
using quern_test::FaultVfs;
using quern_test::Group;
using quern_test::insert;
using quern_test::Io;
using quern_test::job;
using quern_test::RawDb;
using quern_test::Recorder;
using quern_test::state_of;
using quern_test::TempFolder;

}  // namespace

TEST_CASE("a call that is refused leaves the others of its group as they are", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  {
    SqliteStorage storage(path);
    const JobId first = storage.reserve_ids(20);
    Recorder recorder;
    std::string refusal;
    SECTION("for what it asks for") {
      storage.observe(recorder);
      Group group([&] { insert(storage, job(first, 0)); });
      group.add([&] { insert(storage, job(first, 1)); });
      group.add([&] {
        refusal = failure_of<quern::InvalidArgument>([&] {
          const std::vector<NewJob> jobs{
              job(first, 2), {.id = JobId{first.value + 3}, .kind = "new lane", .parents = {JobId{9999}}}};
          storage.insert(jobs);
        });
      });
      group.add([&] { insert(storage, job(first, 4)); });
      group.run();
      CHECK(refusal == "parents: there is no job 9999");
    }
    SECTION("after it has changed something") {
      insert(storage, job(first, 10));
      insert(storage, job(first, 11));
      const auto lost = std::to_string(first.value + 11);
      RawDb(path).run("DELETE FROM quern_ready WHERE first_id = " + lost);
      storage.observe(recorder);
      Group group([&] { insert(storage, job(first, 0)); });
      group.add([&] { insert(storage, job(first, 1)); });
      group.add([&] {
        refusal = failure_of<StorageError>(
            [&] { storage.cancel(std::vector{JobId{first.value + 10}, JobId{first.value + 11}}, "me"); });
      });
      group.add([&] { insert(storage, {.id = JobId{first.value + 4}, .kind = "another lane"}); });
      group.run();
      CHECK(refusal.find("database is damaged") != std::string::npos);
      CHECK(state_of(storage, JobId{first.value + 10}) == JobState::ready);
      RawDb(path).run(
          "INSERT INTO quern_ready(lane, priority, run_at, first_id, last_id, changed) SELECT lane, "
          "priority, run_at, id, id, 0 FROM quern_jobs WHERE id = " +
          lost);
    }
    storage.unobserve(recorder);
    CHECK(state_of(storage, JobId{first.value + 1}) == JobState::ready);
    CHECK(state_of(storage, JobId{first.value + 4}) == JobState::ready);
    CHECK_FALSE(state_of(storage, JobId{first.value + 2}));
    CHECK_FALSE(state_of(storage, JobId{first.value + 3}));
    const std::vector<std::pair<JobEventType, JobId>> expected{
        {JobEventType::created, first},
        {JobEventType::created, JobId{first.value + 1}},
        {JobEventType::created, JobId{first.value + 4}}};
    CHECK(recorder.told == expected);
    insert(storage, {.id = JobId{first.value + 5}, .kind = "new lane"});
    insert(storage, {.id = JobId{first.value + 6}, .kind = "another lane"});
  }
  check_sound(path);
}

TEST_CASE("a group whose commit fails acknowledges nothing to any caller", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  FaultVfs vfs;
  {
    SqliteStorage storage(path, {.busy_timeout = 0ms, .vfs = vfs.name()});
    const JobId first = storage.reserve_ids(100);
    Recorder recorder;
    storage.observe(recorder);
    constexpr std::size_t callers = 8;
    std::array<std::string, callers> failures;
    std::optional<RawDb> other;
    std::string expected;
    {
      Group group([&] { insert(storage, job(first, 0)); });
      for (std::size_t i = 0; i < callers; ++i) {
        group.add([&, i] {
          failures[i] = failure_of<StorageError>([&] {
            if (i % 2 == 0) {
              insert(storage, {.id = JobId{first.value + i + 1}, .kind = "kind " + std::to_string(i)});
            } else {
              storage.put_record({.collection = "c", .key = std::to_string(i)});
            }
          });
        });
      }
      SECTION("because the disk is full") {
        vfs.set(failing(Io::write, SQLITE_FULL));
        expected = "the disk is full";
      }
      SECTION("because the disk does not make it durable") {
        vfs.set(failing(Io::sync, SQLITE_IOERR_FSYNC));
        expected = "(fsync) failed";
      }
      SECTION("before it began, because another process holds the file") {
        other.emplace(path);
        other->run("BEGIN IMMEDIATE");
        expected = "keeps the database locked";
      }
      group.run();
    }
    vfs.set({});
    if (other) other->run("COMMIT");
    for (const std::string& failure : failures) CHECK(failure.find(expected) != std::string::npos);
    storage.unobserve(recorder);
    CHECK(recorder.told.size() == 1);  // of the call before the group
    CHECK(recorder.work == 1);
    CHECK(storage.list({}).jobs.size() == 1);
    CHECK(storage.list_records("c", "", 100).empty());
    // The cause is gone, and so is its effect.
    for (std::size_t i = 0; i < callers; ++i)
      CHECK(insert(storage, {.id = JobId{first.value + i + 1}, .kind = "kind " + std::to_string(i)}) ==
            InsertStatus::added);
  }
  check_sound(path);
}

TEST_CASE("a failure while a group writes reaches those whom it concerns", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  FaultVfs vfs;
  {
    // Hardly any cache, so that a large call writes before its commit.
    SqliteStorage storage(path, {.cache_mib = 1, .vfs = vfs.name()});
    const JobId first = storage.reserve_ids(100);
    std::string failure;
    Group group([&] { insert(storage, job(first, 0)); });
    group.add([&] { insert(storage, job(first, 1)); });
    group.add([&] {
      failure = failure_of<StorageError>([&] {
        const NewJob large{.id = JobId{first.value + 2},
                           .kind = "large",
                           .payload = quern::Payload::json('"' + std::string(8 << 20, 'x') + '"')};
        storage.insert({&large, 1});
      });
    });
    group.add([&] { insert(storage, job(first, 3)); });
    // The disk takes what is small, and has no room for what is large.
    std::atomic<int> writes{0};
    vfs.set([&](Io call, const char*) {
      if (call == Io::sync) writes = 0;
      if (call != Io::write || ++writes <= 200) return SQLITE_OK;
      writes = 0;
      return SQLITE_FULL;
    });
    group.run();
    vfs.set({});
    CHECK(failure.find("the disk is full") != std::string::npos);
    CHECK(state_of(storage, JobId{first.value + 1}) == JobState::ready);
    CHECK_FALSE(state_of(storage, JobId{first.value + 2}));
    CHECK(state_of(storage, JobId{first.value + 3}) == JobState::ready);
  }
  check_sound(path);
}

TEST_CASE("I01 a kill at any boundary of a group loses nothing acknowledged", "[storage][sqlite]") {
  constexpr std::uint64_t callers = 6;
  constexpr std::uint64_t rounds = 50;
  using Acknowledged = std::array<std::atomic<std::uint64_t>, callers>;
  void* const memory =
      mmap(nullptr, sizeof(Acknowledged), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  for (const char* const point : {"sqlite.insert.begin", "sqlite.insert.written", "sqlite.insert.committed",
                                  quern::detail::sqlite_waiting_point}) {
    CAPTURE(point);
    for (const int count : {7, 20}) {
      const TempFolder folder;
      const auto path = (folder / "jobs.db").string();
      auto* const told = new (memory) Acknowledged{};
      const pid_t child = fork();
      REQUIRE(child >= 0);
      if (child == 0) {
        SqliteStorage storage(path);
        const JobId first = storage.reserve_ids(callers * rounds);
        quern::testing::arm_crash(point, count);
        std::vector<std::jthread> threads;
        for (std::uint64_t caller = 0; caller < callers; ++caller) {
          threads.emplace_back([&, caller] {
            for (std::uint64_t round = 0; round < rounds; ++round) {
              insert(storage, job(first, round * callers + caller));
              (*told)[caller] = round + 1;
            }
          });
        }
        threads.clear();
        _exit(0);
      }
      int status = 0;
      waitpid(child, &status, 0);
      // Nobody can say how often a caller has to wait.
      if (point != quern::detail::sqlite_waiting_point) CHECK(WIFSIGNALED(status));
      {
        SqliteStorage storage(path);
        for (std::uint64_t caller = 0; caller < callers; ++caller) {
          for (std::uint64_t round = 0; round < (*told)[caller]; ++round)
            CHECK(state_of(storage, JobId{1 + round * callers + caller}) == JobState::ready);
        }
      }
      check_sound(path);
    }
  }
  munmap(memory, sizeof(Acknowledged));
}
