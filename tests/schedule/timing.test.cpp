// When schedules come: kinds, what narrows them, jitter.
#include "quern/schedule/timing.hpp"

#include <set>

#include "fixture.hpp"
#include "quern/core/payload.hpp"
#include "support/catch.hpp"

using namespace quern_test;
using namespace std::chrono_literals;
using quern::Duration;
using quern::TimePoint;
using quern::Timing;
using quern::TimingSpec;

namespace {

Timing timing(TimingSpec spec, std::string_view name = "test") { return {std::move(spec), name, zones()}; }

std::vector<std::string> next_of(const Timing& timing, std::string_view after, std::size_t count) {
  std::vector<std::string> times;
  std::optional<TimePoint> time = at(after);
  while (times.size() < count && (time = timing.next(*time))) times.push_back(quern::to_rfc3339(*time));
  return times;
}

std::string field_of(TimingSpec spec) {
  try {
    timing(std::move(spec));
  } catch (const quern::InvalidArgument& e) {
    return e.field();
  }
  return "none";
}

/// All instants of [from, to), walked both ways, which must agree.
std::vector<TimePoint> all_of(const Timing& timing, TimePoint from, TimePoint to) {
  std::vector<TimePoint> forward;
  for (auto time = timing.next(from - Duration(1)); time && *time < to; time = timing.next(*time))
    forward.push_back(*time);
  std::vector<TimePoint> backward;
  for (auto time = timing.previous(to); time && *time >= from; time = timing.previous(*time))
    backward.push_back(*time);
  std::ranges::reverse(backward);
  CHECK(forward == backward);
  return forward;
}

}  // namespace

TEST_CASE("a timing by cron comes as its expression does", "[timing]") {
  const Timing daily = timing({.cron = "30 2 * * *", .zone = "America/New_York"});
  CHECK(next_of(daily, "2025-03-08T12:00:00Z", 2) ==
        std::vector<std::string>{"2025-03-09T07:00:00Z", "2025-03-10T06:30:00Z"});
  CHECK(daily.describe() == "at 02:30 every day, in New York");
  const Timing skips =
      timing({.cron = "30 2 * * *", .zone = "America/New_York", .shifts = {quern::GapPolicy::skip}});
  CHECK(next_of(skips, "2025-03-08T12:00:00Z", 1) == std::vector<std::string>{"2025-03-10T06:30:00Z"});
}

TEST_CASE("an interval is counted from its anchor, in both directions", "[timing]") {
  const Timing quarter = timing({.every = 15min, .anchor = at("2026-01-01T00:05:00Z")});
  CHECK(next_of(quarter, "2026-05-01T10:05:00Z", 2) ==
        std::vector<std::string>{"2026-05-01T10:20:00Z", "2026-05-01T10:35:00Z"});
  CHECK(quarter.next(at("2026-05-01T10:04:59.999999Z")) == at("2026-05-01T10:05:00Z"));
  CHECK(quarter.previous(at("2025-12-31T23:50:00Z")) == at("2025-12-31T23:35:00Z"));
  CHECK(quarter.previous(at("2025-12-31T23:50:00.000001Z")) == at("2025-12-31T23:50:00Z"));
  CHECK(quarter.matches(at("2026-01-01T00:05:00Z")));
  CHECK_FALSE(quarter.matches(at("2026-01-01T00:06:00Z")));
  CHECK(quarter.describe() == "every 15m");
}

TEST_CASE("single instants come in their order, once each", "[timing]") {
  const Timing dates =
      timing({.at = {at("2026-07-01T00:00:00Z"), at("2026-01-01T12:00:00.5Z"), at("2026-07-01T00:00:00Z")}});
  CHECK(next_of(dates, "2020-01-01T00:00:00Z", 9) ==
        std::vector<std::string>{"2026-01-01T12:00:00.500000Z", "2026-07-01T00:00:00Z"});
  CHECK_FALSE(dates.previous(at("2026-01-01T12:00:00.5Z")));
  CHECK(dates.matches(at("2026-01-01T12:00:00.5Z")));
  CHECK(timing({.at = {at("2026-07-01T00:00:00Z")}}).describe() == "once, at 2026-07-01T00:00:00Z");
}

TEST_CASE("a start and an end bound a timing, and belong to it", "[timing]") {
  const Timing bounded =
      timing({.every = 1h, .start = at("2026-01-01T10:00:00Z"), .until = at("2026-01-01T12:00:00Z")});
  CHECK(next_of(bounded, "2000-01-01T00:00:00Z", 9) ==
        std::vector<std::string>{"2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z", "2026-01-01T12:00:00Z"});
  CHECK(bounded.previous(at("2100-01-01T00:00:00Z")) == at("2026-01-01T12:00:00Z"));
  CHECK_FALSE(bounded.previous(at("2026-01-01T10:00:00Z")));
  CHECK_FALSE(bounded.next(at("2026-01-01T12:00:00Z")));
}

