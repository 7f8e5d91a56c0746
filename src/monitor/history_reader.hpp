#pragma once

#include <functional>

#include "monitor/history_store.hpp"

namespace quern::inline v1::detail {

/// When the minute, hour or day began that was under way then.
[[nodiscard]] TimePoint begin_of(HistoryResolution resolution, TimePoint time);
/// Of an hour its minutes, of a day its hours.
[[nodiscard]] HistoryResolution parts_of(HistoryResolution resolution);

using EachSlot = std::function<void(TimePoint time, const HistorySlot& slot)>;

/// Gives what is stored of each minute, hour or day from `from` until `to`, which begin at whole ones: all nodes together, without
/// the pairs that the query is not about, in no order. Hours and days that were not added up yet are added up. Throws StorageError.
void read_history(HistoryStore& store, HistoryResolution resolution, TimePoint from, TimePoint to,
                  const HistoryQuery& query, const EachSlot& each);

/// Adds up the parts of one hour or day.
[[nodiscard]] HistorySlot add_up(HistoryStore& store, HistoryResolution resolution, TimePoint time);

/// The point that tells what is known of a time.
[[nodiscard]] HistoryPoint point_of(HistoryResolution resolution, TimePoint time, const HistorySlot& slot);

}  // namespace quern::inline v1::detail
