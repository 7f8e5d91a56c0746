// One alert per fleet, whoever sees it, restarts or dies.
#include <thread>

#include "support/alert_nodes.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using quern::AlertEvent;
using quern::AlertMetric;
using quern::AlertOptions;
using quern::AlertRule;
using quern::AlertStatus;
using quern::JobState;
using quern::Metrics;
using quern::NewJob;
using quern::Payload;
using quern_test::AlertFleetOfNodes;
using quern_test::AlertNode;

namespace {

AlertRule about(const std::optional<double>& value) {
  AlertRule rule;
  rule.name = "number";
  rule.metric = AlertMetric::custom([&value](const Metrics&) { return value; });
  rule.threshold = 10;
  rule.cool_down = 0s;
  return rule;
}

AlertOptions with(AlertRule rule) {
  AlertOptions options;
  options.rules = {std::move(rule)};
  return options;
}

AlertOptions delivering(AlertRule rule) {
  AlertOptions options = with(std::move(rule));
  options.job = [](const AlertEvent& event) {
    NewJob job;
    job.kind = "mail";
    job.payload = Payload::of(event);
    return std::optional(job);
  };
  return options;
}

std::size_t mails(quern::StoragePort& port) { return port.list({.kind = "mail"}).jobs.size(); }

}  // namespace

TEST_CASE("of ten nodes that see the same, one says so", "[alerts]") {
  AlertFleetOfNodes fleet;
  std::optional<double> value = 11;
  AlertRule rule = about(value);
  rule.hold_for = 20s;
  for (int i = 0; i < 10; ++i) fleet.add(with(rule));
  fleet.pass(20s);
  CHECK(fleet.told() == 0);
  fleet.pass(60s);
  CHECK(fleet.told() == 1);
  for (const auto& node : fleet.nodes) {
    REQUIRE(node->alerts.alerts().size() == 1);
    CHECK(node->alerts.alerts()[0].status == AlertStatus::firing);
  }
  value = 5;
  fleet.pass(60s);
  CHECK(fleet.told() == 2);
  for (const auto& node : fleet.nodes) CHECK(node->alerts.alerts().empty());
}

TEST_CASE("an alert fires while any node sees it, and is resolved when none does", "[alerts]") {
  AlertFleetOfNodes fleet;
  std::optional<double> one = 11;
  std::optional<double> other = 5;
  AlertRule rule = about(one);
  rule.hold_for = 60s;
  AlertNode& first = fleet.add(with(rule));
  rule = about(other);
  rule.hold_for = 60s;
  fleet.add(with(rule));
  fleet.pass(30s);
  other = 11;
  fleet.pass(10s);
  one = 5;  // the other one goes on seeing it: it is one alert, since the first saw it
  fleet.pass(20s);
  CHECK(fleet.told() == 0);
  CHECK(first.alerts.alerts()[0].status == AlertStatus::pending);
  fleet.pass(40s);
  CHECK(fleet.told() == 1);
  other = 5;
  fleet.pass(10s);
  CHECK(fleet.told() == 2);
}

TEST_CASE("what a node saw that has died is not believed for long", "[alerts]") {
  AlertFleetOfNodes fleet;
  std::optional<double> one = 11;
  std::optional<double> other = 5;
  AlertNode& dies = fleet.add(with(about(one)));
  AlertNode& lives = fleet.add(with(about(other)));
  fleet.pass(10s);
  CHECK(fleet.told() == 1);
  dies.storage.crash_at(1);
  fleet.pass(20s);
  CHECK(lives.alerts.alerts().size() == 1);
  fleet.pass(10s);
  CHECK(lives.alerts.alerts().empty());
  REQUIRE(lives.told.size() == 1);
  CHECK(lives.told[0].type == quern::AlertEventType::resolved);
}

TEST_CASE("a restart tells nobody again, and knows what is to be resolved", "[alerts]") {
  AlertFleetOfNodes fleet;
  std::optional<double> value = 11;
  AlertRule rule = about(value);
  rule.clear = 8;
  fleet.add(with(rule));
  fleet.pass(10s);
  CHECK(fleet.told() == 1);
  fleet.nodes.clear();
  SECTION("while it still fires") {
    AlertNode& node = fleet.add(with(rule));
    fleet.pass(10min);
    CHECK(node.told.empty());
    value = 9;  // not clear, as the one before knew
    fleet.pass(10min);
    CHECK(node.told.empty());
    value = 8;
    fleet.pass(10s);
    CHECK(node.history() == "resolved 2");
  }
  SECTION("after the value was back in between") {
    value = 5;
    fleet.clock.advance(3h);
    AlertNode& node = fleet.add(with(rule));
    fleet.pass(10s);
    CHECK(node.history() == "resolved 2");
  }
}

