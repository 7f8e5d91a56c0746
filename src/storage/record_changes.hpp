#pragma once

#include <algorithm>
#include <optional>
#include <span>

#include "quern/storage/requests.hpp"

namespace quern::inline v1::detail {

/// How records stand, as against what somebody has seen of them.
enum class RecordsStand : std::uint8_t {
  as_seen,
  as_wanted,  ///< As they are to become: the same call, sent twice, or nothing to do.
  otherwise,
};

/// Throws InvalidArgument where a record stands twice among them.
void check(std::span<const RecordChange> changes);

[[nodiscard]] inline bool same(const std::optional<Payload>& a, const std::optional<Payload>& b) {
  return a.has_value() == b.has_value() && (!a || a->text() == b->text());
}

/// `get(collection, key)` gives a record's value, if there is one.
template <class Get>
[[nodiscard]] RecordsStand stand_of(std::span<const RecordChange> changes, const Get& get) {
  bool seen = true;
  bool wanted = true;
  for (const RecordChange& change : changes) {
    const std::optional<Payload> now = get(change.collection, change.key);
    seen = seen && same(now, change.seen);
    wanted = wanted && same(now, change.value);
  }
  if (seen) return RecordsStand::as_seen;
  return wanted ? RecordsStand::as_wanted : RecordsStand::otherwise;
}

/// True when nothing was added since a queue is full.
[[nodiscard]] inline bool is_full(std::span<const InsertResult> results) {
  return !results.empty() && results.front().status == InsertStatus::queue_full;
}

}  // namespace quern::inline v1::detail
