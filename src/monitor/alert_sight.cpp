// What one node sees of its alerts, and tells the others.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "monitor/alert_local.hpp"
#include "monitor/alert_store.hpp"
#include "monitor/completion_watch.hpp"
#include "quern/monitor/alert_manager.hpp"

namespace quern::inline v1::detail {

using namespace std::chrono_literals;
using Source = AlertMetric::Source;

std::optional<TimePoint> AlertCore::happened(const std::string& event) const {
  if (constexpr std::string_view completed = "completed/"; event.starts_with(completed))
    return completions_->last(std::string_view(event).substr(completed.size()));
  const std::lock_guard lock(local_->mutex);
  const auto found = local_->notes.find(event);
  return found == local_->notes.end() ? std::nullopt : std::optional(found->second);
}

void AlertCore::note_events(AlertFleet& fleet, const Metrics& metrics, TimePoint now) {
  completions_->see(metrics);
  // By how much the storage may be behind. What happens all the time needs no write in each tick.
  std::map<std::string, Duration> wanted;
  for (const AlertRule& rule : options_.rules)
    if (about_an_event(rule)) {
      const auto time = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(
          std::clamp(rule.metric.source() == Source::since_event ? 0.0 : rule.threshold / 20, 0.0, 60.0)));
      const auto [known, first] = wanted.try_emplace(event_of(rule.metric), time);
      if (!first) known->second = std::min(known->second, time);
    }
  {
    const std::lock_guard lock(local_->mutex);
    for (const auto& [event, at] : local_->notes) wanted.try_emplace(event, Duration::zero());
  }
  for (const auto& [event, slack] : wanted) {
    const auto found = fleet.events.find(event);
    AlertEventTime known = found == fleet.events.end() ? AlertEventTime{event, now, {}} : found->second;
    const std::optional<TimePoint> here = happened(event);
    const bool newer = here && (!known.last || *here - *known.last > slack);
    if (newer) known.last = here;
    if (newer || found == fleet.events.end()) store_->put(known);
    if (here && (!known.last || *here > *known.last)) known.last = here;
    fleet.events[event] = std::move(known);
  }
  const std::lock_guard lock(local_->mutex);
  std::erase_if(local_->notes,
                [&](const auto& note) { return fleet.events[note.first].last >= note.second; });
}

std::vector<AlertValue> AlertCore::values_of_rule(const AlertRule& rule, AlertFleet& fleet,
                                                  const Metrics& metrics, TimePoint now) const {
  const auto failed = [&](std::string_view why) {
    log_to(options_.log, LogLevel::error,
           fmt::format("the value of the alert rule {} can't be had: {}", rule.name, why));
    return std::vector<AlertValue>();
  };
  try {
    AlertSurroundings surroundings;
    if (rule.metric.source() == Source::healthy_workers && options_.healthy_workers)
      surroundings.healthy_workers = static_cast<double>(options_.healthy_workers());
    if (about_an_event(rule)) {
      const AlertEventTime& event = fleet.events[event_of(rule.metric)];
      surroundings.since = std::max(Duration::zero(), now - event.last.value_or(event.first));
    }
    return values_of(rule.metric, metrics, surroundings);
  } catch (const std::exception& e) {
    return failed(e.what());
  } catch (...) {  // the host's functions may throw anything
    return failed("it threw something that is no std::exception");
  }
}

void AlertCore::observe(AlertFleet& fleet, const Metrics& metrics, TimePoint now) {
  std::vector<std::pair<AlertId, double>> beyond_it;
  local_->values.clear();
  for (const AlertRule& rule : options_.rules)
    for (const AlertValue& one : values_of_rule(rule, fleet, metrics, now)) {
      AlertId alert{rule.name, one.queue, one.kind};
      // A firing alert stays until it is clear, for whoever looks at it; so a restarted node knows that, too.
      if (beyond(rule, one.value) || (fleet.state(alert).firing && !cleared(rule, one.value)))
        beyond_it.emplace_back(alert, one.value);
      local_->values[std::move(alert)] = one.value;
    }
  if (beyond_it.size() > options_.most_alerts) {
    log_to(options_.log, LogLevel::warning,
           fmt::format("{} alerts are not watched, since there are more than {}",
                       beyond_it.size() - options_.most_alerts, options_.most_alerts));
    // Those that are watched already stay.
    std::ranges::partition(
        beyond_it, [&](const auto& one) { return fleet.seen_by(local_->node, one.first) != nullptr; });
    beyond_it.resize(options_.most_alerts);
  }
  say(fleet, {beyond_it.begin(), beyond_it.end()}, now);
}

void AlertCore::say(AlertFleet& fleet, const std::map<AlertId, double>& held, TimePoint now) {
  const Duration lasts = std::max<Duration>(3 * options_.interval, 10s);
  const auto keep_of = [&](const AlertId& alert) {
    const AlertRule* const its_rule = rule(alert.rule);
    return its_rule == nullptr ? Duration::zero() : its_rule->keep_firing_for;
  };
  for (const auto& [alert, value] : held) {
    const AlertObservation* const mine = fleet.seen_by(local_->node, alert);
    // Who comes later, and who has been restarted, takes over from when on others have seen it.
    const TimePoint since =
        mine != nullptr && mine->holds ? mine->since : fleet.sight(alert, now).since.value_or(now);
    const AlertObservation seen{.alert = alert,
                                .node = local_->node,
                                .holds = true,
                                .since = std::min(since, now),
                                .seen = now,
                                .until = now + lasts,
                                .kept = now + lasts + keep_of(alert),
                                .value = value};
    store_->put(seen);
    std::erase_if(fleet.seen[alert], [&](const auto& one) { return one.node == local_->node; });
    fleet.seen[alert].push_back(seen);
  }
  for (auto& [alert, all] : fleet.seen) {
    if (held.contains(alert)) continue;
    const auto mine = std::ranges::find(all, local_->node, &AlertObservation::node);
    if (mine == all.end()) continue;
    if (fleet.state(alert).firing && now < mine->seen + keep_of(alert)) {
      if (!mine->holds) continue;
      mine->holds = false;
      store_->put(*mine);
    } else {
      store_->erase(*mine);
      all.erase(mine);
    }
  }
}

}  // namespace quern::inline v1::detail
