#include "core/json_reader.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstring>

#include "core/json_text.hpp"
#include "core/utf8.hpp"
#include "quern/core/detail/payload_codec.hpp"
#include "quern/core/error.hpp"

namespace quern::inline v1::detail {
namespace {

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

void put_utf8(std::string& out, unsigned code) {
  const auto byte = [&out](unsigned bits) { out += static_cast<char>(bits); };
  const auto tail = [&](unsigned shift) { byte(0x80U | (code >> shift & 0x3FU)); };
  if (code < 0x80) {
    byte(code);
  } else if (code < 0x800) {
    byte(0xC0U | code >> 6U);
    tail(0);
  } else if (code < 0x10000) {
    byte(0xE0U | code >> 12U);
    tail(6);
    tail(0);
  } else {
    byte(0xF0U | code >> 18U);
    tail(12);
    tail(6);
    tail(0);
  }
}

/// Of a number that from_chars could not hold: whether it is too large, and not too near to zero. Both are
/// far from 1, so that the place of the first digit that counts decides.
bool is_large(std::string_view number) {
  const auto exponent_at = number.find_first_of("eE");
  const std::string_view digits = number.substr(0, exponent_at);
  const auto first = digits.find_first_of("123456789");
  if (first == std::string_view::npos) return false;
  const auto point = digits.find('.') == std::string_view::npos ? digits.size() : digits.find('.');
  const std::int64_t place = static_cast<std::int64_t>(point) - static_cast<std::int64_t>(first);
  if (exponent_at == std::string_view::npos) return place > 0;
  std::string_view exponent = number.substr(exponent_at + 1);
  if (exponent.starts_with('+')) exponent.remove_prefix(1);
  std::int64_t value = 0;
  const auto read = std::from_chars(exponent.data(), exponent.data() + exponent.size(), value);
  // An exponent of more than 64 bits outweighs all digits that there can be.
  if (read.ec != std::errc() || value > INT64_MAX / 2 || value < INT64_MIN / 2)
    return !exponent.starts_with('-');
  return value + place > 0;
}

}  // namespace

JsonReader::JsonReader(std::string_view text)
    : begin_(text.data()), at_(begin_), end_(begin_ + text.size()), value_begin_(begin_) {
  if (const auto fault = find_malformed(text); fault != std::string_view::npos)
    throw InvalidArgument("payload", fmt::format("is not UTF-8 (at byte {})", fault));
}

void JsonReader::refuse(const FieldPlace& place, std::string_view problem) const {
  const std::string path = place.path();
  throw InvalidArgument("payload", fmt::format("{}{}{} (at byte {})", path, path.empty() ? "" : " ", problem,
                                               value_begin_ - begin_));
}

void JsonReader::not_json() const {
  throw InvalidArgument("payload", fmt::format("is not JSON (at byte {})", position()));
}

void JsonReader::unexpected(const FieldPlace& place, std::string_view problem) const {
  // A value of another type, or none at all?
  constexpr std::string_view beginnings = "\"{[-0123456789tfn";
  if (at_ == end_ || beginnings.find(*at_) == std::string_view::npos) not_json();
  refuse(place, problem);
}

void JsonReader::space() noexcept {
  while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  value_begin_ = at_;
}

void JsonReader::end() {
  space();
  if (at_ != end_) not_json();
}

bool JsonReader::literal(std::string_view word) {
  if (static_cast<std::size_t>(end_ - at_) < word.size() || std::memcmp(at_, word.data(), word.size()) != 0)
    return false;
  at_ += word.size();
  return true;
}

bool JsonReader::boolean(const FieldPlace& place) {
  space();
  if (literal("true")) return true;
  if (literal("false")) return false;
  unexpected(place, "is not true or false");
}

bool JsonReader::null() {
  space();
  return literal("null");
}

bool JsonReader::digits() noexcept {
  const char* const first = at_;
  while (at_ != end_ && is_digit(*at_)) ++at_;
  return at_ != first;
}

JsonReader::Number JsonReader::number_text(const FieldPlace& place, std::string_view problem) {
  space();
  if (!next_is('-') && (at_ == end_ || !is_digit(*at_))) unexpected(place, problem);
  Number number;
  if (next_is('-')) ++at_;
  if (next_is('0'))
    ++at_;
  else if (!digits())
    not_json();
  if (next_is('.')) {
    number.integer = false;
    ++at_;
    if (!digits()) not_json();
  }
  if (next_is('e') || next_is('E')) {
    number.integer = false;
    ++at_;
    if (next_is('+') || next_is('-')) ++at_;
    if (!digits()) not_json();
  }
  number.text = {value_begin_, static_cast<std::size_t>(at_ - value_begin_)};
  return number;
}

JsonReader::Integer JsonReader::integer(const FieldPlace& place) {
  const Number number = number_text(place, "is not an integer");
  if (!number.integer) refuse(place, "is not an integer");
  Integer value{.negative = number.text.front() == '-'};
  const char* const first = number.text.data() + (value.negative ? 1 : 0);
  if (std::from_chars(first, at_, value.amount).ec != std::errc()) refuse(place, "is out of range");
  return value;
}

double JsonReader::number(const FieldPlace& place) {
  const std::string_view text = number_text(place, "is not a number").text;
  double value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec == std::errc()) return value;
  if (is_large(text)) refuse(place, "is out of range");
  return text.front() == '-' ? -0.0 : 0.0;
}

