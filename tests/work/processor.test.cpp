#include "support/catch.hpp"
#include "support/engine.hpp"

using namespace quern_test;
using quern::JobContext;
using quern::JobResult;
using quern::JobState;
using quern::Payload;

TEST_CASE("a processor claims no more than its slots and refills them as they come free", "[processor]") {
  Engine engine;
  engine.handlers.on("work", [](JobContext&) {});
  auto options = engine.options();
  options.max_concurrent_jobs = 3;
  const auto processor = engine.processor<HeldExecutor>(options);
  auto& executor = processor->executor();
  for (int i = 0; i < 10; ++i) engine.queue.enqueue("work", Payload());

  engine.settle(*processor);
  CHECK(executor.tasks.size() == 3);
  executor.run_one();
  engine.settle(*processor);
  CHECK(executor.tasks.size() == 3);
  CHECK(processor->running() == 3);
  for (int i = 0; i < 4; ++i) {
    executor.run_all();
    engine.settle(*processor);
  }
  CHECK(engine.queue.list({.states = {JobState::completed}}).jobs.size() == 10);
  CHECK(processor->running() == 0);
}

TEST_CASE("limits per kind and per queue hold while other jobs fill the slots", "[processor]") {
  Engine engine;
  engine.handlers.on("heavy", [](JobContext&) {}, {.concurrency = 1});
  engine.handlers.on("light", [](JobContext&) {});
  auto options = engine.options();
  options.max_concurrent_jobs = 10;
  options.queues = {{"default", 0}, {"narrow", 2}};
  const auto processor = engine.processor<HeldExecutor>(options);
  for (int i = 0; i < 5; ++i) {
    engine.queue.enqueue("heavy", Payload(), {.priority = quern::Priority::critical});
    engine.queue.enqueue("light", Payload());
    engine.queue.enqueue("light", Payload(), {.queue = "narrow"});
    engine.queue.enqueue("light", Payload(), {.queue = "elsewhere"});
  }
  const auto running = [&](std::string_view kind, std::string_view queue) {
    std::size_t count = 0;
    for (const auto& job : engine.queue.list({.states = {JobState::running}}).jobs)
      count += job.kind == kind && job.queue == queue ? 1U : 0U;
    return count;
  };
  for (int round = 0; round < 3; ++round) {
    engine.settle(*processor);
    CHECK(running("heavy", "default") == 1);
    CHECK(running("light", "narrow") <= 2);
    CHECK(running("light", "elsewhere") == 0);
    processor->executor().run_all();
  }
}

TEST_CASE("jobs are served by priority and within one by age", "[processor]") {
  Engine engine;
  std::vector<std::string> order;
  engine.handlers.on("work", [&](JobContext& context) { order.push_back(context.job().payload.text()); });
  engine.queue.enqueue("work", Payload::json("1"), {.priority = quern::Priority::low});
  engine.queue.enqueue("work", Payload::json("2"));
  engine.queue.enqueue("work", Payload::json("3"), {.priority = quern::Priority::critical});
  engine.queue.enqueue("work", Payload::json("4"), {.queue = "other"});
  const auto processor = engine.processor();
  engine.settle(*processor);
  CHECK(order == std::vector<std::string>{"3", "2", "4", "1"});
}

TEST_CASE("a delayed job starts at its time and the engine asks to be called then", "[processor]") {
  Engine engine;
  int runs = 0;
  engine.handlers.on("work", [&](JobContext&) { ++runs; });
  auto options = engine.options();
  options.poll_interval = 1h;
  options.lease = 3h;
  const auto processor = engine.processor(options);
  engine.settle(*processor);
  engine.queue.enqueue("work", Payload(), {.run_at = quern::When::after(90s)});
  const auto next = engine.settle(*processor);
  CHECK(next.at == engine.clock.now() + 90s);
  engine.clock.advance(89s);
  engine.settle(*processor);
  CHECK(runs == 0);
  engine.clock.advance(1s);
  engine.settle(*processor);
  CHECK(runs == 1);
}

