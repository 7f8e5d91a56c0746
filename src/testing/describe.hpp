#pragma once

#include <string>
#include <string_view>

#include "quern/core/limits.hpp"

namespace quern::inline v1::testing::detail {

/// Text for a message of one line: cut at a whole character.
[[nodiscard]] inline std::string shortened(std::string_view text) { return clean_message(text, 200); }

}  // namespace quern::inline v1::testing::detail