TEST_CASE("a restart within half a minute goes on with a pending alert", "[alerts]") {
  AlertFleetOfNodes fleet;
  std::optional<double> value = 11;
  AlertRule rule = about(value);
  rule.hold_for = 60s;
  fleet.add(with(rule));
  fleet.pass(40s);
  fleet.nodes.clear();
  SECTION("soon") {
    fleet.add(with(rule));
    fleet.pass(20s);
    CHECK(fleet.told() == 0);
    fleet.pass(10s);
    CHECK(fleet.told() == 1);
  }
  SECTION("later it begins anew") {
    fleet.clock.advance(1min);
    fleet.add(with(rule));
    fleet.pass(60s);
    CHECK(fleet.told() == 0);
    fleet.pass(10s);
    CHECK(fleet.told() == 1);
  }
}

TEST_CASE("an alert that keeps firing for a while does so over a restart, and when its node has died",
          "[alerts]") {
  AlertFleetOfNodes fleet;
  std::optional<double> value = 11;
  AlertRule rule = about(value);
  rule.keep_firing_for = 5min;
  fleet.add(with(rule));
  fleet.pass(10s);
  SECTION("the value was back before") {
    value = 5;
    fleet.pass(1min);
  }
  SECTION("and after") {}
  fleet.nodes.clear();
  value = 5;
  AlertNode& node = fleet.add(with(rule));
  fleet.pass(3min);
  CHECK(node.told.empty());
  REQUIRE(node.alerts.alerts().size() == 1);
  CHECK(node.alerts.alerts()[0].status == AlertStatus::firing);
  fleet.pass(3min);
  CHECK(node.history() == "resolved 2");
}

TEST_CASE("a node without a rule shows its alert, and leaves it to the others", "[alerts]") {
  AlertFleetOfNodes fleet;
  std::optional<double> value = 11;
  fleet.add(with(about(value)));
  AlertOptions none;
  none.rules.clear();
  AlertNode& other = fleet.add(none);
  fleet.pass(3h);
  REQUIRE(other.alerts.alerts().size() == 1);
  CHECK(other.alerts.alerts()[0].rule == "number");
  CHECK(other.alerts.alerts()[0].status == AlertStatus::firing);
  value = 5;
  fleet.pass(20s);
  CHECK(other.alerts.alerts().empty());
  CHECK(other.told.empty());
  CHECK(fleet.nodes[0]->history() == "triggered 1, resolved 2");
}

TEST_CASE("the cool-down and a silence hold over a restart", "[alerts]") {
  AlertFleetOfNodes fleet;
  std::optional<double> value = 11;
  AlertRule rule = about(value);
  rule.cool_down = 10min;
  fleet.add(with(rule));
  fleet.pass(10s);
  value = 5;
  fleet.pass(10s);
  CHECK(fleet.told() == 2);
  fleet.nodes.clear();
  value = 11;
  AlertNode& node = fleet.add(with(rule));
  fleet.pass(5min);
  CHECK(node.told.empty());
  CHECK(node.alerts.alerts()[0].status == AlertStatus::firing);
  node.alerts.silence({.rule = "number"}, fleet.clock.now() + 20min, "known");
  fleet.nodes.clear();
  AlertNode& next = fleet.add(with(rule));
  fleet.pass(19min);
  CHECK(next.told.empty());
  fleet.pass(2min);
  CHECK(next.told.size() == 1);
}

TEST_CASE("a notice becomes one job, however many nodes want it", "[alerts]") {
  AlertFleetOfNodes fleet;
  std::optional<double> value = 11;
  for (int i = 0; i < 10; ++i) fleet.add(delivering(about(value)));
  fleet.pass(60s);
  value = 5;
  fleet.pass(60s);
  CHECK(mails(fleet.port) == 2);
  const auto jobs = fleet.port.list({.kind = "mail", .oldest_first = true}).jobs;
  CHECK(jobs[0].payload.as<AlertEvent>().type == quern::AlertEventType::triggered);
  CHECK(jobs[0].created_by == "alert:number");
  CHECK(jobs[1].payload.as<AlertEvent>().type == quern::AlertEventType::resolved);
}

