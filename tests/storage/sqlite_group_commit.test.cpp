// Calls of many threads share a transaction; to each it is as if it had one of its own.

#include <array>
#include <atomic>
#include <cstdint>
#include <latch>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "quern/testing/crash.hpp"
#include "storage/sqlite_group.hpp"

namespace {

using namespace std::chrono_literals;
using quern::CancelResult;
using quern::InsertStatus;
using quern::JobEventType;
using quern::JobId;
using quern::NewJob;
using quern::SqliteStorage;
using quern_test::check_sound;
using quern_test::CommitCount;
using quern_test::failure_of;
using quern_test::FaultVfs;
using quern_test::Group;
using quern_test::insert;
using quern_test::job;
using quern_test::RawDb;
using quern_test::Recorder;
using quern_test::TempFolder;

}  // namespace

TEST_CASE("calls that come while a commit is under way share the next one", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  FaultVfs vfs;
  {
    SqliteStorage storage(path, {.vfs = vfs.name()});
    const JobId first = storage.reserve_ids(100);
    CommitCount commits(vfs);
    constexpr std::size_t callers = 20;
    std::array<bool, callers> durable{};
    Group group([&] { insert(storage, job(first, 0)); });
    for (std::size_t i = 0; i < callers; ++i) {
      group.add([&, i] {
        insert(storage, job(first, i + 1));
        // Another process sees it as soon as the call has returned.
        const RawDb db(path);
        durable[i] =
            !db.rows("SELECT 1 FROM quern_jobs WHERE id = " + std::to_string(first.value + i + 1)).empty();
      });
    }
    CHECK(commits.take() == 1);
    group.run();
    CHECK(commits.take() == 1);
    for (const bool one : durable) CHECK(one);
    // What they brought stands in the tables as if one call had brought it.
    CHECK(RawDb(path).value("SELECT count(*) FROM quern_ready") == "2");
    const auto counts = storage.count();
    REQUIRE(counts.size() == 1);
    CHECK(counts[0].count == callers + 1);
    vfs.set({});
  }
  check_sound(path);
}

TEST_CASE("a caller without company has a transaction of its own at once", "[storage][sqlite]") {
  const TempFolder folder;
  FaultVfs vfs;
  SqliteStorage storage((folder / "jobs.db").string(), {.vfs = vfs.name()});
  const JobId first = storage.reserve_ids(10);
  CommitCount commits(vfs);
  quern::testing::count_crash_points();
  for (std::uint64_t i = 0; i < 5; ++i) {
    insert(storage, job(first, i));
    CHECK(commits.take() == 1);
  }
  CHECK(quern::testing::crash_point_passes("sqlite.insert.committed") == 5);
  CHECK(quern::testing::crash_point_passes(quern::detail::sqlite_waiting_point) == 0);
  quern::detail::crash_hook = nullptr;
  vfs.set({});
}

TEST_CASE("each call of a group passes its own crash points", "[storage][sqlite]") {
  const TempFolder folder;
  SqliteStorage storage((folder / "jobs.db").string());
  const JobId first = storage.reserve_ids(10);
  {
    Group group([&] { insert(storage, job(first, 0)); });
    group.add([&] { insert(storage, job(first, 1)); });
    group.add([&] { storage.put_record({.collection = "c", .key = "k"}); });
    group.add([&] { insert(storage, job(first, 2)); });
    quern::testing::count_crash_points();  // in the gate's place, which holds its thread all the same
    group.run();
  }
  for (const char* const moment : {"begin", "written", "committed"}) {
    CHECK(quern::testing::crash_point_passes(std::string("sqlite.insert.") + moment) == 2);
    CHECK(quern::testing::crash_point_passes(std::string("sqlite.record.") + moment) == 1);
  }
}

