// What one process is told of its alerts.
#include "quern/monitor/alert_manager.hpp"

#include <nlohmann/json.hpp>

#include "support/alert_nodes.hpp"
#include "support/catch.hpp"
#include "support/engine.hpp"

using namespace std::chrono_literals;
using quern::AlertBy;
using quern::AlertEvent;
using quern::AlertMetric;
using quern::AlertOptions;
using quern::AlertRule;
using quern::AlertStatus;
using quern::JobContext;
using quern::JobState;
using quern::Metrics;
using quern::Payload;
using quern_test::AlertFleetOfNodes;
using quern_test::AlertNode;

namespace {

/// A rule about a number of the test's own.
AlertRule about(const std::optional<double>& value) {
  AlertRule rule;
  rule.name = "number";
  rule.metric = AlertMetric::custom([&value](const Metrics&) { return value; });
  rule.threshold = 10;
  rule.cool_down = 0s;
  return rule;
}

AlertOptions with(std::vector<AlertRule> rules) {
  AlertOptions options;
  options.rules = std::move(rules);
  return options;
}

}  // namespace

TEST_CASE("a rule fires after its time, says so once, and once more when it is resolved", "[alerts]") {
  AlertFleetOfNodes fleet;
  std::optional<double> value = 5;
  AlertRule rule = about(value);
  rule.hold_for = 30s;
  rule.clear = 8;
  AlertNode& node = fleet.add(with({rule}));
  fleet.pass(60s);
  CHECK(node.alerts.alerts().empty());
  value = 11;
  fleet.pass(30s);
  REQUIRE(node.alerts.alerts().size() == 1);
  CHECK(node.alerts.alerts()[0].status == AlertStatus::pending);
  CHECK(node.told.empty());
  fleet.pass(10s);
  REQUIRE(node.told.size() == 1);
  CHECK(node.told[0].rule == "number");
  CHECK(node.told[0].value == 11);
  CHECK(node.told[0].at - node.told[0].since == 30s);
  value = 9;  // between the thresholds nothing changes
  fleet.pass(120s);
  const auto alerts = node.alerts.alerts();
  REQUIRE(alerts.size() == 1);
  CHECK(alerts[0].status == AlertStatus::firing);
  CHECK(alerts[0].value == 9);
  CHECK(alerts[0].notified);
  CHECK(nlohmann::json::parse(quern::to_json(alerts)).at(0).at("status") == "firing");
  value = 8;
  fleet.pass(10s);
  CHECK(node.history() == "triggered 1, resolved 2");
  CHECK(node.alerts.alerts().empty());
}

TEST_CASE("no value is no alert, and a value that is gone resolves one", "[alerts]") {
  AlertFleetOfNodes fleet;
  std::optional<double> value;
  AlertNode& node = fleet.add(with({about(value)}));
  fleet.pass(30s);
  CHECK(node.told.empty());
  value = 11;
  fleet.pass(10s);
  value.reset();
  fleet.pass(10s);
  CHECK(node.history() == "triggered 1, resolved 2");
}

TEST_CASE("a rule whose function throws says nothing and stops no other", "[alerts]") {
  AlertFleetOfNodes fleet;
  std::optional<double> value = 11;
  AlertRule bad = about(value);
  bad.name = "bad";
  bad.metric =
      AlertMetric::custom([](const Metrics&) -> std::optional<double> { throw std::runtime_error("no"); });
  SECTION("an exception") {}
  SECTION("anything else") {
    bad.metric = AlertMetric::custom([](const Metrics&) -> std::optional<double> { throw 7; });
  }
  std::vector<std::string> log;
  AlertOptions options = with({bad, about(value)});
  options.log = [&](const quern::LogRecord& record) { log.emplace_back(record.message); };
  AlertNode& node = fleet.add(std::move(options));
  fleet.pass(10s);
  CHECK(node.history() == "triggered 1");
  REQUIRE(log.size() == 2);
  CHECK(log[0].find("rule bad") != std::string::npos);
  CHECK(log[1].find("warning: number fires: 11 is above 10") != std::string::npos);
}