TEST_CASE("dates and hours that are left out go by the zone's clocks", "[timing]") {
  const Timing office = timing({.cron = "0 */4 * * *",
                                .zone = "Europe/Berlin",
                                .except = {"2026-12-24", "2026-12-25"},
                                .within = {{.days = "MON-FRI", .from = "08:00", .to = "16:00"}}});
  CHECK(next_of(office, "2026-12-23T00:00:00Z", 4) ==
        std::vector<std::string>{"2026-12-23T07:00:00Z", "2026-12-23T11:00:00Z", "2026-12-28T07:00:00Z",
                                 "2026-12-28T11:00:00Z"});
  CHECK(office.previous(at("2026-12-28T07:00:00Z")) == at("2026-12-23T11:00:00Z"));
  CHECK(office.describe() ==
        "every 4 hours, in Berlin, on MON-FRI from 08:00 to 16:00, not on 2026-12-24 and 1 more");
}

TEST_CASE("a window may go over midnight", "[timing]") {
  const Timing night = timing({.every = 1h, .within = {{.days = "FRI", .from = "22:00", .to = "02:00"}}});
  CHECK(next_of(night, "2026-12-03T00:00:00Z", 5) ==
        std::vector<std::string>{"2026-12-04T22:00:00Z", "2026-12-04T23:00:00Z", "2026-12-05T00:00:00Z",
                                 "2026-12-05T01:00:00Z", "2026-12-11T22:00:00Z"});
  const Timing whole = timing({.every = 6h, .within = {{.days = "SAT", .from = "06:00", .to = "06:00"}}});
  CHECK(next_of(whole, "2026-12-03T00:00:00Z", 5).back() == "2026-12-12T06:00:00Z");
}

TEST_CASE("what a timing leaves out agrees with looking at each instant, also where clocks shift",
          "[timing]") {
  struct Zone {
    const char* name;
    const char* begin;
    int days;
  };
  const Zone zone =
      GENERATE(Zone{"UTC", "2026-01-01T00:00:00Z", 40}, Zone{"Europe/Berlin", "2026-03-20T00:00:00Z", 20},
               Zone{"America/New_York", "2026-10-25T00:00:00Z", 20},
               Zone{"Australia/Lord_Howe", "2026-03-28T00:00:00Z", 20},
               Zone{"Pacific/Apia", "2011-12-20T00:00:00Z", 20});
  CAPTURE(zone.name);
  const TimingSpec narrow{.zone = zone.name,
                          .except = {"2026-01-05", "2026-03-29", "2026-11-01", "2026-04-05", "2011-12-29"},
                          .within = {{.days = "MON-THU,SUN", .from = "01:20", .to = "02:40:30"},
                                     {.days = "SAT", .from = "23:00", .to = "00:30"},
                                     {.days = "*", .from = "12:00", .to = "12:00:01"}}};
  TimingSpec every = narrow;
  every.every = 601s;
  TimingSpec cron = narrow;
  cron.cron = "*/20 * * * *";
  for (const TimingSpec& spec : {every, cron}) {
    TimingSpec wide = spec;
    wide.except.clear();
    wide.within.clear();
    const TimePoint from = at(zone.begin);
    const TimePoint to = from + 24h * zone.days;
    const auto clocks = zones().find(zone.name);
    std::vector<TimePoint> expected;
    for (const TimePoint time : all_of(timing(wide), from, to)) {
      const std::string local = quern::to_rfc3339(time + clocks.offset_at(time));
      const std::string date = local.substr(0, 10);
      const std::string hour = local.substr(11, 8);
      const auto days = std::chrono::floor<std::chrono::days>(time + clocks.offset_at(time));
      const unsigned weekday = std::chrono::weekday(days).c_encoding();
      const bool open = (weekday <= 4 && hour >= "01:20:00" && hour < "02:40:30") ||
                        (weekday == 6 && hour >= "23:00:00") || (weekday == 0 && hour < "00:30:00") ||
                        hour == "12:00:00";
      if (open && std::ranges::find(spec.except, date) == spec.except.end()) expected.push_back(time);
    }
    CHECK(expected.size() > 20);
    CHECK(all_of(timing(spec), from, to) == expected);
  }
}

TEST_CASE("jitter is the same wherever it is asked for, and spreads", "[timing]") {
  const Timing one = timing({.every = 1h, .jitter = 10min}, "one");
  const Timing same = timing({.every = 1h, .jitter = 10min}, "one");
  const Timing other = timing({.every = 1h, .jitter = 10min}, "other");
  std::set<Duration> seen;
  Duration sum{0};
  int differ = 0;
  TimePoint time = at("2026-01-01T00:00:00Z");
  for (int i = 0; i < 1000; ++i, time += 1h) {
    const Duration late = one.due(time) - time;
    CHECK((late >= 0s && late <= 10min));
    CHECK(same.due(time) == one.due(time));
    if (other.due(time) != one.due(time)) ++differ;
    seen.insert(late);
    sum += late;
  }
  CHECK(seen.size() > 990);
  CHECK(differ > 990);
  CHECK((sum / 1000 > 270s && sum / 1000 < 330s));
  CHECK(timing({.every = 1h}).due(time) == time);
}

