#include "quern/core/time.hpp"

#include <fmt/format.h>

#include <array>
#include <limits>

#include "quern/core/error.hpp"

namespace quern::inline v1 {
namespace {

constexpr std::int64_t us_per_second = 1'000'000;
constexpr std::int64_t us_per_day = 86'400 * us_per_second;

struct Date {
  std::int64_t year = 0;
  int month = 0;
  int day = 0;
};

// Both after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": exact for every TimePoint, which
// std::chrono::year (16 bits) is not.
constexpr std::int64_t days_from_date(Date date) noexcept {
  const std::int64_t year = date.year - (date.month <= 2 ? 1 : 0);
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const std::int64_t year_of_era = year - era * 400;
  const std::int64_t day_of_year = (153 * (date.month + (date.month > 2 ? -3 : 9)) + 2) / 5 + date.day - 1;
  return era * 146'097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719'468;
}

constexpr Date date_from_days(std::int64_t days) noexcept {
  days += 719'468;
  const std::int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
  const std::int64_t day_of_era = days - era * 146'097;
  const std::int64_t year_of_era =
      (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const std::int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t shifted_month = (5 * day_of_year + 2) / 153;
  const int month = static_cast<int>(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
  return {.year = year_of_era + era * 400 + (month <= 2 ? 1 : 0),
          .month = month,
          .day = static_cast<int>(day_of_year - (153 * shifted_month + 2) / 5 + 1)};
}

constexpr int days_in_month(std::int64_t year, int month) noexcept {
  constexpr std::array<int, 12> days{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return days[static_cast<std::size_t>(month - 1)] + (month == 2 && leap ? 1 : 0);
}

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// Reads RFC 3339 from left to right; each part throws where the text is something else.
class TimeReader {
 public:
  explicit TimeReader(std::string_view text) : text_(text) {}

  TimePoint read() {
    Date date;
    date.year = digits(4, 0, 9999);
    expect("-", "-");
    date.month = digits(2, 1, 12);
    expect("-", "-");
    date.day = digits(2, 1, days_in_month(date.year, date.month));
    std::int64_t us = days_from_date(date) * us_per_day;
    if (rest().empty()) return from_us(us);

    expect("Tt", "T");
    const std::int64_t hour = digits(2, 0, 23);
    expect(":", ":");
    const std::int64_t minute = digits(2, 0, 59);
    expect(":", ":");
    const std::int64_t second = digits(2, 0, 59);
    us += ((hour * 60 + minute) * 60 + second) * us_per_second;
    if (rest().starts_with('.')) us += fraction();
    us -= offset();
    if (!rest().empty()) fail("the end");
    return from_us(us);
  }

 private:
  [[nodiscard]] std::string_view rest() const { return text_.substr(at_); }

  [[noreturn]] void fail(std::string_view wanted) const {
    throw InvalidArgument("time", fmt::format("expected {} at character {}; a time looks like "
                                              "2026-01-31T08:30:00Z or 2026-01-31T08:30:00.5+02:00",
                                              wanted, at_ + 1));
  }

  void expect(std::string_view any_of, std::string_view name) {
    if (rest().empty() || any_of.find(rest().front()) == std::string_view::npos) fail(name);
    ++at_;
  }

  int digits(std::size_t count, int least, int most) {
    int value = 0;
    const std::string_view text = rest().substr(0, count);
    for (const char c : text) {
      if (!is_digit(c)) fail(fmt::format("{} digits", count));
      value = value * 10 + (c - '0');
    }
    if (text.size() < count) fail(fmt::format("{} digits", count));
    if (value < least || value > most) fail(fmt::format("a number from {} to {}", least, most));
    at_ += count;
    return value;
  }

  std::int64_t fraction() {
    ++at_;
    if (rest().empty() || !is_digit(rest().front())) fail("a digit");
    std::int64_t us = 0;
    for (std::int64_t unit = us_per_second / 10; !rest().empty() && is_digit(rest().front());
         unit /= 10, ++at_) {
      us += (rest().front() - '0') * unit;
    }
    return us;
  }

  std::int64_t offset() {
    const char sign = rest().empty() ? '\0' : rest().front();
    expect("Zz+-", "Z or an offset");
    if (sign != '+' && sign != '-') return 0;
    const std::int64_t hours = digits(2, 0, 23);
    expect(":", ":");
    const std::int64_t us = (hours * 60 + digits(2, 0, 59)) * 60 * us_per_second;
    return sign == '+' ? us : -us;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

struct Unit {
  std::string_view name;
  std::uint64_t us;
};
// From the longest on, the order in which a duration names them.
constexpr std::array<Unit, 7> units{{{"w", 604'800'000'000},
                                     {"d", 86'400'000'000},
                                     {"h", 3'600'000'000},
                                     {"m", 60'000'000},
                                     {"s", 1'000'000},
                                     {"ms", 1'000},
                                     {"us", 1}}};

[[noreturn]] void fail_duration(std::string_view problem) {
  throw InvalidArgument(
      "duration", fmt::format("{}; a duration looks like 250ms, 2s, 10m, 1h30m or 3d, its units from w, d, "
                              "h, m, s, ms and us, each at most once and the longest first",
                              problem));
}

}  // namespace

std::string to_rfc3339(TimePoint time) {
  std::int64_t days = to_us(time) / us_per_day;
  std::int64_t rest = to_us(time) % us_per_day;
  if (rest < 0) {
    rest += us_per_day;
    --days;
  }
  const Date date = date_from_days(days);
  const std::int64_t seconds = rest / us_per_second;
  const std::int64_t us = rest % us_per_second;
  auto text = fmt::format("{}{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", date.year < 0 ? "-" : "",
                          date.year < 0 ? -date.year : date.year, date.month, date.day, seconds / 3600,
                          seconds / 60 % 60, seconds % 60);
  if (us != 0) text += fmt::format(".{:06}", us);
  return text + 'Z';
}

TimePoint parse_rfc3339(std::string_view text) { return TimeReader(text).read(); }

std::string to_text(Duration duration) {
  if (duration == Duration::zero()) return "0s";
  std::string text = duration < Duration::zero() ? "-" : "";
  // The magnitude as unsigned, since that of Duration::min() is no Duration.
  auto rest = static_cast<std::uint64_t>(duration.count());
  if (duration < Duration::zero()) rest = ~rest + 1;
  for (const Unit& unit : units) {
    if (unit.name == "w") continue;  // people count in days
    if (rest >= unit.us) text += fmt::format("{}{}", rest / unit.us, unit.name);
    rest %= unit.us;
  }
  return text;
}

Duration parse_duration(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  if (text.empty()) fail_duration("is empty");

  const std::uint64_t most =
      static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) + (negative ? 1U : 0U);
  std::uint64_t total = 0;
  auto unit = units.begin();
  while (!text.empty()) {
    if (!is_digit(text.front())) fail_duration("expected a whole number");
    std::uint64_t number = 0;
    for (; !text.empty() && is_digit(text.front()); text.remove_prefix(1)) {
      const auto digit = static_cast<std::uint64_t>(text.front() - '0');
      if (number > (most - digit) / 10) fail_duration("is too long");
      number = number * 10 + digit;
    }
    const std::string_view name = text.substr(0, text.find_first_of("0123456789"));
    while (unit != units.end() && unit->name != name) ++unit;
    if (unit == units.end()) fail_duration("expected a unit");
    if (number > (most - total) / unit->us) fail_duration("is too long");
    total += number * unit->us;
    text.remove_prefix(name.size());
    ++unit;
  }
  // Also right for the magnitude of Duration::min(): conversion to signed is modular.
  return Duration(static_cast<std::int64_t>(negative ? ~total + 1 : total));
}

}  // namespace quern::inline v1
