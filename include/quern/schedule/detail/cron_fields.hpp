#pragma once

#include <array>
#include <cstdint>

namespace quern::inline v1::detail {

/// The years that a cron expression can name.
inline constexpr int first_cron_year = 1970;
inline constexpr int last_cron_year = 2199;

/// A bit for each year from 1970 on.
using CronYears = std::array<std::uint64_t, 4>;

/// A parsed cron expression as sets of bits; bit n stands for the value n. A plain value of some 150 bytes.
struct CronFields {
  std::uint64_t seconds = 0;
  std::uint64_t minutes = 0;
  std::uint32_t hours = 0;
  std::uint32_t months = 0;  ///< Bits 1 to 12.

  std::uint32_t days = 0;           ///< Bits 1 to 31.
  std::uint32_t days_from_end = 0;  ///< Bit n: `L-n`; bit 0: `L`.
  std::uint32_t near_weekdays = 0;  ///< Bit n: `nW`.
  bool last_workday = false;        ///< `LW`.

  std::uint8_t weekdays = 0;                   ///< Bit 0 is Sunday.
  std::uint8_t last_weekdays = 0;              ///< Bit d: `dL`.
  std::array<std::uint8_t, 5> nth_weekdays{};  ///< Bit d of element k - 1: `d#k`.

  bool any_day = false;        ///< The day of the month is exactly `*` or `?`.
  bool any_weekday = false;    ///< The same for the day of the week.
  bool both_days = false;      ///< `+`: a date has to match both day fields.
  bool wildcard_time = false;  ///< `*` or `H/n` in the minute or the hour: the job follows the wall clock.
  bool any_year = true;        ///< No year, or exactly `*`.

  CronYears written_years{};  ///< As the expression says.
  CronYears years{};          ///< Of these, the ones in which a date matches. Never empty.

  friend bool operator==(const CronFields&, const CronFields&) = default;
};

}  // namespace quern::inline v1::detail
