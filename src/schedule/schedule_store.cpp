#include "schedule/schedule_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "quern/core/error.hpp"

namespace quern::inline v1::detail {
namespace {

constexpr std::string_view collection = "quern.schedules";
constexpr std::string_view revisions = "quern.schedules.revision";
constexpr std::string_view revision_key = "specs";

ScheduleRecord read(std::string name, Payload value) {
  ScheduleRecord record{.name = std::move(name), .seen = std::move(value)};
  try {
    record.value = record.seen.as<StoredSchedule>();
  } catch (const InvalidArgument& e) {
    record.fault = fmt::format("its record can't be read: {}", e.what());
  }
  return record;
}

}  // namespace

ScheduleStore::ScheduleStore(QueueCore& queue) : queue_(queue), random_(Random::entropy()) {}

std::optional<ScheduleRecord> ScheduleStore::get(std::string_view name) {
  auto value = queue_.storage().get_record(collection, name);
  if (!value) return std::nullopt;
  return read(std::string(name), std::move(*value));
}

std::vector<ScheduleRecord> ScheduleStore::list(std::string_view after, std::size_t limit) {
  std::vector<ScheduleRecord> found;
  for (Record& record : queue_.storage().list_records(collection, after, limit))
    found.push_back(read(std::move(record.key), std::move(record.value)));
  return found;
}

std::vector<ScheduleRecord> ScheduleStore::get_all(std::span<const std::string> names, std::size_t span) {
  std::vector<ScheduleRecord> found;
  const auto take = [&](const std::string& name) {
    if (auto record = get(name)) found.push_back(std::move(*record));
  };
  const std::size_t page = std::min<std::size_t>(span, 1000);
  if (names.size() < 3 || span > 4 * names.size()) {
    std::ranges::for_each(names, take);
    return found;
  }
  take(names.front());  // a page begins after a name
  for (std::string after = names.front(); after < names.back();) {
    std::vector<ScheduleRecord> records = list(after, page);
    if (records.empty()) break;
    after = records.back().name;
    for (ScheduleRecord& record : records)
      if (std::ranges::binary_search(names, record.name)) found.push_back(std::move(record));
  }
  return found;
}

std::string ScheduleStore::revision() {
  const auto value = queue_.storage().get_record(revisions, revision_key);
  return value ? value->text() : std::string();
}

bool ScheduleStore::change(std::string_view name, const Edit& edit) {
  constexpr int most_tries = 1000;
  for (int tries = 0; tries < most_tries; ++tries) {
    const auto before = get(name);
    const auto revision = queue_.storage().get_record(revisions, revision_key);
    auto value = before ? before->value : std::nullopt;
    if (!edit(value)) return false;
    std::array<RecordChange, 2> changes;
    changes[0] = {.collection = std::string(collection), .key = std::string(name)};
    if (before) changes[0].seen = before->seen;
    if (value) changes[0].value = Payload::of(*value);
    changes[1] = {.collection = std::string(revisions), .key = std::string(revision_key), .seen = revision};
    {
      // Of chance, so that no two writers want the same.
      const std::lock_guard lock(mutex_);
      changes[1].value = Payload::json(std::to_string(random_.next() >> 1U));
    }
    if (queue_.enqueue_if({}, changes)) return true;
  }
  throw StorageError(fmt::format("the schedule \"{}\" could not be changed: others did at each of {} tries",
                                 name, most_tries),
                     true);
}

RecordChange ScheduleStore::decided(const ScheduleRecord& before, const StoredSchedule& after) {
  return {.collection = std::string(collection),
          .key = before.name,
          .seen = before.seen,
          .value = Payload::of(after)};
}

}  // namespace quern::inline v1::detail
