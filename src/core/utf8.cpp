#include "core/utf8.hpp"

#include <cassert>
#include <cstdint>
#include <cstring>

#include "quern/core/limits.hpp"

namespace quern::inline v1 {
namespace detail {

Character first_character(std::string_view text) noexcept {
  assert(!text.empty());
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};

  // The Unicode Standard, table 3-7: only the second byte has a range that depends on the first.
  std::size_t length = 0;
  unsigned char least = 0x80;
  unsigned char most = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) least = 0xA0;
    if (lead == 0xED) most = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) least = 0x90;
    if (lead == 0xF4) most = 0x8F;
  } else {
    return {0, 1, false};
  }

  char32_t code = lead & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if (i >= text.size() || byte(i) < least || byte(i) > most) return {0, i, false};
    code = code << 6U | (byte(i) & 0x3FU);
    least = 0x80;
    most = 0xBF;
  }
  return {code, length, true};
}

std::size_t find_malformed(std::string_view text) noexcept {
  std::size_t at = 0;
  while (at < text.size()) {
    // Mostly text is ASCII.
    std::uint64_t bytes = 0;
    if (text.size() - at >= sizeof(bytes)) {
      std::memcpy(&bytes, text.data() + at, sizeof(bytes));
      if ((bytes & 0x8080808080808080U) == 0) {
        at += sizeof(bytes);
        continue;
      }
    }
    const Character c = first_character(text.substr(at));
    if (!c.well_formed) return at;
    at += c.bytes;
  }
  return std::string_view::npos;
}

}  // namespace detail

bool is_utf8(std::string_view text) noexcept {
  return detail::find_malformed(text) == std::string_view::npos;
}

std::string clean_message(std::string_view text, std::size_t max_bytes) {
  constexpr std::string_view replacement = "\xEF\xBF\xBD";  // U+FFFD
  constexpr std::string_view mark = "\xE2\x80\xA6";         // U+2026, "…"
  std::string clean;
  std::size_t cut = 0;  // how much of `clean` leaves room for the mark
  while (!text.empty()) {
    const auto c = detail::first_character(text);
    std::string_view piece = text.substr(0, c.bytes);
    text.remove_prefix(c.bytes);
    if (!c.well_formed) {
      piece = replacement;
    } else if (detail::is_control(c.code) && c.code != '\n' && c.code != '\t') {
      piece = " ";
    }
    if (clean.size() + piece.size() > max_bytes) {
      clean.resize(cut);
      if (cut + mark.size() <= max_bytes) clean += mark;
      return clean;
    }
    clean += piece;
    if (clean.size() + mark.size() <= max_bytes) cut = clean.size();
  }
  return clean;
}

}  // namespace quern::inline v1
