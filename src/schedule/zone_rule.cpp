#include "schedule/zone_rule.hpp"

#include <algorithm>
#include <string>

#include "schedule/civil.hpp"

namespace quern::inline v1::detail {
namespace {

/// Reads a rule from left to right; each part says whether it was there.
class RuleReader {
 public:
  explicit RuleReader(std::string_view text) noexcept : rest_(text) {}

  [[nodiscard]] bool done() const noexcept { return rest_.empty(); }
  bool take(char c) noexcept {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  /// "EST" or "<+0530>".
  bool name(std::string& out) {
    const bool angled = take('<');
    std::size_t length = 0;
    while (length < rest_.size() && in_name(rest_[length], angled)) ++length;
    if (length < 3 || length > 16) return false;
    out = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return !angled || take('>');
  }

  bool number(int& out, int least, int most) noexcept {
    std::size_t length = 0;
    out = 0;
    while (length < rest_.size() && length < 4 && rest_[length] >= '0' && rest_[length] <= '9')
      out = out * 10 + (rest_[length++] - '0');
    rest_.remove_prefix(length);
    return length > 0 && out >= least && out <= most;
  }

  /// [+-]hh[:mm[:ss]] in seconds.
  bool time(std::int32_t& out, int most_hours) noexcept {
    const bool negative = take('-');
    if (!negative) take('+');
    int hours = 0;
    int minutes = 0;
    int seconds = 0;
    if (!number(hours, 0, most_hours)) return false;
    if (take(':')) {
      if (!number(minutes, 0, 59)) return false;
      if (take(':') && !number(seconds, 0, 59)) return false;
    }
    out = (hours * 60 + minutes) * 60 + seconds;
    if (negative) out = -out;
    return true;
  }

  bool date(RuleDate& out) noexcept {
    bool good = false;
    if (take('M')) {
      out.form = RuleDate::Form::month_week;
      good = number(out.month, 1, 12) && take('.') && number(out.week, 1, 5) && take('.') &&
             number(out.day, 0, 6);
    } else if (take('J')) {
      out.form = RuleDate::Form::julian;
      good = number(out.day, 1, 365);
    } else {
      out.form = RuleDate::Form::day_of_year;
      good = number(out.day, 0, 365);
    }
    return good && (!take('/') || time(out.time, 167));
  }

 private:
  static bool in_name(char c, bool angled) noexcept {
    if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')) return true;
    return angled && ((c >= '0' && c <= '9') || c == '+' || c == '-');
  }

  std::string_view rest_;
};

}  // namespace

std::int64_t RuleDate::in_year(int year) const noexcept {
  const std::int64_t new_year = civil::days_from(year, 1, 1);
  std::int64_t days = new_year + day;
  if (form == Form::julian) {
    days = new_year + day - 1 + (civil::is_leap(year) && day >= 60 ? 1 : 0);
  } else if (form == Form::month_week) {
    const std::int64_t first = civil::days_from(year, month, 1);
    const int length = civil::month_length(civil::is_leap(year), month);
    int offset = (day - civil::weekday_of(first) + 7) % 7 + (week - 1) * 7;
    if (offset >= length) offset -= 7;
    days = first + offset;
  }
  return days * civil::day_seconds + time;
}

std::optional<ZoneRule> ZoneRule::parse(std::string_view text) {
  RuleReader in(text);
  ZoneRule rule;
  std::int32_t west = 0;
  if (!in.name(rule.standard.abbreviation) || !in.time(west, 24)) return std::nullopt;
  rule.standard.offset = -west;
  if (in.done()) return rule;

  ZoneKind daylight{.offset = rule.standard.offset + 3600, .daylight = true, .abbreviation = {}};
  if (!in.name(daylight.abbreviation)) return std::nullopt;
  if (!in.take(',')) {
    if (!in.time(west, 24) || !in.take(',')) return std::nullopt;
    daylight.offset = -west;
  }
  if (!in.date(rule.to_daylight) || !in.take(',') || !in.date(rule.to_standard) || !in.done())
    return std::nullopt;
  rule.daylight = daylight;
  return rule;
}

void ZoneRule::extend(ZoneBuilder& zone, std::int64_t after) const {
  if (!daylight) {
    if (after == ZoneData::always) zone.shift(after, standard);
    return;
  }
  constexpr std::int64_t average_year = 31'556'952;
  constexpr std::int64_t last_start = (last_zone_year - 1969) * average_year;
  // A year earlier than the one that `after` lies in, so that none is missed.
  const auto first_year =
      1969 + static_cast<int>(std::clamp<std::int64_t>(after, 0, last_start) / average_year);
  for (int year = first_year; year <= last_zone_year; ++year) {
    const std::int64_t on = to_daylight.in_year(year) - standard.offset;
    const std::int64_t off = to_standard.in_year(year) - daylight->offset;
    // All year round: a rule ends at the instant at which the next year's begins.
    const bool on_first = on < off;
    if (on_first && on > after) zone.shift(on, *daylight);
    if (off > after) zone.shift(off, standard);
    if (!on_first && on > after) zone.shift(on, *daylight);
  }
}

}  // namespace quern::inline v1::detail
