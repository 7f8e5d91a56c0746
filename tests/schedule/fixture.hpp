#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/cron.hpp"

namespace quern_test {

/// The system's zones, read once for all tests of a program.
inline const quern::ZoneDatabase& zones() {
  static const quern::ZoneDatabase database;
  return database;
}

inline quern::TimePoint at(std::string_view text) { return quern::parse_rfc3339(text); }

inline quern::CronSchedule schedule(std::string_view expression, std::string_view zone = "UTC",
                                    quern::ShiftPolicy policy = {}) {
  return quern::CronSchedule(quern::CronExpression::parse(expression), zones().find(zone), policy);
}

/// The next occurrences as text: fewer only where there are fewer.
inline std::vector<std::string> next(const quern::CronSchedule& schedule, std::string_view after,
                                     std::size_t count) {
  std::vector<std::string> times;
  for (const quern::TimePoint time : schedule.after(at(after))) {
    if (times.size() == count) break;
    times.push_back(quern::to_rfc3339(time));
  }
  return times;
}

}  // namespace quern_test
