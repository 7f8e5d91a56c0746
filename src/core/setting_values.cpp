#include "core/setting_values.hpp"

#include <algorithm>
#include <cctype>
#include <limits>

#include "quern/core/error.hpp"

namespace quern::inline v1::detail {

using Json = nlohmann::json;

std::string read_setting(const Json& json, bool& value) {
  if (!json.is_boolean()) return "must be true or false";
  value = json.get<bool>();
  return {};
}

std::string read_setting(const Json& json, double& value) {
  if (!json.is_number()) return "must be a number";
  value = json.get<double>();
  return {};
}

std::string read_setting(const Json& json, std::string& value) {
  if (!json.is_string()) return "must be a text";
  value = json.get<std::string>();
  return {};
}

std::string read_setting(const Json& json, TimePoint& value) {
  constexpr std::string_view allowed = "must be a time such as \"2026-01-31T08:30:00Z\"";
  if (!json.is_string()) return std::string(allowed);
  try {
    value = parse_rfc3339(json.get_ref<const std::string&>());
    return {};
  } catch (const InvalidArgument&) {
    return std::string(allowed);
  }
}

std::string read_setting(const Json& json, Duration& value) {
  if (json.is_string()) {
    try {
      value = parse_duration(json.get_ref<const std::string&>());
      return {};
    } catch (const InvalidArgument& e) {
      return e.what();
    }
  }
  std::int64_t ms = 0;
  if (!read_setting(json, ms).empty()) {
    return "must be a duration as \"250ms\", \"2s\" or \"1h30m\", or a whole number of milliseconds";
  }
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / 1000;
  if (ms > most || ms < -most) return fmt::format("is {} ms, which is out of range", ms);
  value = std::chrono::milliseconds(ms);
  return {};
}

namespace {

/// How many single-character edits lead from one text to the other (Levenshtein), case ignored.
std::size_t edit_distance(std::string_view from, std::string_view to) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  std::vector<std::size_t> row(to.size() + 1);
  for (std::size_t j = 0; j <= to.size(); ++j) row[j] = j;
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < to.size(); ++j) {
      const std::size_t changed = diagonal + (lower(from[i]) == lower(to[j]) ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string nearest_name(std::string_view written, std::span<const std::string> names) {
  return *std::ranges::min_element(
      names, {}, [&](const std::string& candidate) { return edit_distance(written, candidate); });
}

std::string variable_of(std::string_view path) {
  std::string name = "QUERN_";
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isupper(byte) != 0) name += '_';
    name += c == '.' ? '_' : static_cast<char>(std::toupper(byte));
  }
  return name;
}

Json json_of_variable(const std::string& text) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_number() || json.is_boolean()) return json;
  return text;
}

}  // namespace quern::inline v1::detail
