#include "schedule/zone_data.hpp"

#include <algorithm>
#include <utility>

#include "quern/schedule/time_zone.hpp"

namespace quern::inline v1::detail {

std::size_t ZoneData::span_at(std::int64_t instant) const noexcept {
  // The first one is `always`, so there is one at or before every instant.
  return static_cast<std::size_t>(std::upper_bound(begins.begin(), begins.end(), instant) - begins.begin()) -
         1;
}

ZoneBuilder::ZoneBuilder(std::string name, const ZoneKind& kind) {
  data_.name = std::move(name);
  data_.begins.push_back(ZoneData::always);
  data_.offsets.push_back(kind.offset);
  data_.kind_of.push_back(index_of(kind));
}

std::uint8_t ZoneBuilder::index_of(const ZoneKind& kind) {
  const auto found = std::find(data_.kinds.begin(), data_.kinds.end(), kind);
  const auto index = found - data_.kinds.begin();
  if (index > 255) throw ZoneError(data_.name + ": the zone has more than 256 kinds of local time");
  if (found == data_.kinds.end()) data_.kinds.push_back(kind);
  return static_cast<std::uint8_t>(index);
}

void ZoneBuilder::shift(std::int64_t at, const ZoneKind& kind) {
  const std::uint8_t index = index_of(kind);
  if (at <= data_.begins.back()) {
    data_.offsets.back() = kind.offset;
    data_.kind_of.back() = index;
    return;
  }
  if (index == data_.kind_of.back()) return;
  data_.begins.push_back(at);
  data_.offsets.push_back(kind.offset);
  data_.kind_of.push_back(index);
}

}  // namespace quern::inline v1::detail
