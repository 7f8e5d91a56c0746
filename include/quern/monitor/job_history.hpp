#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "quern/core/log.hpp"
#include "quern/core/runner.hpp"
#include "quern/monitor/history_point.hpp"
#include "quern/monitor/job_monitor.hpp"
#include "quern/queue/job_queue.hpp"

namespace quern::inline v1 {

/// All nodes of a storage should have the same.
struct HistoryOptions {
  /// How often the monitor is asked, beside at the end of each minute. 1 s to 1 min.
  Duration interval = std::chrono::seconds(15);
  /// How long minutes are kept. 3 h to 31 days.
  Duration keep_minutes = std::chrono::hours(48);
  /// How long hours are kept. 2 days to 2 years, and not shorter than minutes.
  Duration keep_hours = std::chrono::hours(24 * 60);
  /// How long days are kept. 7 days to 20 years, and not shorter than hours.
  Duration keep_days = std::chrono::hours(24 * 730);
  /// Until how long after its end a node may still write a minute, since the storage did not answer before. Hours are made that
  /// much later, and 5 min. Longer: outages don't blur the history; shorter: less is kept in memory meanwhile. 1 min to 1 h.
  Duration late = std::chrono::minutes(10);
  /// Pairs of queue and kind in one record; where there are more those with the fewest jobs count as the pair ("(other)", "(other)").
  /// 1 to 10,000.
  std::size_t most_pairs = 500;
  Logger log{};  ///< Where a storage that does not answer is reported, once.
};

namespace detail {

class HistoryCollector;
class HistoryStore;

/// All of JobHistory but its types.
class HistoryCore {
 public:
  /// Throws ConfigError. The queue must outlive it.
  HistoryCore(QueueCore& queue, std::function<Metrics()> metrics, HistoryOptions options);
  HistoryCore(const HistoryCore&) = delete;
  HistoryCore& operator=(const HistoryCore&) = delete;
  ~HistoryCore();

  NextTick tick(TimePoint now) noexcept;
  /// From now on there is something to keep; `tick` says so, too.
  void begin() noexcept;
  void flush() noexcept;
  [[nodiscard]] std::vector<HistoryPoint> query(const HistoryQuery& query) const;
  [[nodiscard]] std::uint64_t failed_ticks() const noexcept;
  [[nodiscard]] ClockRef clock() const { return clock_; }
  [[nodiscard]] const std::shared_ptr<Waker>& waker() const noexcept { return waker_; }

 private:
  struct Local;

  /// Does what is due with the storage, and says how that went.
  template <class Work>
  void with_storage(const Work& work) noexcept;
  void take_name();
  void write(TimePoint now, bool at_once);
  void write_gauges(TimePoint now);
  void maintain(TimePoint now);
  [[nodiscard]] bool roll_up(HistoryResolution coarse, TimePoint until);
  [[nodiscard]] bool tidy(HistoryResolution resolution, TimePoint before);
  [[nodiscard]] TimePoint rolled_up_by(TimePoint now) const noexcept;

  QueueCore& queue_;
  const HistoryOptions options_;
  const ClockRef clock_;
  const std::shared_ptr<Waker> waker_;
  const std::unique_ptr<HistoryCollector> collector_;
  const std::unique_ptr<HistoryStore> store_;
  const std::unique_ptr<Local> local_;
};

}  // namespace detail

/// Keeps what monitors count in their storage, by minute, hour and day: over restarts, and for all nodes together.
///
///     quern::JobHistory history{queue, monitor};
///     history.start();
///     ... answer GET /history with history.json({.from = day_ago, .to = now, .resolution = quern::HistoryResolution::hour})
///
/// Fleet    each node writes its own share of a minute, once, and one of them what the storage holds. Whoever comes first adds up
///          minutes to an hour, and hours to a day, under a name that is the same for all: so it stands there once, whoever does
///          it, and however often.
/// Storage  two small writes a minute, one more an hour and a day, and the erasing of as many. Reads a few records an hour, and at
///          its end those of its minutes.
/// Failing  while the storage does not answer the shares of up to `late` are kept, and then written. What is older counts in the
///          next minute that can be written, so that no count is lost; a process that dies takes along what it has not written, which
///          is a minute while the storage answers.
/// Memory   a second copy of the monitor's histograms, and what waits to be written.
/// Threads  every member but `tick` may be called from any thread; `tick` from one at a time, and not while started.
template <Storage S = AnyStorage>
class JobHistory {
 public:
  /// Keeps what the monitor counts from now on. The queue and the monitor must outlive it; the monitor must be ticked or started by
  /// itself. One history for a monitor. Throws ConfigError with all that is wrong with the options.
  JobHistory(JobQueue<S>& queue, JobMonitor<S>& monitor, HistoryOptions options = {})
      : core_(queue.core(), [&monitor] { return monitor.metrics(); }, std::move(options)) {}
  JobHistory(const JobHistory&) = delete;
  JobHistory& operator=(const JobHistory&) = delete;
  ~JobHistory() { stop(); }

  /// Counts, and writes what is due; says when it wants to be called next. A storage that fails is asked again after the interval.
  /// A tick that is late by more than a minute counts all since the last one in the last whole minute.
  NextTick tick(TimePoint now) noexcept { return core_.tick(now); }
  /// Ticks on a thread of its own. Harmless when started. Throws std::system_error where no thread can be had.
  void start() {
    if (runner_.running()) return;
    core_.begin();
    runner_.start(core_, core_.clock(), core_.waker());
  }
  /// Ends the thread, and writes the share of the minute that is under way, where it was ever started or ticked. Waits for a call of the storage that is under way. Can
  /// be started again.
  void stop() noexcept {
    runner_.stop();
    core_.flush();
  }

  /// A point for each minute, hour or day in which a node was up, in the order of time; none where there was none. Those that were
  /// not added up yet are added up here. Reads all records of that time: a minute is one for each node and one more. Of the
  /// minutes that nodes have not written yet, nothing. Throws InvalidArgument for a range that is empty or has more than
  /// `most_history_points`, StorageError.
  [[nodiscard]] std::vector<HistoryPoint> query(const HistoryQuery& query) const {
    return core_.query(query);
  }
  /// The same as JSON.
  [[nodiscard]] std::string json(const HistoryQuery& query) const { return to_json(core_.query(query)); }

  /// Ticks that the storage did not let through.
  [[nodiscard]] std::uint64_t failed_ticks() const noexcept { return core_.failed_ticks(); }

 private:
  detail::HistoryCore core_;
  Runner runner_;
};

}  // namespace quern::inline v1
