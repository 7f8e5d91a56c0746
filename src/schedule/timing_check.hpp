#pragma once

#include <string_view>

#include "quern/schedule/timing.hpp"

namespace quern::inline v1::detail {

/// All that can be said of a timing without the data of its zone. Throws InvalidArgument that names the field.
void check_timing(const TimingSpec& spec, std::string_view name);

}  // namespace quern::inline v1::detail
