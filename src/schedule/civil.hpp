#pragma once

#include <array>
#include <cstdint>

namespace quern::inline v1::civil {

// Local time as one number: seconds since 1970-01-01 00:00:00 of the calendar, whatever the zone. Dates after Howard
// Hinnant, "chrono-Compatible Low-Level Date Algorithms".

inline constexpr std::int64_t day_seconds = 86'400;

struct Date {
  int year = 1970;
  int month = 1;
  int day = 1;
};

/// Days since 1970-01-01; years within +-30000.
constexpr std::int64_t days_from(int year, int month, int day) noexcept {
  const int shifted = year - (month <= 2 ? 1 : 0);
  const int era = (shifted >= 0 ? shifted : shifted - 399) / 400;
  const int year_of_era = shifted - era * 400;
  const int day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return std::int64_t{era} * 146'097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
         719'468;
}

/// The inverse, for days within the same years.
constexpr Date date_from(std::int64_t days) noexcept {
  days += 719'468;
  const auto era = static_cast<int>((days >= 0 ? days : days - 146'096) / 146'097);
  const auto day_of_era = static_cast<int>(days - std::int64_t{era} * 146'097);
  const int year_of_era =
      (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int shifted_month = (5 * day_of_year + 2) / 153;
  const int month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  return {.year = year_of_era + era * 400 + (month <= 2 ? 1 : 0),
          .month = month,
          .day = day_of_year - (153 * shifted_month + 2) / 5 + 1};
}

constexpr bool is_leap(int year) noexcept { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

constexpr int month_length(bool leap, int month) noexcept {
  constexpr std::array<int, 12> lengths{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return lengths[static_cast<std::size_t>(month - 1)] + (month == 2 && leap ? 1 : 0);
}

/// 0 is Sunday. For days from 1970 on and up to four days before.
constexpr int weekday_of(std::int64_t days) noexcept { return static_cast<int>((days + 4) % 7); }

/// The largest whole number not above value / unit.
constexpr std::int64_t floor_div(std::int64_t value, std::int64_t unit) noexcept {
  return value / unit - (value % unit < 0 ? 1 : 0);
}

}  // namespace quern::inline v1::civil
