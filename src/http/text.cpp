#include "http/text.hpp"

#include "quern/core/limits.hpp"

namespace quern::inline v1::http::detail {
namespace {

/// Of a character whose UTF-8 begins with E2, by the other two bytes.
bool turns_or_breaks(unsigned char second, unsigned char third) {
  if (second == 0x80) return third == 0x8E || third == 0x8F || (third >= 0xA8 && third <= 0xAE);
  return second == 0x81 && third >= 0xA6 && third <= 0xA9;
}

}  // namespace

std::string one_line(std::string_view text, std::size_t most_bytes) {
  std::string line = clean_message(text, most_bytes);
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\n' || line[i] == '\t') line[i] = ' ';
    // It is well-formed by now, so that two bytes follow.
    if (static_cast<unsigned char>(line[i]) == 0xE2 &&
        turns_or_breaks(static_cast<unsigned char>(line[i + 1]), static_cast<unsigned char>(line[i + 2])))
      line.replace(i, 3, "\xEF\xBF\xBD");
  }
  return line;
}

}  // namespace quern::inline v1::http::detail
