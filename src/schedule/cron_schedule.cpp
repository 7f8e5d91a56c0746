#include "quern/schedule/cron_schedule.hpp"

#include <utility>

#include "schedule/civil.hpp"
#include "schedule/cron_describe.hpp"
#include "schedule/cron_search.hpp"
#include "schedule/zoned_search.hpp"

namespace quern::inline v1 {
namespace {

constexpr std::int64_t us_per_second = 1'000'000;

std::optional<TimePoint> to_time(std::optional<std::int64_t> seconds) noexcept {
  if (!seconds) return std::nullopt;
  return from_us(*seconds * us_per_second);
}

}  // namespace

CronSchedule::CronSchedule(CronExpression expression, TimeZone zone, ShiftPolicy policy)
    : expression_(std::move(expression)), zone_(std::move(zone)), policy_(policy) {}

std::optional<TimePoint> CronSchedule::next(TimePoint after) const noexcept {
  const detail::ZonedSearch search(expression_.fields(), zone_.data(), policy_);
  return to_time(search.next(civil::floor_div(to_us(after), us_per_second) + 1));
}

std::optional<TimePoint> CronSchedule::previous(TimePoint before) const noexcept {
  const detail::ZonedSearch search(expression_.fields(), zone_.data(), policy_);
  const std::int64_t us = to_us(before);
  const std::int64_t second = civil::floor_div(us, us_per_second);
  return to_time(search.previous(us % us_per_second == 0 ? second - 1 : second));
}

bool CronSchedule::matches(TimePoint instant) const noexcept {
  if (to_us(instant) % us_per_second != 0) return false;
  const detail::ZonedSearch search(expression_.fields(), zone_.data(), policy_);
  return to_time(search.next(to_us(instant) / us_per_second)) == instant;
}

Occurrences CronSchedule::after(TimePoint instant) const { return {*this, instant}; }

CronSchedule::Kind CronSchedule::kind_of(TimePoint occurrence) const noexcept {
  const detail::ZoneData& zone = zone_.data();
  const std::int64_t instant = civil::floor_div(to_us(occurrence), us_per_second);
  const std::size_t span = zone.span_at(instant);
  const std::int64_t local = instant + zone.offsets[span];
  if (!detail::matches_local(expression_.fields(), local)) return Kind::after_gap;
  if (span > 0 && local < zone.begin_of(span) + zone.offsets[span - 1]) return Kind::second_pass;
  if (span + 1 < zone.count() && local >= zone.end_of(span) + zone.offsets[span + 1]) return Kind::first_pass;
  return Kind::usual;
}

std::string CronSchedule::describe() const {
  return expression_.describe() + ", in " + detail::describe_zone(zone_.name());
}

}  // namespace quern::inline v1