TEST_CASE("a subscriber that throws or hangs keeps no other from its notices, nor the ticks",
          "[alerts][threads]") {
  AlertFleetOfNodes fleet;
  std::optional<double> value = 11;
  AlertNode& node = fleet.add(with({about(value)}));
  std::atomic<bool> go{false};
  const auto hangs = node.alerts.subscribe([&](const AlertEvent&) {
    while (!go) std::this_thread::yield();
  });
  auto throws =
      node.alerts.subscribe([](const AlertEvent&) { throw std::runtime_error("no"); }, {.own_thread = false});
  fleet.pass(10s);
  value = 5;
  fleet.pass(10s);
  CHECK(node.history() == "triggered 1, resolved 2");
  CHECK(throws.pump() == 2);
  CHECK(throws.failures() == 2);
  go = true;
  CHECK(hangs.wait_delivered(30s));
}

TEST_CASE("each queue has an alert of its own", "[alerts]") {
  AlertFleetOfNodes fleet;
  AlertRule rule;
  rule.name = "long";
  rule.metric = AlertMetric::jobs().by(AlertBy::queue);
  rule.threshold = 2;
  AlertNode& node = fleet.add(with({rule}));
  for (int i = 0; i < 3; ++i) {
    node.queue.enqueue("send", Payload(), {.queue = "mail"});
    node.queue.enqueue("work", Payload(), {.queue = "other \"quoted\""});
  }
  node.queue.enqueue("work", Payload());
  fleet.pass(10s);
  REQUIRE(node.told.size() == 2);
  CHECK(node.told[0].queue == "mail");
  CHECK(node.told[1].queue == "other \"quoted\"");
  for (const auto& job : node.queue.list({.states = {JobState::ready}, .queue = "mail"}).jobs)
    node.queue.cancel(job.id);
  fleet.pass(10s);
  REQUIRE(node.told.size() == 3);
  CHECK(node.told[2].queue == "mail");
  CHECK(node.told[2].type == quern::AlertEventType::resolved);
}

TEST_CASE("the default rules see a long queue, failures, a long run and missing workers", "[alerts]") {
  quern_test::Engine engine;
  quern::JobMonitor monitor(engine.queue);
  quern::AlertManager alerts(engine.queue, monitor);
  std::set<std::string> told;
  auto subscription =
      alerts.subscribe([&](const AlertEvent& event) { told.insert(event.rule); }, {.own_thread = false});
  engine.handlers.on("bad", [](JobContext&) { throw std::runtime_error("no"); }, {.max_attempts = 1});
  engine.handlers.on("long", [](JobContext&) {}, {.timeout = std::chrono::hours(10)});
  const auto processor = engine.processor<quern_test::HeldExecutor>();
  const auto pass = [&](quern::Duration time) {
    for (quern::Duration passed{0}; passed < time; passed += 15s) {
      engine.clock.advance(15s);
      engine.settle(*processor);
      monitor.tick(engine.clock.now());
      alerts.tick(engine.clock.now());
      subscription.pump();
    }
  };
  pass(1min);
  CHECK(told.empty());
  pass(1min);
  CHECK(told == std::set<std::string>{"too_few_workers"});

  for (int i = 0; i < 30; ++i) engine.queue.enqueue("bad", Payload());
  engine.settle(*processor);
  processor->executor().run_all();
  pass(2min);
  CHECK(told.contains("too_many_failures"));

  engine.queue.enqueue("long", Payload());
  pass(29min);
  CHECK_FALSE(told.contains("job_runs_too_long"));
  pass(2min);
  CHECK(told.contains("job_runs_too_long"));

  for (int i = 0; i < 501; ++i) engine.queue.enqueue("unknown", Payload());
  pass(2min);
  CHECK(told.contains("queue_too_long"));
  CHECK(told.size() == 4);
}

