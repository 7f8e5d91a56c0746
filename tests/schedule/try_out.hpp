#pragma once

#include <stdexcept>
#include <string>

#include "quern/cron.hpp"

namespace quern_test {

inline void demand(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

/// Asks a schedule from an instant, and throws logic_error where its answers don't fit together.
inline void try_out(const quern::CronSchedule& schedule, quern::TimePoint from) {
  const auto next = schedule.next(from);
  if (!next) return;
  demand(*next > from && schedule.matches(*next), "next is no occurrence after it");
  demand(schedule.previous(*next + quern::Duration(1)) == next, "previous does not find what next found");
  const auto before = schedule.previous(*next);
  if (!before) return;
  demand(*before <= from, "next has left one out");
  demand(schedule.next(*before) == next, "next does not find what previous found");
}

/// Reads a text as an expression and, if it is one, tries it out. Says whether it was.
inline bool try_out(const std::string& text, const quern::TimeZone& zone, quern::TimePoint from) {
  try {
    const auto expression = quern::CronExpression::parse(text, "a name");
    demand(!expression.describe().empty(), "nothing to say");
    try_out(quern::CronSchedule(expression, zone), from);
    return true;
  } catch (const quern::CronError& e) {
    demand(e.position() <= text.size() && e.length() <= text.size() - e.position(),
           "the place is not in the text");
    demand(std::string(e.what()).size() <= 500, "the message is too long");
    return false;
  }
}

}  // namespace quern_test
