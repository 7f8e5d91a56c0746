// Lines of jobs that run on threads of their own, while the engine is ticked by the test.
#include <atomic>
#include <functional>
#include <mutex>
#include <thread>

#include "job_log_fixture.hpp"
#include "support/catch.hpp"
#include "support/engine.hpp"

using namespace quern_test;
using quern::JobContext;
using quern::JobState;
using quern::LogRecord;
using quern::Payload;

namespace {

bool eventually(const std::function<bool()>& so) {
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (!so()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

/// The oldest held run, for a thread.
template <class P>
std::function<void()> on_a_thread(P& processor) {
  auto& tasks = processor.executor().tasks;
  auto task = std::move(tasks.front().second);
  tasks.erase(tasks.begin());
  return task;
}

}  // namespace

TEST_CASE("the lines of a job can be read while it runs, at its end each of them is there once",
          "[log][threads]") {
  Engine engine;
  std::atomic<int> said{0};
  std::atomic<int> seen{0};
  engine.handlers.on("work", [&](JobContext& context) {
    for (int i = 0; i < 3; ++i) {
      context.info("part " + std::to_string(i));
      ++said;
      if (!eventually([&] { return seen > i; })) throw std::runtime_error("nobody reads");
    }
    context.info("end");
  });
  auto options = engine.options();
  options.log = {};
  const auto processor = engine.processor<HeldExecutor>(options);
  const auto id = engine.queue.enqueue("work", Payload()).id;
  engine.settle(*processor);
  std::jthread handler(on_a_thread(*processor));
  for (int i = 0; i < 3; ++i) {
    REQUIRE(eventually([&] { return said > i; }));
    CHECK(engine.queue.log_lines(id).lines.size() == static_cast<std::size_t>(i));
    engine.pass(*processor, 3s);
    CHECK(engine.queue.log_lines(id).lines.size() == static_cast<std::size_t>(i) + 1);
    ++seen;
  }
  handler.join();
  engine.settle(*processor);
  CHECK(engine.state(id) == JobState::completed);
  CHECK(messages(engine.queue.log_lines(id)) ==
        std::vector<std::string>{"part 0", "part 1", "part 2", "end"});
}

TEST_CASE("a storage that can't take lines of a running job holds up nothing else, and gets them later",
          "[log][threads]") {
  Engine engine;
  std::atomic<bool> said{false};
  std::atomic<bool> go{false};
  std::atomic<bool> failing{true};
  engine.handlers.on("long", [&](JobContext& context) {
    context.info("said");
    said = true;
    if (!eventually([&] { return go.load(); })) throw std::runtime_error("nobody lets it go");
  });
  engine.handlers.on("short", [](JobContext&) {});
  engine.storage.before = [&](std::string_view call) {
    if (failing && call == "save_step") throw quern::StorageError("disk full", true);
  };
  const auto processor = engine.processor<HeldExecutor>();
  const auto id = engine.queue.enqueue("long", Payload()).id;
  engine.settle(*processor);
  std::jthread handler(on_a_thread(*processor));
  REQUIRE(eventually([&] { return said.load(); }));
  engine.pass(*processor, 10s);
  const auto other = engine.queue.enqueue("short", Payload()).id;
  engine.pass(*processor, 3s);
  processor->executor().run_all();
  engine.settle(*processor);
  CHECK(engine.state(other) == JobState::completed);
  CHECK(engine.log == std::vector<std::string>{"said"});
  CHECK(engine.queue.log_lines(id).lines.empty());
  failing = false;
  engine.pass(*processor, 3s);
  CHECK(messages(engine.queue.log_lines(id)) == std::vector<std::string>{"said"});
  go = true;
  handler.join();
  engine.settle(*processor);
  CHECK(messages(engine.queue.log_lines(id)) == std::vector<std::string>{"said"});
}

TEST_CASE("a handler that hangs leaves the lines that it has logged", "[log][threads]") {
  Engine engine;
  std::atomic<bool> said{false};
  std::atomic<bool> go{false};
  engine.handlers.on("work",
                     [&](JobContext& context) {
                       context.info("before it hangs");
                       said = true;
                       if (!eventually([&] { return go.load(); }))
                         throw std::runtime_error("nobody lets it go");
                       context.info("too late");
                     },
                     {.timeout = 1min, .max_attempts = 1});
  auto options = engine.options();
  options.log = {};
  options.job_log.interval = 1h;
  const auto processor = engine.processor<HeldExecutor>(options);
  const auto id = engine.queue.enqueue("work", Payload()).id;
  engine.settle(*processor);
  std::jthread handler(on_a_thread(*processor));
  REQUIRE(eventually([&] { return said.load(); }));
  engine.pass(*processor, 5min);
  CHECK(engine.state(id) == JobState::dead);
  CHECK(messages(engine.queue.log_lines(id)) == std::vector<std::string>{"before it hangs"});
  go = true;
  handler.join();
  engine.settle(*processor);
  CHECK(messages(engine.queue.log_lines(id)) == std::vector<std::string>{"before it hangs"});
}

TEST_CASE("threads of a handler may log at the same time, and no line is lost", "[log][threads]") {
  EngineStorage own;
  quern::JobQueue queue{own.storage};
  quern::HandlerRegistry handlers;
  std::mutex mutex;
  std::size_t told = 0;
  handlers.on("work", [](JobContext& context) {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&context, t] {
        context.secret("secret-" + std::to_string(t));
        for (int i = 0; i < 50; ++i) {
          context.info("secret-" + std::to_string(t), {{"i", i}});
          context.progress(i);
        }
      });
  });
  quern::ProcessorOptions options;
  options.progress_interval = options.job_log.interval = 1ms;
  options.job_log.bytes = std::size_t{256} * 1024;
  options.log = [&](const LogRecord& record) {
    const std::lock_guard lock(mutex);
    if (record.handler && record.message == "***") ++told;
  };
  quern::Processor processor{queue, handlers, options};
  processor.start();
  const auto id = queue.enqueue("work", Payload()).id;
  CHECK(eventually([&] { return is_terminal(queue.find(id).value().state); }));
  processor.stop();
  CHECK(told == 200);
  const auto log = queue.log_lines(id);
  CHECK(log.lines.size() == 200);
  CHECK(log.dropped == 0);
}
