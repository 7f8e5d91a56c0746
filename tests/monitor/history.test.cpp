// The history of one node: which minute holds what, and what a query gives.
#include <nlohmann/json.hpp>
#include <thread>

#include "quern/quern.hpp"
#include "support/catch.hpp"
#include "support/history_nodes.hpp"

using quern::Duration;
using quern::HistoryOptions;
using quern::HistoryPoint;
using quern::HistoryQuery;
using quern::HistoryResolution;
using quern::JobContext;
using quern::Outcome;
using quern::Payload;
using quern_test::HistoryFleet;
using quern_test::HistoryNode;
using quern_test::HistorySum;
using namespace std::chrono_literals;

TEST_CASE("a minute holds what happened in it: zeros where a node was up, no point where none was",
          "[history]") {
  HistoryFleet fleet;
  HistoryNode* node = &fleet.add();
  node->ran("send", 10ms, 3);
  fleet.pass(1min);
  node->ran("send", 10ms, 4, Outcome::failed);
  fleet.pass(2min);
  fleet.nodes.clear();
  fleet.clock.advance(3min);
  node = &fleet.add();
  node->ran("send", 10ms);
  fleet.pass(1min + 20s);

  const auto minutes = fleet.minutes();
  REQUIRE(minutes.size() == 4);
  CHECK(minutes[0].from == fleet.start);
  CHECK(minutes[0].length == 1min);
  CHECK(minutes[0].counts.completed == 3);
  CHECK(minutes[0].counts.cpu == 7500us);
  CHECK(minutes[0].covered == 1min);
  CHECK(minutes[1].counts.failed == 4);
  CHECK(minutes[1].counts.completed == 0);
  CHECK(minutes[2].from == fleet.start + 2min);
  CHECK(minutes[2].counts == quern::HistoryCounts());
  CHECK(minutes[2].ran.empty());
  CHECK(minutes[3].from == fleet.start + 6min);
  CHECK(minutes[3].counts.completed == 1);
}

TEST_CASE("a minute is written soon after its end, and is open for as long as nodes may add to it",
          "[history]") {
  HistoryFleet fleet;
  HistoryNode& node = fleet.add({.late = 2min});
  node.ran("send", 10ms);
  fleet.pass(40s);
  CHECK(fleet.minutes().empty());
  fleet.pass(40s);
  REQUIRE(fleet.minutes().size() == 1);
  CHECK(fleet.minutes()[0].open);
  fleet.pass(2min);
  CHECK_FALSE(fleet.minutes()[0].open);
  CHECK(fleet.minutes()[1].open);
}

TEST_CASE("a stop writes the minute under way, once", "[history]") {
  HistoryFleet fleet;
  HistoryNode& node = fleet.add();
  fleet.pass(40s);
  node.ran("send", 10ms, 5);
  node.history.stop();
  node.history.stop();
  CHECK(node.written == 1);
  REQUIRE(fleet.minutes().size() == 1);
  CHECK(fleet.minutes()[0].counts.completed == 5);
  CHECK(fleet.minutes()[0].covered == 40s);
  node.ran("send", 10ms, 2);  // after the stop, and nevertheless
  node.history.stop();
  CHECK(fleet.minutes()[0].counts.completed == 7);
  SECTION("and it can go on in the same minute") {
    fleet.pass(20s);
    node.ran("send", 10ms, 1);
    fleet.pass(1min + 20s);
    CHECK(HistorySum(fleet.minutes()).completed == 8);
  }
}

TEST_CASE("what the storage holds and how busy the node was is told as mean and most", "[history]") {
  HistoryFleet fleet;
  HistoryNode& node = fleet.add();
  const auto load = [&](std::size_t running) {
    node.queue.core().observers().tell(
        [&](quern::QueueObserver& observer) { observer.on_load(&fleet, running, 10); });
  };
  load(4);
  fleet.pass(20s);  // a sample of nothing
  for (int i = 0; i < 6; ++i) node.queue.enqueue("send", Payload());
  node.queue.enqueue("later", Payload(), {.run_at = quern::When::after(1h)});
  load(10);
  fleet.pass(20s);
  fleet.pass(40s);
  const auto minutes = fleet.minutes();
  REQUIRE(minutes.size() == 1);
  CHECK(minutes[0].slots == Approx(10));
  CHECK(minutes[0].running == Approx(8));
  CHECK(minutes[0].utilization() == Approx(0.8));
  REQUIRE(minutes[0].depth);
  CHECK(minutes[0].depth->ready.max == 6);
  CHECK(minutes[0].depth->ready.mean == Approx(3));
  CHECK(minutes[0].depth->scheduled.max == 1);
  CHECK(minutes[0].depth->oldest_ready == 20s);
  const auto send = fleet.minutes({.kind = "later"});
  REQUIRE(send[0].depth);
  CHECK(send[0].depth->ready.max == 0);
  CHECK(send[0].depth->scheduled.max == 1);
  CHECK(send[0].counts.enqueued == 1);
}

