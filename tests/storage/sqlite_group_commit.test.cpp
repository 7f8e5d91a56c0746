// Calls of many threads share a transaction; to each it is as if it had one of its own.

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <latch>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "quern/core/detail/crash_point.hpp"
#include "quern/sqlite.hpp"
#include "quern/storage/sqlite_crash_points.hpp"
#include "quern/testing/crash.hpp"
#include "storage/sqlite_consistency.hpp"
#include "storage/sqlite_fault_vfs.hpp"
#include "support/catch.hpp"

namespace {

using namespace std::chrono_literals;
using quern::CancelResult;
using quern::InsertStatus;
using quern::JobEventType;
using quern::JobId;
using quern::JobState;
using quern::NewJob;
using quern::SqliteStorage;
using quern::StorageError;
using quern_test::failing;
using quern_test::FaultVfs;
using quern_test::Io;
using quern_test::RawDb;
using quern_test::TempFolder;

/// Holds the thread that first comes to a crash point, and counts the calls that queue up meanwhile.
class Gate {
 public:
  explicit Gate(std::string point) : point_(std::move(point)) {
    current = this;
    quern::detail::crash_hook = [](const char* name) noexcept { current->passed(name); };
  }
  ~Gate() {
    open();
    quern::detail::crash_hook = nullptr;
  }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  /// Returns once a thread is held; false when none comes.
  [[nodiscard]] bool holds() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 60s, [&] { return held_; });
  }
  /// Returns once so many calls wait behind it; false when they do not come.
  [[nodiscard]] bool queued(int calls) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 60s, [&] { return waiting_ == calls; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  void passed(const std::string& name) {
    std::unique_lock lock(mutex_);
    if (name == quern::detail::sqlite_waiting_point) {
      ++waiting_;
      changed_.notify_all();
    } else if (name == point_ && !std::exchange(held_, true)) {
      changed_.notify_all();
      changed_.wait(lock, [&] { return open_; });
    }
  }

  static inline Gate* current = nullptr;
  const std::string point_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  bool open_ = false;
  int waiting_ = 0;
};

/// Calls that are made one behind the other while another one is held, so that they are one group.
class Group {
 public:
  /// `first` is held after its transaction is committed, or before with "written".
  explicit Group(const std::function<void()>& first, const std::string& moment = "committed")
      : gate_("sqlite.insert." + moment), threads_(1) {
    threads_[0] = start(first);
    REQUIRE(gate_.holds());
  }
  void add(std::function<void()> call) {
    threads_.push_back(start(std::move(call)));
    REQUIRE(gate_.queued(static_cast<int>(threads_.size()) - 1));
  }
  void open() { gate_.open(); }
  /// Lets them go, and returns when all have their answers.
  void run() {
    open();
    threads_.clear();
    for (const std::string& surprise : surprises_) FAIL_CHECK(surprise);
  }

 private:
  std::jthread start(std::function<void()> call) {
    return std::jthread([this, call = std::move(call)] {
      try {
        call();
      } catch (const std::exception& e) {
        const std::lock_guard lock(surprises_mutex_);
        surprises_.emplace_back(e.what());
      }
    });
  }

  Gate gate_;
  std::mutex surprises_mutex_;
  std::vector<std::string> surprises_;  // what calls threw that no test expects
  std::vector<std::jthread> threads_;   // the last member: they end before the gate goes
};

/// How often the write-ahead log was made durable: once for each transaction that wrote.
class CommitCount {
 public:
  explicit CommitCount(FaultVfs& vfs) {
    vfs.set([this](Io call, const char* path) {
      if (call == Io::sync && path != nullptr && std::string_view(path).ends_with("-wal")) ++syncs_;
      return SQLITE_OK;
    });
  }
  int take() { return syncs_.exchange(0); }

 private:
  std::atomic<int> syncs_{0};
};

class Recorder final : public quern::StorageObserver {
 public:
  bool wants_events() const noexcept override { return true; }
  void on_events(std::span<const quern::JobEvent> events) noexcept override {
    for (const auto& event : events) told.emplace_back(event.type, event.id);
  }
  void on_work() noexcept override { ++work; }
  std::vector<std::pair<JobEventType, JobId>> told;
  int work = 0;
};

NewJob job(JobId first, std::uint64_t number) { return {.id = JobId{first.value + number}, .kind = "work"}; }

InsertStatus insert(SqliteStorage& storage, const NewJob& job) {
  return storage.insert({&job, 1}).at(0).status;
}

std::optional<JobState> state_of(SqliteStorage& storage, JobId id) {
  const auto found = storage.find({&id, 1}).at(0);
  return found ? std::optional(found->state) : std::nullopt;
}

/// The message of what a call failed with; empty when it did not.
template <class Failure>
std::string failure_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Failure& e) {
    return e.what();
  }
  return {};
}

void check_sound(const std::string& path) { CHECK(quern_test::SqliteConsistency(path).faults().empty()); }

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
