#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "quern/core/time.hpp"

namespace quern::inline v1::detail {

/// Reads the members of a JSON object that came from outside, each with its type checked. A member that is
/// missing or of another type is an InvalidArgument with its path. The object must outlive this view of it.
class JsonFields {
 public:
  /// Throws unless `value` is an object. `path` says where it is, for messages.
  JsonFields(const nlohmann::json& value, std::string path);

  /// Clean text of at most `max_bytes`; see `clean_line`.
  [[nodiscard]] std::string line(const char* key, std::size_t max_bytes = 512) const;
  /// The same; empty when the member is missing or null.
  [[nodiscard]] std::string line_or_empty(const char* key, std::size_t max_bytes = 512) const;
  /// Text exactly as it is; empty when missing or null.
  [[nodiscard]] std::string raw_or_empty(const char* key) const;
  /// A whole number in [0, 2^53].
  [[nodiscard]] std::int64_t count(const char* key) const;
  [[nodiscard]] std::optional<std::int64_t> count_or_none(const char* key) const;
  /// A boolean; `otherwise` when missing or null.
  [[nodiscard]] bool flag(const char* key, bool otherwise) const;
  /// A time as RFC 3339 text.
  [[nodiscard]] TimePoint time(const char* key) const;
  [[nodiscard]] std::optional<TimePoint> time_or_none(const char* key) const;
  /// A time as a whole number of microseconds.
  [[nodiscard]] TimePoint time_us(const char* key) const;
  [[nodiscard]] std::optional<TimePoint> time_us_or_none(const char* key) const;
  /// An object; null when missing or null.
  [[nodiscard]] const nlohmann::json* object_or_null(const char* key) const;
  /// An array; an empty one when missing or null.
  [[nodiscard]] const nlohmann::json& array_or_empty(const char* key) const;

  [[nodiscard]] bool has(const char* key) const;
  [[nodiscard]] std::string path(const char* key) const;

 private:
  [[nodiscard]] const nlohmann::json* find(const char* key) const;
  [[nodiscard]] const nlohmann::json& need(const char* key) const;
  [[nodiscard]] std::string text(const nlohmann::json& value, const char* key) const;
  [[nodiscard]] std::int64_t number(const nlohmann::json& value, const char* key) const;
  [[noreturn]] void wrong(const char* key, const nlohmann::json& value, const char* expected) const;

  const nlohmann::json& object_;
  std::string path_;
};

/// Calls `read(element, "path[i]")` for each element of an array.
template <class Read>
void each_element(const nlohmann::json& array, const std::string& path, const Read& read) {
  std::size_t index = 0;
  for (const auto& element : array) read(element, path + "[" + std::to_string(index++) + "]");
}

}  // namespace quern::inline v1::detail
