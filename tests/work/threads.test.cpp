// The engine with real threads. Nothing here waits by time: gates have deadlines far beyond what is needed.
#include <atomic>
#include <condition_variable>
#include <latch>
#include <mutex>
#include <thread>

#include "quern/quern.hpp"
#include "support/catch.hpp"
#include "support/engine_storage.hpp"

using namespace std::chrono_literals;
using quern::JobContext;
using quern::JobResult;
using quern::JobState;
using quern::Payload;

namespace {

/// Something that threads wait for, and that a test opens.
class Gate {
 public:
  void open() {
    {
      const std::lock_guard lock(mutex_);
      open_ = true;
    }
    changed_.notify_all();
  }
  [[nodiscard]] bool wait() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 60s, [&] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

template <class Queue>
bool all_ended(Queue& queue) {
  for (const auto& count : queue.count())
    if (!is_terminal(count.state)) return false;
  return true;
}

}  // namespace

TEST_CASE("thousands of jobs from several threads each run once", "[threads]") {
  quern_test::EngineStorage own;
  quern::AnyStorage& storage = own.storage;
  quern::JobQueue queue{storage};
  std::atomic<int> runs{0};
  quern::HandlerRegistry handlers;
  handlers.on("count", [&](JobContext&) { ++runs; });
  quern::Processor processor{queue, handlers, {.max_concurrent_jobs = 8}};
  processor.start();
  {
    std::vector<std::jthread> producers;
    for (int p = 0; p < 4; ++p)
      producers.emplace_back([&] {
        for (int i = 0; i < 250; ++i) queue.enqueue("count", Payload());
        std::vector<quern::NewJob> batch(250, quern::NewJob{.kind = "count"});
        queue.enqueue_all(std::move(batch));
      });
  }
  processor.run_until([&] { return all_ended(queue); });
  processor.stop();
  CHECK(runs == 2000);
  CHECK(queue.count() == std::vector<quern::JobCount>{{"default", "count", JobState::completed, 2000}});
}

TEST_CASE("two processors share one queue and no job runs on both", "[threads]") {
  quern_test::EngineStorage own;
  quern::AnyStorage& storage = own.storage;
  quern::JobQueue queue{storage};
  std::mutex mutex;
  std::map<std::uint64_t, int> runs;
  quern::HandlerRegistry handlers;
  handlers.on("work", [&](JobContext& context) {
    const std::lock_guard lock(mutex);
    ++runs[context.id().value];
  });
  quern::Processor one{queue, handlers, {.max_concurrent_jobs = 4}};
  quern::Processor two{queue, handlers, {.max_concurrent_jobs = 4}};
  one.start();
  two.start();
  for (int i = 0; i < 1000; ++i) queue.enqueue("work", Payload());
  one.run_until([&] { return all_ended(queue); });
  one.stop();
  two.stop();
  CHECK(runs.size() == 1000);
  for (const auto& [id, count] : runs) REQUIRE(count == 1);
}

TEST_CASE("a cancelled job's handler sees its stop while it runs", "[threads]") {
  quern_test::EngineStorage own;
  quern::AnyStorage& storage = own.storage;
  quern::JobQueue queue{storage};
  Gate started;
  quern::HandlerRegistry handlers;
  handlers.on("wait", [&](JobContext& context) {
    started.open();
    std::mutex mutex;
    std::condition_variable_any bell;
    std::unique_lock lock(mutex);
    const bool never = bell.wait_for(lock, context.stop_token(), 60s, [] { return false; });
    return never ? JobResult::completed() : JobResult::cancelled();
  });
  quern::Processor processor{queue, handlers};
  processor.start();
  const auto id = queue.enqueue("wait", Payload()).id;
  REQUIRE(started.wait());
  CHECK(queue.cancel(id, "test") == quern::CancelResult::requested);
  processor.run_until([&] { return all_ended(queue); });
  processor.stop();
  CHECK(queue.find(id).value().state == JobState::cancelled);
}

TEST_CASE("a stop is bounded even with a handler that does not return", "[threads]") {
  auto release = std::make_shared<Gate>();
  auto finished = std::make_shared<Gate>();
  quern_test::EngineStorage own;
  quern::AnyStorage& storage = own.storage;
  quern::JobQueue queue{storage};
  Gate started;
  {
    quern::HandlerRegistry handlers;
    handlers.on("hung", [release, finished, &started](JobContext& context) {
      started.open();
      const bool released = release->wait();
      bool refused = false;
      try {
        context.step("after the end", [] {});
      } catch (const quern::RunLost&) {
        refused = true;
      }
      if (released && refused) finished->open();
    });
    quern::Processor processor{queue, handlers};
    processor.start();
    queue.enqueue("hung", Payload());
    REQUIRE(started.wait());
    const auto begin = std::chrono::steady_clock::now();
    processor.stop({.wait = 10ms, .grace = 10ms});
    processor.stop();
    CHECK(std::chrono::steady_clock::now() - begin < 30s);
  }
  CHECK(queue.list({.states = {JobState::ready}}).jobs.size() == 1);
  // The processor is gone; its handler comes back, is refused, and harms nothing.
  release->open();
  CHECK(finished->wait());
}

TEST_CASE("a handler may stop its own processor", "[threads]") {
  quern_test::EngineStorage own;
  quern::AnyStorage& storage = own.storage;
  quern::JobQueue queue{storage};
  quern::HandlerRegistry handlers;
  std::function<void()> stop;
  handlers.on("last", [&](JobContext&) { stop(); });
  quern::Processor processor{queue, handlers};
  stop = [&] { processor.stop(); };
  const auto id = queue.enqueue("last", Payload()).id;
  processor.run_until([] { return false; });
  CHECK(processor.stopped());
  CHECK(queue.find(id).value().state == JobState::completed);
}

TEST_CASE("a handler may use the queue it runs from", "[threads]") {
  quern_test::EngineStorage own;
  quern::AnyStorage& storage = own.storage;
  quern::JobQueue queue{storage};
  std::atomic<int> depth{0};
  quern::HandlerRegistry handlers;
  handlers.on("again", [&](JobContext& context) {
    if (++depth < 20) queue.enqueue("again", Payload());
    CHECK_NOTHROW(queue.find(context.id()));
  });
  quern::Processor processor{queue, handlers};
  queue.enqueue("again", Payload());
  processor.run_until_idle();
  CHECK(depth == 20);
}

TEST_CASE("an abandoned thread is replaced and the others are kept", "[executor]") {
  Gate ran;
  quern::ThreadExecutor executor;
  auto release = std::make_shared<Gate>();
  auto entered = std::make_shared<Gate>();
  executor.post(1, [release, entered] {
    entered->open();
    (void)release->wait();
  });
  REQUIRE(entered->wait());
  executor.abandon(1);
  CHECK(executor.threads() == 0);
  executor.post(2, [&] { ran.open(); });
  CHECK(ran.wait());
  CHECK(executor.threads() == 1);
  release->open();
}

TEST_CASE("an executor runs as many tasks at once as were posted", "[executor]") {
  constexpr int count = 16;
  std::latch all(count);
  quern::ThreadExecutor executor;
  for (int i = 0; i < count; ++i)
    executor.post(static_cast<quern::TaskToken>(i), [&] { all.arrive_and_wait(); });
  all.wait();
  CHECK(executor.threads() == count);
}

namespace {

struct CountedTask final : quern::detail::ExecutorTask {
  CountedTask(std::atomic<int>& counter, std::latch* wait_for) : count(counter), all(wait_for) {}
  void run(std::shared_ptr<ExecutorTask> /*self*/) noexcept override {
    ++count;
    if (all != nullptr) all->arrive_and_wait();
  }
  std::atomic<int>& count;
  std::latch* all;
};

std::vector<std::shared_ptr<quern::detail::ExecutorTask>> counted_tasks(int number, std::atomic<int>& counter,
                                                                        std::latch* all = nullptr) {
  std::vector<std::shared_ptr<quern::detail::ExecutorTask>> tasks;
  for (int i = 0; i < number; ++i) {
    tasks.push_back(std::make_shared<CountedTask>(counter, all));
    tasks.back()->token = static_cast<quern::TaskToken>(i + 1);
  }
  return tasks;
}

}  // namespace

TEST_CASE("many short tasks share as many threads as there are processors", "[executor]") {
  std::atomic<int> count{0};
  std::size_t threads = 0;
  {
    quern::ThreadExecutor executor;
    executor.post_all(counted_tasks(1000, count));
    threads = executor.threads();
  }  // waits for all
  CHECK(count == 1000);
  CHECK(threads <= std::max(1U, std::thread::hardware_concurrency()));
}

TEST_CASE("tasks that wait for each other all get a thread as long as somebody stirs", "[executor]") {
  constexpr int number = 12;
  std::atomic<int> count{0};
  std::latch all(number);
  quern::ThreadExecutor executor;
  executor.post_all(counted_tasks(number, count, &all));
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (count < number && std::chrono::steady_clock::now() < deadline) executor.stir();
  REQUIRE(count == number);
  CHECK(executor.threads() <= number);
}

TEST_CASE("an idle thread helps when it is nudged and none does after the helper has gone", "[executor]") {
  struct Helper final : quern::detail::ExecutorHelper {
    quern::SteadyTime help() noexcept override {
      ++helped;
      helped.notify_all();
      return {};
    }
    void results_wait() noexcept override {}
    std::atomic<int> helped{0};
  };
  std::atomic<int> count{0};
  Helper helper;
  quern::ThreadExecutor executor;
  CHECK_FALSE(executor.nudge());  // nobody is there
  executor.set_helper(&helper);
  executor.post_all(counted_tasks(1, count));
  helper.helped.wait(0);  // it helps once its task has ended
  const int before = helper.helped;
  while (!executor.nudge()) std::this_thread::yield();  // it is on its way to sleep
  helper.helped.wait(before);
  CHECK(helper.helped > before);
  executor.set_helper(nullptr);
  CHECK_FALSE(executor.nudge());
  const int after = helper.helped;
  executor.post_all(counted_tasks(1, count));
  while (count < 2) std::this_thread::yield();
  CHECK(helper.helped == after);
}

TEST_CASE("an executor whose tasks are still waiting ends once they have run while a thread watches",
          "[executor]") {
  struct Helper final : quern::detail::ExecutorHelper {
    quern::SteadyTime help() noexcept override { return {}; }
    void results_wait() noexcept override {}
  };
  for (int i = 0; i < 300; ++i) {
    std::atomic<int> count{0};
    Helper helper;
    {
      quern::ThreadExecutor executor;
      executor.set_helper(&helper);
      executor.post_all(counted_tasks(3, count));
      while (count < 1) std::this_thread::yield();
      executor.post_all(counted_tasks(3, count));
      executor.set_helper(nullptr);
    }
    CHECK(count == 6);
  }
}

TEST_CASE("jobs that wait for each other in their handlers all run when there are slots for them",
          "[threads]") {
  constexpr int number = 24;
  std::latch all(number);
  quern_test::EngineStorage own;
  quern::AnyStorage& storage = own.storage;
  quern::JobQueue queue{storage};
  quern::HandlerRegistry handlers;
  handlers.on("meet", [&](JobContext&) { all.arrive_and_wait(); });
  quern::Processor processor{queue, handlers, {.max_concurrent_jobs = number}};
  processor.start();
  for (int i = 0; i < number; ++i) queue.enqueue("meet", Payload());
  all.wait();
  processor.stop();
  CHECK(all_ended(queue));
}

TEST_CASE("a result is recorded while its thread goes on with a long job", "[threads]") {
  Gate release;
  quern_test::EngineStorage own;
  quern::AnyStorage& storage = own.storage;
  quern::JobQueue queue{storage};
  quern::HandlerRegistry handlers;
  handlers.on("quick", [](JobContext&) {});
  handlers.on("long", [&](JobContext&) { (void)release.wait(); });
  std::vector<quern::NewJob> jobs;
  for (int i = 0; i < 40; ++i) {
    quern::NewJob job;
    job.kind = i % 2 == 0 ? "quick" : "long";
    jobs.push_back(std::move(job));
  }
  // All are claimed at once, and wait for the same few threads at first.
  queue.enqueue_all(std::move(jobs));
  quern::Processor processor{queue, handlers, {.max_concurrent_jobs = 40}};
  processor.start();
  const auto completed = [&] {
    std::uint64_t sum = 0;
    for (const auto& count : queue.count())
      if (count.state == JobState::completed) sum += count.count;
    return sum;
  };
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (completed() < 20 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  CHECK(completed() == 20);
  release.open();
  processor.stop();
  CHECK(all_ended(queue));
}
