#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/fields.hpp"
#include "quern/core/time.hpp"
#include "quern/monitor/alert_rule.hpp"
#include "quern/monitor/alert_state.hpp"

namespace quern::inline v1 {

/// The kind and the queue of the jobs in which a fleet keeps what it has decided about alerts. They never run: each waits for
/// a time far away, and is erased an hour later.
inline constexpr std::string_view alert_decision_kind = "quern.alert";
inline constexpr std::string_view alert_decision_queue = "quern.alerts";

enum class AlertEventType : std::uint8_t { triggered = 1, resolved = 2 };
/// "alert_triggered", "alert_resolved"
[[nodiscard]] std::string_view to_string(AlertEventType type) noexcept;

/// A notice: an alert fires, or is resolved. Has QUERN_FIELDS, so it may be a job's payload.
struct AlertEvent {
  AlertEventType type = AlertEventType::triggered;
  std::string rule{};
  AlertSeverity severity = AlertSeverity::warning;
  std::string description{};  ///< The rule's.
  std::string queue{};        ///< Where the alert is about one.
  std::string kind{};
  double value = 0;  ///< What a node saw last.
  double threshold = 0;
  AlertWhen when = AlertWhen::above;
  TimePoint since{};         ///< From when on the value was beyond the threshold.
  TimePoint at{};            ///< Of this notice.
  std::uint64_t number = 0;  ///< Grows from notice to notice of one alert.

  /// One line for people: "critical: queue_too_long {queue="mail"} fires: 612 is above 500".
  [[nodiscard]] std::string summary() const;
  friend bool operator==(const AlertEvent&, const AlertEvent&) = default;
};
QUERN_FIELDS(AlertEvent, type, rule, severity, description, queue, kind, value, threshold, when, since, at,
             number)

/// As JSON of one line, with names for numbers and times as in RFC 3339; "type" is "alert_triggered" or "alert_resolved".
[[nodiscard]] std::string to_json(const AlertEvent& event);

/// What a node last knew of one alert that is not inactive.
struct AlertView {
  std::string rule{};
  AlertSeverity severity = AlertSeverity::warning;
  std::string description{};
  std::string queue{};
  std::string kind{};
  AlertStatus status = AlertStatus::pending;
  double value = 0;
  double threshold = 0;
  TimePoint since{};  ///< From when on the value is beyond the threshold.
  bool silenced = false;
  bool notified = false;  ///< Somebody was told that it fires.
};
[[nodiscard]] std::string to_json(std::span<const AlertView> alerts);

/// Which alerts a silence is for. What is empty does not restrict; a rule may end with '*', for all that begin so.
struct AlertMatch {
  std::string rule{};
  std::string queue{};
  std::string kind{};

  [[nodiscard]] bool matches(std::string_view its_rule, std::string_view its_queue,
                             std::string_view its_kind) const noexcept;
  friend bool operator==(const AlertMatch&, const AlertMatch&) = default;
};
QUERN_FIELDS(AlertMatch, rule, queue, kind)

/// For whom no notices are given, until when, and why.
struct AlertSilence {
  std::uint64_t id = 0;
  AlertMatch match{};
  TimePoint begins{};
  TimePoint until{};
  std::string reason{};
  std::string who{};
  friend bool operator==(const AlertSilence&, const AlertSilence&) = default;
};
QUERN_FIELDS(AlertSilence, id, match, begins, until, reason, who)
[[nodiscard]] std::string to_json(std::span<const AlertSilence> silences);

}  // namespace quern::inline v1
