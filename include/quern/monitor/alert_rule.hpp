#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/time.hpp"
#include "quern/monitor/alert_metric.hpp"

namespace quern::inline v1 {

enum class AlertSeverity : std::uint8_t { info = 0, warning = 1, critical = 2 };
/// "info", "warning", "critical"
[[nodiscard]] std::string_view to_string(AlertSeverity severity) noexcept;

enum class AlertWhen : std::uint8_t { above, below };

/// When somebody is to be told, and how often. The words are those of Prometheus' alerting rules.
///
///     AlertRule{.name = "mail_waits", .metric = AlertMetric::jobs().of_queue("mail"), .threshold = 500,
///               .clear = 400, .hold_for = 2min, .severity = AlertSeverity::critical}
///
/// An alert is *pending* while the value is beyond the threshold, *firing* once it has been so for `hold_for`, and is
/// *resolved* when the value has come back. Each queue or kind that the metric is told apart by has an alert of its own.
struct AlertRule {
  /// Names it in notices, in silences, and in the storage: a rule of another name is another rule. 1 to 100 bytes.
  std::string name{};
  AlertMetric metric = AlertMetric::jobs();
  AlertWhen when = AlertWhen::above;
  double threshold = 0;  ///< Itself, it is not beyond.
  /// Where a firing alert is resolved: not before the value is this or on its good side. None: at the threshold. Between the two
  /// nothing changes, so that a value which wavers about the threshold does not give notice after notice.
  std::optional<double> clear{};
  Duration hold_for{0};         ///< How long the value must stay beyond the threshold first. 0 to 30 days.
  Duration keep_firing_for{0};  ///< How long it must be back before the alert is resolved. 0 to 30 days.
  AlertSeverity severity = AlertSeverity::warning;
  /// At least so long from one notice that an alert fires to the next, however often it is resolved in between. 0 to 30 days.
  Duration cool_down = std::chrono::minutes(10);
  Duration repeat{
      0};  ///< Tell again while it goes on firing, so often. 0: once. Else at least `cool_down`, to 30 days.
  bool notify_resolved = true;  ///< Tell when it is resolved, too, where it was told that it fires.
  std::string description{};    ///< For people, in the notices. Up to 1000 bytes.
};

/// A ready queue longer than 500; more than 20 % of a kind's attempts failed over 5 min (and 20 have ended); a run longer
/// than 30 min, by kind; fewer than 2 healthy workers. Named queue_too_long, too_many_failures, job_runs_too_long and
/// too_few_workers. Change them, or leave some out, before they are handed on.
[[nodiscard]] std::vector<AlertRule> default_alert_rules();

/// Fires when no job of the kind has completed for so long, on any node.
[[nodiscard]] AlertRule not_completed_rule(std::string name, std::string kind, Duration for_how_long);
/// Fires when nobody has noted the event for so long: see `AlertManager::note`.
[[nodiscard]] AlertRule not_happened_rule(std::string name, std::string event, Duration for_how_long);

/// Throws ConfigError with every fault of every rule, each line beginning with "rules[2].threshold".
void check_alert_rules(std::span<const AlertRule> rules);

/// True where the value is beyond the threshold.
[[nodiscard]] bool beyond(const AlertRule& rule, double value) noexcept;
/// True where the value would resolve a firing alert.
[[nodiscard]] bool cleared(const AlertRule& rule, double value) noexcept;

}  // namespace quern::inline v1
