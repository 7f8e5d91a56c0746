#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "core/byte_sink.hpp"

namespace quern::inline v1::detail {

/// Of eight bytes those that JSON does not write as themselves: all but printable ASCII without quote and
/// backslash. The high bit of the first such byte is set, and none below it; what stands above it means
/// nothing.
[[nodiscard]] inline std::uint64_t not_plain(std::uint64_t bytes) noexcept {
  constexpr std::uint64_t ones = 0x0101010101010101U;
  constexpr std::uint64_t highs = ones * 0x80;
  const auto has_zero = [](std::uint64_t b) { return (b - ones) & ~b & highs; };
  const std::uint64_t below_space = (bytes - ones * 0x20) & ~bytes & highs;
  return (bytes & highs) | below_space | has_zero(bytes ^ (ones * '"')) | has_zero(bytes ^ (ones * '\\'));
}
[[nodiscard]] constexpr bool is_plain(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
}
/// The first byte in [at, end) that is not plain, or `end`.
[[nodiscard]] inline const char* skip_plain(const char* at, const char* end) noexcept {
  if constexpr (std::endian::native == std::endian::little) {
    const auto look = [](const char* from) {
      std::uint64_t bytes = 0;
      std::memcpy(&bytes, from, sizeof(bytes));
      return not_plain(bytes);
    };
    const auto first = [](std::uint64_t found) { return std::countr_zero(found) / 8; };
    const bool long_enough = end - at >= 8;
    for (; end - at >= 8; at += 8)
      if (const std::uint64_t found = look(at)) return at + first(found);
    // The last bytes, together with some before them that are plain.
    if (long_enough) {
      const std::uint64_t found = look(end - 8);
      return found == 0 ? end : end - 8 + first(found);
    }
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
