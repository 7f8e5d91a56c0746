#pragma once

#include <cstddef>
#include <string_view>

namespace quern::inline v1::detail {

/// One character of UTF-8, or what stands in its place.
struct Character {
  char32_t code = 0;      ///< Meaningless when malformed.
  std::size_t bytes = 0;  ///< Well-formed: its length. Malformed: what one U+FFFD replaces, at least 1.
  bool well_formed = false;
};

/// The character at the front of `text`, which must not be empty. Strict as in RFC 3629: no overlong form, no
/// surrogate, nothing above U+10FFFF. A malformed one spans its "maximal subpart" (Unicode 15, section 3.9).
[[nodiscard]] Character first_character(std::string_view text) noexcept;

/// The offset of the first byte that is not well-formed UTF-8; npos when all is well.
[[nodiscard]] std::size_t find_malformed(std::string_view text) noexcept;

/// True for U+0000 to U+001F and U+007F to U+009F.
[[nodiscard]] constexpr bool is_control(char32_t code) noexcept {
  return code < 0x20 || (code >= 0x7F && code <= 0x9F);
}

}  // namespace quern::inline v1::detail
