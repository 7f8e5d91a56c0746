// A process killed at each boundary of each operation leaves a sound file, with all that it had acknowledged.

#include <fmt/format.h>

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <set>

#include "quern/sqlite.hpp"
#include "quern/storage/sqlite_crash_points.hpp"
#include "quern/testing/crash.hpp"
#include "storage/sqlite_consistency.hpp"
#include "support/catch.hpp"

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using quern::JobId;
using quern::JobState;
using quern::NewJob;
using quern::SqliteOptions;
using quern::SqliteStorage;
using quern_test::TempFolder;

/// What the child got an answer to, in memory that its parent can read after it was killed.
struct Acknowledged {
  std::array<std::uint64_t, 64> added{};
  std::array<std::uint64_t, 64> completed{};
  std::size_t adds = 0;
  std::size_t completions = 0;
};

struct Nothing final : quern::ImageSource {
  void rewind() override {}
  bool next(quern::ImageChunk& /*chunk*/) override { return false; }
};

/// Passes every operation that writes, some of them twice.
void work(const std::string& path, const quern::ManualClock& clock, quern::ManualClock& moving,
          Acknowledged& told) {
  SqliteStorage storage(path, {.durability = quern::Durability::normal, .clock = clock});
  for (int round = 0; round < 2; ++round) {
    const auto node = storage.register_node({.name = "n", .host = "h", .lease = 1min});
    const auto doomed = storage.register_node({.name = "d", .host = "h", .lease = 1s});
    const JobId first = storage.reserve_ids(8);
    std::vector<NewJob> jobs(8);
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      jobs[i] = {.id = JobId{first.value + i}, .kind = i % 2 == 0 ? "even" : "odd"};
      if (i == 5) jobs[i].run_at = quern::When::after(10s);
      if (i == 6) jobs[i].parents = {jobs[0].id};
      if (i == 7) jobs[i].unique = {.key = "key" + std::to_string(round), .while_completed = true};
    }
    storage.insert(jobs);
    for (const auto& job : jobs) told.added[told.adds++] = job.id.value;
    const auto claims =
        storage.claim({.node = node, .limit = 3, .kinds = {{"even", 3, 3}, {"odd", 3, 3}}, .queues = {}});
    const auto rest = storage.claim({.node = doomed, .limit = 1, .kinds = {{"odd", 3, 3}}, .queues = {}});
    storage.progress(std::vector<quern::ProgressUpdate>{{.ref = claims.at(0).ref, .progress = {50, "half"}}});
    storage.save_step(claims.at(1).ref, {.name = "step", .value = quern::Payload::json("1")});
    storage.renew(node);
    storage.cancel(std::vector{jobs[4].id, rest.at(0).ref.id}, "crash");
    const std::vector<quern::Finish> finishes{
        {.ref = claims.at(0).ref, .result = quern::Payload::json("[]")},
        {.ref = claims.at(1).ref,
         .outcome = quern::Outcome::failed,
         .message = "no",
         .again = quern::When::after(5s)},
        {.ref = claims.at(2).ref},
    };
    storage.finish(finishes);
    told.completed[told.completions++] = claims[0].ref.id.value;
    told.completed[told.completions++] = claims[2].ref.id.value;
    const JobId late = storage.reserve_ids(2);
    storage.insert(
        std::vector<NewJob>{{.id = late, .kind = "late"}, {.id = JobId{late.value + 1}, .kind = "late"}});
    const quern::ClaimRequest one_more{.node = node, .limit = 1, .kinds = {{"late", 1, 3}}, .queues = {}};
    const auto run = storage.claim(one_more);
    storage.finish_and_claim(std::vector<quern::Finish>{{.ref = run.at(0).ref}}, one_more);
    told.completed[told.completions++] = run[0].ref.id.value;
    moving.advance(20s);
    storage.promote(10);
    storage.rescue(10, 3);
    storage.retry(std::vector{jobs[4].id}, "crash");
    storage.reschedule(std::vector{jobs[5].id}, quern::When::after(1h), "crash");
    storage.set_priority(std::vector{jobs[5].id}, quern::Priority::low, "crash");
    const NewJob extra{.id = storage.reserve_ids(1), .kind = "extra"};
    storage.insert({&extra, 1});
    storage.erase(std::vector{extra.id});
    storage.pause("elsewhere");
    storage.put_record({.collection = "c", .key = fmt::format("k{}", round)});
    const NewJob decided{.id = storage.reserve_ids(1), .kind = "decided"};
    const quern::RecordChange decision{
        .collection = "d", .key = fmt::format("k{}", round), .seen = {}, .value = quern::Payload::json("1")};
    storage.insert_if({&decided, 1}, {&decision, 1});
    storage.prune({.state = JobState::cancelled, .older_than = 0s, .limit = 1});
    storage.retire(node);
    const auto keeper = storage.become_keeper({.name = "k", .host = "h"});
    Nothing nothing;
    storage.write_images(keeper, nothing);
    storage.retire(keeper);
  }
}

/// Runs `work` in a child that dies at the point; false when it never came there.
bool dies(const std::string& path, const char* point, int count, Acknowledged& told) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    int result = 3;
    try {
      quern::testing::arm_crash(point, count);
      quern::ManualClock clock;
      work(path, clock, clock, told);
      result = 0;
    } catch (const std::exception&) {
    }
    _exit(result);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) {
    CHECK(WTERMSIG(status) == SIGKILL);
    return true;
  }
  CHECK(WEXITSTATUS(status) == 0);
  return false;
}

}  // namespace

TEST_CASE("the names of the crash points are distinct", "[storage][sqlite]") {
  const std::set<std::string> names(quern::detail::sqlite_crash_points.begin(),
                                    quern::detail::sqlite_crash_points.end());
  CHECK(names.size() == quern::detail::sqlite_crash_points.size());
  using quern::detail::sqlite_crash_point;
  CHECK(std::string(sqlite_crash_point(quern::detail::SqliteOp::finish,
                                       quern::detail::SqliteMoment::written)) == "sqlite.finish.written");
}

TEST_CASE("I01 a kill at any boundary of an operation loses nothing acknowledged", "[storage][sqlite]") {
  auto* const told = static_cast<Acknowledged*>(
      mmap(nullptr, sizeof(Acknowledged), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  REQUIRE(told != MAP_FAILED);
  for (const char* const point : quern::detail::sqlite_crash_points) {
    CAPTURE(point);
    for (const int count : {1, 2}) {
      *told = {};
      const TempFolder folder;
      const auto path = (folder / "jobs.db").string();
      const bool died = dies(path, point, count, *told);
      CHECK((died || count == 2));  // each point is passed at least once
      if (!died) break;
      if (!fs::exists(path)) continue;
      // Whoever comes next can go on: the schema is there or is made now, and what was acknowledged is there.
      quern::ManualClock clock;
      clock.advance(1h);
      {
        SqliteStorage storage(path, {.clock = clock});
        for (std::size_t i = 0; i < told->adds; ++i) {
          const JobId id{told->added[i]};
          const auto job = storage.find({&id, 1}).at(0);
          const bool pruned = !job && i % 8 != 0;  // only cancelled ones are
          CHECK((job.has_value() || pruned));
        }
        for (std::size_t i = 0; i < told->completions; ++i) {
          const JobId id{told->completed[i]};
          const auto job = storage.find({&id, 1}).at(0);
          CHECK((job && job->state == JobState::completed));
        }
      }
      for (const auto& fault : quern_test::SqliteConsistency(path).faults()) {
        CAPTURE(fault);
        CHECK(false);
      }
    }
  }
  munmap(told, sizeof(Acknowledged));
}
