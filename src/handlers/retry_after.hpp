#pragma once

#include <optional>
#include <string_view>

#include "quern/core/time.hpp"

namespace quern::inline v1::detail {

/// What a Retry-After header asks for: seconds, or a date seen from `now`. Never negative, at most a year;
/// nothing when it is neither.
[[nodiscard]] std::optional<Duration> parse_retry_after(std::string_view value, TimePoint now);

/// A whole number of seconds, digits only. A number too large for its type counts as the largest.
[[nodiscard]] std::optional<std::int64_t> parse_seconds(std::string_view text);

}  // namespace quern::inline v1::detail
