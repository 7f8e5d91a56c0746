// Rules that all nodes share, as the engine goes by them.
#include "support/catch.hpp"
#include "support/engine.hpp"

using namespace std::chrono_literals;
using quern::JobContext;
using quern::JobState;
using quern::LimitRule;
using quern::NotRunningReason;
using quern::Payload;
using quern::RateAlgorithm;
using quern_test::Engine;
using quern_test::HeldExecutor;

namespace {

std::size_t count_of(Engine& engine, JobState state) {
  std::size_t sum = 0;
  for (const auto& count : engine.queue.count())
    if (count.state == state) sum += count.count;
  return sum;
}

LimitRule window(std::int64_t count, quern::Duration per) {
  LimitRule rule{.name = "api"};
  rule.rate = {.count = count, .per = per, .algorithm = RateAlgorithm::sliding_window};
  return rule;
}

}  // namespace

TEST_CASE("I19 two processors together run as many jobs as the rule says, and what else there is",
          "[limits]") {
  Engine engine;
  engine.handlers.on("work", [](JobContext&) {}).on("other", [](JobContext&) {});
  engine.queue.limit({.name = "three", .kind = "work", .max_running = 3});
  for (int i = 0; i < 10; ++i) engine.queue.enqueue("work", Payload());
  const auto other = engine.queue.enqueue("other", Payload());
  const auto one = engine.processor<HeldExecutor>();
  const auto two = engine.processor<HeldExecutor>();
  engine.settle(*one);
  engine.settle(*two);
  CHECK(count_of(engine, JobState::running) == 4);
  CHECK(engine.state(other) == JobState::running);
  CHECK(engine.queue.limits().at(0).running == 3);
  for (int round = 0; round < 20; ++round) {
    one->executor().run_all();
    two->executor().run_all();
    engine.settle(*one);
    engine.settle(*two);
    CHECK(engine.queue.limits().at(0).running <= 3);
    engine.pass(*two, 100ms);
  }
  CHECK(count_of(engine, JobState::completed) == 11);
}

TEST_CASE("I20 a job that waits for a rate starts when that lets it, and not at the next poll", "[limits]") {
  Engine engine;
  std::vector<quern::TimePoint> starts;
  engine.handlers.on("work", [&](JobContext&) { starts.push_back(engine.clock.now()); });
  engine.queue.limit(window(2, 70ms));
  auto options = engine.options();
  options.poll_interval = 10s;
  const auto processor = engine.processor(options);
  engine.settle(*processor);
  const auto begin = engine.clock.now();
  for (int i = 0; i < 8; ++i) engine.queue.enqueue("work", Payload());
  engine.pass(*processor, 1s);
  REQUIRE(starts.size() == 8);
  for (std::size_t i = 0; i < starts.size(); ++i) CHECK(starts[i] - begin == 70ms * static_cast<int>(i / 2));
}

TEST_CASE("I20 a bucket's jobs start evenly, each at its instant", "[limits]") {
  Engine engine;
  std::vector<quern::TimePoint> starts;
  engine.handlers.on("work", [&](JobContext&) { starts.push_back(engine.clock.now()); });
  LimitRule rule{.name = "api"};
  rule.rate = {.count = 10, .per = 1s, .burst = 2};
  engine.queue.limit(rule);
  auto options = engine.options();
  options.poll_interval = 10s;
  const auto processor = engine.processor(options);
  engine.settle(*processor);
  const auto begin = engine.clock.now();
  for (int i = 0; i < 6; ++i) engine.queue.enqueue("work", Payload());
  engine.pass(*processor, 2s);
  REQUIRE(starts.size() == 6);
  for (std::size_t i = 0; i < starts.size(); ++i)
    CHECK(starts[i] - begin == 100ms * static_cast<int>(i < 2 ? 0 : i - 1));
}