TEST_CASE("a ready job that nobody runs dies at its deadline, and the engine asks to be called then",
          "[processor]") {
  Engine engine;
  engine.handlers.on("other", [](JobContext&) {});
  const auto processor = engine.processor();
  engine.settle(*processor);
  const auto id = engine.queue.enqueue("work", quern::Payload(), {.deadline = quern::When::after(300ms)}).id;
  const auto next = engine.settle(*processor);
  CHECK(next.at == engine.clock.now() + 300ms);
  engine.pass(*processor, 300ms);
  CHECK(engine.queue.find(id)->state == JobState::dead);
}

TEST_CASE("an idle engine asks its storage for nothing between its polls", "[processor]") {
  int calls = 0;  // lives longer than the processor, whose end calls the storage, too
  int ticks = 0;
  Engine engine;
  engine.handlers.on("work", [](JobContext&) {});
  const auto processor = engine.processor();
  engine.settle(*processor);
  engine.storage.before = [&](std::string_view) { ++calls; };
  const auto end = engine.clock.now() + 60s;
  while (engine.clock.now() < end) {
    const auto next = processor->tick(engine.clock.now());
    ++ticks;
    REQUIRE(next.at > engine.clock.now());
    engine.clock.advance(next.at - engine.clock.now());
  }
  // Each second one poll: a claim, a promotion and a look for foreign changes; now and then a renewal and a
  // rescue.
  CHECK(calls <= 60 * 3 + 20);
  CHECK(ticks <= 100);
}

TEST_CASE("a handler that takes too long is asked to stop and its attempt has timed out", "[timeout]") {
  Engine engine;
  quern::StopReason reason{};
  engine.handlers.on("slow",
                     [&](JobContext& context) {
                       reason = context.stop_reason();
                       return JobResult::cancelled();
                     },
                     {.timeout = 5min, .max_attempts = 1});
  const auto processor = engine.processor<HeldExecutor>();
  const auto id = engine.queue.enqueue("slow", Payload()).id;
  engine.settle(*processor);
  engine.pass(*processor, 5min);
  processor->executor().run_one();
  engine.settle(*processor);
  CHECK(reason == quern::StopReason::timeout);
  CHECK(engine.state(id) == JobState::dead);
  CHECK(engine.job(id).errors.at(0).fault == quern::AttemptFault::timeout);
  CHECK(engine.job(id).errors.at(0).message == "timed out after 5m");
}

TEST_CASE("a job's own timeout goes before its handler's and the configured one", "[timeout]") {
  quern::JobQueueConfig config;
  config.job_timeout = 1min;
  Engine engine(config);
  const auto tomorrow = quern::RetryPolicy::fixed(24h);
  engine.handlers.on("plain", [](JobContext&) {}, {.retry = tomorrow});
  engine.handlers.on("slow", [](JobContext&) {}, {.timeout = 1h, .retry = tomorrow});
  const auto processor = engine.processor<HeldExecutor>();
  const auto plain = engine.queue.enqueue("plain", Payload()).id;
  const auto slow = engine.queue.enqueue("slow", Payload()).id;
  const auto own = engine.queue.enqueue("slow", Payload(), {.timeout = 2h}).id;
  engine.settle(*processor);
  engine.pass(*processor, 1min + 11s);
  CHECK(engine.state(plain) == JobState::scheduled);
  CHECK(engine.state(slow) == JobState::running);
  engine.pass(*processor, 1h);
  CHECK(engine.state(slow) == JobState::scheduled);
  CHECK(engine.state(own) == JobState::running);
  engine.pass(*processor, 1h);
  CHECK(engine.state(own) == JobState::scheduled);
}

TEST_CASE("a handler that ignores its stop loses its thread and its late result", "[timeout]") {
  Engine engine;
  engine.handlers.on("deaf", [](JobContext&) { return JobResult::completed({{"late", true}}); },
                     {.timeout = 5min, .max_attempts = 1});
  auto options = engine.options();
  options.stop_grace = 10s;
  const auto processor = engine.processor<HeldExecutor>(options);
  const auto id = engine.queue.enqueue("deaf", Payload()).id;
  engine.settle(*processor);
  engine.pass(*processor, 5min + 9s);
  CHECK(engine.state(id) == JobState::running);
  engine.pass(*processor, 1s);
  CHECK(engine.state(id) == JobState::dead);
  CHECK(processor->running() == 0);
  CHECK(processor->executor().abandoned.size() == 1);
  CHECK(engine.log.back().find("ignores its stop") != std::string::npos);

  processor->executor().run_one();
  engine.pass(*processor, 1min);
  CHECK(engine.state(id) == JobState::dead);
  CHECK_FALSE(engine.job(id).result.has_value());
}

