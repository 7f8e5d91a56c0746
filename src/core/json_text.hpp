#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "core/byte_sink.hpp"

namespace quern::inline v1::detail {

/// True where JSON writes each of the eight bytes as itself: ASCII, no quote, no backslash, no control
/// character.
[[nodiscard]] inline bool all_plain(std::uint64_t bytes) noexcept {
  constexpr std::uint64_t ones = 0x0101010101010101U;
  constexpr std::uint64_t highs = ones * 0x80;
  const auto has_zero = [](std::uint64_t b) { return (b - ones) & ~b & highs; };
  const std::uint64_t below_space = (bytes - ones * 0x20) & ~bytes & highs;
  return ((bytes & highs) | below_space | has_zero(bytes ^ (ones * '"')) | has_zero(bytes ^ (ones * '\\'))) ==
         0;
}
[[nodiscard]] constexpr bool is_plain(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
}
/// The first byte in [at, end) that is not plain, or `end`.
[[nodiscard]] inline const char* skip_plain(const char* at, const char* end) noexcept {
  while (end - at >= 8) {
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, at, sizeof(bytes));
    if (!all_plain(bytes)) break;
    at += sizeof(bytes);
  }
  while (at != end && is_plain(*at)) ++at;
  return at;
}

/// How many bytes JSON writes for one byte of a string.
[[nodiscard]] constexpr std::size_t escaped_bytes(char c) noexcept {
  if (c == '"' || c == '\\' || c == '\b' || c == '\f' || c == '\n' || c == '\r' || c == '\t') return 2;
  return static_cast<unsigned char>(c) < 0x20 ? 6 : 1;
}

/// A string with its quotes. It must be UTF-8.
void put_json_string(ByteSink& out, std::string_view text);

/// Shortest digits that read back as the same double, in nlohmann::json's way: "1.0", "0.0001", "1e+22".
/// Finite.
void put_json_double(ByteSink& out, double value);
inline constexpr std::size_t max_json_double = 26;

}  // namespace quern::inline v1::detail
