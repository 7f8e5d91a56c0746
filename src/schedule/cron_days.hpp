#pragma once

#include <cstdint>

#include "quern/schedule/detail/cron_fields.hpp"

namespace quern::inline v1::detail {

/// The days of a month that an expression's day fields match, bits 1 to 31. `first` is the weekday of the 1st (0: Sunday).
[[nodiscard]] std::uint32_t matching_days(const CronFields& fields, int first, int length) noexcept;

/// The years of `written_years` that have a matching date at all. A year's dates follow from its length and the weekday of
/// its 1 January, so 14 kinds of year are looked at and not 230 years.
[[nodiscard]] CronYears years_with_dates(const CronFields& fields) noexcept;

}  // namespace quern::inline v1::detail