TEST_CASE("cancelling a running job asks its handler to stop and the job ends cancelled", "[cancel]") {
  Engine engine;
  const bool by_exception = GENERATE(false, true);
  engine.handlers.on("work", [&](JobContext& context) -> JobResult {
    if (!context.stop_requested()) return JobResult::failed("was not asked to stop");
    if (by_exception) throw std::runtime_error("interrupted");
    return JobResult::cancelled();
  });
  const auto processor = engine.processor<HeldExecutor>();
  const auto id = engine.queue.enqueue("work", Payload()).id;
  engine.settle(*processor);
  CHECK(engine.queue.cancel(id, "ada") == quern::CancelResult::requested);
  engine.settle(*processor);
  processor->executor().run_one();
  engine.settle(*processor);
  CHECK(engine.state(id) == JobState::cancelled);
}

TEST_CASE("a run that completes in spite of its cancel stays completed", "[cancel]") {
  Engine engine;
  engine.handlers.on("work", [](JobContext&) { return JobResult::completed({{"done", 1}}); });
  const auto processor = engine.processor<HeldExecutor>();
  const auto id = engine.queue.enqueue("work", Payload()).id;
  engine.settle(*processor);
  engine.queue.cancel(id);
  engine.settle(*processor);
  processor->executor().run_one();
  engine.settle(*processor);
  CHECK(engine.state(id) == JobState::completed);
}

TEST_CASE("a node that was declared dead drops its runs and goes on as a new one", "[lease]") {
  Engine engine;
  engine.handlers.on("work",
                     [](JobContext& context) { return JobResult::completed({{"fence", context.fence()}}); });
  const auto processor = engine.processor<HeldExecutor>();
  const auto id = engine.queue.enqueue("work", Payload()).id;
  engine.settle(*processor);
  const auto first = processor->node();
  auto stale = std::move(processor->executor().tasks.front().second);
  processor->executor().tasks.clear();

  engine.clock.advance(5min);  // the machine slept
  engine.port.rescue(100, 3);  // another node declares it dead
  engine.settle(*processor);
  CHECK(processor->node() != first);
  REQUIRE(processor->executor().tasks.size() == 1);  // the same job, claimed anew
  stale();
  engine.settle(*processor);
  CHECK(engine.state(id) == JobState::running);
  processor->executor().run_one();
  engine.settle(*processor);
  CHECK(engine.state(id) == JobState::completed);
  CHECK(engine.job(id).result.value().text() == R"({"fence":2})");
}

TEST_CASE("a job that was running at three deaths of its process is quarantined", "[lease]") {
  Engine engine;
  engine.handlers.on("poison", [](JobContext&) {}, {.max_attempts = 100});
  const auto id = engine.queue.enqueue("poison", Payload()).id;
  for (int death = 1; death <= 3; ++death) {
    CHECK(engine.state(id) == JobState::ready);
    {
      // A process that dies: its processor is gone without a word.
      const auto node = engine.port.register_node({.name = "victim", .lease = 10s});
      REQUIRE(engine.port.claim({.node = node, .limit = 1, .kinds = {{"poison", 1, 100}}}).size() == 1);
    }
    engine.clock.advance(11s);
    const auto processor = engine.processor<HeldExecutor>();
    engine.storage.before = [](std::string_view call) {
      if (call == "claim") throw quern::StorageError("not now", true);
    };
    processor->tick(engine.clock.now());
    engine.storage.before = nullptr;
  }
  CHECK(engine.state(id) == JobState::dead);
  CHECK(engine.job(id).dead_reason == quern::DeadReason::quarantined);
  CHECK(engine.job(id).crashes == 3);
}

