#include "schedule/cron_search.hpp"

#include <bit>

#include "schedule/civil.hpp"
#include "schedule/cron_days.hpp"

namespace quern::inline v1::detail {
namespace {

using civil::day_seconds;

constexpr std::int64_t first_time = civil::days_from(first_cron_year, 1, 1) * day_seconds;
constexpr std::int64_t end_time = civil::days_from(last_cron_year + 1, 1, 1) * day_seconds;

/// The highest element of a set that is not empty.
int top(std::uint64_t set) noexcept { return 63 - std::countl_zero(set); }

/// The lowest element from `least` on (at most 63), and the highest up to `most`; -1: none.
int lowest(std::uint64_t set, int least) noexcept {
  const std::uint64_t rest = set >> least;
  return rest == 0 ? -1 : least + std::countr_zero(rest);
}
int highest(std::uint64_t set, int most) noexcept {
  if (most < 0) return -1;
  const std::uint64_t rest = set << (63 - most);
  return rest == 0 ? -1 : most - std::countl_zero(rest);
}

int time_of(int hour, int minute, int second) noexcept { return (hour * 60 + minute) * 60 + second; }

/// The first time of a day from this one on; -1: none.
int next_time(const CronFields& fields, int from) noexcept {
  const int hour = from / 3600;
  const int minute = from / 60 % 60;
  const int first_second = std::countr_zero(fields.seconds);
  if ((fields.hours >> hour & 1U) != 0) {
    if ((fields.minutes >> minute & 1U) != 0) {
      const int second = lowest(fields.seconds, from % 60);
      if (second >= 0) return time_of(hour, minute, second);
    }
    const int later = lowest(fields.minutes, minute + 1);
    if (later >= 0) return time_of(hour, later, first_second);
  }
  const int later = lowest(fields.hours, hour + 1);
  return later < 0 ? -1 : time_of(later, std::countr_zero(fields.minutes), first_second);
}

/// The last time of a day up to this one; -1: none.
int previous_time(const CronFields& fields, int until) noexcept {
  const int hour = until / 3600;
  const int minute = until / 60 % 60;
  const int last_second = top(fields.seconds);
  if ((fields.hours >> hour & 1U) != 0) {
    if ((fields.minutes >> minute & 1U) != 0) {
      const int second = highest(fields.seconds, until % 60);
      if (second >= 0) return time_of(hour, minute, second);
    }
    const int earlier = highest(fields.minutes, minute - 1);
    if (earlier >= 0) return time_of(hour, earlier, last_second);
  }
  const int earlier = highest(fields.hours, hour - 1);
  return earlier < 0 ? -1 : time_of(earlier, top(fields.minutes), last_second);
}

/// The first year from this one on, or the last up to it, in which a date matches; -1: none.
int year_from(const CronYears& years, int year) noexcept {
  const int index = year - first_cron_year;
  auto word = static_cast<std::size_t>(index / 64);
  if (word >= years.size()) return -1;
  std::uint64_t rest = years[word] >> (index % 64) << (index % 64);
  while (rest == 0) {
    if (++word == years.size()) return -1;
    rest = years[word];
  }
  return first_cron_year + static_cast<int>(word) * 64 + std::countr_zero(rest);
}
int year_until(const CronYears& years, int year) noexcept {
  const int index = year - first_cron_year;
  if (index < 0) return -1;
  auto word = static_cast<std::size_t>(index / 64);
  std::uint64_t rest = years[word] << (63 - index % 64) >> (63 - index % 64);
  while (rest == 0) {
    if (word-- == 0) return -1;
    rest = years[word];
  }
  return first_cron_year + static_cast<int>(word) * 64 + top(rest);
}

/// The days of a month that match, and where the month is.
struct Month {
  std::int64_t before;  ///< The day before its first.
  std::uint32_t days;

  Month(const CronFields& fields, int year, int month) noexcept
      : before(civil::days_from(year, month, 1) - 1),
        days(matching_days(fields, civil::weekday_of(before + 1),
                           civil::month_length(civil::is_leap(year), month))) {}
};

/// The first matching day of a date's month from the date on, or of the months and years after it; -1: none.
std::int64_t next_day(const CronFields& fields, civil::Date from) noexcept {
  const int year = year_from(fields.years, from.year);
  if (year < 0) return -1;
  if (year != from.year) from = {.year = year, .month = 1, .day = 1};
  // A year of the set has a date, though perhaps none is left; the one after it in the set then has.
  for (;;) {
    for (int month = lowest(fields.months, from.month); month >= 0;
         month = lowest(fields.months, month + 1)) {
      const Month at(fields, from.year, month);
      const int day = lowest(at.days, month == from.month ? from.day : 1);
      if (day >= 0) return at.before + day;
    }
    const int later = year_from(fields.years, from.year + 1);
    if (later < 0) return -1;
    from = {.year = later, .month = 1, .day = 1};
  }
}

std::int64_t previous_day(const CronFields& fields, civil::Date until) noexcept {
  const int year = year_until(fields.years, until.year);
  if (year < 0) return -1;
  if (year != until.year) until = {.year = year, .month = 12, .day = 31};
  for (;;) {
    for (int month = highest(fields.months, until.month); month >= 1;
         month = highest(fields.months, month - 1)) {
      const Month at(fields, until.year, month);
      const int day = highest(at.days, month == until.month ? until.day : 31);
      if (day >= 1) return at.before + day;
    }
    const int earlier = year_until(fields.years, until.year - 1);
    if (earlier < 0) return -1;
    until = {.year = earlier, .month = 12, .day = 31};
  }
}

}  // namespace

std::int64_t next_local(const CronFields& fields, std::int64_t from) noexcept {
  if (from < first_time) from = first_time;
  if (from >= end_time) return no_later_time;
  const std::int64_t today = from / day_seconds;
  std::int64_t day = next_day(fields, civil::date_from(today));
  if (day < 0) return no_later_time;
  int time = next_time(fields, day == today ? static_cast<int>(from % day_seconds) : 0);
  if (time < 0) {
    if (today + 1 >= end_time / day_seconds) return no_later_time;
    day = next_day(fields, civil::date_from(today + 1));
    if (day < 0) return no_later_time;
    time = next_time(fields, 0);
  }
  return day * day_seconds + time;
}

std::int64_t previous_local(const CronFields& fields, std::int64_t until) noexcept {
  if (until >= end_time) until = end_time - 1;
  if (until < first_time) return no_earlier_time;
  const std::int64_t today = until / day_seconds;
  std::int64_t day = previous_day(fields, civil::date_from(today));
  if (day < 0) return no_earlier_time;
  constexpr int last_of_day = day_seconds - 1;
  int time = previous_time(fields, day == today ? static_cast<int>(until % day_seconds) : last_of_day);
  if (time < 0) {
    if (today == 0) return no_earlier_time;
    day = previous_day(fields, civil::date_from(today - 1));
    if (day < 0) return no_earlier_time;
    time = previous_time(fields, last_of_day);
  }
  return day * day_seconds + time;
}

bool matches_local(const CronFields& fields, std::int64_t local) noexcept {
  return next_local(fields, local) == local;
}

}  // namespace quern::inline v1::detail
