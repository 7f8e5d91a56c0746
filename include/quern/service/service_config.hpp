#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/config.hpp"
#include "quern/monitor/alert_manager.hpp"
#include "quern/monitor/health.hpp"
#include "quern/monitor/job_history.hpp"
#include "quern/monitor/job_monitor.hpp"
#include "quern/schedule/schedule.hpp"
#include "quern/schedule/scheduler.hpp"
#include "quern/schedule/zone_database.hpp"
#include "quern/storage/limit_rules.hpp"
#include "quern/work/worker_pool.hpp"

namespace quern::inline v1 {

/// The balancers of quern::balancing, by name.
enum class Balancing : std::uint8_t { least_loaded, round_robin, weighted, kind_affinity, resource_fit };

/// What JobService looks after to answer whether it is alive and ready.
struct ServiceHealth {
  Duration slow_storage = std::chrono::milliseconds(500);  ///< Degraded where it answers later. 0: never.
  std::uint64_t most_ready = 0;                    ///< Degraded where more jobs are ready. 0: any number may.
  std::uint64_t memory_limit = 0;                  ///< Bytes; see `memory_probe`. 0: not looked at.
  Duration stuck_after = std::chrono::minutes(2);  ///< See `engine_probe`. 5 s to 1 day.
  std::vector<HealthProbe> probes{};               ///< The host's own, besides these. From code only.
};

/// All that a JobService is built from. In JSON and in the environment the names are those of docs/configuration.md; what is a
/// function, a clock or a logger comes from code only.
struct ServiceConfig {
  /// See `open_storage`. The default needs <quern/sqlite.hpp> and quern::sqlite.
  std::string storage = "sqlite:quern.db";
  bool run_jobs = true;  ///< False: it enqueues and watches, and runs no jobs.

  JobQueueConfig queue{};
  /// Set in the storage at each start, for all nodes. Rules of other names that are there stay.
  std::vector<LimitRule> limits{};
  /// Without workers and scaling there is one worker, with `queue.max_concurrent_jobs` slots.
  PoolOptions pool{};
  Balancing balancing = Balancing::least_loaded;  ///< Where `pool.balancing` is empty.
  MonitorOptions monitor{};
  bool recording = true;  ///< False: no history is kept.
  HistoryOptions history{};
  bool alerting = true;  ///< False: the rules are not looked at.
  AlertOptions alerts{};
  ServiceHealth health{};
  bool scheduling = true;  ///< False: no schedules are declared, and nobody looks whether one is due.
  /// Declared at each start, as by `Scheduler::declare`. None: this process has nothing to say of them, and those that others have
  /// declared stay as they are; so a list that is empty is something else.
  std::optional<std::vector<ScheduleSpec>> schedules{};
  Undeclared undeclared = Undeclared::pause;  ///< What becomes of those that were declared before.
  SchedulerOptions scheduler{};
  ZoneDatabaseOptions zones{};  ///< `honour_tzdir` from code only.
  StopOptions stop{};           ///< What `JobService::stop` does where it is told nothing else.

  // From code only.
  IsolationOptions isolation{};  ///< Where a handler has `Isolation::process`.
  ClockRef clock{};              ///< For a storage that the service opens; must outlive it.
  Logger log{};                  ///< For all parts that have none of their own.

  /// Throws ConfigError with every fault, each line beginning with the path of its value in JSON.
  void validate() const;

  /// Reads a JSON object, starting from the defaults. Throws ConfigError with every fault: wrong types, values out of range, and
  /// names it doesn't know.
  [[nodiscard]] static ServiceConfig from_json(std::string_view text);
  /// The same from a file, of up to 1 MiB. What can't be read is a ConfigError that begins with the file's name.
  [[nodiscard]] static ServiceConfig from_file(const std::string& path);
  /// Reads variables such as QUERN_STORAGE and QUERN_POOL_SCALING_MAX_WORKERS over `base`. The settings of `queue` have the
  /// names of `JobQueueConfig::from_environment`. Throws ConfigError with every fault.
  using Lookup = JobQueueConfig::Lookup;
  [[nodiscard]] static ServiceConfig from_environment(ServiceConfig base);
  [[nodiscard]] static ServiceConfig from_environment(ServiceConfig base, const Lookup& get);
};

/// As `from_json` reads it back, on one line; but an address that may hold a password shows its scheme only. The payloads of
/// schedules are in it.
[[nodiscard]] std::string to_json(const ServiceConfig& config);
/// As `JobQueueConfig::from_json` reads it back, on one line.
[[nodiscard]] std::string to_json(const JobQueueConfig& config);

/// What became of a new configuration. Paths as in JSON, such as "pool.scaling.maxWorkers".
struct ReloadResult {
  std::vector<std::string> applied{};        ///< In force now.
  std::vector<std::string> at_next_start{};  ///< Taken over, and in force after the next `stop` and `start`.
  std::vector<std::string> refused{};        ///< Only a new JobService can have them; they stay as they were.
};

}  // namespace quern::inline v1
