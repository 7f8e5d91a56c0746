#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "quern/core/limits.hpp"
#include "quern/core/retry_policy.hpp"
#include "quern/core/time.hpp"

namespace quern::inline v1 {

/// How long ended jobs of one kind are kept. What is not set is as for all kinds.
struct KindRetention {
  std::optional<Duration> completed{};
  std::optional<Duration> cancelled{};
  std::optional<Duration> dead{};
};

/// How long ended jobs are kept, counted from their end. 0 to 36500 days each.
struct Retention {
  Duration completed = std::chrono::hours(24 * 7);
  Duration cancelled = std::chrono::hours(24 * 7);
  Duration dead = std::chrono::hours(24 * 90);
  std::map<std::string, KindRetention> kinds{};  ///< Kinds that are kept for another time.
};

/// What a queue and its processors do where a job or a handler says nothing of its own.
/// In JSON the names are those of the comments; durations are texts as "2s", "10m" (see `parse_duration`) or
/// whole milliseconds.
struct JobQueueConfig {
  int max_concurrent_jobs = 50;                    ///< maxConcurrentJobs: 1 to 100000, a processor's slots.
  Duration retry_delay = std::chrono::seconds(2);  ///< retryDelay: the first wait of the default RetryPolicy.
  Duration max_retry_delay = std::chrono::minutes(5);  ///< maxRetryDelay: its ceiling.
  double retry_backoff_factor = 2.0;                   ///< retryBackoffFactor: 1 to 100.
  int default_max_retries = 3;  ///< defaultMaxRetries: 0 to 999999; attempts are one more.
  Duration job_timeout = std::chrono::minutes(10);      ///< jobTimeout: of one attempt, 1 ms to 365 days.
  Duration cleanup_interval = std::chrono::minutes(5);  ///< cleanupInterval: how often ended jobs are pruned.
  Duration persistence_interval =
      std::chrono::seconds(10);  ///< persistenceInterval: for storages that write behind.
  bool enable_metrics = true;    ///< enableMetrics: for the monitor.
  Retention retention{};         ///< retention.completed, .cancelled, .dead, .kinds
  JobLimits limits{};            ///< limits.payloadBytes, limits.jsonDepth

  /// The default policy that these values describe.
  [[nodiscard]] RetryPolicy retry_policy() const;

  /// Throws ConfigError with every fault, each line beginning with the path of its value.
  void validate() const;

  /// Reads a JSON object, starting from the defaults. Throws ConfigError with every fault: wrong types,
  /// values out of range, and names it doesn't know.
  [[nodiscard]] static JobQueueConfig from_json(std::string_view text);

  /// Reads variables such as QUERN_MAX_CONCURRENT_JOBS=20 and QUERN_RETRY_DELAY=5s over `base`. `get` looks
  /// one up; by default in the process's environment. QUERN_RETENTION_KINDS is a JSON object. Throws
  /// ConfigError with every fault.
  using Lookup = std::function<std::optional<std::string>(const std::string& name)>;
  [[nodiscard]] static JobQueueConfig from_environment(JobQueueConfig base);
  [[nodiscard]] static JobQueueConfig from_environment(JobQueueConfig base, const Lookup& get);
};

}  // namespace quern::inline v1
