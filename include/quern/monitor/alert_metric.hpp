#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/job_state.hpp"
#include "quern/monitor/metrics.hpp"

namespace quern::inline v1 {

/// What an alert is told apart by.
enum class AlertBy : std::uint8_t {
  all,    ///< One alert for all that the rule looks at.
  queue,  ///< One for each queue.
  kind,   ///< One for each kind.
};

/// What an alert rule looks at: a figure of `Metrics`, or a function of the host's own. Made by one of the functions
/// below, and narrowed down by `of_queue`, `of_kind` and `by`:
///
///     AlertMetric::jobs(JobState::dead).of_queue("mail").by(AlertBy::kind)
///
/// Figures of the whole storage are the same on each node; those of one node are what the runs of its own processors gave.
/// What a node does not know (nothing was sampled yet, nothing has ended) is no value, and no value is no alert.
class AlertMetric {
 public:
  enum class Source : std::uint8_t {
    jobs,
    longest_run,
    oldest_ready,
    nodes,
    paused,
    since_completed,
    since_event,
    healthy_workers,
    failed_share,
    ended_per_second,
    utilization,
    resident_bytes,
    custom,
  };
  using Function = std::function<std::optional<double>(const Metrics&)>;

  // Of the whole storage.
  /// How many jobs stand in a state. Ready: how long the queue is.
  [[nodiscard]] static AlertMetric jobs(JobState state = JobState::ready);
  /// Seconds that the longest run has been going on, on any node; see `MonitorOptions::long_run`.
  [[nodiscard]] static AlertMetric longest_run();
  /// Seconds that the job is ready that has been due longest, as of the monitor's last sample.
  [[nodiscard]] static AlertMetric oldest_ready();
  /// Nodes that are alive.
  [[nodiscard]] static AlertMetric nodes();
  /// 1 where a queue is paused, else 0.
  [[nodiscard]] static AlertMetric paused();
  /// Seconds since a job of this kind completed, on any node; where none has, since the rule was first seen. A node that runs
  /// jobs is heard by its own alert manager, and otherwise by what the counts of completed jobs gain.
  [[nodiscard]] static AlertMetric since_completed(std::string kind);
  /// Seconds since somebody called `AlertManager::note(name)`, on any node; where nobody has, since the rule was first seen.
  [[nodiscard]] static AlertMetric since_event(std::string name);

  // Of one node, of which any may give the alert.
  /// What `AlertOptions::healthy_workers` says; without it the nodes that are alive.
  [[nodiscard]] static AlertMetric healthy_workers();
  /// Of the attempts that completed or failed lately, how many failed: 0 to 1. No value while fewer than `least` ended.
  /// `window` is one of `JobMetrics::windows`: 10 s, 1, 5 or 15 min.
  [[nodiscard]] static AlertMetric failed_share(Duration window = std::chrono::minutes(5),
                                                std::uint64_t least = 20);
  /// Attempts that completed or failed, a second. `window` as above.
  [[nodiscard]] static AlertMetric ended_per_second(Duration window = std::chrono::minutes(5));
  /// How many of the slots are busy: 0 to 1. No value without slots.
  [[nodiscard]] static AlertMetric utilization();
  /// Memory of the process. No value where the system does not say.
  [[nodiscard]] static AlertMetric resident_bytes();
  /// Anything else. Called by each tick; what it throws is logged, and counts as no value.
  [[nodiscard]] static AlertMetric custom(Function function);

  /// Only what is of this queue, or of this kind.
  [[nodiscard]] AlertMetric of_queue(std::string queue) const;
  [[nodiscard]] AlertMetric of_kind(std::string kind) const;
  [[nodiscard]] AlertMetric by(AlertBy by) const;

  [[nodiscard]] Source source() const noexcept { return source_; }
  [[nodiscard]] JobState state() const noexcept { return state_; }
  [[nodiscard]] const std::string& queue() const noexcept { return queue_; }
  [[nodiscard]] const std::string& kind() const noexcept { return kind_; }
  [[nodiscard]] AlertBy by() const noexcept { return by_; }
  [[nodiscard]] Duration window() const noexcept { return window_; }
  [[nodiscard]] std::uint64_t least() const noexcept { return least_; }
  /// since_completed: the kind; since_event: the name.
  [[nodiscard]] const std::string& event() const noexcept { return event_; }
  [[nodiscard]] const Function& function() const noexcept { return function_; }

 private:
  explicit AlertMetric(Source source) : source_(source) {}

  Source source_;
  AlertBy by_ = AlertBy::all;
  JobState state_ = JobState::ready;
  Duration window_{0};
  std::uint64_t least_ = 0;
  std::string queue_{};
  std::string kind_{};
  std::string event_{};
  Function function_{};
};

/// "jobs", "longest_run", ...
[[nodiscard]] std::string_view to_string(AlertMetric::Source source) noexcept;

/// One value of a metric, and what it is of.
struct AlertValue {
  std::string queue{};  ///< Empty: not told apart by it.
  std::string kind{};
  double value = 0;  ///< Finite.
};

/// What the metrics don't say by themselves.
struct AlertSurroundings {
  std::optional<double> healthy_workers{};  ///< None: the nodes that are alive.
  std::optional<Duration> since{};          ///< Since the event that a since_... metric is about.
};

/// The values of a metric, in the order of (queue, kind). Throws what a function of the host throws.
[[nodiscard]] std::vector<AlertValue> values_of(const AlertMetric& metric, const Metrics& metrics,
                                                const AlertSurroundings& surroundings);

}  // namespace quern::inline v1
