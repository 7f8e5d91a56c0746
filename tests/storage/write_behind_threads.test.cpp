// Many callers, a thread that writes, and processes that are killed.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <thread>

#include "quern/storage/sqlite_crash_points.hpp"
#include "quern/testing/crash.hpp"
#include "storage/write_behind_fixture.hpp"

using namespace std::chrono_literals;
using quern::JobDurability;
using quern::JobId;
using quern::JobState;
using quern::NewJob;
using quern::Payload;

TEST_CASE("callers at the same time share a write, and each is answered when it is durable",
          "[storage][write-behind][concurrency]") {
  const quern_test::TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  constexpr int threads = 16;
  constexpr int each = 40;
  quern::ManualClock clock;
  quern_test::WriteBehindProcess process(path, clock, {.durability = JobDurability::committed});
  std::atomic<int> lost{0};
  {
    std::vector<std::jthread> callers;
    for (int t = 0; t < threads; ++t)
      callers.emplace_back([&] {
        quern::SqliteStorage reader(path, {.clock = clock});
        for (int i = 0; i < each; ++i) {
          const NewJob job{.id = process.storage->reserve_ids(1), .kind = "k"};
          process.storage->insert({&job, 1});
          if (!reader.find({&job.id, 1}).at(0)) ++lost;
        }
      });
  }
  CHECK(lost == 0);
  CHECK(process.backup.writes < threads * each);
}

TEST_CASE("a processor works at the speed of memory while its jobs are written behind",
          "[storage][write-behind][concurrency]") {
  const quern_test::TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  constexpr int count = 3000;
  std::atomic<int> runs{0};
  {
    quern::SqliteStorage file(path, {.durability = quern::Durability::normal});
    quern::WriteBehindStorage storage(
        file,
        {.persistence_interval = 1ms, .max_unwritten = 100, .kinds = {{"rare", JobDurability::committed}}});
    quern::JobQueue queue(storage);
    quern::HandlerRegistry handlers;
    handlers.on("often", [&](quern::JobContext&) { ++runs; });
    handlers.on("rare", [&](quern::JobContext& context) {
      context.step("s", [] { return 1; });
      ++runs;
    });
    quern::Processor processor(queue, handlers);
    processor.start();
    std::vector<std::jthread> producers;
    for (int t = 0; t < 3; ++t)
      producers.emplace_back([&] {
        for (int i = 0; i < count / 3; ++i) queue.enqueue(i % 50 == 0 ? "rare" : "often", Payload());
      });
    producers.clear();
    processor.run_until([&] { return runs == count; });
    processor.stop();
  }
  quern::SqliteStorage plain(path);
  for (const auto& one : plain.count()) CHECK(one.state == JobState::completed);
  CHECK(plain.list({.states = {JobState::completed}, .limit = 10'000}).jobs.size() == count);
  for (const auto& fault : quern_test::SqliteConsistency(path).faults()) {
    CAPTURE(fault);
    CHECK(false);
  }
}

namespace {

/// What the child got an answer to, in memory that its parent can read after it was killed.
struct Acknowledged {
  std::array<std::uint64_t, 256> added{};
  std::array<std::uint64_t, 256> completed{};
  std::size_t adds = 0;
  std::size_t completions = 0;
};

/// Two processes' worth of work, committed and written behind.
void work(const std::string& path, Acknowledged& told) {
  for (int process = 0; process < 2; ++process) {
    quern::SqliteStorage file(path, {.durability = quern::Durability::normal});
    quern::WriteBehindStorage storage(file,
                                      {.kinds = {{"committed", JobDurability::committed}}, .thread = false});
    const auto node = storage.register_node({.name = "n", .host = "h", .lease = 1min});
    storage.rescue(100, 100);
    for (int round = 0; round < 5; ++round) {
      for (const char* kind : {"committed", "behind"}) {
        const NewJob job{.id = storage.reserve_ids(1), .kind = kind};
        storage.insert({&job, 1});
        if (kind == std::string_view("committed")) told.added[told.adds++] = job.id.value;
      }
      for (const auto& claim :
           storage.claim({.node = node, .limit = 2, .kinds = {{"committed", 1, 99}, {"behind", 1, 99}}})) {
        const quern::Finish finish{.ref = claim.ref};
        storage.finish({&finish, 1});
        if (claim.kind == "committed") told.completed[told.completions++] = claim.ref.id.value;
      }
      if (round == 3) storage.write();
    }
  }
}

}  // namespace

TEST_CASE("I01 a kill at any boundary of a write loses nothing that was committed",
          "[storage][write-behind]") {
  auto* const told = static_cast<Acknowledged*>(
      mmap(nullptr, sizeof(Acknowledged), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  REQUIRE(told != MAP_FAILED);
  for (const quern::detail::SqliteOp op :
       {quern::detail::SqliteOp::keeper, quern::detail::SqliteOp::images,
        quern::detail::SqliteOp::reserve_ids, quern::detail::SqliteOp::retire}) {
    for (const quern::detail::SqliteMoment moment :
         {quern::detail::SqliteMoment::begin, quern::detail::SqliteMoment::written,
          quern::detail::SqliteMoment::committed}) {
      const char* const point = quern::detail::sqlite_crash_point(op, moment);
      bool died = true;
      for (int count = 1; died; ++count) {
        CAPTURE(point, count);
        *told = {};
        const quern_test::TempFolder folder;
        const auto path = (folder / "jobs.db").string();
        const pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0) {
          int result = 3;
          try {
            quern::testing::arm_crash(point, count);
            work(path, *told);
            result = 0;
          } catch (const std::exception&) {
          }
          _exit(result);
        }
        int status = 0;
        waitpid(child, &status, 0);
        died = WIFSIGNALED(status);
        if (!died) CHECK(WEXITSTATUS(status) == 0);
        CHECK((died || count > 1));
        // The next one need not wait for the one that died.
        {
          quern::SqliteStorage file(path);
          quern::WriteBehindStorage storage(file, {.thread = false});
          for (std::size_t i = 0; i < told->adds; ++i) {
            const JobId id{told->added[i]};
            CHECK(storage.find({&id, 1}).at(0).has_value());
          }
          for (std::size_t i = 0; i < told->completions; ++i) {
            const JobId id{told->completed[i]};
            const auto job = storage.find({&id, 1}).at(0);
            CHECK((job && job->state == JobState::completed));
          }
          CHECK(storage.recount().empty());
        }
        for (const auto& fault : quern_test::SqliteConsistency(path).faults()) {
          CAPTURE(fault);
          CHECK(false);
        }
      }
    }
  }
  munmap(told, sizeof(Acknowledged));
}
