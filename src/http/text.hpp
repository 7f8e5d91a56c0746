#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace quern::inline v1::http::detail {

/// Fit for a line that people read and that others parse: as `clean_message`, but also without tabs and new lines (spaces), and without
/// what breaks lines or turns their direction in Unicode (U+2028, U+2029, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069; U+FFFD).
[[nodiscard]] std::string one_line(std::string_view text, std::size_t most_bytes = 256);

/// With "***" in the place of what is secret in API keys, and of whatever looks like a token: somebody has put one where none belongs.
[[nodiscard]] std::string without_credentials(std::string text);

}  // namespace quern::inline v1::http::detail