TEST_CASE("a notice becomes exactly one job wherever the node that gives it dies", "[alerts]") {
  // Until a whole tick goes through without being reached by the crash.
  for (std::size_t call = 1;; ++call) {
    REQUIRE(call < 50);
    bool reached = false;
    for (const auto side : {quern::testing::CrashSide::before, quern::testing::CrashSide::after}) {
      CAPTURE(call);
      AlertFleetOfNodes fleet;
      std::optional<double> value = 11;
      AlertNode& dies = fleet.add(delivering(about(value)));
      dies.monitor.tick(fleet.clock.now());
      dies.storage.crash_at(call, side);
      dies.alerts.tick(fleet.clock.now());
      reached = reached || dies.storage.crashed();
      fleet.nodes.clear();
      fleet.add(delivering(about(value)));
      fleet.pass(60s);
      CHECK(mails(fleet.port) == 1);
      value = 5;
      fleet.pass(60s);
      CHECK(mails(fleet.port) == 2);
    }
    if (!reached) break;
  }
}

TEST_CASE("a notice whose answer was lost is told by who gave it, once", "[alerts]") {
  AlertFleetOfNodes fleet;
  std::optional<double> value = 11;
  AlertNode& node = fleet.add(delivering(about(value)));
  AlertNode& other = fleet.add(delivering(about(value)));
  bool lost = false;
  node.storage.after = [&](std::string_view call) {
    if (call != "insert" || lost) return;
    lost = true;
    throw quern::StorageError("the answer is lost", true);
  };
  fleet.pass(60s);
  CHECK(lost);
  CHECK(node.history() == "triggered 1");
  CHECK(other.told.empty());
  CHECK(mails(fleet.port) == 1);
}

TEST_CASE("what was decided by a node that died before it wrote that down is known for long", "[alerts]") {
  AlertFleetOfNodes fleet;
  std::optional<double> value = 11;
  AlertNode& dies = fleet.add(with(about(value)));
  bool dead = false;
  dies.storage.before = [&](std::string_view) {
    if (dead) throw quern::StorageError("dead", false);
  };
  dies.storage.after = [&](std::string_view call) {
    if (call != "insert") return;
    dead = true;
    throw quern::StorageError("dead", false);
  };
  fleet.pass(10s);
  REQUIRE(dead);
  fleet.nodes.clear();
  AlertNode& node = fleet.add(with(about(value)));
  fleet.pass(3h);  // beyond the time for which decisions stand as jobs
  CHECK(node.told.empty());
  value = 5;
  fleet.pass(10s);
  CHECK(node.history() == "resolved 2");
}

TEST_CASE("a notice whose queue is full is told, and its job added when there is room", "[alerts]") {
  AlertFleetOfNodes fleet;
  std::optional<double> value = 11;
  AlertNode& node = fleet.add(delivering(about(value)));
  node.queue.limit("default", 1);
  const auto other = node.queue.enqueue("other", Payload());
  fleet.pass(60s);
  CHECK(node.history() == "triggered 1");
  CHECK(mails(fleet.port) == 0);
  node.queue.cancel(other.id);
  fleet.pass(60s);
  CHECK(mails(fleet.port) == 1);
  CHECK(node.history() == "triggered 1");
}

TEST_CASE("a job that can't be made costs nobody the notice", "[alerts]") {
  AlertFleetOfNodes fleet;
  std::optional<double> value = 11;
  AlertOptions options = with(about(value));
  std::vector<std::string> log;
  options.log = [&](const quern::LogRecord& record) { log.emplace_back(record.message); };
  SECTION("its function throws") {
    options.job = [](const AlertEvent&) -> std::optional<NewJob> { throw std::runtime_error("no"); };
  }
  SECTION("its function makes one that is not allowed") {
    options.job = [](const AlertEvent&) { return std::optional(NewJob()); };
  }
  AlertNode& node = fleet.add(std::move(options));
  fleet.pass(10s);
  CHECK(node.history() == "triggered 1");
  REQUIRE(log.size() == 2);
  CHECK(log[0].find("no job could be made") != std::string::npos);
}

