#include "json_fields.hpp"

#include <fmt/format.h>

#include "quern/core/error.hpp"
#include "quern/handlers/detail/text.hpp"

namespace quern::inline v1::detail {

using nlohmann::json;

JsonFields::JsonFields(const json& value, std::string path) : object_(value), path_(std::move(path)) {
  if (!object_.is_object())
    throw InvalidArgument(path_, fmt::format("is {}, not an object", object_.type_name()));
}

std::string JsonFields::path(const char* key) const { return path_.empty() ? key : path_ + "." + key; }

const json* JsonFields::find(const char* key) const {
  const auto member = object_.find(key);
  return member == object_.end() || member->is_null() ? nullptr : &*member;
}

const json& JsonFields::need(const char* key) const {
  if (const json* value = find(key)) return *value;
  throw InvalidArgument(path(key), object_.contains(key) ? "is null" : "is missing");
}

void JsonFields::wrong(const char* key, const json& value, const char* expected) const {
  throw InvalidArgument(path(key), fmt::format("is {}, not {}", value.type_name(), expected));
}

bool JsonFields::has(const char* key) const { return find(key) != nullptr; }

std::string JsonFields::text(const json& value, const char* key) const {
  if (!value.is_string()) wrong(key, value, "a string");
  return value.get<std::string>();
}

std::string JsonFields::line(const char* key, std::size_t max_bytes) const {
  return clean_line(text(need(key), key), max_bytes);
}

std::string JsonFields::line_or_empty(const char* key, std::size_t max_bytes) const {
  const json* value = find(key);
  return value == nullptr ? std::string() : clean_line(text(*value, key), max_bytes);
}

std::string JsonFields::raw_or_empty(const char* key) const {
  const json* value = find(key);
  return value == nullptr ? std::string() : text(*value, key);
}

std::int64_t JsonFields::number(const json& value, const char* key) const {
  if (!value.is_number_integer()) wrong(key, value, "a whole number");
  // An unsigned number above the signed range would turn negative below.
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX))
    throw InvalidArgument(path(key), "is out of range");
  return value.get<std::int64_t>();
}

std::int64_t JsonFields::count(const char* key) const {
  const std::int64_t value = number(need(key), key);
  if (value < 0 || value > (std::int64_t{1} << 53)) throw InvalidArgument(path(key), "is out of range");
  return value;
}

std::optional<std::int64_t> JsonFields::count_or_none(const char* key) const {
  if (!has(key)) return std::nullopt;
  return count(key);
}

bool JsonFields::flag(const char* key, bool otherwise) const {
  const json* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) wrong(key, *value, "true or false");
  return value->get<bool>();
}

TimePoint JsonFields::time(const char* key) const {
  const std::string value = text(need(key), key);
  try {
    return parse_rfc3339(value);
  } catch (const InvalidArgument&) {
    throw InvalidArgument(path(key), "is not a time as RFC 3339 writes it");
  }
}

std::optional<TimePoint> JsonFields::time_or_none(const char* key) const {
  if (!has(key)) return std::nullopt;
  return time(key);
}

TimePoint JsonFields::time_us(const char* key) const { return from_us(number(need(key), key)); }

std::optional<TimePoint> JsonFields::time_us_or_none(const char* key) const {
  if (!has(key)) return std::nullopt;
  return time_us(key);
}

const json* JsonFields::object_or_null(const char* key) const {
  const json* value = find(key);
  if (value != nullptr && !value->is_object()) wrong(key, *value, "an object");
  return value;
}

const json& JsonFields::array_or_empty(const char* key) const {
  static const json empty = json::array();
  const json* value = find(key);
  if (value == nullptr) return empty;
  if (!value->is_array()) wrong(key, *value, "an array");
  return *value;
}

}  // namespace quern::inline v1::detail