TEST_CASE(
    "a storage that fails is asked again ever more slowly and finished runs are recorded when it is back",
    "[outage]") {
  Engine engine;
  engine.handlers.on("work", [](JobContext&) {});
  const auto processor = engine.processor<HeldExecutor>();
  const auto id = engine.queue.enqueue("work", Payload()).id;
  engine.settle(*processor);
  processor->executor().run_one();

  int refused = 0;
  engine.storage.before = [&](std::string_view) {
    ++refused;
    throw quern::StorageError("disk full", true);
  };
  engine.pass(*processor, 10min);
  CHECK(refused > 10);
  CHECK(refused < 600);
  CHECK(engine.state(id) == JobState::running);
  CHECK(engine.log.front().find("disk full") != std::string::npos);

  engine.storage.before = nullptr;
  engine.pass(*processor, 15s);
  CHECK(engine.state(id) == JobState::completed);
}

TEST_CASE("a storage that failed for long is asked again as soon as it tells of something", "[outage]") {
  Engine engine;
  int ran = 0;
  engine.handlers.on("work", [&](quern::JobContext&) { ++ran; });
  const auto processor = engine.processor();
  engine.settle(*processor);
  int calls = 0;
  engine.storage.before = [&](std::string_view call) {
    if (call != "renew") ++calls;
    throw quern::StorageError("gone", true);
  };
  engine.pass(*processor, 5min);  // until it is asked every ten seconds or so
  const auto rarely = calls;
  engine.pass(*processor, 1min);
  CHECK(calls - rarely < 20);

  // News that come while it still fails are no reason to ask more than once.
  const auto add = [&] {
    const quern::NewJob job{.id = engine.port.reserve_ids(1), .kind = "work"};
    engine.port.insert({&job, 1});
  };
  const auto before_news = calls;
  add();
  engine.pass(*processor, 100ms);
  CHECK(calls - before_news == 1);

  engine.storage.before = nullptr;
  add();
  engine.pass(*processor, 100ms);
  CHECK(ran == 2);
}

TEST_CASE("an answer that was lost after a finish changes nothing the second time", "[outage]") {
  Engine engine;
  int runs = 0;
  engine.handlers.on("work", [&](JobContext& context) {
    ++runs;
    context.then(quern::NewJob{.kind = "child"});
  });
  const auto processor = engine.processor();
  int lost = 0;
  engine.storage.after = [&](std::string_view call) {
    if (call == "finish" && lost++ < 2) throw quern::StorageError("connection cut", true);
  };
  const auto id = engine.queue.enqueue("work", Payload()).id;
  engine.pass(*processor, 1min);
  CHECK(engine.state(id) == JobState::completed);
  CHECK(runs == 1);
  CHECK(engine.queue.list({.kind = "child"}).jobs.size() == 1);
}

TEST_CASE("stopping waits for running jobs and takes no new ones", "[stop]") {
  Engine engine;
  engine.handlers.on("work", [](JobContext&) {});
  auto options = engine.options();
  options.max_concurrent_jobs = 1;
  const auto processor = engine.processor<HeldExecutor>(options);
  const auto first = engine.queue.enqueue("work", Payload()).id;
  const auto second = engine.queue.enqueue("work", Payload()).id;
  engine.settle(*processor);
  processor->request_stop({.wait = 1min, .grace = 5s});
  engine.pass(*processor, 30s);
  CHECK_FALSE(processor->stopped());
  processor->executor().run_one();
  engine.settle(*processor);
  CHECK(processor->stopped());
  CHECK(engine.state(first) == JobState::completed);
  CHECK(engine.state(second) == JobState::ready);
  CHECK(engine.port.nodes().empty());
}

TEST_CASE("what still runs after the grace is handed back and costs no attempt", "[stop]") {
  Engine engine;
  engine.handlers.on("hung", [](JobContext&) {});
  engine.handlers.on("polite", [](JobContext& context) {
    return context.stop_requested() ? JobResult::cancelled() : JobResult::completed();
  });
  const auto processor = engine.processor<HeldExecutor>();
  const auto polite = engine.queue.enqueue("polite", Payload()).id;
  const auto hung = engine.queue.enqueue("hung", Payload()).id;
  engine.settle(*processor);
  processor->request_stop({.wait = 10s, .grace = 5s});
  engine.pass(*processor, 10s);
  processor->executor().run_one();
  engine.pass(*processor, 4s);
  CHECK(engine.state(polite) == JobState::ready);
  CHECK(engine.state(hung) == JobState::running);
  engine.pass(*processor, 1s);
  CHECK(processor->stopped());
  CHECK(engine.state(hung) == JobState::ready);
  CHECK(engine.job(hung).attempt == 0);
  CHECK(engine.job(polite).attempt == 0);
  CHECK(engine.job(hung).crashes == 0);
}

