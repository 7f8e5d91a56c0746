#include "quern/service/service_config.hpp"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "quern/core/error.hpp"
#include "service/schedule_faults.hpp"
#include "service/service_settings.hpp"

namespace quern::inline v1 {
namespace detail {

MetricParts parts_of(const AlertMetric& metric) {
  MetricParts parts{.source = metric.source(),
                    .state = metric.state(),
                    .queue = metric.queue(),
                    .kind = metric.kind(),
                    .event = {},
                    .by = metric.by()};
  using Source = AlertMetric::Source;
  if (metric.source() == Source::since_completed) parts.kind = metric.event();
  if (metric.source() == Source::since_event) parts.event = metric.event();
  if (metric.source() == Source::failed_share || metric.source() == Source::ended_per_second)
    parts.window = metric.window();
  if (metric.source() == Source::failed_share) parts.least = metric.least();
  return parts;
}

AlertMetric metric_of(const MetricParts& parts) {
  using Source = AlertMetric::Source;
  const auto narrowed = [&](const AlertMetric& metric) {
    return metric.of_queue(parts.queue).of_kind(parts.kind).by(parts.by);
  };
  switch (parts.source) {
    case Source::jobs:
      return narrowed(AlertMetric::jobs(parts.state));
    case Source::longest_run:
      return narrowed(AlertMetric::longest_run());
    case Source::oldest_ready:
      return narrowed(AlertMetric::oldest_ready());
    case Source::nodes:
      return narrowed(AlertMetric::nodes());
    case Source::paused:
      return narrowed(AlertMetric::paused());
    case Source::since_completed:
      return AlertMetric::since_completed(parts.kind).of_queue(parts.queue).by(parts.by);
    case Source::since_event:
      return narrowed(AlertMetric::since_event(parts.event));
    case Source::healthy_workers:
      return narrowed(AlertMetric::healthy_workers());
    case Source::failed_share:
      return narrowed(AlertMetric::failed_share(parts.window, parts.least));
    case Source::ended_per_second:
      return narrowed(AlertMetric::ended_per_second(parts.window));
    case Source::utilization:
      return narrowed(AlertMetric::utilization());
    case Source::resident_bytes:
      return narrowed(AlertMetric::resident_bytes());
    case Source::custom:
      break;
  }
  return AlertMetric::custom({});
}

}  // namespace detail

namespace {

using Json = nlohmann::json;
using Ordered = nlohmann::ordered_json;
using detail::SettingFaults;

void add_all(SettingFaults& faults, std::string_view prefix, const std::vector<std::string>& lines) {
  for (const std::string& line : lines) faults.lines.push_back(fmt::format("{}{}", prefix, line));
}

/// What a value alone does not show.
void check_between(const ServiceConfig& config, SettingFaults& faults) {
  const auto check = [&](std::string_view prefix, const auto& work) {
    try {
      work();
    } catch (const ConfigError& e) {
      add_all(faults, prefix, e.faults());
    }
  };
  check("queue.", [&] { config.queue.validate(); });
  check("alerts.", [&] { check_alert_rules(config.alerts.rules); });
  if (config.pool.scaling) check("pool.", [&] { config.pool.scaling->validate(); });
  for (std::size_t i = 0; i < config.limits.size(); ++i) {
    const std::string path = fmt::format("limits[{}]", i);
    try {
      quern::check(config.limits[i]);
    } catch (const InvalidArgument& e) {
      faults.lines.push_back(fmt::format("{}.{}", path, e.what()));
    }
    for (std::size_t j = 0; j < i; ++j)
      if (config.limits[i].name == config.limits[j].name)
        faults.add(path + ".name", fmt::format("is '{}', as that of limit {}", config.limits[i].name, j));
  }
  for (std::size_t i = 0; config.schedules && i < config.schedules->size(); ++i) {
    const ScheduleSpec& schedule = (*config.schedules)[i];
    try {
      quern::check(schedule, config.queue.limits);
    } catch (const InvalidArgument& e) {
      faults.lines.push_back(detail::schedule_fault(i, e));
    }
    for (std::size_t j = 0; j < i; ++j)
      if (schedule.name == (*config.schedules)[j].name)
        faults.add(fmt::format("schedules[{}].name", i),
                   fmt::format("is '{}', as that of schedule {}", schedule.name, j));
  }
  const HistoryOptions& history = config.history;
  if (history.keep_hours < history.keep_minutes)
    faults.add("history.keepHours", fmt::format("is {}, which is less than keepMinutes ({})",
                                                to_text(history.keep_hours), to_text(history.keep_minutes)));
  if (history.keep_days < history.keep_hours)
    faults.add("history.keepDays", fmt::format("is {}, which is less than keepHours ({})",
                                               to_text(history.keep_days), to_text(history.keep_hours)));
  if (config.storage.empty()) faults.add("storage", "is empty; it looks like \"sqlite:jobs.db\"");
  const ProcessorOptions& processor = config.pool.processor;
  if (processor.queue_order != QueueOrder::priority && processor.queues.empty())
    faults.add("processor.queues", "is empty; a weighted or strict order needs the queues' names");
  if (processor.max_concurrent_jobs != 0)
    faults.add("processor", "has max_concurrent_jobs set; the workers of a pool say how many jobs it runs");
  for (std::size_t i = 0; i < config.pool.workers.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (const std::string& id = config.pool.workers[i].id; !id.empty() && id == config.pool.workers[j].id)
        faults.add(fmt::format("pool.workers[{}].id", i),
                   fmt::format("is '{}', as that of worker {}", id, j));
}

/// Rules that are functions are no settings.
bool is_setting(const AlertRule& rule) { return rule.metric.source() != AlertMetric::Source::custom; }

/// All but the storage.
Ordered written(const ServiceConfig& config) {
  ServiceConfig shown = config;
  std::erase_if(shown.alerts.rules, [](const AlertRule& rule) { return !is_setting(rule); });
  Ordered json;
  detail::SettingsWriter writer(json);
  detail::describe_service(writer, std::as_const(shown));
  json["queue"] = Ordered::parse(to_json(config.queue));
  return json;
}

ServiceConfig read(const Json& json, SettingFaults& faults) {
  ServiceConfig config;
  detail::JsonSettings::read(json, {}, faults, [&](detail::JsonSettings& settings) {
    settings.value("storage", config.storage);
    detail::describe_service(settings, config);
    const Json* const queue = settings.find("queue");
    if (queue == nullptr) return;
    if (!queue->is_object()) return settings.fault("queue", "must be an object");
    try {
      config.queue = JobQueueConfig::from_json(queue->dump());
    } catch (const ConfigError& e) {
      add_all(faults, "queue.", e.faults());
    }
  });
  return config;
}

}  // namespace

void ServiceConfig::validate() const {
  SettingFaults faults;
  // What can be written is checked by reading it.
  const Ordered json = written(*this);
  detail::JsonSettings::read(Json(json), {}, faults, [&](detail::JsonSettings& settings) {
    ServiceConfig copy;
    detail::describe_service(settings, copy);
    (void)settings.find("queue");
  });
  check_between(*this, faults);
  faults.throw_if_any();
}

ServiceConfig ServiceConfig::from_json(std::string_view text) {
  try {
    check_json(text, "configuration", JobLimits{});
  } catch (const InvalidArgument& e) {
    throw ConfigError({e.what()});
  }
  SettingFaults faults;
  ServiceConfig config = read(Json::parse(text), faults);
  if (faults.lines.empty()) check_between(config, faults);
  faults.throw_if_any();
  return config;
}

ServiceConfig ServiceConfig::from_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw ConfigError({path + ": can't be read"});
  constexpr std::streamsize most = 1 << 20;
  std::string text(static_cast<std::size_t>(most) + 1, '\0');
  file.read(text.data(), most + 1);
  if (file.bad()) throw ConfigError({path + ": can't be read"});
  if (file.gcount() > most) throw ConfigError({path + ": is longer than 1 MiB"});
  text.resize(static_cast<std::size_t>(file.gcount()));
  try {
    return from_json(text);
  } catch (const ConfigError& e) {
    SettingFaults faults;
    add_all(faults, path + ": ", e.faults());
    throw ConfigError(std::move(faults.lines));
  }
}

ServiceConfig ServiceConfig::from_environment(ServiceConfig base) {
  return from_environment(std::move(base), [](const std::string& name) -> std::optional<std::string> {
    const char* const value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): read at start
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  });
}

ServiceConfig ServiceConfig::from_environment(ServiceConfig base, const Lookup& get) {
  SettingFaults faults;
  detail::VariableSettings settings(get, {}, faults);
  settings.value("storage", base.storage);
  detail::describe_service(settings, base);
  try {
    base.queue = JobQueueConfig::from_environment(std::move(base.queue), get);
  } catch (const ConfigError& e) {
    add_all(faults, {}, e.faults());
  }
  if (faults.lines.empty()) check_between(base, faults);
  faults.throw_if_any();
  return base;
}

std::string to_json(const ServiceConfig& config) {
  Ordered json = Ordered::object();
  const std::string_view address = config.storage;
  std::string_view inner = address;
  if (inner.starts_with("write-behind:")) inner.remove_prefix(inner.find(':') + 1);
  const bool plain = inner.starts_with("sqlite:") || inner.starts_with("memory:");
  json["storage"] = plain ? config.storage : fmt::format("{}:...", address.substr(0, address.find(':')));
  json.update(written(config));
  return json.dump();
}

}  // namespace quern::inline v1
