#include <fmt/format.h>

#include "quern/schedule/detail/cron_fields.hpp"
#include "schedule/cron_words.hpp"

namespace quern::inline v1::detail {
namespace {

/// So many times of day are said one by one.
constexpr std::size_t most_times = 8;

struct TimeSets {
  std::vector<int> seconds;
  std::vector<int> minutes;
  std::vector<int> hours;

  explicit TimeSets(const CronFields& fields)
      : seconds(elements(fields.seconds)), minutes(elements(fields.minutes)), hours(elements(fields.hours)) {}

  [[nodiscard]] bool few() const {
    return seconds.size() == 1 && minutes.size() * hours.size() <= most_times && hours.size() < 24;
  }
  /// Hours that are better said as a rule: "every 6 hours".
  [[nodiscard]] bool regular_hours() const {
    return minutes.size() == 1 && hours.size() > 2 && shape_of(hours, 24).step > 0;
  }
};

std::string numbers(const std::vector<int>& values) {
  std::vector<std::string> words;
  for (const int value : values) words.push_back(std::to_string(value));
  return join(words);
}

/// "every minute", "every 5 minutes", "at minute 3", "at minutes 3 and 7"; unit is "minute" or "second".
std::string rule(const std::vector<int>& values, std::string_view unit) {
  const Shape shape = shape_of(values, 60);
  if (shape.full) return fmt::format("every {}", unit);
  if (shape.step > 0 && 60 % shape.step == 0) return fmt::format("every {} {}s", shape.step, unit);
  if (shape.step > 0) return fmt::format("every {} {}s from {} 0", shape.step, unit, unit);
  if (shape.run) return fmt::format("at every {} from {} to {}", unit, values.front(), values.back());
  return fmt::format("at {}{} {}", unit, values.size() == 1 ? "" : "s", numbers(values));
}

std::string minutes_and_hours(const TimeSets& sets) {
  const Shape hours = shape_of(sets.hours, 24);
  const int first = sets.minutes.front();
  const int last = sets.minutes.back();
  const bool one = sets.minutes.size() == 1;
  const std::string on_the_hour = one && first != 0 ? fmt::format(", at minute {}", first) : std::string();
  if (hours.full) {
    if (one && first == 0) return "every hour";
    const Shape minutes = shape_of(sets.minutes, 60);
    const bool each = minutes.full || (minutes.step > 0 && 60 % minutes.step == 0);
    return rule(sets.minutes, "minute") + (each ? "" : " of every hour");
  }
  if (one && hours.step > 0 && 24 % hours.step == 0)
    return fmt::format("every {} hours", hours.step) + on_the_hour;
  if (one && hours.step > 0) return fmt::format("every {} hours from midnight", hours.step) + on_the_hour;
  if (hours.run)
    return fmt::format("{} from {:02}:{:02} to {:02}:{:02}",
                       one ? "every hour" : rule(sets.minutes, "minute"), sets.hours.front(), first,
                       sets.hours.back(), last);
  if (hours.step > 0)
    return fmt::format("{} of every {} hour", rule(sets.minutes, "minute"), ordinal(hours.step));
  return fmt::format("{} of the hour{} {}", rule(sets.minutes, "minute"), sets.hours.size() == 1 ? "" : "s",
                     numbers(sets.hours));
}

}  // namespace

bool says_times(const CronFields& fields) {
  const TimeSets sets(fields);
  return sets.few() && !sets.regular_hours();
}

std::string describe_time(const CronFields& fields) {
  const TimeSets sets(fields);
  const int second = sets.seconds.front();
  const bool whole_minutes = sets.seconds.size() == 1 && second == 0;
  if (says_times(fields)) {
    std::vector<std::string> times;
    for (const int hour : sets.hours) {
      for (const int minute : sets.minutes)
        times.push_back(whole_minutes ? fmt::format("{:02}:{:02}", hour, minute)
                                      : fmt::format("{:02}:{:02}:{:02}", hour, minute, second));
    }
    return fmt::format("at {}", join(times));
  }
  if (whole_minutes) return minutes_and_hours(sets);

  const std::string seconds = rule(sets.seconds, "second");
  const bool always = sets.minutes.size() == 60 && sets.hours.size() == 24;
  if (always) return seconds + (seconds.starts_with("every") ? "" : " of every minute");
  if (sets.minutes.size() * sets.hours.size() == 1)
    return fmt::format("{} from {:02}:{:02} on for a minute", seconds, sets.hours.front(),
                       sets.minutes.front());
  return seconds + ", " + minutes_and_hours(sets);
}

}  // namespace quern::inline v1::detail
