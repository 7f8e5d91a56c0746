#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>

#include "quern/monitor/health.hpp"
#include "quern/monitor/job_monitor.hpp"
#include "quern/queue/job_queue.hpp"

namespace quern::inline v1 {

// Probes for what every host has. Each may be changed before it is handed on: its name, its timeout, whether it is critical.

struct StorageProbeOptions {
  Duration slow = std::chrono::milliseconds(500);  ///< Degraded where an answer takes longer. 0: never.
};
struct QueueProbeOptions {
  std::string queue{};           ///< Empty: all of them together.
  std::uint64_t most_ready = 0;  ///< Degraded where more jobs are ready. 0: any number may.
  bool paused_is_degraded = true;
};
struct WorkerProbeOptions {
  std::size_t least_slots = 1;  ///< Down where the processors of this queue object have fewer.
  Duration lease_lost_for = std::chrono::minutes(5);  ///< Degraded for so long after a lease was lost.
};

namespace detail {
[[nodiscard]] HealthProbe storage_probe(StoragePort& storage, StorageProbeOptions options);
[[nodiscard]] HealthProbe queue_probe(std::function<Metrics()> metrics, QueueProbeOptions options);
[[nodiscard]] HealthProbe worker_probe(QueueCore& queue, WorkerProbeOptions options);
[[nodiscard]] HealthProbe engine_probe(QueueCore& queue, Duration stuck_after);
}  // namespace detail

/// "storage": whether it answers a small read, and how fast. For readiness. Details: latency_ms.
template <Storage S>
[[nodiscard]] HealthProbe storage_probe(JobQueue<S>& queue, StorageProbeOptions options = {}) {
  return detail::storage_probe(queue.core().storage(), options);
}

/// "queue": whether it is paused or too long, as the monitor has last sampled it, so it reads nothing from the storage. Not critical.
/// For readiness. Details: ready, running.
template <Storage S>
[[nodiscard]] HealthProbe queue_probe(JobMonitor<S>& monitor, QueueProbeOptions options = {}) {
  return detail::queue_probe([&monitor] { return monitor.metrics(); }, std::move(options));
}

/// "workers": whether this process runs jobs, and holds its lease. For readiness. Details: slots, running. Hears of
/// processors from when it was made.
template <Storage S>
[[nodiscard]] HealthProbe worker_probe(JobQueue<S>& queue, WorkerProbeOptions options = {}) {
  return detail::worker_probe(queue.core(), options);
}

/// "engine": down where a processor of this queue object has not come round for `stuck_after`: then only a restart helps. One
/// that waits for a storage comes round once that fails, so choose longer than its deadlines. For liveness. Details:
/// idle_s. Hears of processors from when it was made. `stuck_after` is at least 5 s, more than a processor's poll interval.
template <Storage S>
[[nodiscard]] HealthProbe engine_probe(JobQueue<S>& queue, Duration stuck_after = std::chrono::minutes(2)) {
  return detail::engine_probe(queue.core(), stuck_after);
}

/// "memory": of this process. Degraded above nine tenths of the limit, down above it. Details: resident_bytes, limit_bytes.
/// Up where the system does not say. For readiness: a process above its limit gets no more work, and the limit of its
/// container restarts it.
[[nodiscard]] HealthProbe memory_probe(std::uint64_t limit_bytes);

/// "disk": the file system of a path, as that of a SQLite file. Degraded below twice `least_free_bytes`, down below. For
/// readiness. Details: free_bytes.
[[nodiscard]] HealthProbe disk_probe(std::filesystem::path path, std::uint64_t least_free_bytes);

}  // namespace quern::inline v1
