// The engine on SQLite; two storage objects on one file stand for two processes.
#include <atomic>
#include <condition_variable>
#include <mutex>

#include "quern/sqlite.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"

using namespace std::chrono_literals;
using quern::JobContext;
using quern::JobResult;
using quern::JobState;
using quern::Payload;

TEST_CASE("a running job can be cancelled from another process", "[sqlite][cancel]") {
  const quern_test::TempFolder folder;
  const std::string file = (folder / "jobs.db").string();
  quern::SqliteStorage here(file);
  quern::SqliteStorage there(file);
  quern::JobQueue queue(here);
  quern::JobQueue elsewhere(there);
  std::atomic<bool> started{false};
  quern::HandlerRegistry handlers;
  handlers.on("wait", [&](JobContext& context) {
    started = true;
    std::mutex mutex;
    std::condition_variable_any bell;
    std::unique_lock lock(mutex);
    const bool never = bell.wait_for(lock, context.stop_token(), 60s, [] { return false; });
    return never ? JobResult::completed() : JobResult::cancelled();
  });
  quern::Processor processor(queue, handlers);
  const auto id = elsewhere.enqueue("wait", Payload()).id;
  bool cancelled = false;
  processor.run_until([&] {
    if (started && !cancelled) cancelled = elsewhere.cancel(id, "operator") == quern::CancelResult::requested;
    return is_terminal(elsewhere.find(id).value().state);
  });
  CHECK(cancelled);
  CHECK(queue.find(id).value().state == JobState::cancelled);
}

TEST_CASE("two processes share the jobs of one file and each job runs once", "[sqlite]") {
  const quern_test::TempFolder folder;
  const std::string file = (folder / "jobs.db").string();
  quern::SqliteStorage first_storage(file);
  quern::SqliteStorage second_storage(file);
  quern::JobQueue first(first_storage);
  quern::JobQueue second(second_storage);
  std::atomic<int> runs{0};
  quern::HandlerRegistry handlers;
  handlers.on("count", [&](JobContext& context) { context.step("count", [&] { ++runs; }); });
  quern::Processor one(first, handlers, {.max_concurrent_jobs = 4});
  quern::Processor two(second, handlers, {.max_concurrent_jobs = 4});
  one.start();
  two.start();
  for (int batch = 0; batch < 10; ++batch)
    first.enqueue_all(std::vector<quern::NewJob>(20, quern::NewJob{.kind = "count"}));
  one.run_until([&] {
    const auto counts = second.count();
    return counts.size() == 1 && counts[0].state == JobState::completed && counts[0].count == 200;
  });
  one.stop();
  two.stop();
  CHECK(runs == 200);
}

TEST_CASE("what was enqueued is there after the file is opened again", "[sqlite]") {
  const quern_test::TempFolder folder;
  const std::string file = (folder / "jobs.db").string();
  quern::JobId id{};
  {
    quern::SqliteStorage storage(file);
    quern::JobQueue queue(storage);
    id = queue.enqueue("later", Payload::json(R"({"n": 1})"), {.priority = quern::Priority::high});
  }
  quern::SqliteStorage storage(file);
  quern::JobQueue queue(storage);
  const auto job = queue.find(id);
  REQUIRE(job.has_value());
  CHECK(job->payload.text() == R"({"n": 1})");
  CHECK(job->priority == quern::Priority::high);
  int runs = 0;
  quern::HandlerRegistry handlers;
  handlers.on("later", [&](JobContext&) { ++runs; });
  quern::Processor(queue, handlers).run_until_idle();
  CHECK(runs == 1);
}
