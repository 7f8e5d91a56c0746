#pragma once

#include <cstddef>
#include <string>

#include "quern/core/error.hpp"

namespace quern::inline v1::detail {

/// What is wrong with a schedule of a configuration, with its path in JSON: "timing.missed_limit: is 0" of the third one is
/// "schedules[2].missedLimit: is 0".
[[nodiscard]] std::string schedule_fault(std::size_t index, const InvalidArgument& error);

}  // namespace quern::inline v1::detail
