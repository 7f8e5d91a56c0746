#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "quern/service/detail/service_parts.hpp"

namespace quern::inline v1::detail {
namespace {

using Json = nlohmann::json;

/// The paths of what differs. A list differs as a whole.
void add_changes(const Json& before, const Json& after, const std::string& path,
                 std::vector<std::string>& changes) {
  if (before == after) return;
  if (!before.is_object() || !after.is_object() || path.ends_with(".budget") ||
      path == "queue.retention.kinds") {
    changes.push_back(path);
    return;
  }
  Json names = before;
  names.update(after);
  const Json nothing;
  for (const auto& [name, ignored] : names.items()) {
    const auto find = [&](const Json& object) -> const Json& {
      const auto found = object.find(name);
      return found == object.end() ? nothing : *found;
    };
    add_changes(find(before), find(after), path.empty() ? name : path + '.' + name, changes);
  }
}

bool begins_with_any(std::string_view path, std::span<const std::string_view> prefixes) {
  return std::ranges::any_of(prefixes, [&](std::string_view prefix) { return path.starts_with(prefix); });
}

/// What is made once, when the service opens.
constexpr std::array<std::string_view, 16> kept{"scheduler.refreshInterval",
                                                "scheduler.missedAfter",
                                                "scheduler.setBack",
                                                "scheduler.retryInterval",
                                                "scheduler.zoneData",
                                                "queue.enableMetrics",
                                                "queue.persistenceInterval",
                                                "monitor.",
                                                "history.interval",
                                                "history.keepMinutes",
                                                "history.keepHours",
                                                "history.keepDays",
                                                "history.late",
                                                "history.mostPairs",
                                                "alerts.interval",
                                                "alerts.mostAlerts"};
/// What can change while jobs run. All else is made anew with each start.
constexpr std::array<std::string_view, 8> live{"schedules", "scheduler.", "queue.",       "limits",
                                               "history.",  "alerts.",    "pool.scaling", "stop."};
constexpr std::array<std::string_view, 2> not_live{"queue.maxConcurrentJobs", "queue.limits."};

bool all_have_ids(const std::vector<WorkerOptions>& workers) {
  return !workers.empty() &&
         std::ranges::none_of(workers, [](const WorkerOptions& worker) { return worker.id.empty(); });
}

}  // namespace

bool same_but_size(const WorkerOptions& one, const WorkerOptions& other) {
  return one.supported_kinds == other.supported_kinds && one.weight == other.weight &&
         one.budget == other.budget && one.health_check_interval == other.health_check_interval &&
         one.graceful_shutdown_timeout == other.graceful_shutdown_timeout;
}

Reload::Reload(const ServiceConfig& current, ServiceConfig next, bool running) : next_(current) {
  std::vector<std::string> changes;
  add_changes(Json::parse(to_json(current)), Json::parse(to_json(next)), {}, changes);
  // Of an address that may hold a password they show but the scheme.
  if (current.storage != next.storage && std::ranges::find(changes, "storage") == changes.end())
    changes.emplace_back("storage");

  for (std::string& path : changes) {
    const bool workers = path == "pool.workers";
    if (path == "storage" || begins_with_any(path, kept)) {
      result_.refused.push_back(std::move(path));
    } else if (!running || (begins_with_any(path, live) && !begins_with_any(path, not_live)) ||
               (workers && all_have_ids(current.pool.workers) && all_have_ids(next.pool.workers))) {
      result_.applied.push_back(std::move(path));
    } else {
      result_.at_next_start.push_back(std::move(path));
    }
  }

  // What can't be taken over stays, and so does what comes from code.
  next.queue.enable_metrics = current.queue.enable_metrics;
  next.queue.persistence_interval = current.queue.persistence_interval;
  next_.queue = std::move(next.queue);
  live_queue_ = next_.queue;
  if (running) live_queue_.limits = current.queue.limits;
  next_.run_jobs = next.run_jobs;
  next_.limits = std::move(next.limits);
  next_.balancing = next.balancing;
  next_.alerting = next.alerting;
  next_.recording = next.recording;
  next_.stop = next.stop;
  next_.scheduling = next.scheduling;
  next_.schedules = std::move(next.schedules);
  next_.undeclared = next.undeclared;
  next.pool.balancing = current.pool.balancing;
  next.pool.on_event = current.pool.on_event;
  next.pool.processor.log = current.pool.processor.log;
  next.pool.processor.seed = current.pool.processor.seed;
  next_.pool = std::move(next.pool);
  next.health.probes = current.health.probes;
  next_.health = std::move(next.health);
  const auto is_function = [](const AlertRule& rule) {
    return rule.metric.source() == AlertMetric::Source::custom;
  };
  std::erase_if(next_.alerts.rules, [&](const AlertRule& rule) { return !is_function(rule); });
  for (AlertRule& rule : next.alerts.rules)
    if (!is_function(rule) &&
        std::ranges::find(next_.alerts.rules, rule.name, &AlertRule::name) == next_.alerts.rules.end())
      next_.alerts.rules.push_back(std::move(rule));
}

}  // namespace quern::inline v1::detail
