#include "quern/http/message.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"

namespace quern::inline v1::http {
namespace {

constexpr std::array<std::pair<Method, std::string_view>, 7> method_names{{{Method::get, "GET"},
                                                                           {Method::head, "HEAD"},
                                                                           {Method::post, "POST"},
                                                                           {Method::put, "PUT"},
                                                                           {Method::patch, "PATCH"},
                                                                           {Method::del, "DELETE"},
                                                                           {Method::options, "OPTIONS"}}};

// Not std::tolower, which knows the locale.
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_alnum(char c) { return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z'); }

bool is_token(std::string_view text) {
  constexpr std::string_view others = "!#$%&'*+-.^_`|~";
  return !text.empty() &&
         std::ranges::all_of(text, [&](char c) { return is_alnum(c) || others.find(c) != others.npos; });
}

bool is_field_value(std::string_view text) {
  return std::ranges::none_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7F;
  });
}

void check_field(std::string_view name, std::string_view value) {
  if (!is_token(name))
    throw InvalidArgument("headers", "a name is empty or has characters that no token has");
  if (!is_field_value(value))
    throw InvalidArgument(fmt::format("headers.{}", name), "has control characters, which no field may have");
}

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char letter = lower(c);
  return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

}  // namespace

std::string_view to_text(Method method) noexcept {
  return method_names[static_cast<std::size_t>(method)].second;
}

std::optional<Method> method_of(std::string_view text) noexcept {
  for (const auto& [method, name] : method_names)
    if (name == text) return method;
  return std::nullopt;
}

bool same_name(std::string_view a, std::string_view b) noexcept {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

Fields::Fields(std::initializer_list<Field> fields) : fields_(fields) {
  for (const Field& field : fields_) check_field(field.name, field.value);
}

void Fields::add(std::string name, std::string value) {
  check_field(name, value);
  fields_.push_back({std::move(name), std::move(value)});
}

void Fields::set(std::string name, std::string value) {
  check_field(name, value);
  erase(name);
  fields_.push_back({std::move(name), std::move(value)});
}

void Fields::erase(std::string_view name) noexcept {
  std::erase_if(fields_, [&](const Field& field) { return same_name(field.name, name); });
}

std::optional<std::string_view> Fields::find(std::string_view name) const noexcept {
  for (const Field& field : fields_)
    if (same_name(field.name, name)) return field.value;
  return std::nullopt;
}

std::size_t Fields::count(std::string_view name) const noexcept {
  return static_cast<std::size_t>(
      std::ranges::count_if(fields_, [&](const Field& field) { return same_name(field.name, name); }));
}

std::string_view Request::path() const noexcept {
  const std::string_view all = target;
  return all.substr(0, std::min(all.find('?'), all.size()));
}

std::vector<Parameter> Request::query() const {
  std::vector<Parameter> all;
  std::string_view rest = target;
  const std::size_t begin = rest.find('?');
  if (begin == rest.npos) return all;
  rest.remove_prefix(begin + 1);
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, std::min(rest.find('&'), rest.size()));
    rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    auto name = decode(pair.substr(0, equals), true);
    auto value = decode(pair.substr(std::min(equals + 1, pair.size())), true);
    if (!name || !value)
      throw InvalidArgument("query",
                            "has a '%' without two hexadecimal digits, a NUL, or bytes that are not UTF-8");
    all.push_back({std::move(*name), std::move(*value)});
  }
  return all;
}

std::string_view Request::part(std::string_view name) const noexcept {
  for (const Parameter& one : parts)
    if (one.name == name) return one.value;
  return {};
}

std::optional<std::string> decode(std::string_view text, bool plus) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus) {
      decoded += ' ';
    } else if (text[i] != '%') {
      decoded += text[i];
    } else {
      const int high = i + 2 < text.size() ? hex(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex(text[i + 2]) : -1;
      if (high < 0 || low < 0) return std::nullopt;
      decoded += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  if (decoded.find('\0') != decoded.npos || !is_utf8(decoded)) return std::nullopt;
  return decoded;
}

std::string encode(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    if (is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      encoded += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += '%';
    encoded += digits[byte >> 4U];
    encoded += digits[byte & 15U];
  }
  return encoded;
}

}  // namespace quern::inline v1::http
