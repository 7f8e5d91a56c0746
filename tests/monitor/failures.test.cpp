// Failures by their reason: what is told of them, and what can be done to all of a group.
#include "quern/monitor/failures.hpp"

#include <nlohmann/json.hpp>

#include "quern/job_monitor.hpp"
#include "quern/monitor/fingerprint.hpp"
#include "support/catch.hpp"
#include "support/engine.hpp"

using quern::JobContext;
using quern::JobState;
using quern::Payload;
using quern_test::Engine;
using namespace std::chrono_literals;
using Monitor = quern::JobMonitor<quern::testing::StorageProxy>;

namespace {

/// An engine whose jobs of kind "send" fail for one of two reasons, by the job's number, until it is mended.
struct Failing {
  Failing() {
    engine.handlers.on("send",
                       [this](JobContext& context) {
                         const auto id = context.job().ref.id.value;
                         if (mended) return;
                         if (id % 2 == 0) throw std::runtime_error("no user " + std::to_string(id));
                         throw std::runtime_error("10.0.0." + std::to_string(id % 200) + ":25 refused");
                       },
                       {.retry = quern::RetryPolicy::fixed(1min), .max_attempts = 2});
    processor = engine.processor();
  }
  std::vector<quern::JobId> add(int count, const std::string& queue = "default") {
    std::vector<quern::JobId> ids;
    for (int i = 0; i < count; ++i) ids.push_back(engine.queue.enqueue("send", Payload(), {.queue = queue}));
    engine.settle(*processor);
    return ids;
  }
  [[nodiscard]] quern::FailureGroup group(const std::string& error) const {
    for (const auto& group : monitor.failures())
      if (group.error == error) return group;
    return {};
  }

  bool mended = false;
  Engine engine;
  Monitor monitor{engine.queue, {.most_failure_groups = 3}};
  std::unique_ptr<quern::Processor<quern::testing::StorageProxy, quern::InlineExecutor>> processor;
};

}  // namespace

TEST_CASE("failures for the same reason are one group, with when, where, how many and examples",
          "[failures]") {
  Failing scene;
  const auto start = scene.engine.clock.now();
  const auto first = scene.add(8);
  scene.add(4, "bulk");
  CHECK(scene.monitor.failures().size() == 2);
  auto group = scene.group("no user <n>");
  CHECK(group.kind == "send");
  CHECK(group.fingerprint == quern::failure_fingerprint("send", "no user 7"));
  CHECK(group.count == 6);
  CHECK(group.dead == 0);
  CHECK(group.first_seen == start);
  CHECK(group.queues == std::vector<std::string>{"default", "bulk"});
  REQUIRE(group.examples.size() == 5);
  CHECK(group.examples[0].attempt == 1);
  CHECK(group.examples[0].message == "no user " + to_string(group.examples[0].job));
  CHECK(scene.group("<host> refused").count == 6);

  scene.engine.pass(*scene.processor, 1min);
  group = scene.group("no user <n>");
  CHECK(group.count == 12);
  CHECK(group.dead == 6);
  CHECK(group.last_seen == start + 1min);
  scene.engine.clock.advance(5s);
  group = scene.group("no user <n>");
  CHECK(group.per_second[0] > group.per_second[3]);  // rising
}

TEST_CASE("a new group takes the place of the one that was seen longest ago", "[failures]") {
  Engine engine;
  Monitor monitor(engine.queue, {.most_failure_groups = 2});
  engine.handlers.on(
      "fail", [](JobContext& context) { return quern::JobResult::discarded(context.job().tags.at(0)); });
  const auto processor = engine.processor();
  for (const char* const reason : {"one", "two", "one", "three"}) {
    engine.queue.enqueue("fail", Payload(), {.tags = {reason}});
    engine.settle(*processor);
    engine.clock.advance(1s);
  }
  const auto groups = monitor.failures();
  REQUIRE(groups.size() == 2);
  CHECK(groups[0].error == "three");
  CHECK(groups[1].error == "one");
  CHECK(groups[1].count == 2);
}

TEST_CASE("the dead jobs of a group run again, and no others", "[failures]") {
  Failing scene;
  const auto ids = scene.add(6);
  scene.engine.pass(*scene.processor, 1min);
  for (const auto id : ids) CHECK(scene.engine.state(id) == JobState::dead);
  scene.mended = true;
  const auto result = scene.monitor.retry_failures("send", scene.group("no user <n>").fingerprint);
  CHECK(result.matched == 3);
  CHECK(result.changed == 3);
  scene.engine.settle(*scene.processor);
  for (const auto id : ids)
    CHECK(scene.engine.state(id) == (id.value % 2 == 0 ? JobState::completed : JobState::dead));
}

TEST_CASE("a group that is given up is gone, with what still waited for another attempt", "[failures]") {
  Failing scene;
  const auto dead = scene.add(4);
  scene.engine.pass(*scene.processor, 1min);
  const auto waiting = scene.add(4);
  const auto result =
      scene.monitor.discard_failures("send", scene.group("no user <n>").fingerprint, {.batch = 1});
  CHECK(result.matched == 4);
  CHECK(result.changed == 4);
  for (const auto id : dead) CHECK(scene.engine.queue.find(id).has_value() == (id.value % 2 != 0));
  for (const auto id : waiting)
    CHECK(scene.engine.state(id) == (id.value % 2 == 0 ? JobState::cancelled : JobState::scheduled));
  CHECK_THROWS_AS(scene.monitor.retry_failures("send", 1, {.only = [](const quern::Job&) { return true; }}),
                  quern::InvalidArgument);
}

TEST_CASE("groups of failures are told as JSON", "[failures]") {
  Failing scene;
  scene.add(2);
  const auto json = nlohmann::json::parse(to_json(scene.monitor.failures()));
  REQUIRE(json.size() == 2);
  const auto& group = json[0].at("error") == "no user <n>" ? json[0] : json[1];
  CHECK(group.at("kind") == "send");
  CHECK(group.at("fingerprint").get<std::string>().size() == 16);
  CHECK(group.at("count") == 1);
  CHECK(group.at("examples").at(0).at("message").get<std::string>().find("no user") == 0);
  CHECK(group.at("per_second").contains("15m"));
  CHECK(quern::to_json(std::span<const quern::FailureGroup>()) == "[]");
}
