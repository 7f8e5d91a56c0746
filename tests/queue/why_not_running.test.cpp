#include <string>

#include "support/catch.hpp"
#include "support/engine.hpp"

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using quern::JobContext;
using quern::NotRunningReason;
using quern::Payload;
using quern::When;
using quern_test::Engine;
using quern_test::HeldExecutor;

namespace {

quern::WhyNotRunning why(Engine& engine, quern::JobId id) {
  const auto answer = engine.queue.why_not_running(id);
  REQUIRE(answer);
  INFO(answer->text);
  CHECK_FALSE(answer->text.empty());
  return *answer;
}

}  // namespace

TEST_CASE("a job that waits for its time says until when", "[why]") {
  Engine engine;
  const auto id = engine.queue.enqueue("work", Payload(), {.run_at = When::after(1h)});
  const auto answer = why(engine, id);
  CHECK(answer.reason == NotRunningReason::scheduled);
  CHECK(answer.until == engine.clock.now() + 1h);
  CHECK_THAT(answer.text, ContainsSubstring("waits until " + quern::to_rfc3339(answer.until)));
}

TEST_CASE("a job that failed names its error and one that was snoozed does not", "[why]") {
  Engine engine;
  int run = 0;
  engine.handlers.on("work", [&](JobContext&) -> quern::JobResult {
    if (++run == 1) throw std::runtime_error("no connection");
    return quern::JobResult::snoozed(2h);
  });
  const auto id = engine.queue.enqueue("work", Payload(), {.max_attempts = 5});
  const auto processor = engine.processor();
  engine.settle(*processor);
  auto answer = why(engine, id);
  CHECK(answer.reason == NotRunningReason::backing_off);
  CHECK(answer.until == engine.job(id).run_at);
  CHECK_THAT(answer.text, ContainsSubstring("attempt 1 failed: no connection"));
  engine.pass(*processor, 10min);
  answer = why(engine, id);
  CHECK(answer.reason == NotRunningReason::snoozed);
  CHECK(answer.until == engine.job(id).run_at);
}

TEST_CASE("a blocked job names the parents that it still waits for", "[why]") {
  Engine engine;
  const auto done = engine.queue.enqueue("work", Payload());
  const auto open = engine.queue.enqueue("work", Payload(), {.run_at = When::after(1h)});
  const auto child = engine.queue.enqueue("work", Payload(), {.parents = {done, open}});
  engine.handlers.on("work", [](JobContext&) {});
  const auto processor = engine.processor();
  engine.settle(*processor);
  const auto answer = why(engine, child);
  CHECK(answer.reason == NotRunningReason::parents);
  CHECK(answer.parents == std::vector{open.id});
  CHECK_THAT(answer.text, ContainsSubstring(to_string(open.id) + " (scheduled)"));
}

TEST_CASE("a ready job says when its queue is paused or no live node runs its kind", "[why]") {
  Engine engine;
  const auto id = engine.queue.enqueue("work", Payload(), {.queue = "mail"});
  CHECK(why(engine, id).reason == NotRunningReason::no_node);
  engine.handlers.on("other", [](JobContext&) {});
  const auto stranger = engine.processor();
  engine.settle(*stranger);
  CHECK_THAT(why(engine, id).text, ContainsSubstring("no live node runs jobs of kind \"work\""));
  engine.queue.pause("mail");
  CHECK(why(engine, id).reason == NotRunningReason::queue_paused);
}

TEST_CASE("a node that does not take from a queue or whose lease has passed runs nothing of it", "[why]") {
  Engine engine;
  engine.handlers.on("work", [](JobContext&) {});
  auto options = engine.options();
  options.queues = {{"default", 0}};
  const auto processor = engine.processor(options);
  engine.settle(*processor);
  const auto elsewhere = engine.queue.enqueue("work", Payload(), {.queue = "mail"});
  CHECK(why(engine, elsewhere).reason == NotRunningReason::no_node);
  const auto here = engine.queue.enqueue("work", Payload());
  CHECK(why(engine, here).reason == NotRunningReason::next);
  engine.clock.advance(1h);  // the node has died meanwhile
  CHECK(why(engine, here).reason == NotRunningReason::no_node);
}

TEST_CASE("a ready job says which slots are all busy and a running one where it runs", "[why]") {
  Engine engine;
  const auto blocked_by = [&](quern::ProcessorOptions options, int concurrency) {
    engine.handlers.on("work", [](JobContext&) {}, {.concurrency = concurrency});
    auto processor = engine.processor<HeldExecutor>(std::move(options));
    const auto first = engine.queue.enqueue("work", Payload());
    engine.settle(*processor);
    const auto waiting = engine.queue.enqueue("work", Payload());
    engine.settle(*processor);
    const auto running = why(engine, first);
    CHECK(running.reason == NotRunningReason::running);
    CHECK(running.node == processor->node());
    CHECK(running.since == engine.clock.now());
    CHECK_THAT(running.text, ContainsSubstring("(test)"));
    return why(engine, waiting);
  };
  auto options = engine.options();
  quern::WhyNotRunning answer;
  SECTION("of the node") {
    options.max_concurrent_jobs = 1;
    answer = blocked_by(options, 0);
    CHECK(answer.reason == NotRunningReason::slots_busy);
  }
  SECTION("of the queue") {
    options.queues = {{"default", 1}, {"mail", 0}};
    answer = blocked_by(options, 0);
    CHECK(answer.reason == NotRunningReason::queue_slots_busy);
    CHECK_THAT(answer.text, ContainsSubstring("queue \"default\""));
  }
  SECTION("of the kind") {
    answer = blocked_by(options, 1);
    CHECK(answer.reason == NotRunningReason::kind_slots_busy);
    CHECK_THAT(answer.text, ContainsSubstring("kind \"work\""));
  }
  CHECK(answer.slots == 1);
}

TEST_CASE("an ended job says how it ended and who keeps it from being retried", "[why]") {
  Engine engine;
  const auto first = engine.queue.enqueue("work", Payload(), {.unique = {.key = "k"}});
  engine.queue.cancel(first, "ann");
  auto answer = why(engine, first);
  CHECK(answer.reason == NotRunningReason::ended);
  CHECK(answer.since == engine.clock.now());
  CHECK_THAT(answer.text, ContainsSubstring("cancelled by ann"));
  CHECK_FALSE(answer.holder);
  const auto second = engine.queue.enqueue("work", Payload(), {.unique = {.key = "k"}});
  answer = why(engine, first);
  CHECK(answer.holder == second.id);
  CHECK_THAT(answer.text, ContainsSubstring("unique key"));
}

TEST_CASE("nothing is said of a job that is not there", "[why]") {
  Engine engine;
  CHECK_FALSE(engine.queue.why_not_running(quern::JobId{12345}));
}
