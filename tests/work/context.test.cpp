#include <nlohmann/json.hpp>

#include "quern/testing/engine.hpp"
#include "support/catch.hpp"
#include "support/engine.hpp"

using namespace quern_test;
using quern::JobContext;
using quern::JobResult;
using quern::JobState;

TEST_CASE("a step runs once over retries and snoozes and gives its kept result back", "[steps]") {
  quern_test::HostEngine engine;
  int fetched = 0;
  int calls = 0;
  std::vector<int> seen;
  engine.on("work", [&](JobContext& context) {
    seen.push_back(context.step("fetch", [&] { return 40 + ++fetched; }));
    context.step("note", [&] { ++fetched; });
    if (++calls == 1) throw std::runtime_error("cable pulled");
    if (calls == 2) return JobResult::snoozed(1min);
    return JobResult::completed();
  });
  const auto id = engine.queue().enqueue("work", quern::Payload()).id;
  engine.advance(1h);
  CHECK(engine.state(id) == JobState::completed);
  CHECK(calls == 3);
  CHECK(fetched == 2);
  CHECK(seen == std::vector<int>{41, 41, 41});
}

TEST_CASE("a step that throws keeps nothing and runs again", "[steps]") {
  quern_test::HostEngine engine;
  int tries = 0;
  engine.on("work", [&](JobContext& context) {
    context.step("flaky", [&] {
      if (++tries < 3) throw std::runtime_error("not yet");
    });
  });
  const auto id = engine.queue().enqueue("work", quern::Payload()).id;
  engine.advance(1h);
  CHECK(engine.state(id) == JobState::completed);
  CHECK(tries == 3);
}

TEST_CASE("a step's name used twice in one run is refused", "[steps]") {
  quern_test::HostEngine engine;
  engine.on("work",
            [&](JobContext& context) {
              context.step("a", [] {});
              context.step("a", [] {});
            },
            {.max_attempts = 1});
  const auto id = engine.queue().enqueue("work", quern::Payload()).id;
  engine.drain();
  CHECK(engine.job(id).end_message.find("used twice") != std::string::npos);
}

TEST_CASE("a run that lost its job cannot keep a step and its result is dropped", "[steps]") {
  Engine engine;
  int after_loss = 0;
  engine.handlers.on("work", [&](JobContext& context) {
    if (context.fence() == 1) {
      // The whole node stands still for longer than its lease, and another one takes its jobs.
      engine.clock.advance(2min);
      engine.port.rescue(100, 3);
    }
    context.step("late", [&] { ++after_loss; });
    return JobResult::completed({{"fence", context.fence()}});
  });
  const auto processor = engine.processor();
  const auto id = engine.queue.enqueue("work", quern::Payload()).id;
  engine.settle(*processor);
  engine.pass(*processor, 1min);
  CHECK(engine.state(id) == JobState::completed);
  CHECK(engine.job(id).result.value().text() == R"({"fence":2})");
  CHECK(engine.job(id).crashes == 1);
  CHECK(after_loss == 2);
  CHECK(processor->node().value == 2);
}

TEST_CASE("follow-up jobs and records appear exactly when the job completes", "[then]") {
  Engine engine;
  int calls = 0;
  quern::JobId child{};
  engine.handlers.on("parent", [&](JobContext& context) {
    child = context.then(quern::NewJob{.kind = "child", .queue = "default", .parents = {context.id()}});
    context.then(quern::Record{"digests", "a/b", quern::Payload::json("1")});
    if (++calls < 3) throw std::runtime_error("not yet");
  });
  const auto processor = engine.processor();
  const auto id = engine.queue.enqueue("parent", quern::Payload(), {.tenant = "acme"}).id;
  engine.settle(*processor);
  CHECK_FALSE(engine.queue.find(child).has_value());
  CHECK_FALSE(engine.storage.get_record("digests", "a/b").has_value());
  engine.pass(*processor, 1h);

  CHECK(engine.state(id) == JobState::completed);
  CHECK(engine.storage.get_record("digests", "a/b").value().text() == "1");
  const auto children = engine.queue.list({.kind = "child"});
  REQUIRE(children.jobs.size() == 1);
  CHECK(children.jobs[0].id == child);
  CHECK(children.jobs[0].state == JobState::ready);
  CHECK(children.jobs[0].created_by == "job:" + to_string(id));
  CHECK(children.jobs[0].tenant == "acme");
}

TEST_CASE("follow-ups that the storage refuses fail that run and no other", "[then]") {
  quern_test::HostEngine engine;
  engine.on("bad",
            [&](JobContext& context) {
              context.then(quern::NewJob{.kind = "child", .parents = {quern::JobId{999'999}}});
            },
            {.max_attempts = 1});
  engine.on("good", [](JobContext&) {});
  const auto bad = engine.queue().enqueue("bad", quern::Payload()).id;
  const auto good = engine.queue().enqueue("good", quern::Payload()).id;
  engine.drain();
  CHECK(engine.state(bad) == JobState::dead);
  CHECK(engine.job(bad).end_message.find("follow-ups were refused") != std::string::npos);
  CHECK(engine.state(good) == JobState::completed);
}

TEST_CASE("progress is written a few times a second however often it is reported", "[progress]") {
  Engine engine;
  int writes = 0;
  engine.storage.before = [&](std::string_view call) { writes += call == "progress" ? 1 : 0; };
  engine.handlers.on("work", [&](JobContext& context) {
    for (int i = 0; i <= 1000; ++i) context.progress(i / 10, "line " + std::to_string(i));
    context.progress(30, "goes on");
  });
  const auto processor = engine.processor();
  const auto id = engine.queue.enqueue("work", quern::Payload()).id;
  engine.settle(*processor);
  CHECK(writes == 1);
  CHECK(engine.job(id).progress == quern::Progress{100, "goes on"});
}