TEST_CASE("the limit of a queue holds for calls that share a transaction", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  {
    SqliteStorage storage(path);
    storage.limit_queue("default", 2);
    const JobId first = storage.reserve_ids(20);
    std::array<InsertStatus, 3> status{};
    Group group([&] { insert(storage, job(first, 0)); });
    for (std::size_t i = 0; i < status.size(); ++i) {
      group.add([&, i] {
        const NewJob one = job(first, i + 1);
        status[i] = storage.insert({&one, 1}).at(0).status;
      });
    }
    group.run();
    CHECK(status == std::array{InsertStatus::added, InsertStatus::queue_full, InsertStatus::queue_full});
  }
  check_sound(path);
}

TEST_CASE("calls of a group take effect in the order in which they came", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  {
    FaultVfs vfs;
    SqliteStorage storage(path, {.vfs = vfs.name()});
    const auto node = storage.register_node({.name = "n", .host = "h"});
    const JobId first = storage.reserve_ids(10);
    Recorder recorder;
    storage.observe(recorder);
    CommitCount commits(vfs);
    std::vector<quern::Claim> claims;
    std::vector<CancelResult> cancelled;
    std::vector<quern::FinishResult> finished;
    InsertStatus second_with_key{};
    {
      Group group([&] { insert(storage, {.id = JobId{first.value}, .kind = "other"}); });
      group.add([&] { insert(storage, job(first, 3)); });
      group.add([&] { insert(storage, job(first, 1)); });
      group.add([&] {
        claims = storage.claim({.node = node, .limit = 1, .kinds = {{"work", 1, 3}}, .queues = {}});
        // Its answer came after the commit, so this is another transaction.
        finished = storage.finish(std::vector<quern::Finish>{{.ref = claims.at(0).ref}});
      });
      group.add(
          [&] { insert(storage, {.id = JobId{first.value + 5}, .kind = "work", .unique = {.key = "k"}}); });
      group.add([&] {
        second_with_key =
            insert(storage, {.id = JobId{first.value + 6}, .kind = "work", .unique = {.key = "k"}});
      });
      group.add([&] { cancelled = storage.cancel(std::vector{JobId{first.value + 5}}, "me"); });
      commits.take();
      group.run();
    }
    storage.unobserve(recorder);
    CHECK(commits.take() == 2);
    REQUIRE(claims.size() == 1);
    CHECK(claims[0].ref.id == JobId{first.value + 1});
    REQUIRE(finished.size() == 1);
    CHECK(finished[0].status == quern::FinishStatus::recorded);
    CHECK(second_with_key == InsertStatus::duplicate);
    CHECK(cancelled == std::vector{CancelResult::cancelled});
    const std::vector<std::pair<JobEventType, JobId>> expected{
        {JobEventType::created, first},
        {JobEventType::created, JobId{first.value + 3}},
        {JobEventType::created, JobId{first.value + 1}},
        {JobEventType::started, JobId{first.value + 1}},
        {JobEventType::created, JobId{first.value + 5}},
        {JobEventType::cancelled, JobId{first.value + 5}},
        {JobEventType::completed, JobId{first.value + 1}}};
    CHECK(recorder.told == expected);
    vfs.set({});
  }
  check_sound(path);
}

TEST_CASE("calls that find nothing to do wait for no other process, in a group either", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  SqliteStorage storage(path, {.busy_timeout = 0ms});
  const auto node = storage.register_node({.name = "n", .host = "h"});
  const JobId first = storage.reserve_ids(10);
  const RawDb other(path);
  std::atomic<int> answered{0};
  Group group([&] { insert(storage, job(first, 0)); });
  other.run("BEGIN IMMEDIATE");
  for (int i = 0; i < 3; ++i) {
    group.add([&] {
      const auto claims =
          storage.claim({.node = node, .limit = 5, .kinds = {{"unknown", 5, 3}}, .queues = {}});
      if (claims.empty()) ++answered;
    });
    group.add([&] {
      if (storage.promote(10).promoted == 0) ++answered;
    });
    group.add([&] {
      if (storage.rescue(10, 3).rescued == 0) ++answered;
    });
  }
  group.run();
  CHECK(answered == 9);
  other.run("COMMIT");
}