TEST_CASE("a query is about one queue, one kind, both or all", "[history]") {
  HistoryFleet fleet;
  HistoryNode& node = fleet.add();
  node.ran("send", 10ms, 1);
  node.ran("send", 20ms, 2, Outcome::completed, "bulk");
  node.ran("fetch", 30ms, 4, Outcome::completed, "bulk");
  fleet.pass(1min + 20s);
  const auto completed = [&](HistoryQuery query) {
    return fleet.minutes(std::move(query)).at(0).counts.completed;
  };
  CHECK(completed({}) == 7);
  CHECK(completed({.queue = "bulk"}) == 6);
  CHECK(completed({.kind = "send"}) == 3);
  CHECK(completed({.queue = "bulk", .kind = "send"}) == 2);
  CHECK(completed({.kind = "nobody's"}) == 0);
  CHECK(fleet.minutes({.kind = "fetch"})[0].ran.min() == 30ms);
  CHECK(fleet.minutes({.kind = "fetch"})[0].covered == 1min);  // of the node, whatever it ran
}

TEST_CASE("a query gives the points of its range", "[history]") {
  HistoryFleet fleet;
  HistoryNode& node = fleet.add();
  fleet.pass(5min + 20s);
  HistoryQuery query{.from = fleet.start + 1min + 30s, .to = fleet.start + 3min};
  auto points = node.history.query(query);
  REQUIRE(points.size() == 2);
  CHECK(points[0].from == fleet.start + 1min);  // as much of it as there is
  CHECK(points[1].from == fleet.start + 2min);
  query.to += 1us;
  CHECK(node.history.query(query).size() == 3);
  const auto field = [&](HistoryQuery wrong) -> std::string {
    try {
      static_cast<void>(node.history.query(wrong));
      return "";
    } catch (const quern::InvalidArgument& e) {
      return e.field();
    }
  };
  CHECK(field({.from = fleet.start, .to = fleet.start}) == "to");
  CHECK(field({.from = fleet.start, .to = fleet.start + 3000min}).empty());
  CHECK(field({.from = fleet.start, .to = fleet.start + 3001min}) == "from");
  CHECK(field({.from = fleet.start, .to = fleet.start + 3001min, .resolution = HistoryResolution::hour})
            .empty());
  CHECK(field({.from = quern::TimePoint(-1us), .to = fleet.start}) == "from");
  CHECK(field({.from = quern::TimePoint::min(), .to = quern::TimePoint::max()}) == "from");
}

TEST_CASE("a tick that is late counts in the last whole minute, and the gap stays one", "[history]") {
  HistoryFleet fleet;
  HistoryNode& node = fleet.add();
  node.ran("send", 10ms, 2);
  fleet.pass(20s);
  fleet.clock.advance(10min);
  node.ran("send", 10ms, 3);
  fleet.pass(20s);
  fleet.pass(1min);
  const auto minutes = fleet.minutes();
  REQUIRE(minutes.size() == 3);
  CHECK(minutes[0].from == fleet.start);
  CHECK(minutes[0].counts.completed == 2);
  CHECK(minutes[0].covered == 20s);
  CHECK(minutes[1].from == fleet.start + 9min);
  CHECK(minutes[1].counts.completed == 3);
  CHECK(minutes[2].from == fleet.start + 10min);
}