TEST_CASE("a faulty timing is refused, with the field that is at fault", "[timing]") {
  CHECK(field_of({}) == "timing");
  CHECK(field_of({.cron = "* * * * *", .every = 1h}) == "timing");
  CHECK(field_of({.cron = "61 * * * *"}) == "cron");
  CHECK(field_of({.every = 999ms}) == "timing.every");
  CHECK(field_of({.every = -1h}) == "timing.every");
  CHECK(field_of({.every = 24h * 3661}) == "timing.every");
  CHECK(field_of({.at = std::vector<TimePoint>(10'001, at("2026-01-01T00:00:00Z"))}) == "timing.at");
  CHECK(field_of({.at = {TimePoint::min()}}) == "timing.at[0]");
  CHECK(field_of({.every = 1h, .anchor = TimePoint::max()}) == "timing.anchor");
  CHECK(field_of({.every = 1h, .start = at("2027-01-01T00:00:00Z"), .until = at("2026-01-01T00:00:00Z")}) ==
        "timing.until");
  CHECK(field_of({.every = 1h, .jitter = 25h}) == "timing.jitter");
  CHECK(field_of({.every = 1h, .jitter = -1s}) == "timing.jitter");
  for (const char* const date :
       {"", "2026-02-30", "2026-1-01", "26-01-01", "2026-13-01", "1969-12-31", "2026-01-01 "}) {
    CAPTURE(date);
    CHECK(field_of({.every = 1h, .except = {"2026-01-01", date}}) == "timing.except[1]");
  }
  for (const char* const time : {"", "9:00", "24:01", "12:60", "12:00:60", "ab:cd", "12-00"}) {
    CAPTURE(time);
    CHECK(field_of({.every = 1h, .within = {{.from = time}}}) == "timing.within[0].from");
    CHECK(field_of({.every = 1h, .within = {{.to = time}}}) == "timing.within[0].to");
  }
  CHECK(field_of({.every = 1h, .within = {{.from = "24:00"}}}) == "timing.within[0].from");
  for (const char* const days : {"", "MO", "8", "MON FRI", "5L", "MON#1", "+MON", "?"}) {
    CAPTURE(days);
    CHECK(field_of({.every = 1h, .within = {{.days = days}}}) == "timing.within[0].days");
  }
  CHECK(field_of({.every = 1h, .within = std::vector<quern::TimeWindow>(33)}) == "timing.within");
  CHECK_THROWS_AS(timing({.every = 1h, .zone = "Mars/Base"}), quern::ZoneError);
}

TEST_CASE("a timing of which nothing is left is refused", "[timing]") {
  CHECK(field_of({.cron = "0 3 * * *", .within = {{.from = "09:00", .to = "17:00"}}}) == "timing");
  CHECK(field_of({.at = {at("2026-12-24T12:00:00Z")}, .except = {"2026-12-24"}}) == "timing");
  CHECK(field_of({.every = 24h, .start = at("2026-01-01T00:00:01Z"), .until = at("2026-01-01T23:00:00Z")}) ==
        "timing");
}

TEST_CASE("what is asked at the ends of time has an answer", "[timing]") {
  for (const TimingSpec& spec : {TimingSpec{.cron = "0 0 * * *", .except = {"2026-01-01"}},
                                 TimingSpec{.every = 24h, .within = {{.days = "MON"}}},
                                 TimingSpec{.at = {at("2026-01-01T00:00:00Z")}}}) {
    const Timing one = timing(spec);
    CHECK(one.next(TimePoint::min()).has_value());
    CHECK_FALSE(one.next(TimePoint::max()));
    CHECK(one.previous(TimePoint::max()).has_value());
    CHECK_FALSE(one.previous(TimePoint::min()));
    CHECK_FALSE(one.previous(at("1970-01-01T00:00:00Z")));
  }
}

TEST_CASE("a timing travels as JSON", "[timing]") {
  const TimingSpec spec{.cron = "0 9 * * *",
                        .zone = "Asia/Tokyo",
                        .shifts = {quern::GapPolicy::skip, quern::OverlapPolicy::second},
                        .except = {"2026-12-24"},
                        .within = {{.days = "MON", .from = "08:00", .to = "10:00"}},
                        .start = at("2026-01-01T00:00:00Z"),
                        .jitter = 5s};
  const auto payload = quern::Payload::of(spec);
  CHECK(quern::Payload::json(payload.text()).as<TimingSpec>() == spec);
  CHECK(quern::Payload::json("{\"every\": 60000000}").as<TimingSpec>() == TimingSpec{.every = 1min});
}
