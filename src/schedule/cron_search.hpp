#pragma once

#include <cstdint>
#include <limits>

#include "quern/schedule/detail/cron_fields.hpp"

namespace quern::inline v1::detail {

/// The answers for "none": beyond every local time that can be.
inline constexpr std::int64_t no_later_time = std::numeric_limits<std::int64_t>::max();
inline constexpr std::int64_t no_earlier_time = std::numeric_limits<std::int64_t>::min();

/// The first local time of the expression at or after `from`, in seconds since 1970 of the calendar; `no_later_time`: none
/// until the end of 2199. At most twelve months are looked at in one year, and no other year than the one it is in.
[[nodiscard]] std::int64_t next_local(const CronFields& fields, std::int64_t from) noexcept;

/// The last one at or before `until`; `no_earlier_time`: none since 1970.
[[nodiscard]] std::int64_t previous_local(const CronFields& fields, std::int64_t until) noexcept;

/// True when the local time is one of the expression's.
[[nodiscard]] bool matches_local(const CronFields& fields, std::int64_t local) noexcept;

}  // namespace quern::inline v1::detail