TEST_CASE("a clock that is set back loses and doubles nothing", "[history]") {
  HistoryFleet fleet;
  HistoryNode& node = fleet.add();
  node.ran("send", 10ms, 2);
  fleet.pass(2min + 20s);
  fleet.clock.set_wall(fleet.start);
  node.ran("send", 10ms, 3);
  fleet.pass(3min + 20s);
  CHECK(HistorySum(fleet.minutes()).completed == 5);
}

TEST_CASE("names made at run time fill no storage, and are counted nevertheless", "[history]") {
  HistoryFleet fleet;
  HistoryNode& node = fleet.add({.most_pairs = 2});
  for (int kind = 0; kind < 50; ++kind) node.ran("kind-" + std::to_string(kind), 10ms, kind == 7 ? 9 : 1);
  node.queue.enqueue("kind-7", Payload());
  fleet.pass(1min + 20s);
  CHECK(HistorySum(fleet.minutes()).completed == 58);
  CHECK(HistorySum(fleet.minutes({.kind = "kind-7"})).completed == 9);
  CHECK(HistorySum(fleet.minutes({.kind = "(other)"})).completed == 48);
  for (const auto& record : fleet.port.list_records("quern.history", "", 10))
    CHECK(record.value.text().size() < 1000);
}

TEST_CASE("a record is never longer than a payload may be, however many kinds run at all speeds",
          "[history]") {
  HistoryFleet fleet;
  HistoryNode& node = fleet.add();
  std::size_t runs = 0;
  for (int kind = 0; kind < 400; ++kind)
    for (std::int64_t us = 1; us < 3'600'000'000; us += us / 30 + 1, ++runs)
      node.ran("kind-" + std::to_string(kind), Duration(us));
  fleet.pass(1min + 20s);
  for (const auto& record : fleet.port.list_records("quern.history", "", 10))
    CHECK(record.value.text().size() <= quern::JobLimits().payload_bytes);
  CHECK(HistorySum(fleet.minutes()).completed == runs);
  CHECK(HistorySum(fleet.minutes({.kind = "(other)"})).completed > 0);
}

TEST_CASE("a record that can't be read is left out, and said so", "[history]") {
  HistoryFleet fleet;
  HistoryNode& node = fleet.add();
  fleet.port.put_record(
      {"quern.history", "minute/" + quern::to_rfc3339(fleet.start) + "/node/a", Payload::json("7")});
  fleet.port.put_record(
      {"quern.history", "minute/" + quern::to_rfc3339(fleet.start) + "/node/b", Payload::json(R"({"v":2})")});
  fleet.port.put_record({"quern.history", "minute/yesterday/node/b", Payload::json("7")});
  node.ran("send", 10ms);
  fleet.pass(1min + 20s);
  REQUIRE(fleet.minutes().size() == 1);
  CHECK(fleet.minutes()[0].counts.completed == 1);
  REQUIRE(node.log.size() >= 2);
  CHECK(node.log[0].find("/node/a of the history can't be read") != std::string::npos);
  CHECK(node.log[1].find("version 2") != std::string::npos);
}

TEST_CASE("a history as JSON has counts, quantiles and times", "[history]") {
  HistoryFleet fleet;
  HistoryNode& node = fleet.add();
  for (int ms = 1; ms <= 100; ++ms) node.ran("send", ms * 1ms);
  fleet.pass(1min + 20s);
  const auto json = nlohmann::json::parse(node.history.json({.from = fleet.start, .to = fleet.start + 1h}));
  REQUIRE(json.at("points").size() == 1);
  const auto& point = json.at("points").at(0);
  CHECK(point.at("from") == "2026-01-01T00:00:00Z");
  CHECK(point.at("length_s") == 60);
  CHECK(point.at("open") == true);
  CHECK(point.at("completed") == 100);
  CHECK(point.at("failed") == 0);
  CHECK(point.at("run_s").at("p50").get<double>() == Approx(0.050).epsilon(1.0 / 64));
  CHECK(point.at("run_s").at("p99").get<double>() == Approx(0.099).epsilon(1.0 / 64));
  CHECK(point.at("depth").at("ready").at("max") == 0);
  CHECK(point.at("all_kinds").at("covered_s") == 60);
}

TEST_CASE("all that is wrong with a history's options is said at once", "[history]") {
  HistoryFleet fleet;
  const auto faults = [&](HistoryOptions options) -> std::vector<std::string> {
    try {
      fleet.add(std::move(options));
      return {};
    } catch (const quern::ConfigError& e) {
      return e.faults();
    }
  };
  CHECK(faults({}).empty());
  const auto all = faults({.interval = 2min,
                           .keep_minutes = 2h,
                           .keep_hours = 24h,
                           .keep_days = 24h,
                           .late = 2h,
                           .most_pairs = 0});
  REQUIRE(all.size() == 6);
  CHECK(all[0] == "interval: is 2m; allowed is 1s to 1m");
  CHECK(all[4] == "late: is 2h; allowed is 1m to 1h");
  CHECK(faults({.keep_minutes = 72h, .keep_hours = 48h}).size() == 1);
  CHECK(faults({.keep_hours = 24h * 20, .keep_days = 24h * 19}).size() == 1);
}

TEST_CASE("the sum of a history is a recount of what was run", "[history]") {
  HistoryFleet fleet;
  HistoryNode& node = fleet.add();
  quern::HandlerRegistry handlers;
  int runs = 0;
  handlers.on("work",
              [&](JobContext& context) {
                fleet.clock.advance(std::chrono::milliseconds(runs % 17));
                if (++runs % 7 == 0) throw std::runtime_error("every seventh");
                if (context.id().value % 11 == 0) throw std::runtime_error("always");
              },
              {.retry = quern::RetryPolicy::fixed(30s), .max_attempts = 2});
  quern::Processor<quern::testing::StorageProxy, quern::InlineExecutor> processor(node.queue, handlers,
                                                                                  {.seed = 1});
  for (int minute = 0; minute < 70; ++minute) {
    for (int i = 0; i < minute % 5 * 3; ++i) node.queue.enqueue("work", Payload());
    for (int third = 0; third < 3; ++third) {
      while (processor.tick(fleet.clock.now()).at <= fleet.clock.now()) continue;
      fleet.pass(20s);
    }
  }
  while (processor.tick(fleet.clock.now()).at <= fleet.clock.now()) continue;
  processor.request_stop();
  while (!processor.stopped()) processor.tick(fleet.clock.now());
  node.history.stop();
  std::uint64_t completed = 0;
  std::uint64_t dead = 0;
  for (const auto& count : fleet.port.count()) {
    if (count.state == quern::JobState::completed) completed += count.count;
    if (count.state == quern::JobState::dead) dead += count.count;
  }
  CHECK(completed > 300);
  CHECK(dead > 0);
  for (const HistoryResolution resolution :
       {HistoryResolution::minute, HistoryResolution::hour, HistoryResolution::day}) {
    CAPTURE(to_string(resolution));
    std::uint64_t started = 0;
    std::uint64_t history_dead = 0;
    std::uint64_t retried = 0;
    const auto points = fleet.points(resolution);
    for (const HistoryPoint& point : points) {
      started += point.counts.started;
      history_dead += point.counts.dead;
      retried += point.counts.retried;
    }
    const HistorySum sum(points);
    CHECK(sum.completed == completed);
    CHECK(history_dead == dead);
    CHECK(started == static_cast<std::uint64_t>(runs));
    CHECK(sum.failed == retried + dead);
    CHECK(sum.enqueued == completed + dead);
    CHECK(sum.ran.count() == static_cast<std::uint64_t>(runs));
    CHECK(sum.ran.sum() == node.monitor.metrics().jobs.at(0).ran.sum());
  }
}

TEST_CASE("a history on a thread of its own keeps what was counted when it stops", "[history][threads]") {
  quern::MemoryStorage storage;
  quern::JobQueue queue(storage);
  quern::JobMonitor monitor(queue);
  quern::JobHistory history(queue, monitor, {.interval = 1s});
  const auto begin = quern::SystemClock().now();
  history.start();
  history.start();
  for (int i = 0; i < 10; ++i) queue.enqueue("work", Payload());
  history.stop();
  history.start();
  queue.enqueue("work", Payload());
  history.stop();
  const auto end = quern::SystemClock().now() + 1us;
  CHECK(HistorySum(history.query({.from = begin, .to = end})).enqueued == 11);
  CHECK(
      HistorySum(history.query({.from = begin, .to = end, .resolution = HistoryResolution::day})).enqueued ==
      11);
  CHECK(history.failed_ticks() == 0);
}