TEST_CASE("a queue longer than a transaction should be is served in several", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  FaultVfs vfs;
  {
    SqliteStorage storage(path, {.vfs = vfs.name()});
    const JobId first = storage.reserve_ids(10'000);
    CommitCount commits(vfs);
    Group group([&] { insert(storage, job(first, 0)); });
    commits.take();
    for (std::uint64_t caller = 0; caller < 5; ++caller) {
      group.add([&, caller] {
        std::vector<NewJob> jobs;
        for (std::uint64_t i = 0; i < 1000; ++i) jobs.push_back(job(first, 1 + caller * 1000 + i));
        storage.insert(jobs);
      });
    }
    group.run();
    CHECK(commits.take() == 5);
    CHECK(storage.count().at(0).count == 5001);
    vfs.set({});
  }
  check_sound(path);
}

TEST_CASE("another process's change is noticed by a storage that never stops writing", "[storage][sqlite]") {
  /// Holds the call that makes the second job ready.
  struct Holder final : quern::StorageObserver {
    void on_work() noexcept override {
      if (++calls != 2) return;
      held.count_down();
      go_on.wait();
    }
    int calls = 0;
    std::latch held{1};
    std::latch go_on{1};
  };
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  SqliteStorage storage(path);
  const JobId first = storage.reserve_ids(10);
  const auto before = storage.foreign_changes();
  Holder holder;
  storage.observe(holder);
  Group group([&] { insert(storage, job(first, 0)); });
  group.add([&] { insert(storage, job(first, 1)); });
  SqliteStorage(path).pause("elsewhere");
  CHECK(storage.foreign_changes() == before);  // does not wait for the one that is held
  group.open();
  holder.held.wait();
  CHECK(storage.foreign_changes() != before);
  holder.go_on.count_down();
  group.run();
  storage.unobserve(holder);
}

TEST_CASE("many threads that add, run and cancel jobs get along", "[storage][sqlite]") {
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  constexpr std::uint64_t callers = 8;
  constexpr std::uint64_t rounds = 40;
  {
    SqliteStorage storage(path, {.durability = quern::Durability::normal});
    const auto node = storage.register_node({.name = "n", .host = "h"});
    const JobId first = storage.reserve_ids(callers * rounds);
    Recorder recorder;
    storage.observe(recorder);
    std::atomic<int> surprises{0};
    std::vector<std::jthread> threads;
    for (std::uint64_t caller = 0; caller < callers; ++caller) {
      threads.emplace_back([&, caller] {
        for (std::uint64_t round = 0; round < rounds; ++round) {
          NewJob own = job(first, round * callers + caller);
          if (round % 5 == 0) own.parents = {JobId{1'000'000}};
          const auto refusal = failure_of<quern::InvalidArgument>([&] { insert(storage, own); });
          if (refusal.empty() == (round % 5 == 0)) ++surprises;
          if (round % 5 == 1) storage.cancel(std::vector{own.id}, "me");
          const auto claims =
              storage.claim({.node = node, .limit = 2, .kinds = {{"work", 2, 3}}, .queues = {}});
          for (const auto& claim : claims) storage.finish(std::vector<quern::Finish>{{.ref = claim.ref}});
          static_cast<void>(storage.foreign_changes());
        }
      });
    }
    threads.clear();
    storage.unobserve(recorder);
    CHECK(surprises == 0);
    std::uint64_t counted = 0;
    for (const auto& count : storage.count()) counted += count.count;
    CHECK(counted == callers * rounds / 5 * 4);
    std::map<JobId, JobEventType> last;
    for (const auto& [type, id] : recorder.told) {
      if (type == JobEventType::created) CHECK(last.count(id) == 0);
      if (type == JobEventType::started) CHECK((last.count(id) == 1 && last[id] == JobEventType::created));
      last[id] = type;
    }
    CHECK(last.size() == counted);
  }
  check_sound(path);
}