TEST_CASE("a processor that waits for a rate or a slot does not look all the time", "[limits]") {
  Engine engine;
  engine.handlers.on("work", [](JobContext&) {});
  engine.queue.limit(window(1, 10s));
  engine.queue.limit({.name = "none", .kind = "work", .max_running = 1});
  for (int i = 0; i < 3; ++i) engine.queue.enqueue("work", Payload());
  auto options = engine.options();
  options.poll_interval = 1h;
  options.watch_interval = 1h;
  options.lease = 1h;
  const auto processor = engine.processor(options);
  engine.settle(*processor);
  const std::size_t before = engine.storage.calls();
  engine.pass(*processor, 9s);
  CHECK(engine.storage.calls() - before <= 4);
  CHECK(count_of(engine, JobState::completed) == 1);
  engine.pass(*processor, 1s);
  CHECK(count_of(engine, JobState::completed) == 2);
}

TEST_CASE("a rule that lets more start or is removed is noticed at once", "[limits]") {
  Engine engine;
  engine.handlers.on("work", [](JobContext&) {});
  engine.queue.limit({.name = "one", .max_running = 1});
  for (int i = 0; i < 4; ++i) engine.queue.enqueue("work", Payload());
  const auto processor = engine.processor<HeldExecutor>();
  engine.settle(*processor);
  CHECK(count_of(engine, JobState::running) == 1);
  engine.queue.limit({.name = "one", .max_running = 3});
  engine.settle(*processor);
  CHECK(count_of(engine, JobState::running) == 3);
  CHECK(engine.queue.remove_limit("one"));
  CHECK_FALSE(engine.queue.remove_limit("one"));
  engine.settle(*processor);
  CHECK(count_of(engine, JobState::running) == 4);
  processor->executor().run_all();
  engine.settle(*processor);
}

TEST_CASE("a slot that one processor frees is taken by another within its poll interval", "[limits]") {
  Engine engine;
  engine.handlers.on("work", [](JobContext&) {}).on("other", [](JobContext&) {});
  engine.queue.limit({.name = "one", .max_running = 1});
  engine.queue.enqueue("work", Payload());
  auto options = engine.options();
  options.poll_interval = 1s;
  quern::HandlerRegistry others;
  others.on("other", [](JobContext&) {});
  const auto one = engine.processor<HeldExecutor>();
  quern::Processor<quern::testing::StorageProxy, HeldExecutor> two(engine.queue, others, options);
  engine.settle(*one);
  const auto waits = engine.queue.enqueue("other", Payload(), {.priority = quern::Priority::low});
  engine.settle(two);
  CHECK(engine.state(waits) == JobState::ready);
  one->executor().run_all();
  one->request_stop();
  engine.settle(*one);
  engine.pass(two, 1s);
  CHECK(engine.state(waits) == JobState::running);
  two.executor().run_all();
  engine.settle(two);
}

TEST_CASE("a job that a rule holds back names it, and what it waits for", "[limits][why]") {
  Engine engine;
  engine.handlers.on("work", [](JobContext&) {});
  const auto processor = engine.processor<HeldExecutor>();
  engine.queue.limit({.name = "one at once", .queue = "default", .kind = "work", .max_running = 1});
  engine.queue.enqueue("work", Payload());
  const auto id = engine.queue.enqueue("work", Payload());
  engine.settle(*processor);
  auto why = engine.queue.why_not_running(id).value();
  CHECK(why.reason == NotRunningReason::limit_running);
  CHECK(to_string(why.reason) == "limit_running");
  CHECK(why.limit == "one at once");
  CHECK(why.slots == 1);
  CHECK(why.text ==
        "rule \"one at once\" lets 1 jobs of kind \"work\" of queue \"default\" run at once, and 1 run");

  engine.queue.remove_limit("one at once");
  LimitRule rule = window(1, 1min);
  engine.queue.limit(rule);
  engine.settle(*processor);
  const auto last = engine.queue.enqueue("work", Payload());
  engine.settle(*processor);
  why = engine.queue.why_not_running(last).value();
  CHECK(why.reason == NotRunningReason::limit_rate);
  CHECK(to_string(why.reason) == "limit_rate");
  CHECK(why.limit == "api");
  CHECK(why.until == engine.clock.now() + 1min);
  CHECK_THAT(why.text,
             Catch::Matchers::ContainsSubstring("rule \"api\" lets 1 jobs of the storage start in 1m"));
  processor->executor().run_all();
  engine.settle(*processor);
}
