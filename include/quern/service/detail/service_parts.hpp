#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "quern/service/service_config.hpp"
#include "quern/service/service_events.hpp"
#include "quern/work/handler_registry.hpp"

namespace quern::inline v1::detail {

// What JobService does that needs no types of the host's.

[[nodiscard]] MonitorOptions monitor_options(const ServiceConfig& config);
[[nodiscard]] HistoryOptions history_options(const ServiceConfig& config);
/// Its notices are published, before the host's own `on_event`. The events must outlive the alerts.
[[nodiscard]] AlertOptions alert_options(const ServiceConfig& config, ServiceEvents& events,
                                         std::function<std::size_t()> healthy_workers);
/// The same for schedules.
[[nodiscard]] SchedulerOptions scheduler_options(const ServiceConfig& config, ServiceEvents& events);
/// Throws ConfigError with every schedule of the configuration whose zone is unknown here, or that never comes.
void check_schedules(const ServiceConfig& config, const ZoneDatabase& zones);
/// The same for workers.
[[nodiscard]] PoolOptions pool_options(const ServiceConfig& config, ServiceEvents& events);
[[nodiscard]] std::vector<HealthProbe> probes(QueueCore& queue, std::function<Metrics()> metrics,
                                              std::function<std::vector<ScheduleFault>()> schedule_faults,
                                              const ServiceConfig& config);
/// Where a handler is isolated and nothing was forked yet. Throws as HandlerRegistry::start_isolation.
void start_isolation(HandlerRegistry& handlers, const ServiceConfig& config);
/// Publishes and logs kinds that have jobs waiting, no handler here, and none on a node that is alive. Throws StorageError.
void tell_unhandled(StoragePort& storage, const HandlerRegistry& handlers, const ServiceConfig& config,
                    ServiceEvents& events);
/// Sets the rules that `after` has, as far as `before` has not the same, and erases those that only `before` has. Throws
/// InvalidArgument, StorageError; what is done then stays done, and can be done again.
void change_limits(StoragePort& storage, const std::vector<LimitRule>& before,
                   const std::vector<LimitRule>& after);
/// Of a service that does not run.
[[nodiscard]] HealthReport stopped_report(TimePoint at);

/// What a new configuration changes, and when.
class Reload {
 public:
  /// `running`: there is a pool, which some changes have to wait for.
  Reload(const ServiceConfig& current, ServiceConfig next, bool running);

  /// What is in force from now on: the current one, with all that can be taken over.
  [[nodiscard]] const ServiceConfig& next() const noexcept { return next_; }
  [[nodiscard]] const ReloadResult& result() const noexcept { return result_; }
  [[nodiscard]] bool queue() const { return applies("queue."); }
  /// What of it can be in force at once.
  [[nodiscard]] const JobQueueConfig& live_queue() const noexcept { return live_queue_; }
  [[nodiscard]] bool rules() const { return applies("alerts.rules"); }
  [[nodiscard]] bool schedules() const { return applies("schedule"); }
  [[nodiscard]] bool scaling() const { return applies("pool.scaling"); }
  [[nodiscard]] bool workers() const { return applies("pool.workers"); }

 private:
  [[nodiscard]] bool applies(std::string_view prefix) const {
    return std::ranges::any_of(result_.applied,
                               [&](const std::string& path) { return path.starts_with(prefix); });
  }
  ServiceConfig next_;
  JobQueueConfig live_queue_;
  ReloadResult result_;
};

/// Throws ConfigError where a worker supports a kind that has no handler.
void check_kinds(const ServiceConfig& config, const HandlerRegistry& handlers);

/// For people: what changed.
[[nodiscard]] std::string summary(const ReloadResult& result);

/// True where the workers, all of which have ids, are the same but for these: then nothing of a worker has to wait.
[[nodiscard]] bool same_but_size(const WorkerOptions& one, const WorkerOptions& other);

/// Makes the workers of one list those of another, by their ids. One that changes more than its size and whether it is
/// enabled is replaced: it goes as with `remove`, beside the new one.
template <class Pool>
void change_workers(Pool& pool, const std::vector<WorkerOptions>& before,
                    const std::vector<WorkerOptions>& after) {
  for (const WorkerOptions& old : before)
    if (std::ranges::find(after, old.id, &WorkerOptions::id) == after.end()) pool.remove(old.id);
  for (const WorkerOptions& next : after) {
    const auto old = std::ranges::find(before, next.id, &WorkerOptions::id);
    if (old != before.end() && same_but_size(*old, next)) {
      if (old->max_jobs != next.max_jobs) pool.resize(next.id, next.max_jobs);
      if (old->enabled != next.enabled) next.enabled ? pool.enable(next.id) : pool.disable(next.id);
      continue;
    }
    if (old != before.end()) pool.remove(next.id);
    pool.add(next);
  }
}

}  // namespace quern::inline v1::detail
