#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <quern/cron.hpp>
#include <string>
#include <string_view>

/// How quern-cron shows instants, shifts of the clocks, months and errors.
namespace cron_text {

using namespace std::chrono_literals;

constexpr std::array<const char*, 7> weekdays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<const char*, 12> months{"January",   "February", "March",    "April",
                                             "May",       "June",     "July",     "August",
                                             "September", "October",  "November", "December"};

/// An instant as the clocks of a zone show it; what quern prints as UTC then reads as local time.
inline quern::TimePoint local_of(quern::TimePoint instant, const quern::TimeZone& zone) {
  return instant + zone.offset_at(instant);
}

inline int weekday_of(quern::TimePoint local) {
  const auto days = std::chrono::floor<std::chrono::days>(local).time_since_epoch().count();
  return static_cast<int>(((days + 4) % 7 + 7) % 7);
}

/// "Mon 2025-03-10 09:00:00".
inline std::string local_text(quern::TimePoint local) {
  const std::string text = quern::to_rfc3339(std::chrono::floor<std::chrono::seconds>(local));
  return fmt::format("{} {} {}", weekdays[static_cast<std::size_t>(weekday_of(local))],
                     text.substr(0, text.find('T')), text.substr(text.find('T') + 1, 8));
}

inline std::string offset_text(std::chrono::seconds offset) {
  const auto minutes = std::chrono::abs(offset) / 1min;
  return fmt::format("UTC{}{:02}:{:02}", offset < 0s ? '-' : '+', minutes / 60, minutes % 60);
}

/// "EDT", or "UTC+01:00" where the zone's clocks have no name of letters.
inline std::string clock_text(const quern::TimeZone::Span& span) {
  if (span.abbreviation.empty() || span.abbreviation.find_first_of("+-0123456789") != std::string_view::npos)
    return offset_text(span.offset);
  return std::string(span.abbreviation);
}

/// A line for each shift of the clocks after one instant and up to another.
inline std::string shifts_between(const quern::TimeZone& zone, quern::TimePoint after,
                                  quern::TimePoint until) {
  std::string text;
  constexpr int most = 2;
  int count = 0;
  for (auto before = zone.span_at(after); before.end <= until && before.end != quern::TimePoint::max();) {
    const auto span = zone.span_at(before.end);
    const quern::Duration shift = span.offset - before.offset;
    if (shift != 0s && ++count <= most) {
      text += fmt::format("  -- {}: the clocks go {} by {}, from {} to {}\n",
                          local_text(before.end + before.offset), shift > 0s ? "forward" : "back",
                          quern::to_text(std::chrono::abs(shift)), clock_text(before), clock_text(span));
    }
    before = span;
  }
  if (count > most) text += fmt::format("  -- and {} more shifts\n", count - most);
  return text;
}

inline std::string kind_text(quern::CronSchedule::Kind kind) {
  switch (kind) {
    case quern::CronSchedule::Kind::after_gap:
      return "  (its own time is skipped that day)";
    case quern::CronSchedule::Kind::first_pass:
      return "  (the first of two times that the clocks show this)";
    case quern::CronSchedule::Kind::second_pass:
      return "  (the second time that the clocks show this)";
    case quern::CronSchedule::Kind::usual:
      break;
  }
  return {};
}

/// "  Mon 2025-03-10 09:00:00 EDT   2025-03-10T13:00:00Z", with why it is there.
inline std::string occurrence_line(const quern::CronSchedule& schedule, quern::TimePoint at) {
  const auto& zone = schedule.zone();
  return fmt::format("  {} {:<9}  {}{}\n", local_text(local_of(at, zone)), clock_text(zone.span_at(at)),
                     quern::to_rfc3339(at), kind_text(schedule.kind_of(at)));
}

/// The month of an instant, its days with occurrences in brackets, and those on which the clocks shift with a "!".
inline std::string calendar(const quern::CronSchedule& schedule, quern::TimePoint instant) {
  using std::chrono::days;
  const auto& zone = schedule.zone();
  const auto offset = zone.offset_at(instant);
  const auto today = std::chrono::floor<days>(instant + offset);
  const std::chrono::year_month_day date(today);
  const auto first = std::chrono::sys_days(date.year() / date.month() / 1);
  const auto end = std::chrono::sys_days(date.year() / date.month() / std::chrono::last) + days(1);

  const auto year = static_cast<int>(date.year());
  auto text = fmt::format("  {} {}\n  Mon   Tue   Wed   Thu   Fri   Sat   Sun\n",
                          months[unsigned{date.month()} - 1], year);
  int column = (weekday_of(first) + 6) % 7;
  std::string line(static_cast<std::size_t>(column) * 6, ' ');
  for (auto day = first; day < end; day += days(1), ++column) {
    if (column == 7) {
      text += "  " + line + "\n";
      line.clear();
      column = 0;
    }
    // The day's instants: as its clocks stand at its beginning and at its end.
    const quern::TimePoint begin = quern::TimePoint(day) - zone.offset_at(quern::TimePoint(day) - offset);
    const quern::TimePoint midnight =
        quern::TimePoint(day + days(1)) - zone.offset_at(quern::TimePoint(day + days(1)) - offset);
    const auto next = schedule.next(begin - quern::Duration(1));
    const bool shifts = zone.offset_at(begin) != zone.offset_at(midnight);
    const unsigned number{std::chrono::year_month_day(day).day()};
    line += next && *next < midnight ? fmt::format("[{:2}]", number) : fmt::format(" {:2} ", number);
    line += shifts ? "! " : "  ";
  }
  return text + "  " + line + "\n";
}

/// The expression with a caret under what is at fault.
inline std::string pointed(std::string expression, const quern::CronError& error) {
  for (char& c : expression)
    if (c < ' ' || c > '~') c = ' ';
  const std::size_t length = std::clamp<std::size_t>(error.length(), 1, 80);
  return fmt::format("  {}\n  {}{}\n", expression, std::string(error.position(), ' '),
                     std::string(length, '^'));
}

}  // namespace cron_text
