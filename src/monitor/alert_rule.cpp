#include "quern/monitor/alert_rule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <set>
#include <utility>

#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"

namespace quern::inline v1 {
namespace {

using namespace std::chrono_literals;
constexpr Duration longest = std::chrono::hours(24 * 30);

/// Collects what is wrong with one rule.
class Faults {
 public:
  Faults(std::vector<std::string>& lines, std::size_t rule, const std::string& name)
      : lines_(lines), rule_(rule), name_(name) {}

  void add(std::string_view field, std::string_view problem) {
    if (name_.empty() || field == "name")
      lines_.push_back(fmt::format("rules[{}].{}: {}", rule_, field, problem));
    else
      lines_.push_back(fmt::format("rules[{}].{}: {} (rule \"{}\")", rule_, field, problem, name_));
  }
  void text(std::string_view field, std::string_view value, std::size_t most) {
    try {
      check_text(value, field, most);
    } catch (const InvalidArgument& e) {
      add(field, std::string_view(e.what()).substr(field.size() + 2));
    }
  }
  void duration(std::string_view field, Duration value, Duration least) {
    if (value < least || value > longest)
      add(field, fmt::format("is {}; allowed is {} to {}", to_text(value), to_text(least), to_text(longest)));
  }

 private:
  std::vector<std::string>& lines_;
  std::size_t rule_;
  const std::string& name_;
};

void check_metric(const AlertRule& rule, Faults& faults) {
  using Source = AlertMetric::Source;
  const AlertMetric& metric = rule.metric;
  const Source source = metric.source();
  faults.text("metric.queue", metric.queue(), JobLimits{}.name_bytes);
  faults.text("metric.kind", metric.kind(), JobLimits{}.name_bytes);

  if (source == Source::failed_share || source == Source::ended_per_second)
    if (std::ranges::find(JobMetrics::windows, metric.window()) == JobMetrics::windows.end())
      faults.add("metric.window",
                 fmt::format("is {}; allowed are 10s, 1m, 5m and 15m", to_text(metric.window())));
  if (source == Source::custom && !metric.function()) faults.add("metric.function", "is empty");
  if (source == Source::since_completed || source == Source::since_event) {
    const auto field = source == Source::since_completed ? "metric.kind" : "metric.event";
    if (metric.event().empty()) faults.add(field, "is empty");
    if (source == Source::since_event) faults.text(field, metric.event(), JobLimits{}.text_bytes);
    if (rule.when == AlertWhen::below) faults.add("when", "is below; what has not happened is above");
  }

  const bool by_queue = source == Source::jobs || source == Source::longest_run ||
                        source == Source::oldest_ready || source == Source::paused ||
                        source == Source::failed_share || source == Source::ended_per_second;
  const bool by_kind = by_queue && source != Source::paused;
  const auto refuse = [&](std::string_view field) {
    faults.add(field, fmt::format("can't be used with the metric {}", to_string(source)));
  };
  if (!by_queue && !metric.queue().empty()) refuse("metric.queue");
  if (!by_kind && !metric.kind().empty() && source != Source::since_completed) refuse("metric.kind");
  if ((metric.by() == AlertBy::queue && !by_queue) || (metric.by() == AlertBy::kind && !by_kind))
    refuse("metric.by");
}

void check_rule(const AlertRule& rule, Faults& faults) {
  if (rule.name.empty()) faults.add("name", "is empty");
  faults.text("name", rule.name, 100);
  faults.text("description", rule.description, 1000);
  check_metric(rule, faults);

  if (!std::isfinite(rule.threshold)) faults.add("threshold", "is no finite number");
  if (rule.clear) {
    if (!std::isfinite(*rule.clear))
      faults.add("clear", "is no finite number");
    else if (rule.when == AlertWhen::above ? *rule.clear > rule.threshold : *rule.clear < rule.threshold)
      faults.add("clear", fmt::format("is {}, beyond the threshold of {}", *rule.clear, rule.threshold));
  }
  faults.duration("hold_for", rule.hold_for, 0s);
  faults.duration("keep_firing_for", rule.keep_firing_for, 0s);
  faults.duration("cool_down", rule.cool_down, 0s);
  if (rule.repeat != 0s)
    faults.duration("repeat", rule.repeat, std::clamp<Duration>(rule.cool_down, 1s, longest));
}

AlertRule made(std::string name, AlertMetric metric, double threshold, std::string description) {
  AlertRule rule;
  rule.name = std::move(name);
  rule.metric = std::move(metric);
  rule.threshold = threshold;
  rule.description = std::move(description);
  return rule;
}

AlertRule not_since(std::string name, AlertMetric metric, Duration how_long, std::string description) {
  AlertRule rule = made(std::move(name), std::move(metric), std::chrono::duration<double>(how_long).count(),
                        std::move(description));
  rule.hold_for = 1min;  // what another node has heard comes with its next tick
  return rule;
}

}  // namespace

std::string_view to_string(AlertSeverity severity) noexcept {
  switch (severity) {
    case AlertSeverity::info:
      return "info";
    case AlertSeverity::warning:
      return "warning";
    case AlertSeverity::critical:
      return "critical";
  }
  return "?";
}

std::vector<AlertRule> default_alert_rules() {
  std::vector<AlertRule> rules;
  AlertRule rule = made("queue_too_long", AlertMetric::jobs().by(AlertBy::queue), 500,
                        "More jobs are ready than the workers get done.");
  rule.clear = 400;
  rule.hold_for = 1min;
  rules.push_back(rule);

  rule = made("too_many_failures", AlertMetric::failed_share().by(AlertBy::kind), 0.2,
              "More than a fifth of the attempts of the last minutes failed.");
  rule.clear = 0.15;
  rule.hold_for = 1min;
  rules.push_back(rule);

  rule = made("job_runs_too_long", AlertMetric::longest_run().by(AlertBy::kind), 30 * 60,
              "A job has been running for more than half an hour.");
  rules.push_back(rule);

  rule = made("too_few_workers", AlertMetric::healthy_workers(), 2, "Fewer than two workers are healthy.");
  rule.when = AlertWhen::below;
  rule.hold_for = 1min;
  rule.severity = AlertSeverity::critical;
  rules.push_back(rule);
  return rules;
}

AlertRule not_completed_rule(std::string name, std::string kind, Duration for_how_long) {
  auto text = fmt::format("No job of the kind {} has completed for {}.", kind, to_text(for_how_long));
  return not_since(std::move(name), AlertMetric::since_completed(std::move(kind)), for_how_long,
                   std::move(text));
}

AlertRule not_happened_rule(std::string name, std::string event, Duration for_how_long) {
  auto text = fmt::format("{} has not happened for {}.", event, to_text(for_how_long));
  return not_since(std::move(name), AlertMetric::since_event(std::move(event)), for_how_long,
                   std::move(text));
}

void check_alert_rules(std::span<const AlertRule> rules) {
  std::vector<std::string> lines;
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    Faults faults(lines, i, rules[i].name);
    check_rule(rules[i], faults);
    if (!rules[i].name.empty() && !names.insert(rules[i].name).second)
      faults.add("name", fmt::format("\"{}\" is the name of another rule", rules[i].name));
  }
  if (!lines.empty()) throw ConfigError(std::move(lines));
}

bool beyond(const AlertRule& rule, double value) noexcept {
  return rule.when == AlertWhen::above ? value > rule.threshold : value < rule.threshold;
}

bool cleared(const AlertRule& rule, double value) noexcept {
  const double clear = rule.clear.value_or(rule.threshold);
  return rule.when == AlertWhen::above ? value <= clear : value >= clear;
}

}  // namespace quern::inline v1
