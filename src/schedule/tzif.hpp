#pragma once

#include <string>
#include <string_view>

#include "schedule/zone_data.hpp"

namespace quern::inline v1::detail {

/// True when bytes begin like a compiled zone file.
[[nodiscard]] bool looks_like_tzif(std::string_view bytes) noexcept;

/// Reads a compiled zone file (RFC 9636): the shifts that it lists, and then those that the rule in its footer gives,
/// to the end of 2200. Throws ZoneError where it is damaged or counts leap seconds.
[[nodiscard]] ZoneData read_tzif(std::string name, std::string_view bytes);

}  // namespace quern::inline v1::detail
