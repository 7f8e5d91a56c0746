#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "monitor/history_slot.hpp"
#include "quern/core/log.hpp"
#include "quern/storage/any_storage.hpp"

namespace quern::inline v1::detail {

/// Keeps slots as records of the collection "quern.history". Keys sort by resolution and time:
///
///     minute/2026-01-31T08:30:00Z/node/17.3   what the node 17 knows, as the third share that it has written
///     minute/2026-01-31T08:30:00Z/storage     what the storage held; whoever writes it writes the same
///     hour/2026-01-31T08:00:00Z/all           all of that hour
///     day/2026-01-31T00:00:00Z/all
///
/// Every call but these of keys may throw StorageError. Thread-safe.
class HistoryStore {
 public:
  HistoryStore(StoragePort& storage, Logger log) : storage_(storage), log_(std::move(log)) {}

  [[nodiscard]] static std::string share_key(TimePoint minute, std::uint64_t node, std::uint64_t number);
  [[nodiscard]] static std::string storage_key(TimePoint minute);
  [[nodiscard]] static std::string whole_key(HistoryResolution resolution, TimePoint time);

  void put(const std::string& key, const Payload& slot);
  [[nodiscard]] bool has(const std::string& key);

  struct Entry {
    std::string key{};
    TimePoint time{};
    Payload slot{};
  };
  /// The records from `from` until, and without, `to`, in the order of time, while `each` gives true.
  void each(HistoryResolution resolution, TimePoint from, TimePoint to,
            const std::function<bool(const Entry&)>& each);
  /// The time of the first record from then on.
  [[nodiscard]] std::optional<TimePoint> first(HistoryResolution resolution, TimePoint from);
  void erase(const std::string& key);

  /// What a record holds for a query; none, and a line in the log, where it can't be read.
  [[nodiscard]] std::optional<HistorySlot> read(const Entry& entry, const HistoryQuery& query);

 private:
  StoragePort& storage_;
  const Logger log_;
};

}  // namespace quern::inline v1::detail
