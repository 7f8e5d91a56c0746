#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/job_id.hpp"
#include "quern/core/time.hpp"

namespace quern::inline v1 {

/// Amounts of things that jobs need and machines have little of: {{"memory", 512 << 20}, {"gpu", 1}}. The host chooses
/// names and units. From 0 to 10^15 each; a name has 1 to 100 bytes.
using Resources = std::map<std::string, std::int64_t, std::less<>>;

/// A unit of capacity in a WorkerPool. It is no thread: an idle one costs some hundred bytes.
struct WorkerOptions {
  std::string
      id{};  ///< 1 to 100 bytes, of no other worker that stays. Empty: the pool makes one ("worker-1").
  int max_jobs = 5;  ///< Jobs that it runs at once: 1 to 100,000.
  std::vector<std::string>
      supported_kinds{};  ///< What it runs, of the kinds that have a handler. Empty: all.
  bool enabled = true;    ///< False: it waits to be enabled.
  double weight = 1;      ///< Its share where `weighted` balances: above 0, up to 1000.
  /// What its jobs may need together (see HandlerOptions::cost). What is not named is not limited here.
  Resources budget{};
  Duration health_check_interval = std::chrono::seconds(30);  ///< 1 ms to 1 day.
  /// How long its jobs may go on when it is drained or removed; then they are asked to stop, and handed back at no cost
  /// where they don't complete. 0 to 1 day.
  Duration graceful_shutdown_timeout = std::chrono::seconds(30);
};

enum class WorkerState : std::uint8_t {
  active,    ///< It takes jobs.
  disabled,  ///< It takes none; what it runs goes on undisturbed.
  draining,  ///< It takes none, and hands back what still runs after its graceful shutdown timeout.
  leaving,   ///< The same, and then it is gone: it was removed, or replaced since it is unhealthy.
};
/// "active", "disabled", ...
[[nodiscard]] std::string_view to_string(WorkerState state) noexcept;

/// A job that a worker runs now.
struct WorkerJob {
  JobId id{};
  std::string kind{};
  Duration running{0};    ///< For how long.
  bool stopping = false;  ///< It was asked to stop since its worker drains.
};

/// How a worker stands at one moment.
struct WorkerStatus {
  WorkerOptions options{};
  WorkerState state = WorkerState::active;
  bool healthy = true;
  std::string reason{};  ///< Why it is not.
  Duration heartbeat{
      0};  ///< For how long it has shown no life: begun or ended a job, or passed a check of its health.
  std::vector<WorkerJob> jobs{};
  Resources used{};
  std::uint64_t started = 0;
  std::uint64_t completed = 0;
  std::uint64_t failed = 0;  ///< Attempts that failed, timed out or were discarded.
  int failures_in_row = 0;
  Duration busy{0};  ///< Summed over its jobs, those that run now too.
};

enum class WorkerEventType : std::uint8_t { worker_added, worker_removed, worker_health_changed };
/// "worker_added", ...
[[nodiscard]] std::string_view to_string(WorkerEventType type) noexcept;

struct WorkerEvent {
  WorkerEventType type = WorkerEventType::worker_added;
  TimePoint at{};
  std::string worker{};
  bool healthy = true;
  std::string reason{};  ///< Why it was added or removed, or is unhealthy.
};
/// As JSON of one line: {"type":"worker_added","at":"2026-01-01T00:00:00Z","worker":"worker-1","healthy":true,...}.
[[nodiscard]] std::string to_json(const WorkerEvent& event);

}  // namespace quern::inline v1
