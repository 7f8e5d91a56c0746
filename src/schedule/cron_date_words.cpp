#include <fmt/format.h>

#include <array>

#include "quern/schedule/detail/cron_fields.hpp"
#include "schedule/cron_words.hpp"

namespace quern::inline v1::detail {
namespace {

using namespace std::string_literals;

constexpr std::array<std::string_view, 13> months{"",        "January",  "February", "March",  "April",
                                                  "May",     "June",     "July",     "August", "September",
                                                  "October", "November", "December"};
constexpr std::array<std::string_view, 7> weekdays{"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                   "Thursday", "Friday", "Saturday"};
constexpr std::array<std::string_view, 5> counts{"first", "second", "third", "fourth", "fifth"};

std::string_view weekday(int day) { return weekdays[static_cast<std::size_t>(day)]; }
std::string_view month(int number) { return months[static_cast<std::size_t>(number)]; }

constexpr std::uint8_t work_days = 0x3e;
constexpr std::uint8_t weekend = 0x41;
constexpr std::uint8_t whole_week = 0x7f;

bool is_run(const std::vector<int>& days) {
  return days.size() >= 3 && days.back() - days.front() + 1 == static_cast<int>(days.size());
}

/// Days from the 1st on, as numbers from 0 on.
std::vector<int> from_zero(std::vector<int> days) {
  for (int& day : days) --day;
  return days;
}

bool only_days(const CronFields& fields) {
  return fields.days_from_end == 0 && fields.near_weekdays == 0 && !fields.last_workday;
}

/// Without "on": "the 1st and the 15th", "the last day of the month".
std::string days_of_month(const CronFields& fields) {
  std::vector<std::string> words;
  const std::vector<int> days = elements(fields.days);
  if (days.size() == 31) {
    words.push_back("every day"s);
  } else if (is_run(days)) {
    words.push_back(fmt::format("{}the {} to the {}", only_days(fields) ? "from " : "", ordinal(days.front()),
                                ordinal(days.back())));
  } else if (const int step = shape_of(from_zero(days), 31).step; step > 0 && days.size() > 4) {
    words.push_back(fmt::format("every {} day of the month from the 1st", ordinal(step)));
  } else {
    for (const int day : days) words.push_back(fmt::format("the {}", ordinal(day)));
  }
  for (const int day : elements(fields.near_weekdays))
    words.push_back(fmt::format("the weekday nearest to the {}", ordinal(day)));
  for (const int before : elements(fields.days_from_end)) {
    if (before == 0) words.push_back("the last day of the month"s);
    if (before == 1) words.push_back("the last day but one of the month"s);
    if (before > 1) words.push_back(fmt::format("the day {} days before the month's last", before));
  }
  if (fields.last_workday) words.push_back("the last weekday of the month"s);
  return join(words);
}

/// Without "on": "Mondays and Fridays", "weekdays", "the second Tuesday of the month".
std::string days_of_week(const CronFields& fields) {
  std::vector<std::string> words;
  const std::vector<int> days = elements(fields.weekdays);
  if (fields.weekdays == whole_week) {
    words.push_back("every day"s);
  } else if (fields.weekdays == work_days) {
    words.push_back("weekdays"s);
  } else if (fields.weekdays == weekend) {
    words.push_back("weekends"s);
  } else if (days.size() >= 4 && days.back() - days.front() + 1 == static_cast<int>(days.size())) {
    words.push_back(fmt::format("{}s to {}s", weekday(days.front()), weekday(days.back())));
  } else {
    for (const int day : days) words.push_back(fmt::format("{}s", weekday(day)));
  }
  for (std::size_t k = 0; k < counts.size(); ++k) {
    for (const int day : elements(fields.nth_weekdays[k]))
      words.push_back(fmt::format("the {} {} of the month", counts[k], weekday(day)));
  }
  for (const int day : elements(fields.last_weekdays))
    words.push_back(fmt::format("the last {} of the month", weekday(day)));
  return join(words);
}

std::string month_names(std::uint32_t set) {
  const std::vector<int> values = elements(set);
  if (values.size() >= 3 && values.back() - values.front() + 1 == static_cast<int>(values.size()))
    return fmt::format("from {} to {}", month(values.front()), month(values.back()));
  std::vector<std::string> words;
  for (const int value : values) words.emplace_back(month(value));
  return fmt::format("in {}", join(words));
}

std::string years(const CronFields& fields) {
  std::vector<int> values;
  for (std::size_t word = 0; word < fields.written_years.size(); ++word) {
    for (const int bit : elements(fields.written_years[word]))
      values.push_back(first_cron_year + static_cast<int>(word) * 64 + bit);
  }
  const bool run = values.back() - values.front() + 1 == static_cast<int>(values.size());
  if (run && values.size() >= 3) return fmt::format("from {} to {}", values.front(), values.back());
  if (values.size() > 12) {
    const int step = values[1] - values[0];
    bool regular = true;
    for (std::size_t i = 1; i < values.size(); ++i) regular = regular && values[i] - values[i - 1] == step;
    if (regular)
      return fmt::format("in every {} year from {} to {}", ordinal(step), values.front(), values.back());
  }
  std::vector<std::string> words;
  for (const int value : values) words.push_back(std::to_string(value));
  return fmt::format("in {}", join(words));
}

/// Words that "on" does not go with.
std::string on(const std::string& days) {
  return days == "every day" || days.starts_with("from ") ? days : fmt::format("on {}", days);
}

}  // namespace

std::string describe_dates(const CronFields& fields) {
  std::string text;
  constexpr std::uint32_t all_months = 0x1ffe;
  std::string when;
  if (fields.months != all_months) when = fmt::format(" {}", month_names(fields.months));
  if (fields.any_day && fields.any_weekday) {
    if (says_times(fields)) text = " every day";
  } else if (fields.any_day) {
    text = fmt::format(" {}", on(days_of_week(fields)));
  } else if (fields.any_weekday) {
    const std::vector<int> days = elements(fields.days);
    const std::vector<int> in_months = elements(fields.months);
    if (days.size() == 1 && in_months.size() == 1 &&
        days_of_month(fields) == fmt::format("the {}", ordinal(days[0]))) {
      text = fmt::format(" on {} {}", days[0], month(in_months[0]));
      when.clear();
    } else {
      text = fmt::format(" {}", on(days_of_month(fields)));
      if (fields.months == all_months && text.find("month") == std::string::npos && days.size() < 31)
        text += " of the month";
    }
  } else if (fields.both_days) {
    text = fmt::format(" {}, but only {}", on(days_of_month(fields)), on(days_of_week(fields)));
  } else {
    text = fmt::format(" {}, and also {}", on(days_of_month(fields)), on(days_of_week(fields)));
  }
  const bool two_days = !fields.any_day && !fields.any_weekday;
  if (two_days && !when.empty()) text += ',';
  text += when;
  if (!fields.any_year) text += fmt::format("{} {}", text.empty() ? "" : ",", years(fields));
  return text;
}

}  // namespace quern::inline v1::detail
