// quern-bench-schedule: what reading a cron expression and finding its next occurrence cost, by class of expression.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <quern/cron.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler.hpp"

namespace {

using quern::CronExpression;
using quern::CronSchedule;
using quern::TimePoint;

int rounds = 7;
std::chrono::milliseconds round_time{40};

/// What is computed has to be computed.
std::int64_t kept = 0;
void keep(std::int64_t value) { kept ^= value; }

/// Nanoseconds of one call: the median of several rounds.
void measure(const std::string& name, const std::function<void(int)>& calls) {
  using Clock = std::chrono::steady_clock;
  int count = 64;
  std::vector<double> figures;
  while (static_cast<int>(figures.size()) < rounds) {
    const auto begin = Clock::now();
    calls(count);
    const std::chrono::duration<double, std::nano> spent = Clock::now() - begin;
    if (spent < round_time / 4) {
      count *= 2;
      continue;
    }
    figures.push_back(spent.count() / count);
  }
  std::nth_element(figures.begin(), figures.begin() + rounds / 2, figures.end());
  std::printf("%s\t%.1f\tns\n", name.c_str(), figures[static_cast<std::size_t>(rounds / 2)]);
  std::fflush(stdout);
}

struct Class {
  const char* name;
  const char* expression;
};

constexpr std::array<Class, 18> classes{{
    {"every_second", "* * * * * *"},
    {"every_minute", "* * * * *"},
    {"every_5_minutes", "*/5 * * * *"},
    {"workdays", "0 9 * * 1-5"},
    {"daily", "30 2 * * *"},
    {"monthly", "0 0 1 * *"},
    {"yearly", "0 0 1 1 *"},
    {"last_day", "0 0 L * *"},
    {"near_weekday", "0 9 15W * *"},
    {"second_tuesday", "0 9 * * 2#2"},
    {"friday_13th", "0 0 13 * +5"},
    {"or_days", "0 0 29 2 1"},
    {"leap_day", "0 0 29 2 *"},
    {"leap_day_monday", "0 0 29 2 +1"},
    {"far_year", "0 0 0 31 12 * 2199"},
    {"years_over", "0 0 0 1 1 * 1999"},
    {"leap_day_over", "0 0 0 29 2 * 2000-2003"},
    {"long_list", "0,7,19,23,42,59 1,4,9,16 1,15,L,20W JAN,MAR,JUN-AUG *"},
}};

/// From the same few days of a year on, so that no call can be foretold.
void next(const std::string& zone_name, const CronSchedule& schedule, const Class& kind) {
  const TimePoint base = quern::parse_rfc3339("2025-03-01T00:00:00Z");
  measure("schedule.next." + zone_name + "." + kind.name + ".ns", [&](int count) {
    TimePoint from = base;
    for (int i = 0; i < count; ++i) {
      const auto at = schedule.next(from);
      keep(at ? quern::to_us(*at) : 0);
      from = base + quern::Duration(std::int64_t{i % 1'000} * 31'234'567'891);
    }
  });
}

}  // namespace

int main(int argc, char** argv) try {
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) != "--quick") {
      std::fprintf(stderr, "quern-bench-schedule: only --quick is known, not %s\n", argv[i]);
      return 2;
    }
    rounds = 3;
    round_time = std::chrono::milliseconds(4);
  }
  for (const Class& kind : classes)
    measure(std::string("schedule.parse.") + kind.name + ".ns", [&](int count) {
      for (int i = 0; i < count; ++i)
        keep(static_cast<std::int64_t>(CronExpression::parse(kind.expression).fields().minutes));
    });
  measure("schedule.parse.never.ns", [](int count) {
    for (int i = 0; i < count; ++i) {
      try {
        static_cast<void>(CronExpression::parse("0 0 30 2 *"));
      } catch (const quern::CronError& e) {
        keep(static_cast<std::int64_t>(e.position()));
      }
    }
  });

  measure("schedule.zone.first_find.ns", [](int count) {
    for (int i = 0; i < count; ++i) {
      const quern::ZoneDatabase fresh;
      keep(fresh.find("America/New_York").offset_at(quern::from_us(0)).count());
    }
  });
  const quern::ZoneDatabase zones;
  measure("schedule.zone.find.ns", [&](int count) {
    for (int i = 0; i < count; ++i) keep(zones.find("America/New_York").offset_at(quern::from_us(0)).count());
  });
  for (const char* zone : {"UTC", "America/New_York"}) {
    const std::string name = std::string(zone) == "UTC" ? "utc" : "new_york";
    for (const Class& kind : classes)
      next(name, CronSchedule(CronExpression::parse(kind.expression), zones.find(zone)), kind);
  }
  const CronSchedule skipped(CronExpression::parse("30 2 * 3 0#2"), zones.find("America/New_York"),
                             {.gap = quern::GapPolicy::skip});
  next("new_york", skipped, {"always_in_a_gap", ""});
  const CronSchedule daily(CronExpression::parse("30 2 * * *"), zones.find("America/New_York"));
  measure("schedule.previous.new_york.daily.ns", [&](int count) {
    TimePoint before = quern::parse_rfc3339("2199-01-01T00:00:00Z");
    for (int i = 0; i < count; ++i)
      before = daily.previous(before).value_or(quern::parse_rfc3339("2199-01-01T00:00:00Z"));
    keep(quern::to_us(before));
  });
  measure("schedule.describe.workdays.ns", [](int count) {
    const auto workdays = CronExpression::parse("0 9 * * 1-5");
    for (int i = 0; i < count; ++i) keep(static_cast<std::int64_t>(workdays.describe().size()));
  });
  bench::scheduler();
  return kept == 42 ? 3 : 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "quern-bench-schedule: %s\n", e.what());
  return 1;
}
