#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/time.hpp"
#include "quern/monitor/histogram.hpp"

namespace quern::inline v1 {

/// How long the time is that one point of a history is about. All begin at whole ones in UTC.
enum class HistoryResolution : std::uint8_t { minute, hour, day };
/// "minute", "hour", "day"
[[nodiscard]] std::string_view to_string(HistoryResolution resolution) noexcept;
/// Of a minute, an hour, a day.
[[nodiscard]] Duration length_of(HistoryResolution resolution) noexcept;

/// What is asked for.
struct HistoryQuery {
  TimePoint from{};  ///< Rounded down to where its minute, hour or day begins.
  TimePoint to{};    ///< Up to, and without, this.
  HistoryResolution resolution = HistoryResolution::minute;
  std::optional<std::string> queue{};  ///< Only this one; of all otherwise.
  std::optional<std::string> kind{};
};
/// The longest history that one query gives.
inline constexpr std::size_t most_history_points = 3000;

/// What has happened, by the same names as in JobMetrics.
struct HistoryCounts {
  std::uint64_t enqueued = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t refused = 0;
  std::uint64_t started = 0;
  std::uint64_t completed = 0;
  std::uint64_t failed = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t snoozed = 0;
  std::uint64_t released = 0;
  std::uint64_t lost = 0;
  std::uint64_t timed_out = 0;
  std::uint64_t retried = 0;
  std::uint64_t dead = 0;
  Duration cpu{0};  ///< Processor time of the runs that ended.

  friend bool operator==(const HistoryCounts&, const HistoryCounts&) = default;
};

/// A figure that goes up and down, over the times at which it was looked at.
struct HistoryGauge {
  double mean = 0;
  /// The most at once. Of several queues and kinds: of each the most, added up, so that all together may never have had so many.
  double max = 0;
};

/// What the storage held, of all nodes, as it was sampled.
struct HistoryDepth {
  HistoryGauge ready{};
  HistoryGauge scheduled{};
  HistoryGauge running{};
  HistoryGauge dead{};
  Duration oldest_ready{0};  ///< The longest that a job has been due and not begun.
  HistoryGauge nodes{};      ///< That were alive. Of all queues and kinds, whatever was asked for.
};

/// One minute, hour or day of a fleet.
struct HistoryPoint {
  TimePoint from{};
  Duration length{0};
  /// True while it is not over, or nodes may still add to it; see `HistoryOptions::late`.
  bool open = false;
  HistoryCounts counts{};  ///< Of the queues and kinds that were asked for. Zero: nothing has happened.
  Histogram waited{};      ///< As in JobMetrics; quantiles are told to within 1/64.
  Histogram ran{};
  Histogram age{};
  std::optional<HistoryDepth> depth{};  ///< None where nobody has sampled the storage.

  // Of all queues and kinds.
  Duration covered{0};  ///< For how long of it a node was up that kept the history. Up to `length`.
  double running = 0;   ///< Runs at once, of all nodes: the mean over `covered`.
  double slots = 0;     ///< How many there could have been.

  /// 0 to 1; 0 without slots.
  [[nodiscard]] double utilization() const noexcept { return slots > 0 ? running / slots : 0; }
};

/// As JSON of one line, {"points":[...]}: durations in seconds with p50, p90, p95 and p99, times as in RFC 3339.
[[nodiscard]] std::string to_json(std::span<const HistoryPoint> points);

}  // namespace quern::inline v1
