// Which rules are taken, and what they look at.
#include "quern/monitor/alert_rule.hpp"

#include <limits>

#include "quern/core/error.hpp"
#include "quern/monitor/alert_event.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using quern::AlertBy;
using quern::AlertMetric;
using quern::AlertRule;
using quern::AlertValue;
using quern::AlertWhen;
using quern::JobState;
using quern::Metrics;

namespace {

std::vector<std::string> faults(const std::vector<AlertRule>& rules) {
  try {
    check_alert_rules(rules);
    return {};
  } catch (const quern::ConfigError& e) {
    return e.faults();
  }
}

/// "mail/send=3", in order.
std::string text(const std::vector<AlertValue>& values) {
  std::string all;
  for (const AlertValue& one : values) {
    if (!all.empty()) all += ' ';
    std::ostringstream number;
    number << one.value;
    all += one.queue + "/" + one.kind + "=" + number.str();
  }
  return all;
}

std::string values(const AlertMetric& metric, const Metrics& metrics,
                   const quern::AlertSurroundings& with = {}) {
  return text(values_of(metric, metrics, with));
}

quern::JobMetrics rated(std::string queue, std::string kind, std::uint64_t ended, std::uint64_t failed) {
  quern::JobMetrics jobs;
  jobs.queue = std::move(queue);
  jobs.kind = std::move(kind);
  for (auto& rate : jobs.rates) rate = {ended, failed, static_cast<double>(ended), 0};
  return jobs;
}

}  // namespace

TEST_CASE("the default rules are those of the manual, and are in order", "[alerts]") {
  const auto rules = quern::default_alert_rules();
  CHECK(faults(rules).empty());
  REQUIRE(rules.size() == 4);
  CHECK(rules[0].name == "queue_too_long");
  CHECK(rules[0].threshold == 500);
  CHECK(rules[1].name == "too_many_failures");
  CHECK(rules[1].threshold == 0.2);
  CHECK(rules[2].name == "job_runs_too_long");
  CHECK(rules[2].threshold == 1800);
  CHECK(rules[3].name == "too_few_workers");
  CHECK(rules[3].threshold == 2);
  CHECK(rules[3].when == AlertWhen::below);
}

TEST_CASE("all faults of all rules are told at once, each with its rule and field", "[alerts]") {
  AlertRule first;
  first.threshold = std::numeric_limits<double>::quiet_NaN();
  first.hold_for = -1s;
  AlertRule second;
  second.name = "second";
  second.metric = AlertMetric::failed_share(2min).by(AlertBy::kind);
  second.threshold = 0.2;
  second.clear = 0.3;
  second.cool_down = std::chrono::hours(24 * 31);
  second.repeat = 1s;
  AlertRule third = second;
  third.metric = AlertMetric::nodes().of_queue("mail").by(AlertBy::kind);
  third.clear.reset();
  third.cool_down = 10min;
  AlertRule fourth;
  fourth.name = "fourth";
  fourth.metric = AlertMetric::custom({});
  fourth.description = "\x01";
  AlertRule fifth;
  fifth.name = "fifth";
  fifth.metric = AlertMetric::since_event("");
  fifth.when = AlertWhen::below;

  const std::vector<std::string> expected{
      "rules[0].name: is empty",
      "rules[0].threshold: is no finite number",
      "rules[0].hold_for: is -1s; allowed is 0s to 30d",
      "rules[1].metric.window: is 2m; allowed are 10s, 1m, 5m and 15m (rule \"second\")",
      "rules[1].clear: is 0.3, beyond the threshold of 0.2 (rule \"second\")",
      "rules[1].cool_down: is 31d; allowed is 0s to 30d (rule \"second\")",
      "rules[1].repeat: is 1s; allowed is 30d to 30d (rule \"second\")",
      "rules[2].metric.queue: can't be used with the metric nodes (rule \"second\")",
      "rules[2].metric.by: can't be used with the metric nodes (rule \"second\")",
      "rules[2].repeat: is 1s; allowed is 10m to 30d (rule \"second\")",
      "rules[2].name: \"second\" is the name of another rule",
      "rules[3].description: contains the control character U+0001 at byte 0 (rule \"fourth\")",
      "rules[3].metric.function: is empty (rule \"fourth\")",
      "rules[4].metric.event: is empty (rule \"fifth\")",
      "rules[4].when: is below; what has not happened is above (rule \"fifth\")",
  };
  CHECK(faults({first, second, third, fourth, fifth}) == expected);
}

