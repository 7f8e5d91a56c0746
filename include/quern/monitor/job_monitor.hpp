#pragma once

#include <memory>
#include <string>

#include "quern/core/log.hpp"
#include "quern/core/runner.hpp"
#include "quern/monitor/failures.hpp"
#include "quern/monitor/metrics.hpp"
#include "quern/queue/job_queue.hpp"

namespace quern::inline v1 {

struct MonitorOptions {
  /// How often the storage is asked for what only it knows: counts, queues, nodes. 100 ms to 1 h.
  Duration sample_interval = std::chrono::seconds(15);
  /// Pairs of queue and kind that are told apart; those that come later count as the pair ("(other)", "(other)"),
  /// so that names made at run time can't fill the memory. A pair costs 4 kB to 30 kB. 1 to 100,000.
  std::size_t most_pairs = 500;
  /// Groups of failures that are kept; a new one takes the place of that which was seen longest ago. About 6 kB each,
  /// where messages are long. 1 to 10,000.
  std::size_t most_failure_groups = 200;
  /// Each sample looks for the longest runs among the running jobs that were added longer ago than this, so that those
  /// of a quick queue cost nothing. It reads them all, up to 10,000, the oldest first; 0: it doesn't look. 0 to 1 day.
  Duration long_run = std::chrono::minutes(1);
  Logger log{};  ///< Where a storage that does not answer is reported.
};

namespace detail {

class MetricsCollector;

/// All of JobMonitor but its types.
class MonitorCore {
 public:
  /// Throws InvalidArgument for options out of range. The queue must outlive it.
  MonitorCore(QueueCore& queue, MonitorOptions options);
  MonitorCore(const MonitorCore&) = delete;
  MonitorCore& operator=(const MonitorCore&) = delete;
  ~MonitorCore();

  NextTick tick(TimePoint now) noexcept;
  [[nodiscard]] Metrics metrics() const;
  [[nodiscard]] std::vector<FailureGroup> failures() const;
  BulkResult retry_failures(const std::string& kind, std::uint64_t fingerprint, BulkOptions options);
  BulkResult discard_failures(const std::string& kind, std::uint64_t fingerprint, BulkOptions options);
  [[nodiscard]] ClockRef clock() const { return clock_; }
  [[nodiscard]] const std::shared_ptr<Waker>& waker() const noexcept { return waker_; }

 private:
  QueueCore& queue_;
  const MonitorOptions options_;
  const ClockRef clock_;
  const std::shared_ptr<Waker> waker_;
  const std::shared_ptr<MetricsCollector> collector_;
  TimePoint sample_at_ = TimePoint::min();
};

}  // namespace detail

/// Counts and times what passes through a queue and the processors on it, and watches the storage behind.
///
///     quern::JobMonitor monitor{queue};
///     monitor.start();
///     ... answer GET /metrics with monitor.prometheus()
///
/// Source   the queue and the processors tell it (see QueueObserver): it sees what this process does, at no cost to
///          the storage. What the storage alone knows is asked for every `sample_interval`, in `tick`.
/// Asking   `metrics`, `prometheus` and `json` never touch the storage, so they answer also while that hangs.
/// Memory   bounded by `most_pairs`.
/// Threads  every member but `tick` may be called from any thread; `tick` from one at a time, and not while started.
template <Storage S = AnyStorage>
class JobMonitor {
 public:
  /// Watches from now on. The queue must outlive the monitor. Throws InvalidArgument for options out of range.
  explicit JobMonitor(JobQueue<S>& queue, MonitorOptions options = {})
      : core_(queue.core(), std::move(options)) {}
  JobMonitor(const JobMonitor&) = delete;
  JobMonitor& operator=(const JobMonitor&) = delete;
  ~JobMonitor() { stop(); }

  /// Asks the storage where that is due; says when it wants to be called next. A storage that fails is
  /// asked again after the same interval.
  NextTick tick(TimePoint now) noexcept { return core_.tick(now); }
  /// Ticks on a thread of its own. Harmless when started. Throws std::system_error where no thread can be had.
  void start() {
    if (!runner_.running()) runner_.start(core_, core_.clock(), core_.waker());
  }
  /// Waits for a call of the storage that is under way. Can be started again.
  void stop() noexcept { runner_.stop(); }

  /// All that is known now. Costs a copy of the histograms.
  [[nodiscard]] Metrics metrics() const { return core_.metrics(); }
  [[nodiscard]] std::string prometheus() const { return to_prometheus(metrics()); }
  [[nodiscard]] std::string json() const { return to_json(metrics()); }

  /// The failures that this process has seen since the monitor was made, by reason; those seen last come first.
  [[nodiscard]] std::vector<FailureGroup> failures() const { return core_.failures(); }
  /// Runs the dead jobs of a group again, of whatever process. Walks over all dead jobs of the kind. Throws as
  /// `JobQueue::retry_all`; `options.only` must not be set (InvalidArgument).
  BulkResult retry_failures(const std::string& kind, std::uint64_t fingerprint, BulkOptions options = {}) {
    return core_.retry_failures(kind, fingerprint, std::move(options));
  }
  /// Gives a group up: its dead jobs are erased, and those that wait for a further attempt are cancelled. Walks over
  /// all jobs of the kind that are dead, scheduled or ready. `BulkResult::next` is of no use here.
  BulkResult discard_failures(const std::string& kind, std::uint64_t fingerprint, BulkOptions options = {}) {
    return core_.discard_failures(kind, fingerprint, std::move(options));
  }

 private:
  detail::MonitorCore core_;
  Runner runner_;
};

}  // namespace quern::inline v1
