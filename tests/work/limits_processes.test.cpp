// Rules that several processes share: what ran when is read from the jobs, by the storage's own clock.

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "quern/quern.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/temp_folder.hpp"
#if defined(QUERN_TEST_SQLITE)
#include "quern/sqlite.hpp"
#endif
#if defined(QUERN_TEST_POSTGRES)
#include "quern/postgres.hpp"
#include "support/postgres_server.hpp"
#endif

namespace {

using namespace std::chrono_literals;
using quern::Job;
using quern::JobState;
using quern_test::ChildProcess;

/// A database that other processes can open.
struct Shared {
  std::vector<std::string> words{QUERN_TEST_PROGRAMS_DIR "/quern_limits_worker"};
  std::unique_ptr<quern::AnyStorage> storage{};
  quern_test::TempFolder folder{};
  std::string schema{};

  Shared() {
    const char* const wanted = std::getenv("QUERN_TEST_STORAGE");
#if defined(QUERN_TEST_POSTGRES)
    if (wanted != nullptr && std::string_view(wanted) == "postgres") {
      auto* const server = quern_test::PostgresServer::shared();
      if (server == nullptr) std::_Exit(77);  // it has said why
      schema = quern_test::PostgresServer::new_schema();
      words.insert(words.end(), {"postgres", server->address(), schema});
      keep<quern::PostgresStorage>(server->address(), quern::PostgresOptions{.schema = schema});
      return;
    }
#endif
    static_cast<void>(wanted);
#if defined(QUERN_TEST_SQLITE)
    const std::string file = (folder / "jobs.db").string();
    words.insert(words.end(), {"sqlite", file});
    keep<quern::SqliteStorage>(file, quern::SqliteOptions{.durability = quern::Durability::normal});
#endif
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() {
    storage.reset();
#if defined(QUERN_TEST_POSTGRES)
    if (!schema.empty()) quern_test::PostgresServer::shared()->run("DROP SCHEMA " + schema + " CASCADE");
#endif
  }
  template <class S, class Options>
  void keep(const std::string& where, const Options& options) {
    storage = std::make_unique<quern::AnyStorage>(std::make_unique<quern::StorageAdapter<S>>(where, options));
  }
};

std::vector<Job> all_jobs(quern::AnyStorage& storage) {
  return storage.list({.oldest_first = true, .limit = 10'000}).jobs;
}

/// How many of them ran at the same time at most: each from its start up to its end.
template <class Is>
int most_at_once(const std::vector<Job>& jobs, const Is& is) {
  std::map<quern::TimePoint, int> changes;
  for (const Job& job : jobs) {
    if (!is(job)) continue;
    ++changes[job.started_at.value()];
    --changes[job.finished_at.value()];
  }
  int now = 0;
  int most = 0;
  for (const auto& [time, change] : changes) most = std::max(most, now += change);
  return most;
}

}  // namespace

TEST_CASE("I19 I20 processes that share a storage keep its rules together, also when one of them is killed",
          "[limits]") {
  Shared shared;
  if (!shared.storage) return;
  quern::JobQueue queue(*shared.storage);
  quern::LimitRule all{.name = "all", .max_running = 5};
  all.rate = {.count = 100, .per = 500ms, .algorithm = quern::RateAlgorithm::sliding_window};
  queue.limit(all);
  queue.limit({.name = "mail", .queue = "mail", .max_running = 2});
  queue.limit({.name = "other", .kind = "other", .max_running = 1});
  std::vector<quern::NewJob> jobs(400);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    jobs[i].kind = i % 4 == 0 ? "other" : "work";
    jobs[i].queue = i % 2 == 0 ? "mail" : "default";
  }
  queue.enqueue_all(std::move(jobs));

  std::vector<ChildProcess> workers;
  for (int i = 0; i < 4; ++i) workers.emplace_back(shared.words);
  const auto completed = [&] {
    std::uint64_t sum = 0;
    for (const quern::JobCount& count : queue.count())
      if (count.state == JobState::completed) sum += count.count;
    return sum;
  };
  // One dies with whatever it has; its slots come back when its lease has passed.
  const auto end = quern::SystemClock().steady() + 60s;
  while (completed() < 150 && quern::SystemClock().steady() < end)
    static_cast<void>(workers[1].wait_for(5ms));
  workers[0].kill();
  workers[0].wait();
  for (std::size_t i = 1; i < workers.size(); ++i) {
    CHECK(workers[i].wait_for(60s));
    CHECK(workers[i].exit_code() == 0);
  }
  CHECK(completed() == 400);

  auto done = all_jobs(*shared.storage);
  REQUIRE(done.size() == 400);
  // What was rescued ran before, too; its first start is not kept.
  CHECK(most_at_once(done, [](const Job&) { return true; }) <= 5);
  CHECK(most_at_once(done, [](const Job& job) { return job.queue == "mail"; }) <= 2);
  CHECK(most_at_once(done, [](const Job& job) { return job.kind == "other"; }) <= 1);
  // The rate goes by the steady clock, and what is kept of a job by the wall clock, read a moment before.
  std::vector<quern::TimePoint> starts;
  for (const Job& job : done) starts.push_back(job.started_at.value());
  std::ranges::sort(starts);
  CHECK(starts.back() - starts.front() >= 3 * 500ms - 100ms);
  for (const quern::LimitStatus& limit : queue.limits()) CHECK(limit.running == 0);
}
