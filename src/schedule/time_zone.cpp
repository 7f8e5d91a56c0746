#include "quern/schedule/time_zone.hpp"

#include <fmt/format.h>

#include <utility>

#include "schedule/civil.hpp"
#include "schedule/tzif.hpp"
#include "schedule/zone_data.hpp"

namespace quern::inline v1 {
namespace {

std::shared_ptr<const detail::ZoneData> constant(std::string name, std::int32_t offset,
                                                 std::string abbreviation) {
  detail::ZoneBuilder zone(std::move(name),
                           {.offset = offset, .daylight = false, .abbreviation = std::move(abbreviation)});
  return std::make_shared<const detail::ZoneData>(zone.take());
}

constexpr std::int64_t us_per_second = 1'000'000;

/// Saturates: old files have a first shift at the beginning of the universe.
TimePoint to_time(std::int64_t seconds) noexcept {
  if (seconds <= to_us(TimePoint::min()) / us_per_second) return TimePoint::min();
  if (seconds >= to_us(TimePoint::max()) / us_per_second) return TimePoint::max();
  return from_us(seconds * us_per_second);
}

}  // namespace

TimeZone::TimeZone() {
  static const auto utc = constant("UTC", 0, "UTC");
  data_ = utc;
}

TimeZone TimeZone::fixed(std::chrono::seconds offset) {
  constexpr std::chrono::seconds most = std::chrono::hours(24);
  if (offset < -most || offset > most)
    throw InvalidArgument(
        "offset", fmt::format("{} seconds are more than the 24 hours that are allowed", offset.count()));
  const auto seconds = static_cast<std::int32_t>(offset.count());
  const std::int32_t size = seconds < 0 ? -seconds : seconds;
  auto name = fmt::format("UTC{}{:02}:{:02}", seconds < 0 ? '-' : '+', size / 3600, size / 60 % 60);
  if (size % 60 != 0) name += fmt::format(":{:02}", size % 60);
  return TimeZone(constant(name, seconds, name.substr(3)));
}

TimeZone TimeZone::from_tzif(std::string name, std::string_view bytes) {
  return TimeZone(std::make_shared<const detail::ZoneData>(detail::read_tzif(std::move(name), bytes)));
}

const std::string& TimeZone::name() const noexcept { return data_->name; }

TimeZone::Span TimeZone::span_at(TimePoint instant) const noexcept {
  const std::size_t span = data_->span_at(civil::floor_div(to_us(instant), us_per_second));
  const detail::ZoneKind& kind = data_->kinds[data_->kind_of[span]];
  return {.begin = to_time(data_->begin_of(span)),
          .end = to_time(data_->end_of(span)),
          .offset = std::chrono::seconds(kind.offset),
          .abbreviation = kind.abbreviation,
          .daylight = kind.daylight};
}

std::chrono::seconds TimeZone::offset_at(TimePoint instant) const noexcept {
  return std::chrono::seconds(
      data_->offsets[data_->span_at(civil::floor_div(to_us(instant), us_per_second))]);
}

bool TimeZone::same_clocks(const TimeZone& other) const noexcept {
  return data_ == other.data_ ||
         (data_->begins == other.data_->begins && data_->offsets == other.data_->offsets);
}

}  // namespace quern::inline v1