TEST_CASE("a stop ends even when the storage does not answer", "[stop]") {
  Engine engine;
  engine.handlers.on("work", [](JobContext&) {});
  const auto processor = engine.processor<HeldExecutor>();
  const auto id = engine.queue.enqueue("work", Payload()).id;
  engine.settle(*processor);
  engine.storage.before = [](std::string_view) { throw quern::StorageError("gone", true); };
  processor->request_stop({.wait = 1s, .grace = 1s});
  engine.pass(*processor, 20s);
  CHECK(processor->stopped());
  engine.storage.before = nullptr;
  CHECK(engine.state(id) == JobState::running);
  engine.clock.advance(1min);
  engine.port.rescue(10, 3);
  CHECK(engine.state(id) == JobState::ready);
}

TEST_CASE("a second stop can hasten the end but not put it off", "[stop]") {
  Engine engine;
  engine.handlers.on("work", [](JobContext&) {});
  const auto processor = engine.processor<HeldExecutor>();
  engine.queue.enqueue("work", Payload());
  engine.settle(*processor);
  processor->request_stop({.wait = 1h, .grace = 1h});
  engine.pass(*processor, 1min);
  processor->request_stop({.wait = 2s, .grace = 1s});
  engine.pass(*processor, 1s);
  processor->request_stop({.wait = 1h, .grace = 1h});
  engine.pass(*processor, 2s);
  CHECK(processor->stopped());
  CHECK(processor->tick(engine.clock.now()).at == quern::TimePoint::max());
}

TEST_CASE("ended jobs are pruned after their retention", "[upkeep]") {
  quern::JobQueueConfig config;
  config.retention.completed = 1h;
  Engine engine(config);
  engine.handlers.on("work", [](JobContext&) {});
  const auto processor = engine.processor();
  const auto id = engine.queue.enqueue("work", Payload()).id;
  engine.pass(*processor, 50min);
  CHECK(engine.queue.find(id).has_value());
  engine.pass(*processor, 20min);
  CHECK_FALSE(engine.queue.find(id).has_value());
}

TEST_CASE("a kind with a retention of its own is pruned by that, the others by theirs", "[upkeep]") {
  quern::JobQueueConfig config;
  config.retention.completed = 5h;
  config.retention.kinds["brief"].completed = 1h;
  config.retention.kinds["long"].completed = 50h;
  Engine engine(config);
  for (const char* const kind : {"brief", "usual", "long"}) engine.handlers.on(kind, [](JobContext&) {});
  const auto processor = engine.processor();
  const auto brief = engine.queue.enqueue("brief", Payload()).id;
  const auto usual = engine.queue.enqueue("usual", Payload()).id;
  const auto lasting = engine.queue.enqueue("long", Payload()).id;
  engine.pass(*processor, 70min);
  CHECK_FALSE(engine.queue.find(brief).has_value());
  CHECK(engine.queue.find(usual).has_value());
  engine.pass(*processor, 4h);
  CHECK_FALSE(engine.queue.find(usual).has_value());
  CHECK(engine.queue.find(lasting).has_value());
}

TEST_CASE("options that make no sense are refused with their name", "[processor]") {
  Engine engine;
  auto options = engine.options();
  SECTION("slots") {
    options.max_concurrent_jobs = -1;
    CHECK_THROWS_WITH(engine.processor(options), Catch::Matchers::ContainsSubstring("max_concurrent_jobs"));
  }
  SECTION("poll interval") {
    options.poll_interval = 0s;
    CHECK_THROWS_WITH(engine.processor(options), Catch::Matchers::ContainsSubstring("poll_interval"));
  }
  SECTION("lease") {
    options.lease = 0s;
    CHECK_THROWS_WITH(engine.processor(options), Catch::Matchers::ContainsSubstring("lease"));
  }
}
