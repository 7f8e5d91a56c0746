#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "monitor/alert_store.hpp"
#include "quern/monitor/alert_manager.hpp"

namespace quern::inline v1::detail {

[[nodiscard]] inline bool about_an_event(const AlertRule& rule) {
  return rule.metric.source() == AlertMetric::Source::since_completed ||
         rule.metric.source() == AlertMetric::Source::since_event;
}

/// How events are told apart in the storage.
[[nodiscard]] inline std::string noted(std::string_view name) { return fmt::format("note/{}", name); }
[[nodiscard]] inline std::string event_of(const AlertMetric& metric) {
  return metric.source() == AlertMetric::Source::since_completed ? fmt::format("completed/{}", metric.event())
                                                                 : noted(metric.event());
}

/// What this node alone knows.
struct AlertCore::Local {
  // Of the thread that ticks.
  std::uint64_t node = 0;                   ///< Names this manager among all; 0: it has no name yet.
  std::map<AlertId, std::uint64_t> told{};  ///< The last decision of ours that was told here.
  std::map<AlertId, double> values{};       ///< Of this tick.
  std::vector<NewJob> late{};               ///< Notices whose queue was full.

  mutable std::mutex mutex{};  // guards what follows
  std::map<std::string, TimePoint> notes{};
  std::vector<AlertView> views{};
  std::optional<std::vector<AlertRule>> next_rules{};  ///< Of set_rules, until the next tick.
  std::uint64_t failed_ticks = 0;
};

}  // namespace quern::inline v1::detail
