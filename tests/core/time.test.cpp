#include "quern/core/time.hpp"

#include <limits>
#include <string>
#include <vector>

#include "quern/core/error.hpp"
#include "quern/core/random.hpp"
#include "support/catch.hpp"

using namespace quern;
using namespace std::chrono_literals;

namespace {

/// The message of the InvalidArgument that `read` throws; empty when it throws none.
template <class Read>
std::string refusal(const Read& read, std::string_view field) {
  try {
    static_cast<void>(read());
  } catch (const InvalidArgument& e) {
    CHECK(e.field() == field);
    return e.what();
  }
  return {};
}

constexpr std::int64_t first_us = -62'167'219'200'000'000;  // 0000-01-01T00:00:00Z
constexpr std::int64_t last_us = 253'402'300'799'999'999;   // 9999-12-31T23:59:59.999999Z

}  // namespace

TEST_CASE("a time is written as RFC 3339, with a fraction only where there is one", "[time]") {
  const std::vector<std::pair<std::int64_t, std::string>> known{
      {0, "1970-01-01T00:00:00Z"},
      {1, "1970-01-01T00:00:00.000001Z"},
      {-1, "1969-12-31T23:59:59.999999Z"},
      {1'769'848'200'250'000, "2026-01-31T08:30:00.250000Z"},
      {951'782'400'000'000, "2000-02-29T00:00:00Z"},
      {2'147'483'648'000'000, "2038-01-19T03:14:08Z"},
      {4'102'444'800'000'000, "2100-01-01T00:00:00Z"},
      {first_us, "0000-01-01T00:00:00Z"},
      {last_us, "9999-12-31T23:59:59.999999Z"},
  };
  for (const auto& [us, text] : known) {
    CHECK(to_rfc3339(from_us(us)) == text);
    CHECK(to_us(parse_rfc3339(text)) == us);
  }
}

TEST_CASE("years outside 0000 to 9999 are written with a sign or more digits", "[time]") {
  CHECK(to_rfc3339(from_us(first_us - 1)) == "-0001-12-31T23:59:59.999999Z");
  CHECK(to_rfc3339(from_us(last_us + 1)) == "10000-01-01T00:00:00Z");
  CHECK(to_rfc3339(TimePoint::max()) == "294247-01-10T04:00:54.775807Z");
  CHECK(to_rfc3339(TimePoint::min()) == "-290308-12-21T19:59:05.224192Z");
}

TEST_CASE("every time of the years 0000 to 9999 is read back from its text", "[time]") {
  Random random(1);
  for (int i = 0; i < 200'000; ++i) {
    const auto span = static_cast<std::uint64_t>(last_us - first_us) + 1;
    std::int64_t us = first_us + static_cast<std::int64_t>(random.below(span));
    if (i % 3 == 0) us -= us % 1'000'000;
    const TimePoint time = from_us(us);
    if (parse_rfc3339(to_rfc3339(time)) != time) FAIL(us);
  }
}

TEST_CASE("dates agree with the calendar of std::chrono on every day of 800 years", "[time]") {
  using std::chrono::sys_days;
  for (sys_days day = sys_days(std::chrono::year(1600) / 1 / 1);
       day < sys_days(std::chrono::year(2400) / 1 / 1); day += std::chrono::days(1)) {
    const std::chrono::year_month_day date(day);
    char text[16];
    std::snprintf(text, sizeof text, "%04d-%02u-%02u", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
    if (to_rfc3339(day).substr(0, 10) != text || parse_rfc3339(text) != day) FAIL(text);
  }
}

TEST_CASE("offsets, lower case and any number of digits are read", "[time]") {
  const TimePoint time = parse_rfc3339("2026-01-31T08:30:00Z");
  CHECK(parse_rfc3339("2026-01-31T10:30:00+02:00") == time);
  CHECK(parse_rfc3339("2026-01-30T22:45:00-09:45") == time);
  CHECK(parse_rfc3339("2026-01-31T08:30:00-00:00") == time);
  CHECK(parse_rfc3339("2026-01-31t08:30:00z") == time);
  CHECK(parse_rfc3339("2026-01-31T08:30:00.5Z") == time + 500ms);
  CHECK(parse_rfc3339("2026-01-31T08:30:00.5+00:00") == time + 500ms);
  CHECK(parse_rfc3339("2026-01-31T08:30:00.123456789Z") == time + 123'456us);
  CHECK(parse_rfc3339("2026-01-31T08:30:00.000000999999999999999999999Z") == time);
  CHECK(parse_rfc3339("2026-01-31") == time - 8h - 30min);
  CHECK(to_us(parse_rfc3339("0000-01-01T00:00:00+23:59")) == first_us - 86'340'000'000);
}

TEST_CASE("what is no RFC 3339 time is refused with the place", "[time]") {
  const std::vector<std::string> wrong{"",
                                       "2026",
                                       "2026-01",
                                       "2026-1-31",
                                       "26-01-31",
                                       "2026-00-31",
                                       "2026-13-01",
                                       "2026-01-00",
                                       "2026-01-32",
                                       "2026-02-29",
                                       "2100-02-29",
                                       "2026-04-31",
                                       "2026-01-31 08:30:00Z",
                                       "2026-01-31T",
                                       "2026-01-31T08",
                                       "2026-01-31T08:30",
                                       "2026-01-31T08:30Z",
                                       "2026-01-31T08:30:00",
                                       "2026-01-31T24:00:00Z",
                                       "2026-01-31T08:60:00Z",
                                       "2026-01-31T08:30:60Z",
                                       "2016-12-31T23:59:60Z",
                                       "2026-01-31T08:30:00.Z",
                                       "2026-01-31T08:30:00,5Z",
                                       "2026-01-31T08:30:00.5",
                                       "2026-01-31T08:30:00+2:00",
                                       "2026-01-31T08:30:00+0200",
                                       "2026-01-31T08:30:00+24:00",
                                       "2026-01-31T08:30:00+02:60",
                                       "2026-01-31T08:30:00+02",
                                       "2026-01-31T08:30:00Zz",
                                       "2026-01-31T08:30:00Z ",
                                       " 2026-01-31",
                                       "2026-01-31 ",
                                       "+2026-01-31",
                                       "-2026-01-31",
                                       "2026-01-3\xD9\xA1",
                                       "12026-01-31",
                                       std::string("2026-01-31\0", 11)};
  for (const auto& text : wrong) {
    INFO(text);
    CHECK_FALSE(refusal([&] { return parse_rfc3339(text); }, "time").empty());
  }
  CHECK(refusal([] { return parse_rfc3339("2026-02-29"); }, "time").find("from 1 to 28 at character 9") !=
        std::string::npos);
}

TEST_CASE("a duration is written for people and read back exactly", "[time]") {
  const std::vector<std::pair<Duration, std::string>> known{
      {0us, "0s"},
      {1us, "1us"},
      {250ms, "250ms"},
      {2s, "2s"},
      {10min, "10m"},
      {90min, "1h30m"},
      {72h, "3d"},
      {24h * 365, "365d"},
      {-2s, "-2s"},
      {1h + 1us, "1h1us"},
      {Duration::max(), "106751991d4h54s775ms807us"},
      {Duration::min(), "-106751991d4h54s775ms808us"},
  };
  for (const auto& [duration, text] : known) {
    CHECK(to_text(duration) == text);
    CHECK(parse_duration(text) == duration);
  }
  Random random(2);
  for (int i = 0; i < 100'000; ++i) {
    const Duration duration(static_cast<std::int64_t>(random.next() >> random.below(64)));
    if (parse_duration(to_text(duration)) != duration) FAIL(duration.count());
    if (parse_duration(to_text(-duration)) != -duration) FAIL(-duration.count());
  }
}

TEST_CASE("durations may name weeks and leading zeros", "[time]") {
  CHECK(parse_duration("2w") == 24h * 14);
  CHECK(parse_duration("1w2d3h4m5s6ms7us") == 24h * 9 + 3h + 4min + 5s + 6ms + 7us);
  CHECK(parse_duration("007s") == 7s);
  CHECK(parse_duration("90m") == 90min);
  CHECK(parse_duration("0w") == 0s);
  CHECK(parse_duration("9223372036854775807us") == Duration::max());
  CHECK(parse_duration("-9223372036854775808us") == Duration::min());
  CHECK(parse_duration("00000000000000000000000000000001s") == 1s);
}

TEST_CASE("what is no duration, or too long, is refused", "[time]") {
  const std::vector<std::string> wrong{"",
                                       " ",
                                       "5",
                                       "s",
                                       "5 s",
                                       "5S",
                                       "1.5s",
                                       "1,5s",
                                       "+5s",
                                       "5s ",
                                       " 5s",
                                       "--5s",
                                       "-",
                                       "1s1m",
                                       "1m1m",
                                       "5x",
                                       "5min",
                                       "1h-5m",
                                       std::string("5s\0", 3),
                                       "0x5s",
                                       "\xFFms",
                                       "1e3s",
                                       "9223372036854775808us",
                                       "-9223372036854775809us",
                                       "99999999999999999999s",
                                       "15250285w",
                                       "106751991d4h54s775ms808us",
                                       "106751992d",
                                       "184467440737095516160us"};
  for (const auto& text : wrong) {
    INFO(text);
    CHECK_FALSE(refusal([&] { return parse_duration(text); }, "duration").empty());
  }
  CHECK(refusal([] { return parse_duration("1min"); }, "duration").find("expected a unit") !=
        std::string::npos);
}

TEST_CASE("a relative moment counts from now, and far futures saturate", "[time]") {
  const TimePoint now = from_us(1'000'000);
  CHECK(When().resolve(now) == now);
  CHECK(When().immediate());
  CHECK(When::after(5s).resolve(now) == now + 5s);
  CHECK_FALSE(When::after(5s).immediate());
  CHECK(When::after(-5s).resolve(now) == now);
  CHECK(When::after(-5s).immediate());
  CHECK(When::at(now - 1h).resolve(now) == now - 1h);
  CHECK_FALSE(When::at(TimePoint()).immediate());
  CHECK(When::after(Duration::max()).resolve(now) == TimePoint::max());
  CHECK(When::after(Duration::max()).resolve(from_us(0)) == TimePoint::max());
  CHECK(When::after(Duration::max()).resolve(from_us(-1)) == TimePoint::max() - 1us);
  CHECK(When::after(Duration::max()).resolve(TimePoint::min()) == TimePoint(Duration(-1)));
  CHECK(When::after(1us).resolve(TimePoint::max()) == TimePoint::max());
}

TEST_CASE("of two next ticks the earlier one counts", "[time]") {
  const NextTick soon{from_us(1)};
  const NextTick later{from_us(2)};
  CHECK(earliest(soon, later) == soon);
  CHECK(earliest(later, soon) == soon);
  CHECK(earliest(later, NextTick{}) == later);
  CHECK(NextTick{}.at == TimePoint::max());
}
