#pragma once

#include <fmt/format.h>

#include <concepts>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "quern/core/time.hpp"

namespace quern::inline v1::detail {

// Settings, one by one: what stands for each in JSON and in the environment, and what a fault says of it.

template <class T>
struct Range {
  T least;
  T most;
};

/// As a fault shows a value.
[[nodiscard]] inline std::string shown(Duration value) { return to_text(value); }
template <class T>
[[nodiscard]] std::string shown(T value) {
  return fmt::format("{}", value);
}

/// What is wrong with a value; empty when nothing is. In this form it also refuses NaN.
template <class T>
[[nodiscard]] std::string out_of(const T& value, const Range<T>& range) {
  if (value >= range.least && value <= range.most) return {};
  return fmt::format("is {}, allowed are {} to {}", shown(value), shown(range.least), shown(range.most));
}

// read_setting: takes the value out of JSON; the answer is what is wrong with it, empty when nothing is.

[[nodiscard]] std::string read_setting(const nlohmann::json& json, bool& value);
[[nodiscard]] std::string read_setting(const nlohmann::json& json, double& value);
[[nodiscard]] std::string read_setting(const nlohmann::json& json, std::string& value);
/// A text as in RFC 3339.
[[nodiscard]] std::string read_setting(const nlohmann::json& json, TimePoint& value);
/// A text as "250ms" or "1h30m", or whole milliseconds.
[[nodiscard]] std::string read_setting(const nlohmann::json& json, Duration& value);
template <std::integral T>
[[nodiscard]] std::string read_setting(const nlohmann::json& json, T& value) {
  if (!json.is_number_integer()) return "must be a whole number";
  const bool fits = json.is_number_unsigned() ? std::in_range<T>(json.get<std::uint64_t>())
                                              : std::in_range<T>(json.get<std::int64_t>());
  if (!fits) return fmt::format("is {}, which is out of range", json.dump());
  value = json.get<T>();
  return {};
}

/// Of several names, that which differs least from what somebody wrote. There must be one.
[[nodiscard]] std::string nearest_name(std::string_view written, std::span<const std::string> names);

/// "limits.payloadBytes" -> "QUERN_LIMITS_PAYLOAD_BYTES".
[[nodiscard]] std::string variable_of(std::string_view path);
/// A variable's text as the JSON it would be in a file: 20, 2.5, true; anything else is a string.
[[nodiscard]] nlohmann::json json_of_variable(const std::string& text);

}  // namespace quern::inline v1::detail