TEST_CASE("a value is beyond the threshold, between, or clear", "[alerts]") {
  AlertRule rule;
  rule.threshold = 500;
  CHECK_FALSE(beyond(rule, 500));
  CHECK(beyond(rule, 501));
  CHECK(cleared(rule, 500));
  rule.clear = 400;
  CHECK_FALSE(cleared(rule, 401));
  CHECK(cleared(rule, 400));
  rule.when = AlertWhen::below;
  rule.threshold = 2;
  rule.clear = 3;
  CHECK(beyond(rule, 1));
  CHECK_FALSE(beyond(rule, 2));
  CHECK_FALSE(cleared(rule, 2));
  CHECK(cleared(rule, 3));
}

TEST_CASE("a metric is told apart by queue or kind, and narrowed down to one", "[alerts]") {
  Metrics metrics;
  CHECK(values(AlertMetric::jobs(), metrics).empty());  // nothing was sampled yet
  metrics.sampled_at = metrics.at = quern::from_us(1'000'000'000);
  CHECK(values(AlertMetric::jobs(), metrics) == "/=0");
  metrics.counts = {{"mail", "send", JobState::ready, 3},
                    {"mail", "send", JobState::dead, 9},
                    {"mail", "sort", JobState::ready, 4},
                    {"work", "send", JobState::ready, 5},
                    {"quern.alerts", "quern.alert", JobState::ready, 100}};
  CHECK(values(AlertMetric::jobs(), metrics) == "/=12");
  CHECK(values(AlertMetric::jobs(JobState::dead), metrics) == "/=9");
  CHECK(values(AlertMetric::jobs().by(AlertBy::queue), metrics) == "mail/=7 work/=5");
  CHECK(values(AlertMetric::jobs().by(AlertBy::kind), metrics) == "/send=8 /sort=4");
  CHECK(values(AlertMetric::jobs().of_queue("mail"), metrics) == "mail/=7");
  CHECK(values(AlertMetric::jobs().of_queue("mail").by(AlertBy::kind), metrics) == "mail/send=3 mail/sort=4");
  CHECK(values(AlertMetric::jobs().of_kind("send").by(AlertBy::queue), metrics) == "mail/send=3 work/send=5");
  CHECK(values(AlertMetric::jobs().of_kind("other"), metrics) == "/other=0");
}

TEST_CASE("a share of failures adds up what ended, and needs enough of it", "[alerts]") {
  Metrics metrics;
  CHECK(values(AlertMetric::failed_share(), metrics).empty());
  metrics.jobs = {rated("mail", "send", 15, 3), rated("work", "send", 5, 5), rated("work", "sort", 10, 9)};
  CHECK(values(AlertMetric::failed_share(5min, 20).by(AlertBy::kind), metrics) == "/send=0.4");
  CHECK(values(AlertMetric::failed_share(5min, 1).by(AlertBy::kind), metrics) == "/send=0.4 /sort=0.9");
  CHECK(values(AlertMetric::failed_share(5min, 31), metrics).empty());
  CHECK(values(AlertMetric::ended_per_second(1min).of_queue("work"), metrics) == "work/=15");
}

TEST_CASE("each other metric says what it is named for, and nothing where it is not known", "[alerts]") {
  Metrics metrics;
  for (const auto& metric : {AlertMetric::nodes(), AlertMetric::healthy_workers(), AlertMetric::longest_run(),
                             AlertMetric::paused(), AlertMetric::utilization(), AlertMetric::resident_bytes(),
                             AlertMetric::since_event("x")})
    CHECK(values(metric, metrics).empty());
  metrics.at = metrics.sampled_at = quern::from_us(100'000'000);
  metrics.nodes = 3;
  metrics.running = 1;
  metrics.slots = 4;
  metrics.process.resident_bytes = 1000;
  metrics.queues = {{"mail", true, 0}, {"work", false, 0}};
  metrics.longest_runs = {{"mail", "send", {1}, quern::from_us(40'000'000)},
                          {"work", "send", {2}, quern::from_us(10'000'000)}};
  CHECK(values(AlertMetric::nodes(), metrics) == "/=3");
  CHECK(values(AlertMetric::healthy_workers(), metrics) == "/=3");
  CHECK(values(AlertMetric::healthy_workers(), metrics, {.healthy_workers = 1.0}) == "/=1");
  CHECK(values(AlertMetric::longest_run(), metrics) == "/=90");
  metrics.oldest_ready = {{"mail", "send", {}, 12s}, {"mail", "sort", {}, 34s}, {"work", "sort", {}, 5s}};
  CHECK(values(AlertMetric::oldest_ready(), metrics) == "/=34");
  CHECK(values(AlertMetric::oldest_ready().by(AlertBy::queue), metrics) == "mail/=34 work/=5");
  CHECK(values(AlertMetric::oldest_ready().of_kind("send"), metrics) == "/send=12");
  CHECK(values(AlertMetric::longest_run().by(AlertBy::queue), metrics) == "mail/=60 work/=90");
  CHECK(values(AlertMetric::paused(), metrics) == "/=1");
  CHECK(values(AlertMetric::paused().of_queue("work"), metrics) == "work/=0");
  CHECK(values(AlertMetric::utilization(), metrics) == "/=0.25");
  CHECK(values(AlertMetric::resident_bytes(), metrics) == "/=1000");
  CHECK(values(AlertMetric::since_event("x"), metrics, {.since = 2s}) == "/=2");
  CHECK(values(AlertMetric::since_completed("send"), metrics, {.since = 3s}) == "/send=3");
  CHECK(values(AlertMetric::custom([](const Metrics& m) { return m.utilization() * 4; }), metrics) == "/=1");
  CHECK(values(AlertMetric::custom([](const Metrics&) { return std::numeric_limits<double>::infinity(); }),
               metrics)
            .empty());
}

TEST_CASE("a notice is a line for people, JSON for machines, and a payload for jobs", "[alerts]") {
  quern::AlertEvent event;
  event.rule = "queue_too_long";
  event.severity = quern::AlertSeverity::critical;
  event.queue = "mail";
  event.value = 612;
  event.threshold = 500;
  event.at = event.since = quern::from_us(0);
  event.number = 3;
  CHECK(event.summary() == "critical: queue_too_long {queue=\"mail\"} fires: 612 is above 500");
  const auto json = nlohmann::json::parse(to_json(event));
  CHECK(json.at("type") == "alert_triggered");
  CHECK(json.at("labels").at("queue") == "mail");
  CHECK(json.at("severity") == "critical");
  CHECK(json.at("at") == "1970-01-01T00:00:00Z");
  CHECK(quern::Payload::json(quern::Payload::of(event).text()).as<quern::AlertEvent>() == event);
  event.type = quern::AlertEventType::resolved;
  CHECK(event.summary() == "critical: queue_too_long {queue=\"mail\"} is resolved: it was above 500");
  CHECK(nlohmann::json::parse(to_json(event)).at("type") == "alert_resolved");
}

TEST_CASE("a silence matches rules by name or beginning, and queues and kinds by name", "[alerts]") {
  using quern::AlertMatch;
  CHECK(AlertMatch{}.matches("a", "q", "k"));
  CHECK(AlertMatch{"a", "", ""}.matches("a", "q", "k"));
  CHECK_FALSE(AlertMatch{"a", "", ""}.matches("ab", "q", "k"));
  CHECK(AlertMatch{"a*", "", ""}.matches("ab", "q", "k"));
  CHECK_FALSE(AlertMatch{"b*", "", ""}.matches("ab", "q", "k"));
  CHECK(AlertMatch{"", "q", "k"}.matches("ab", "q", "k"));
  CHECK_FALSE(AlertMatch{"", "q", "other"}.matches("ab", "q", "k"));
}