TEST_CASE("a host says how many workers are healthy", "[alerts]") {
  AlertFleetOfNodes fleet;
  AlertOptions options = with({});
  for (const auto& rule : quern::default_alert_rules())
    if (rule.name == "too_few_workers") options.rules.push_back(rule);
  std::size_t workers = 2;
  options.healthy_workers = [&] { return workers; };
  AlertNode& node = fleet.add(std::move(options));
  fleet.pass(5min);
  CHECK(node.told.empty());
  workers = 1;
  fleet.pass(2min);
  REQUIRE(node.told.size() == 1);
  CHECK(node.told[0].severity == quern::AlertSeverity::critical);
  CHECK(node.told[0].value == 1);
}

TEST_CASE("a silence keeps notices back until it ends, and can be listed and lifted", "[alerts]") {
  AlertFleetOfNodes fleet;
  std::optional<double> value = 11;
  AlertNode& node = fleet.add(with({about(value)}));
  const auto now = fleet.clock.now();
  const auto id = node.alerts.silence({.rule = "num*"}, now + 60s, "deploying", "ada");
  node.alerts.silence({.rule = "other"}, now + 1h, "");
  REQUIRE(node.alerts.silences().size() == 2);
  CHECK(node.alerts.silences()[0].reason == "deploying");
  CHECK(node.alerts.silences()[0].who == "ada");
  CHECK(nlohmann::json::parse(quern::to_json(node.alerts.silences())).at(0).at("rule") == "num*");
  fleet.pass(50s);
  CHECK(node.told.empty());
  REQUIRE(node.alerts.alerts().size() == 1);
  CHECK(node.alerts.alerts()[0].status == AlertStatus::firing);
  CHECK(node.alerts.alerts()[0].silenced);
  CHECK_FALSE(node.alerts.alerts()[0].notified);

  SECTION("it ends by itself") {
    fleet.pass(10s);
    CHECK(node.history() == "triggered 2");
    CHECK(node.alerts.silences().size() == 1);
    fleet.pass(60s);
    CHECK(node.told.size() == 1);
    CHECK_FALSE(node.alerts.unsilence(id));
  }
  SECTION("it is lifted") {
    CHECK(node.alerts.unsilence(id));
    fleet.pass(10s);
    CHECK(node.history() == "triggered 2");
  }
  SECTION("what is resolved meanwhile is not told at all") {
    value = 5;
    fleet.pass(60s);
    CHECK(node.told.empty());
  }
}

TEST_CASE("a silence that is not allowed is refused by name", "[alerts]") {
  AlertFleetOfNodes fleet;
  AlertNode& node = fleet.add(with({}));
  const auto now = fleet.clock.now();
  CHECK_THROWS_AS(node.alerts.silence({}, now, ""), quern::InvalidArgument);
  CHECK_THROWS_AS(node.alerts.silence({}, now + 1s, std::string(1001, 'x')), quern::InvalidArgument);
  CHECK_THROWS_AS(node.alerts.silence({.rule = "\xff"}, now + 1s, ""), quern::InvalidArgument);
  CHECK_THROWS_AS(node.alerts.note(""), quern::InvalidArgument);
}

TEST_CASE("what has not happened for too long gives an alert, which ends when it does", "[alerts]") {
  AlertFleetOfNodes fleet;
  const auto rules = std::vector{quern::not_happened_rule("nightly_missing", "schedule:nightly", 1h)};
  AlertNode& node = fleet.add(with(rules));
  fleet.pass(59min);
  CHECK(node.told.empty());
  node.alerts.note("schedule:nightly");
  fleet.pass(61min);
  CHECK(node.told.empty());
  fleet.pass(2min);
  REQUIRE(node.told.size() == 1);
  CHECK(node.told[0].value >= 3600);
  CHECK(node.told[0].description == "schedule:nightly has not happened for 1h.");
  node.alerts.note("schedule:nightly");
  fleet.pass(10s);
  CHECK(node.history() == "triggered 1, resolved 2");
}

