#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "quern/monitor/histogram.hpp"
#include "quern/monitor/process_usage.hpp"
#include "quern/monitor/rate_window.hpp"
#include "quern/queue/queue_observer.hpp"
#include "quern/storage/limit_rules.hpp"

namespace quern::inline v1 {

/// What has passed through one node of one queue and kind, since the monitor was made.
struct JobMetrics {
  std::string queue{};
  std::string kind{};

  // At the door.
  std::uint64_t enqueued = 0;    ///< Jobs that were added.
  std::uint64_t duplicates = 0;  ///< Jobs that were not, since another one holds their unique key.
  std::uint64_t refused = 0;     ///< Jobs that were not, since their queue was full.

  // Runs. Each that has started ends as one of the others, once.
  std::uint64_t started = 0;
  std::uint64_t completed = 0;
  std::uint64_t failed = 0;  ///< Attempts that failed, timed out or were discarded.
  std::uint64_t cancelled = 0;
  std::uint64_t snoozed = 0;
  std::uint64_t released = 0;  ///< Handed back at a shutdown, or since no thread could be had.
  std::uint64_t lost = 0;      ///< Ended after another node had taken the job over; nothing was recorded.

  // Of the failed ones.
  std::uint64_t timed_out = 0;
  std::uint64_t retried = 0;  ///< The job will run again.
  std::uint64_t dead = 0;     ///< That was its last attempt.

  Histogram waited{};  ///< From due until a thread began; of runs that began.
  Histogram ran{};     ///< In the handler; of the same.
  Histogram age{};     ///< From its addition until it was completed; of completed jobs.

  // See RunReport.
  Duration cpu{0};                ///< Processor time of all runs that have ended.
  std::uint64_t peak_memory = 0;  ///< The most that a run in a process of its own had in memory, in bytes.

  // What completed or failed of late: over 10 s, and 1, 5 and 15 min.
  static constexpr std::array<Duration, 4> windows{std::chrono::seconds(10), std::chrono::minutes(1),
                                                   std::chrono::minutes(5), std::chrono::minutes(15)};
  std::array<RateWindow::Rate, windows.size()> rates{};
};

/// How the storage answered this node's queue and processors.
struct StorageCallMetrics {
  StorageCall call = StorageCall::insert;
  std::uint64_t failed = 0;  ///< Threw a StorageError; counted in `took`, too.
  Histogram took{};
};

/// The run of a queue and kind that has been going on for the longest time, on whatever node.
struct LongestRun {
  std::string queue{};
  std::string kind{};
  JobId job{};
  TimePoint started_at{};
};

/// All that a JobMonitor knows at one moment.
struct Metrics {
  TimePoint at{};  ///< When this was asked for, on the storage's clock.

  // This node.
  std::vector<JobMetrics> jobs{};             ///< In the order of (queue, kind).
  std::vector<StorageCallMetrics> storage{};  ///< Of calls that were made at all.
  std::size_t running = 0;                    ///< Runs of its processors now.
  std::size_t slots = 0;                      ///< How many there may be.
  std::uint64_t dead_nodes = 0;               ///< Other nodes that this one found dead,
  std::uint64_t rescued_jobs = 0;             ///< jobs of theirs that are ready again,
  std::uint64_t rescue_dead_jobs = 0;         ///< and jobs that died with them.
  std::uint64_t leases_lost = 0;              ///< Times that this node was declared dead itself.
  ProcessUsage process{};

  // The whole storage, as of `sampled_at`; nothing before the first sample.
  TimePoint sampled_at = TimePoint::min();
  std::uint64_t failed_samples = 0;      ///< Times that the storage did not answer.
  std::vector<JobCount> counts{};        ///< By (queue, kind, state); those that are not 0.
  std::vector<ReadyAge> oldest_ready{};  ///< By (queue, kind), as of then; where jobs are ready at all.
  std::vector<QueueStatus> queues{};
  std::vector<LimitStatus> limits{};  ///< The rules over all nodes, by name, as of then.
  std::size_t nodes = 0;              ///< Alive.
  /// One for each queue and kind that has a run of a job which was added longer ago than
  /// `MonitorOptions::long_run`; in the order of (queue, kind).
  std::vector<LongestRun> longest_runs{};

  /// 0 to 1; 0 without slots.
  [[nodiscard]] double utilization() const noexcept {
    return slots == 0 ? 0 : static_cast<double>(running) / static_cast<double>(slots);
  }
};

/// As Prometheus' text exposition format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats), with
/// the names of docs/monitoring.md. Histograms have fixed bounds from 1 ms to 1 h.
[[nodiscard]] std::string to_prometheus(const Metrics& metrics);
/// The content type of that.
inline constexpr const char* prometheus_content_type = "text/plain; version=0.0.4; charset=utf-8";

/// As JSON of one line: durations in seconds with p50, p90, p95 and p99, times as in RFC 3339.
[[nodiscard]] std::string to_json(const Metrics& metrics);

}  // namespace quern::inline v1
