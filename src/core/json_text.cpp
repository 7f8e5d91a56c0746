#include "core/json_text.hpp"

#include <cassert>
#include <charconv>
#include <cmath>

namespace quern::inline v1::detail {
namespace {

void put_escaped(ByteSink& out, char c) {
  const auto two = [&out](char letter) {
    out.put('\\');
    out.put(letter);
  };
  switch (c) {
    case '"':
    case '\\':
      return two(c);
    case '\b':
      return two('b');
    case '\f':
      return two('f');
    case '\n':
      return two('n');
    case '\r':
      return two('r');
    case '\t':
      return two('t');
    default: {
      constexpr std::string_view digits = "0123456789abcdef";
      const auto byte = static_cast<unsigned char>(c);
      out.put("\\u00");
      out.put(digits[byte >> 4U]);
      out.put(digits[byte & 0xFU]);
    }
  }
}

}  // namespace

void put_json_string(ByteSink& out, std::string_view text) {
  out.put('"');
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    const char* stop = skip_plain(at, end);
    while (stop != end && escaped_bytes(*stop) == 1) ++stop;
    out.put(std::string_view(at, static_cast<std::size_t>(stop - at)));
    if (stop == end) break;
    put_escaped(out, *stop);
    at = stop + 1;
  }
  out.put('"');
}

void put_json_double(ByteSink& out, double value) {
  assert(std::isfinite(value));
  char* const begin = out.room(max_json_double);
  char* to = begin;
  if (std::signbit(value)) *to++ = '-';
  if (value == 0) {
    std::memcpy(to, "0.0", 3);
    out.advance(to + 3);
    return;
  }

  // "d.ddde-XX" into digits and the place of the point in them.
  char text[32];
  const char* const text_end =
      std::to_chars(text, text + sizeof(text), std::fabs(value), std::chars_format::scientific).ptr;
  char digits[20];
  int count = 0;
  const char* at = text;
  for (; *at != 'e'; ++at)
    if (*at != '.') digits[count++] = *at;
  int exponent = 0;
  std::from_chars(at[1] == '+' ? at + 2 : at + 1, text_end, exponent);
  const int point = exponent + 1;

  constexpr int most_digits = 15;  // before the point, and
  constexpr int most_zeros = 4;    // behind it, without an exponent
  const auto copy = [&](int from, int until) {
    for (int i = from; i < until; ++i) *to++ = i < count ? digits[i] : '0';
  };
  if (point > 0 && point <= most_digits) {
    copy(0, point);
    *to++ = '.';
    copy(point, count > point ? count : point + 1);
  } else if (point <= 0 && point > -most_zeros) {
    *to++ = '0';
    *to++ = '.';
    for (int i = point; i < 0; ++i) *to++ = '0';
    copy(0, count);
  } else {
    copy(0, 1);
    if (count > 1) *to++ = '.';
    copy(1, count);
    std::memcpy(to, at, static_cast<std::size_t>(text_end - at));
    to += text_end - at;
  }
  assert(static_cast<std::size_t>(to - begin) <= max_json_double);
  out.advance(to);
}

}  // namespace quern::inline v1::detail