void JsonReader::string(std::string& value, const FieldPlace& place) {
  space();
  if (!next_is('"')) unexpected(place, "is not a string");
  value.assign(string_text());
}

std::string_view JsonReader::string_text() {
  const char* run = ++at_;
  scratch_.clear();
  bool escaped = false;
  while (true) {
    at_ = skip_plain(at_, end_);
    if (at_ == end_) not_json();
    if (static_cast<unsigned char>(*at_) >= 0x80) {  // UTF-8, which was checked
      ++at_;
      continue;
    }
    const std::string_view plain(run, static_cast<std::size_t>(at_ - run));
    if (*at_ == '"') {
      ++at_;
      if (!escaped) return plain;
      return scratch_ += plain;
    }
    if (*at_ != '\\') not_json();  // a control character
    scratch_ += plain;
    escaped = true;
    escape();
    run = at_;
  }
}

void JsonReader::escape() {
  if (++at_ == end_) not_json();
  constexpr std::string_view letters = "\"\\/bfnrt";
  constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
  if (*at_ != 'u') {
    const auto which = letters.find(*at_);
    if (which == std::string_view::npos) not_json();
    scratch_ += meanings[which];
    ++at_;
    return;
  }
  ++at_;
  unsigned code = four_digits();
  if (code == 0)
    throw InvalidArgument(
        "payload",
        fmt::format("has the NUL character in a string, which is not allowed (at byte {})", position()));
  if (code >= 0xDC00 && code <= 0xDFFF) not_json();
  if (code >= 0xD800 && code <= 0xDBFF) {
    if (!literal("\\u")) not_json();
    const unsigned low = four_digits();
    if (low < 0xDC00 || low > 0xDFFF) not_json();
    code = 0x10000 + ((code - 0xD800) << 10U) + (low - 0xDC00);
  }
  put_utf8(scratch_, code);
}

unsigned JsonReader::four_digits() {
  unsigned code = 0;
  for (int i = 0; i < 4; ++i, ++at_) {
    if (at_ == end_) not_json();
    const char c = *at_;
    const char letter = static_cast<char>(c | 0x20);
    if (is_digit(c))
      code = code << 4U | static_cast<unsigned>(c - '0');
    else if (letter >= 'a' && letter <= 'f')
      code = code << 4U | static_cast<unsigned>(letter - 'a' + 10);
    else
      not_json();
  }
  return code;
}

void JsonReader::begin(char bracket, std::string_view problem, const FieldPlace& place) {
  space();
  if (!next_is(bracket)) unexpected(place, problem);
  if (++depth_ > max_fields_depth)
    throw InvalidArgument("payload",
                          fmt::format("is nested deeper than the {} levels that are allowed (at byte {})",
                                      max_fields_depth, position()));
  ++at_;
}

bool JsonReader::more(char close, bool first) {
  space();
  if (next_is(close)) {
    ++at_;
    --depth_;
    return false;
  }
  if (first) return true;
  if (!next_is(',')) not_json();
  ++at_;
  return true;
}

bool JsonReader::name_is(std::string_view quoted) noexcept {
  value_begin_ = at_;
  return literal(quoted);
}

std::string_view JsonReader::name() {
  space();
  if (!next_is('"')) not_json();
  const char* const begin = at_;
  const std::string_view name = string_text();
  space();
  if (!next_is(':')) not_json();
  ++at_;
  value_begin_ = begin;
  return name;
}

void JsonReader::skip() {
  space();
  const FieldPlace nowhere{};
  switch (at_ == end_ ? '\0' : *at_) {
    case '"':
      static_cast<void>(string_text());
      return;
    case '[':
      begin_list(nowhere);
      for (bool first = true; more_in_list(first); first = false) skip();
      return;
    case '{':
      begin_object(nowhere);
      for (bool first = true; more_in_object(first); first = false) {
        static_cast<void>(name());
        skip();
      }
      return;
    case 't':
    case 'f':
    case 'n':
      if (literal("true") || literal("false") || literal("null")) return;
      not_json();
    default:
      static_cast<void>(number_text(nowhere, "is not JSON"));
  }
}

}  // namespace quern::inline v1::detail
