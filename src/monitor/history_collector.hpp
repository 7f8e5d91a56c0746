#pragma once

#include <deque>
#include <map>

#include "monitor/history_slot.hpp"

namespace quern::inline v1::detail {

/// The part of one minute that this node knows.
struct HistoryShare {
  TimePoint minute{};
  std::uint64_t number = 0;  ///< From 1; never used again by this node.
  HistorySlot slot{};
  bool tried = false;  ///< It may have been written.
};

/// Makes shares of minutes out of what a monitor has counted by now. Touches no storage. Not thread-safe.
class HistoryCollector {
 public:
  /// Counts what the monitor counts after `first`, at most so many shares at a time.
  HistoryCollector(const Metrics& first, TimePoint now, std::size_t most_shares);

  /// What has happened since the last time belongs to the minute that was under way then; where it is later than the end of
  /// the next one, to the last whole minute. The sample of the storage belongs to the minute in which it was taken.
  void collect(const Metrics& metrics, TimePoint now);
  /// Ends the share of the minute under way, where there is anything to tell. What is collected next begins then.
  void close(TimePoint now);

  /// Shares that wait to be written, in the order in which they were made. Who has written one takes it away.
  [[nodiscard]] std::deque<HistoryShare>& shares() noexcept { return shares_; }
  /// What the storage held in minutes that are over, the same way.
  [[nodiscard]] std::map<TimePoint, HistorySlot>& gauges() noexcept { return gauges_; }
  /// Counts the share that comes first as part of the next minute instead.
  void postpone_first();
  /// When the minute under way ends.
  [[nodiscard]] TimePoint minute_end() const noexcept {
    return minute_ + length_of(HistoryResolution::minute);
  }
  [[nodiscard]] TimePoint minute() const noexcept { return minute_; }

 private:
  /// Of one pair.
  using Counted = std::map<HistoryNames, JobMetrics>;

  [[nodiscard]] std::map<HistoryNames, HistoryTally> take_gains(const Metrics& metrics);
  void pass(HistorySlot& slot, TimePoint minute, const Metrics& metrics, TimePoint from, TimePoint to);
  void take_sample(const Metrics& metrics);
  void end_minute(TimePoint next);

  const std::size_t most_shares_;
  Counted counted_;       ///< Of the last time.
  TimePoint last_;        ///< When that was.
  TimePoint minute_;      ///< The one that is under way,
  HistorySlot open_{};    ///< and what is known of it.
  bool closed_ = false;   ///< Nothing was collected since.
  TimePoint sampled_at_;  ///< The last sample of the storage that was taken over.
  std::uint64_t numbers_ = 0;
  std::deque<HistoryShare> shares_;
  std::map<TimePoint, HistorySlot> gauges_;
};

}  // namespace quern::inline v1::detail