TEST_CASE("a node that was away while much was decided takes part again, and repeats nothing", "[alerts]") {
  AlertFleetOfNodes fleet;
  std::optional<double> value = 5;
  AlertNode& away = fleet.add(delivering(about(value)));
  AlertNode& here = fleet.add(delivering(about(value)));
  // It stands still just before it decides, for as long as a whole alert and the next one take.
  bool stood = false;
  away.storage.before = [&](std::string_view call) {
    if (call != "insert" || stood) return;
    stood = true;
    for (const double next : {11.0, 5.0, 11.0}) {
      value = next;
      fleet.clock.advance(40s);
      here.tick(fleet.clock.now());
    }
    here.queue.cancel_all({.kind = "mail"});  // what has ended is not delivered anew, either
  };
  value = 11;
  fleet.clock.advance(10s);
  away.tick(fleet.clock.now());
  REQUIRE(stood);
  CHECK(away.told.empty());
  CHECK(here.history() == "triggered 1, resolved 2, triggered 3");
  const std::size_t told = here.told.size();
  CHECK(told == mails(fleet.port));
  fleet.pass(60s);
  CHECK(away.told.empty());
  CHECK(here.told.size() == told);
  CHECK(mails(fleet.port) == told);
  value = 5;
  fleet.pass(60s);
  CHECK(fleet.told() == told + 1);
  CHECK(mails(fleet.port) == told + 1);
}

TEST_CASE("managers with threads of their own give each notice once", "[alerts][threads]") {
  quern_test::EngineStorage own;
  quern::StoragePort& port = own.storage.port();
  std::atomic<double> value{5};
  AlertRule rule;
  rule.name = "number";
  rule.metric = AlertMetric::custom([&](const Metrics&) { return std::optional(value.load()); });
  rule.threshold = 10;
  rule.cool_down = 0s;
  AlertOptions options = delivering(rule);
  options.interval = 100ms;

  std::mutex mutex;
  std::map<std::uint64_t, std::vector<quern::AlertEventType>> told;  // by number
  struct Node {
    quern::testing::StorageProxy storage;
    quern::JobQueue<quern::testing::StorageProxy> queue{storage};
    quern::JobMonitor<quern::testing::StorageProxy> monitor{queue};
    quern::AlertManager<quern::testing::StorageProxy> alerts;
    quern::Subscription subscription;
    Node(quern::StoragePort& shared, const AlertOptions& wanted,
         std::function<void(const AlertEvent&)> callback)
        : storage(shared),
          alerts(queue, monitor, wanted),
          subscription(alerts.subscribe(std::move(callback))) {}
  };
  std::vector<std::unique_ptr<Node>> nodes;
  for (int i = 0; i < 10; ++i)
    nodes.push_back(std::make_unique<Node>(port, options, [&](const AlertEvent& event) {
      const std::lock_guard lock(mutex);
      told[event.number].push_back(event.type);
    }));
  for (const auto& node : nodes) node->alerts.start();
  const auto until = std::chrono::steady_clock::now() + 120s;
  const auto wait_for = [&](std::size_t firing) {
    const auto settled = [&] {
      return std::ranges::all_of(nodes,
                                 [&](const auto& node) { return node->alerts.alerts().size() == firing; });
    };
    while (!settled() && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    CHECK(settled());
  };
  for (int round = 0; round < 3; ++round) {
    value = 11;
    wait_for(1);
    value = 5;
    wait_for(0);
  }
  for (const auto& node : nodes) node->alerts.stop();
  for (const auto& node : nodes) CHECK(node->subscription.wait_delivered(30s));
  // One that looked at the old value late may have made it fire once more; but each notice was given once.
  CHECK(told.size() >= 6);
  CHECK(told.size() % 2 == 0);
  std::uint64_t number = 0;
  for (const auto& [its_number, types] : told) {
    CHECK(its_number == ++number);
    REQUIRE(types.size() == 1);
    CHECK(types.front() ==
          (number % 2 == 1 ? quern::AlertEventType::triggered : quern::AlertEventType::resolved));
  }
  CHECK(mails(port) == told.size());
  for (const auto& node : nodes) CHECK(node->alerts.failed_ticks() == 0);
}