TEST_CASE("a restart does not forget when something happened last, nor since when it is waited for",
          "[alerts]") {
  AlertFleetOfNodes fleet;
  const auto rules = std::vector{quern::not_happened_rule("missing", "backup", 1h),
                                 quern::not_completed_rule("idle", "send", 1h)};
  fleet.add(with(rules));
  fleet.pass(40min);
  fleet.nodes[0]->alerts.note("backup");
  fleet.pass(10s);
  fleet.nodes.clear();
  fleet.clock.advance(10min);
  AlertNode& node = fleet.add(with(rules));
  fleet.pass(12min);  // 62 min since the rules were first seen, 22 since the backup
  REQUIRE(node.told.size() == 1);
  CHECK(node.told[0].rule == "idle");
  CHECK(node.told[0].kind == "send");
  fleet.pass(40min);
  REQUIRE(node.told.size() == 2);
  CHECK(node.told[1].rule == "missing");
}

TEST_CASE("a job that completes on any node counts, also where nobody watches", "[alerts]") {
  quern_test::Engine engine;
  quern::JobMonitor monitor(engine.queue, {.sample_interval = 10s});
  AlertOptions options = with({quern::not_completed_rule("idle", "send", 10min)});
  options.interval = 10s;
  quern::AlertManager alerts(engine.queue, monitor, options);
  std::vector<AlertEvent> told;
  auto subscription =
      alerts.subscribe([&](const AlertEvent& event) { told.push_back(event); }, {.own_thread = false});
  // Another process, without a monitor or alerts of its own.
  quern::JobQueue other(engine.storage);
  quern::HandlerRegistry handlers;
  handlers.on("send", [](JobContext&) {});
  handlers.on("else", [](JobContext&) {});
  quern::Processor<quern::testing::StorageProxy, quern::InlineExecutor> elsewhere(other, handlers,
                                                                                  engine.options());
  engine.handlers.on("send", [](JobContext&) {});
  const auto here = engine.processor();
  const auto pass = [&](quern::Duration time) {
    for (quern::Duration passed{0}; passed < time; passed += 10s) {
      engine.clock.advance(10s);
      monitor.tick(engine.clock.now());
      alerts.tick(engine.clock.now());
      subscription.pump();
    }
  };
  SECTION("of this process") {
    pass(9min);
    engine.queue.enqueue("send", Payload());
    engine.settle(*here);
    pass(9min);
    CHECK(told.empty());
    pass(3min);
    CHECK(told.size() == 1);
  }
  SECTION("of another one") {
    pass(9min);
    other.enqueue("send", Payload());
    engine.settle(elsewhere);
    pass(9min);
    CHECK(told.empty());
    pass(3min);
    CHECK(told.size() == 1);
  }
  SECTION("not one of another kind") {
    pass(9min);
    other.enqueue("else", Payload());
    engine.settle(elsewhere);
    pass(3min);
    CHECK(told.size() == 1);
  }
}

TEST_CASE("a storage that fails decides nothing, and is asked again", "[alerts]") {
  AlertFleetOfNodes fleet;
  std::optional<double> value = 11;
  AlertNode& node = fleet.add(with({about(value)}));
  node.storage.before = [](std::string_view) { throw quern::StorageError("gone fishing", true); };
  fleet.pass(30s);
  CHECK(node.told.empty());
  CHECK(node.alerts.failed_ticks() == 3);
  node.storage.before = {};
  fleet.pass(10s);
  CHECK(node.history() == "triggered 1");
  CHECK(node.alerts.failed_ticks() == 3);
}

