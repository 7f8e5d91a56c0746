#include "http/text.hpp"

#include <algorithm>

#include "http/api_key_record.hpp"
#include "quern/core/limits.hpp"
#include "quern/http/api_keys.hpp"

namespace quern::inline v1::http::detail {
namespace {

/// Of a character whose UTF-8 begins with E2, by the other two bytes.
bool turns_or_breaks(unsigned char second, unsigned char third) {
  if (second == 0x80) return third == 0x8E || third == 0x8F || (third >= 0xA8 && third <= 0xAE);
  return second == 0x81 && third >= 0xA6 && third <= 0xA9;
}

constexpr std::string_view hidden = "***";

/// How long the token is that begins there; 0: there is none. Its header is an object, so it begins in one of few ways.
std::size_t token_length(std::string_view text) {
  if (!text.starts_with("eyJ") && !text.starts_with("ewo") && !text.starts_with("eyA")) return 0;
  const auto* const end = std::ranges::find_if(text, [](char c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return !letter && c != '-' && c != '_' && c != '.';
  });
  const std::string_view token(text.begin(), end);
  return std::ranges::count(token, '.') >= 2 ? token.size() : 0;
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

std::string without_credentials(std::string text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = std::string_view(text).substr(i);
    if (looks_like_api_key(rest.substr(0, api_key_length)))
      text.replace(i + api_key_prefix.size() + api_key_id_length + 1, api_key_secret_length, hidden);
    else if (const std::size_t length = token_length(rest); length > 0)
      text.replace(i, length, hidden);
  }
  return text;
}

}  // namespace quern::inline v1::http::detail
