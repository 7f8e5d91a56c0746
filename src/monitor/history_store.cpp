#include "monitor/history_store.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "quern/core/error.hpp"

namespace quern::inline v1::detail {
namespace {

constexpr std::string_view collection = "quern.history";

/// What comes before all keys of that time, and after all of earlier times.
std::string before(HistoryResolution resolution, TimePoint time) {
  return fmt::format("{}/{}", to_string(resolution), to_rfc3339(time));
}

/// None for a key that is no slot of that resolution.
std::optional<TimePoint> time_of(HistoryResolution resolution, std::string_view key) {
  const std::string_view name = to_string(resolution);
  if (!key.starts_with(name) || key.size() <= name.size() || key[name.size()] != '/') return std::nullopt;
  key.remove_prefix(name.size() + 1);
  try {
    const TimePoint time = parse_rfc3339(key.substr(0, key.find('/')));
    if (time.time_since_epoch() % length_of(resolution) != Duration::zero()) return std::nullopt;
    return time;
  } catch (const InvalidArgument&) {  // somebody else's
    return std::nullopt;
  }
}

}  // namespace

std::string HistoryStore::share_key(TimePoint minute, std::uint64_t node, std::uint64_t number) {
  return fmt::format("{}/node/{}.{}", before(HistoryResolution::minute, minute), node, number);
}
std::string HistoryStore::storage_key(TimePoint minute) {
  return before(HistoryResolution::minute, minute) + "/storage";
}
std::string HistoryStore::whole_key(HistoryResolution resolution, TimePoint time) {
  return before(resolution, time) + "/all";
}

void HistoryStore::put(const std::string& key, const Payload& slot) {
  storage_.put_record({std::string(collection), key, slot});
}

bool HistoryStore::has(const std::string& key) { return storage_.get_record(collection, key).has_value(); }

void HistoryStore::erase(const std::string& key) { storage_.erase_record(collection, key); }

void HistoryStore::each(HistoryResolution resolution, TimePoint from, TimePoint to,
                        const std::function<bool(const Entry&)>& each) {
  constexpr std::size_t page = 100;
  const std::string end = before(resolution, to);
  std::string after = before(resolution, from);
  while (true) {
    const std::vector<Record> records = storage_.list_records(collection, after, page);
    for (const Record& record : records) {
      if (record.key >= end) return;
      if (const auto time = time_of(resolution, record.key))
        if (!each({record.key, *time, record.value})) return;
    }
    if (records.size() < page) return;
    after = records.back().key;
  }
}

std::optional<TimePoint> HistoryStore::first(HistoryResolution resolution, TimePoint from) {
  std::string after = before(resolution, from);
  while (true) {
    const std::vector<Record> records = storage_.list_records(collection, after, 1);
    if (records.empty()) return std::nullopt;
    after = records.front().key;
    if (const auto time = time_of(resolution, after)) return time;
    if (!after.starts_with(to_string(resolution))) return std::nullopt;
  }
}

std::optional<HistorySlot> HistoryStore::read(const Entry& entry, const HistoryQuery& query) {
  try {
    return HistorySlot::from(entry.slot, query);
  } catch (const InvalidArgument& e) {  // of another version, or somebody else's
    log_to(log_, LogLevel::warning,
           fmt::format("the record {} of the history can't be read: {}", entry.key, e.what()));
    return std::nullopt;
  }
}

}  // namespace quern::inline v1::detail