TEST_CASE("rules that are told apart by names made at run time don't fill the storage", "[alerts]") {
  AlertFleetOfNodes fleet;
  AlertRule rule;
  rule.name = "any";
  rule.metric = AlertMetric::jobs().by(AlertBy::kind);
  AlertOptions options = with({rule});
  options.most_alerts = 3;
  AlertNode& node = fleet.add(std::move(options));
  for (int i = 0; i < 10; ++i) node.queue.enqueue("kind-" + std::to_string(i), Payload());
  fleet.pass(30s);
  REQUIRE(node.told.size() == 3);
  // One that comes before them in the order of names displaces none.
  node.queue.enqueue("a-kind", Payload());
  fleet.pass(60s);
  CHECK(node.told.size() == 3);
}

TEST_CASE("bad rules and options are refused together", "[alerts]") {
  AlertFleetOfNodes fleet;
  AlertRule rule;
  AlertOptions options = with({rule});
  options.most_alerts = 0;
  try {
    AlertNode node(fleet.port, options);
    FAIL("it was taken");
  } catch (const quern::ConfigError& e) {
    CHECK(e.faults() ==
          std::vector<std::string>{"rules[0].name: is empty", "most_alerts: is 0; allowed is 1 to 100000"});
  }
}

TEST_CASE("a manager ticks at its interval, also when the clock is set back", "[alerts]") {
  AlertFleetOfNodes fleet;
  AlertNode& node = fleet.add(with({}));
  const auto now = fleet.clock.now();
  CHECK(node.alerts.tick(now).at == now + 10s);
  CHECK(node.alerts.tick(now + 3s).at == now + 10s);
  CHECK(node.alerts.tick(now - 1h).at == now - 1h + 10s);
}

TEST_CASE("what was decided is kept for long, and its jobs are not", "[alerts]") {
  AlertFleetOfNodes fleet;
  std::optional<double> value = 11;
  AlertNode& node = fleet.add(with({about(value)}));
  const auto decisions = [&] {
    return node.queue.list({.kind = std::string(quern::alert_decision_kind)}).jobs.size();
  };
  fleet.pass(10s);
  value = 5;
  fleet.pass(10s);
  value = 11;
  fleet.pass(10s);
  CHECK(decisions() == 3);
  fleet.pass(2h);
  CHECK(decisions() == 0);
  CHECK(node.told.size() == 3);
  value = 5;
  fleet.pass(10s);
  CHECK(node.history() == "triggered 1, resolved 2, triggered 3, resolved 4");
}

TEST_CASE("what is done to all jobs at once makes no alert forgotten or told twice", "[alerts]") {
  AlertFleetOfNodes fleet;
  std::optional<double> value = 11;
  AlertNode& node = fleet.add(with({about(value)}));
  fleet.pass(10s);
  SECTION("all that waits is run now") { node.queue.reschedule_all({}, {}); }
  SECTION("all that waits is cancelled") { node.queue.cancel_all({}); }
  SECTION("all is erased") { node.queue.erase_all({}); }
  fleet.pass(60s);
  CHECK(node.history() == "triggered 1");
  value = 5;
  fleet.pass(10s);
  CHECK(node.history() == "triggered 1, resolved 2");
  fleet.pass(2h);
  CHECK(node.told.size() == 2);
  CHECK(node.queue.list({.states = {JobState::scheduled, JobState::ready}}).jobs.empty());
}

TEST_CASE("an alert of a rule that nobody has any more ends by itself", "[alerts]") {
  AlertFleetOfNodes fleet;
  std::optional<double> value = 11;
  fleet.add(with({about(value)}));
  fleet.pass(10s);
  fleet.nodes.clear();
  AlertNode& node = fleet.add(with({}));
  fleet.pass(30min);
  REQUIRE(node.alerts.alerts().size() == 1);
  CHECK(node.alerts.alerts()[0].rule == "number");
  fleet.pass(40min);
  CHECK(node.alerts.alerts().empty());
  CHECK(node.told.empty());
}
