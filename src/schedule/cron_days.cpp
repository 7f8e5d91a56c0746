#include "schedule/cron_days.hpp"

#include <bit>

#include "schedule/civil.hpp"

namespace quern::inline v1::detail {
namespace {

/// The days 1 to 31 that fall on one of these weekdays.
std::uint32_t days_on(std::uint32_t weekdays, int first) noexcept {
  // Bit i: the day i + 1 of the first week.
  const std::uint64_t week = ((weekdays >> first) | (weekdays << (7 - first))) & 0x7fU;
  return static_cast<std::uint32_t>((week | week << 7 | week << 14 | week << 21 | week << 28) << 1);
}

constexpr std::uint32_t bit(int day) noexcept { return std::uint32_t{1} << day; }

/// The weekday (Monday to Friday) that is next to a day and in the same month.
int near_weekday(int day, int first, int length) noexcept {
  const int weekday = (first + day - 1) % 7;
  if (weekday == 6) return day > 1 ? day - 1 : day + 2;
  if (weekday == 0) return day < length ? day + 1 : day - 2;
  return day;
}

std::uint32_t by_day_of_month(const CronFields& fields, int first, int length) noexcept {
  std::uint32_t days = fields.days;
  for (std::uint32_t rest = fields.days_from_end; rest != 0; rest &= rest - 1) {
    const int day = length - std::countr_zero(rest);
    if (day >= 1) days |= bit(day);
  }
  for (std::uint32_t rest = fields.near_weekdays; rest != 0; rest &= rest - 1) {
    const int day = std::countr_zero(rest);
    if (day <= length) days |= bit(near_weekday(day, first, length));
  }
  if (fields.last_workday) days |= bit(near_weekday(length, first, length));
  return days;
}

std::uint32_t by_weekday(const CronFields& fields, int first, int length) noexcept {
  std::uint32_t days = days_on(fields.weekdays, first);
  for (std::size_t k = 0; k < fields.nth_weekdays.size(); ++k) {
    if (fields.nth_weekdays[k] != 0)
      days |= days_on(fields.nth_weekdays[k], first) & (std::uint32_t{0x7f} << (7 * k + 1));
  }
  if (fields.last_weekdays != 0)
    days |= days_on(fields.last_weekdays, first) & (std::uint32_t{0x7f} << (length - 6));
  return days;
}

constexpr int year_kinds = 14;

constexpr int kind_of(int year) noexcept {
  return civil::weekday_of(civil::days_from(year, 1, 1)) + (civil::is_leap(year) ? 7 : 0);
}

/// The years of each kind.
constexpr std::array<CronYears, year_kinds> years_by_kind = [] {
  std::array<CronYears, year_kinds> years{};
  for (int year = first_cron_year; year <= last_cron_year; ++year) {
    const auto index = static_cast<std::size_t>(year - first_cron_year);
    years[static_cast<std::size_t>(kind_of(year))][index / 64] |= std::uint64_t{1} << (index % 64);
  }
  return years;
}();

bool has_dates(const CronFields& fields, int kind) noexcept {
  const bool leap = kind >= 7;
  int first = kind % 7;
  for (int month = 1; month <= 12; ++month) {
    const int length = civil::month_length(leap, month);
    if ((fields.months >> month & 1U) != 0 && matching_days(fields, first, length) != 0) return true;
    first = (first + length) % 7;
  }
  return false;
}

}  // namespace

std::uint32_t matching_days(const CronFields& fields, int first, int length) noexcept {
  // Bits 1 to `length`.
  const auto valid = static_cast<std::uint32_t>((std::uint64_t{2} << length) - 2);
  if (fields.any_day && fields.any_weekday) return valid;
  if (fields.any_day) return by_weekday(fields, first, length) & valid;
  const std::uint32_t days = by_day_of_month(fields, first, length);
  if (fields.any_weekday) return days & valid;
  const std::uint32_t weekdays = by_weekday(fields, first, length);
  return (fields.both_days ? days & weekdays : days | weekdays) & valid;
}

CronYears years_with_dates(const CronFields& fields) noexcept {
  CronYears found{};
  for (int kind = 0; kind < year_kinds; ++kind) {
    if (!has_dates(fields, kind)) continue;
    for (std::size_t i = 0; i < found.size(); ++i)
      found[i] |= years_by_kind[static_cast<std::size_t>(kind)][i] & fields.written_years[i];
  }
  return found;
}

}  // namespace quern::inline v1::detail
