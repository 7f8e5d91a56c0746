#include "quern/service/detail/service_parts.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <utility>

#include "quern/core/error.hpp"
#include "quern/monitor/alert_event.hpp"
#include "quern/monitor/health_probes.hpp"
#include "quern/service/schedule_events.hpp"
#include "quern/work/load_balancing.hpp"
#include "service/schedule_faults.hpp"

namespace quern::inline v1::detail {
namespace {

Balancer balancer_of(Balancing balancing) {
  switch (balancing) {
    case Balancing::least_loaded:
      return balancing::least_loaded();
    case Balancing::round_robin:
      return balancing::round_robin();
    case Balancing::weighted:
      return balancing::weighted();
    case Balancing::kind_affinity:
      return balancing::kind_affinity();
    case Balancing::resource_fit:
      return balancing::resource_fit();
  }
  return balancing::least_loaded();
}

/// What the host's own function throws is for the caller to log; the others have heard of it by then.
template <class Event>
std::function<void(const Event&)> published(std::function<void(const Event&)> own, ServiceEvents& events) {
  return [own = std::move(own), &events](const Event& event) {
    events.publish(event);
    if (own) own(event);
  };
}

/// Not critical: all else goes on, and so do the other schedules.
HealthProbe schedule_probe(std::function<std::vector<ScheduleFault>()> faults) {
  return {.name = "schedules",
          .check =
              [faults = std::move(faults)](const std::stop_token&) {
                ProbeResult result;
                const auto all = faults();
                result.details.emplace_back("faulty", static_cast<double>(all.size()));
                if (all.empty()) return result;
                result.status = HealthStatus::degraded;
                result.message = fmt::format("{} of them can't run; \"{}\": {}", all.size(),
                                             all.front().schedule, all.front().fault);
                return result;
              },
          .critical = false};
}

}  // namespace

MonitorOptions monitor_options(const ServiceConfig& config) {
  MonitorOptions options = config.monitor;
  if (!options.log) options.log = config.log;
  return options;
}

HistoryOptions history_options(const ServiceConfig& config) {
  HistoryOptions options = config.history;
  if (!options.log) options.log = config.log;
  return options;
}

AlertOptions alert_options(const ServiceConfig& config, ServiceEvents& events,
                           std::function<std::size_t()> healthy_workers) {
  AlertOptions options = config.alerts;
  if (!options.log) options.log = config.log;
  // Where no jobs run here, other nodes' workers are what there is.
  if (!options.healthy_workers && config.run_jobs) options.healthy_workers = std::move(healthy_workers);
  options.on_event = published(std::move(options.on_event), events);
  return options;
}

SchedulerOptions scheduler_options(const ServiceConfig& config, ServiceEvents& events) {
  SchedulerOptions options = config.scheduler;
  if (!options.log) options.log = config.log;
  options.on_event = [own = std::move(options.on_event),
                      tell = publish_to(events)](const ScheduleEvent& event) {
    tell(event);
    if (own) own(event);
  };
  return options;
}

void check_schedules(const ServiceConfig& config, const ZoneDatabase& zones) {
  std::vector<std::string> faults;
  for (std::size_t i = 0; config.scheduling && config.schedules && i < config.schedules->size(); ++i) {
    const ScheduleSpec& schedule = (*config.schedules)[i];
    try {
      static_cast<void>(Timing(schedule.timing, schedule.name, zones));
    } catch (const ZoneError& e) {
      faults.push_back(fmt::format("schedules[{}].zone: {}", i, e.what()));
    } catch (const InvalidArgument& e) {
      faults.push_back(schedule_fault(i, e));
    }
  }
  if (!faults.empty()) throw ConfigError(std::move(faults));
}

PoolOptions pool_options(const ServiceConfig& config, ServiceEvents& events) {
  PoolOptions options = config.pool;
  if (!options.processor.log) options.processor.log = config.log;
  if (!options.balancing) options.balancing = balancer_of(config.balancing);
  if (options.workers.empty() && !options.scaling)
    options.workers.push_back({.max_jobs = config.queue.max_concurrent_jobs});
  options.on_event = published(std::move(options.on_event), events);
  return options;
}

std::vector<HealthProbe> probes(QueueCore& queue, std::function<Metrics()> metrics,
                                std::function<std::vector<ScheduleFault>()> schedule_faults,
                                const ServiceConfig& config) {
  const ServiceHealth& health = config.health;
  std::vector<HealthProbe> probes;
  probes.push_back(storage_probe(queue.storage(), {.slow = health.slow_storage}));
  if (config.queue.enable_metrics)
    probes.push_back(queue_probe(std::move(metrics), {.most_ready = health.most_ready}));
  if (config.run_jobs) {
    probes.push_back(worker_probe(queue, {}));
    probes.push_back(engine_probe(queue, health.stuck_after));
  }
  if (config.scheduling && config.schedules && !config.schedules->empty())
    probes.push_back(schedule_probe(std::move(schedule_faults)));
  if (health.memory_limit != 0) probes.push_back(memory_probe(health.memory_limit));
  probes.insert(probes.end(), health.probes.begin(), health.probes.end());
  return probes;
}

void start_isolation(HandlerRegistry& handlers, const ServiceConfig& config) {
  if (handlers.isolation_started()) return;
  for (const auto& [kind, entry] : handlers.entries())
    if (entry.options.isolation == Isolation::process) {
      handlers.start_isolation(config.isolation);
      return;
    }
}

void change_limits(StoragePort& storage, const std::vector<LimitRule>& before,
                   const std::vector<LimitRule>& after) {
  for (const LimitRule& old : before)
    if (std::ranges::find(after, old.name, &LimitRule::name) == after.end()) storage.erase_limit(old.name);
  for (const LimitRule& rule : after)
    if (std::ranges::find(before, rule) == before.end()) storage.set_limit(rule);
}

void tell_unhandled(StoragePort& storage, const HandlerRegistry& handlers, const ServiceConfig& config,
                    ServiceEvents& events) {
  std::map<std::string, std::uint64_t> waiting;
  for (const JobCount& count : storage.count())
    if (!is_terminal(count.state) && count.state != JobState::running && count.kind != alert_decision_kind &&
        (handlers.find(count.kind) == nullptr || !config.run_jobs))
      waiting[count.kind] += count.count;
  if (waiting.empty()) return;
  for (const NodeStatus& node : storage.nodes())
    if (node.state == NodeState::alive && node.lease_left > Duration::zero())
      for (const SlotCount& kind : node.info.kinds) waiting.erase(kind.name);
  for (const auto& [kind, count] : waiting) {
    SystemEvent event{
        SystemEventType::kind_without_handler, storage.clock().now(), kind,
        fmt::format("{} jobs of the kind \"{}\" wait, and no node that is alive has a handler for it", count,
                    kind)};
    log_to(config.log, {.level = LogLevel::warning, .message = event.message, .kind = event.kind});
    events.publish(std::move(event));
  }
}

void check_kinds(const ServiceConfig& config, const HandlerRegistry& handlers) {
  std::vector<std::string> faults;
  const auto check = [&](const WorkerOptions& worker, const std::string& path) {
    for (std::size_t i = 0; i < worker.supported_kinds.size(); ++i)
      if (handlers.find(worker.supported_kinds[i]) == nullptr)
        faults.push_back(fmt::format("{}.supportedJobTypes[{}]: is '{}', which has no handler", path, i,
                                     worker.supported_kinds[i]));
  };
  for (std::size_t i = 0; i < config.pool.workers.size(); ++i)
    check(config.pool.workers[i], fmt::format("pool.workers[{}]", i));
  if (config.pool.scaling) check(config.pool.scaling->worker, "pool.scaling.worker");
  if (!faults.empty()) throw ConfigError(std::move(faults));
}

HealthReport stopped_report(TimePoint at) {
  HealthReport report{.status = HealthStatus::down, .at = at, .components = {}};
  ComponentHealth& service = report.components.emplace_back();
  service.name = "service";
  service.status = HealthStatus::down;
  service.message = "is stopped";
  return report;
}

std::string summary(const ReloadResult& result) {
  std::vector<std::string> parts;
  const auto add = [&](std::string_view what, const std::vector<std::string>& paths) {
    if (!paths.empty()) parts.push_back(fmt::format("{}: {}", what, fmt::join(paths, ", ")));
  };
  add("in force", result.applied);
  add("at the next start", result.at_next_start);
  add("not taken over", result.refused);
  return parts.empty() ? "nothing has changed" : fmt::format("{}", fmt::join(parts, "; "));
}

}  // namespace quern::inline v1::detail
