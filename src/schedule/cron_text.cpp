#include "schedule/cron_text.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "quern/schedule/cron_error.hpp"
#include "quern/schedule/detail/cron_fields.hpp"

namespace quern::inline v1 {

CronError::CronError(std::size_t position, std::size_t length, const std::string& problem)
    : InvalidArgument("cron", problem), position_(position), length_(length) {}

namespace detail {
namespace {

constexpr std::array<std::string_view, 12> month_words{"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                                       "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
constexpr std::array<std::string_view, 7> weekday_words{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr char capital(char c) noexcept {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

}  // namespace

const std::array<CronFieldKind, 7> cron_field_kinds{{
    {"second", 0, 0, 59, 60},
    {"minute", 1, 0, 59, 60},
    {"hour", 2, 0, 23, 24},
    {"day of the month", 3, 1, 31, 31},
    {"month", 4, 1, 12, 12, month_words.data(), 12, 1},
    {"day of the week", 5, 0, 7, 7, weekday_words.data(), 7, 0},
    {"year", 6, first_cron_year, last_cron_year, last_cron_year - first_cron_year + 1},
}};

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text.substr(0, 20)) {
    if (c >= ' ' && c <= '~')
      result += c;
    else
      result += fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
  }
  if (text.size() > 20) result += "...";
  return result + '"';
}

bool CronReader::next_is(char c) const noexcept { return !done() && capital(rest().front()) == c; }
bool CronReader::next_is_digit() const noexcept { return !done() && is_digit(rest().front()); }

bool CronReader::take(char c) noexcept {
  if (!next_is(c)) return false;
  ++pos_;
  return true;
}

void CronReader::expect(char c) {
  if (!take(c)) fail(std::string(1, c));
}

int CronReader::number(int least, int most, std::string_view what) {
  const std::size_t begin = pos_;
  int number = 0;
  // Beyond a million it is too large for anything, however long it is.
  for (; next_is_digit(); ++pos_) number = std::min(number * 10 + (rest().front() - '0'), 1'000'000);
  if (pos_ == begin) fail(what);
  if (number < least || number > most)
    fail_since(begin, fmt::format("found {}, where {} from {} to {} is allowed",
                                  quoted(field_.text.substr(begin, pos_ - begin)), what, least, most));
  return number;
}

int CronReader::value() {
  if (next_is_digit()) return number(kind_.least, kind_.most, "a number");
  for (int word = 0; word < kind_.word_count; ++word) {
    const std::string_view name = kind_.words[word];
    if (rest().size() >= name.size() && std::equal(name.begin(), name.end(), rest().begin(),
                                                   [](char a, char b) { return a == capital(b); })) {
      pos_ += name.size();
      return kind_.first_word + word;
    }
  }
  fail(allowed_values());
}

std::string CronReader::allowed_values() const {
  std::string text = fmt::format("a number from {} to {}", kind_.least, kind_.most);
  if (kind_.word_count > 0)
    text += fmt::format(" or a name from {} to {}", kind_.words[0], kind_.words[kind_.word_count - 1]);
  return text;
}

void CronReader::fail(std::string_view allowed) const {
  const std::size_t length = std::min(rest().find_first_of(",-/#()"), rest().size());
  const std::string_view found = rest().substr(0, std::max<std::size_t>(length, done() ? 0 : 1));
  const std::string what = done() ? std::string("the end of the field") : quoted(found);
  throw CronError(field_.at + pos_, found.size(),
                  fmt::format("the {}, at character {}: found {}, where {} is allowed", kind_.name,
                              field_.at + pos_ + 1, what, allowed));
}

void CronReader::fail_since(std::size_t begin, const std::string& problem) const {
  throw CronError(field_.at + begin, pos_ - begin,
                  fmt::format("the {}, at character {}: {}", kind_.name, field_.at + begin + 1, problem));
}

}  // namespace detail
}  // namespace quern::inline v1
