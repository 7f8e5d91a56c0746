#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "quern/core/payload.hpp"
#include "quern/monitor/history_point.hpp"
#include "quern/monitor/metrics.hpp"

namespace quern::inline v1::detail {

/// A queue and a kind.
using HistoryNames = std::pair<std::string, std::string>;

/// What one pair did.
struct HistoryTally {
  HistoryCounts counts{};
  Histogram waited{};
  Histogram ran{};
  Histogram age{};

  void add(const HistoryTally& other);
  [[nodiscard]] bool empty() const noexcept { return counts == HistoryCounts(); }
};

/// Of one pair, over all samples of the storage.
struct HistoryDepths {
  enum What : std::uint8_t { ready, scheduled, running, dead };
  static constexpr std::size_t whats = 4;
  std::array<std::uint64_t, whats> sum{};
  std::array<std::uint64_t, whats> most{};
  Duration oldest_ready{0};

  void add(const HistoryDepths& other);
};

/// What is known of a minute, an hour or a day; or a part of that, such as a node's share. Parts are added up. All figures but
/// the largest ones are sums, over nodes and times: so it makes no difference which parts are added first.
struct HistorySlot {
  std::map<HistoryNames, HistoryTally> tallies{};
  Duration begin{0};    ///< Of a minute: how long after its begin a node was up,
  Duration covered{0};  ///< and for how long from then on. Of hours and days: for how long of their minutes.
  Duration running_time{0};  ///< Of all runs.
  Duration slot_time{0};     ///< Of all slots.

  // Of the storage.
  std::uint64_t samples = 0;
  std::uint64_t nodes_sum = 0;
  std::uint64_t nodes_most = 0;
  std::map<HistoryNames, HistoryDepths> depths{};

  /// Adds what other nodes know of the same time.
  void add_beside(const HistorySlot& other);
  /// Adds what is known of another time.
  void add_after(const HistorySlot& other);
  /// The counts only, of a time that has no record of its own.
  void add_counts(const HistorySlot& other);

  /// As it is stored; at most `most_pairs` pairs and `most_history_bytes` of text. Those with the fewest jobs make room.
  [[nodiscard]] Payload stored(std::size_t most_pairs) const;
  /// The inverse. Throws InvalidArgument for what is none, or of a later version.
  [[nodiscard]] static HistorySlot from(const Payload& payload);
  /// Of what is stored, without the pairs that a query is not about.
  [[nodiscard]] static HistorySlot from(const Payload& payload, const HistoryQuery& query);

 private:
  void add_pairs(const HistorySlot& other);
  [[nodiscard]] HistorySlot with_pairs(std::size_t most) const;
};

/// A record is not longer than a payload may be.
inline constexpr std::size_t most_history_bytes = std::size_t{1} << 20U;

/// A count by its place in a record, where only the end may grow.
struct HistoryCount {
  std::uint64_t JobMetrics::* of_metrics;
  std::uint64_t HistoryCounts::* of_history;
  std::string_view name;
};
inline constexpr std::array<HistoryCount, 13> history_counts{{
    {&JobMetrics::enqueued, &HistoryCounts::enqueued, "enqueued"},
    {&JobMetrics::duplicates, &HistoryCounts::duplicates, "duplicates"},
    {&JobMetrics::refused, &HistoryCounts::refused, "refused"},
    {&JobMetrics::started, &HistoryCounts::started, "started"},
    {&JobMetrics::completed, &HistoryCounts::completed, "completed"},
    {&JobMetrics::failed, &HistoryCounts::failed, "failed"},
    {&JobMetrics::cancelled, &HistoryCounts::cancelled, "cancelled"},
    {&JobMetrics::snoozed, &HistoryCounts::snoozed, "snoozed"},
    {&JobMetrics::released, &HistoryCounts::released, "released"},
    {&JobMetrics::lost, &HistoryCounts::lost, "lost"},
    {&JobMetrics::timed_out, &HistoryCounts::timed_out, "timed_out"},
    {&JobMetrics::retried, &HistoryCounts::retried, "retried"},
    {&JobMetrics::dead, &HistoryCounts::dead, "dead"},
}};

}  // namespace quern::inline v1::detail
