// What becomes of times that the clocks of a zone jump over or show twice.
#include "schedule/fixture.hpp"
#include "support/catch.hpp"

using namespace quern;
using quern_test::next;
using quern_test::schedule;
using Times = std::vector<std::string>;

TEST_CASE("a fixed time in a gap runs once right after it, as in Vixie cron", "[cron]") {
  CHECK(next(schedule("30 2 * * *", "America/New_York"), "2025-03-08T12:00:00Z", 2) ==
        Times{"2025-03-09T07:00:00Z", "2025-03-10T06:30:00Z"});
  // Several times in one gap, and one at its end, are one run.
  CHECK(next(schedule("5,35 2,3 * * *", "America/New_York"), "2025-03-09T06:00:00Z", 3) ==
        Times{"2025-03-09T07:00:00Z", "2025-03-09T07:05:00Z", "2025-03-09T07:35:00Z"});
  CHECK(next(schedule("0 2,3 * * *", "America/New_York"), "2025-03-09T06:00:00Z", 2) ==
        Times{"2025-03-09T07:00:00Z", "2025-03-10T06:00:00Z"});
  // Every second of a fixed minute is still a fixed time.
  CHECK(next(schedule("* 30 2 * * *", "America/New_York"), "2025-03-09T06:00:00Z", 2) ==
        Times{"2025-03-09T07:00:00Z", "2025-03-10T06:30:00Z"});
  // The date is that of the time that was jumped over.
  CHECK(next(schedule("30 2 * * MON", "America/New_York"), "2025-03-08T12:00:00Z", 1) ==
        Times{"2025-03-10T06:30:00Z"});
}

TEST_CASE("a job with a star in minute or hour follows the wall clock over a gap", "[cron]") {
  CHECK(next(schedule("*/30 * * * *", "America/New_York"), "2025-03-09T06:00:00Z", 3) ==
        Times{"2025-03-09T06:30:00Z", "2025-03-09T07:00:00Z", "2025-03-09T07:30:00Z"});
  CHECK(next(schedule("*/20 2 * * *", "America/New_York"), "2025-03-09T06:00:00Z", 1) ==
        Times{"2025-03-10T06:00:00Z"});
  CHECK(next(schedule("15 * * * *", "America/New_York"), "2025-03-09T06:20:00Z", 1) ==
        Times{"2025-03-09T07:15:00Z"});
}

TEST_CASE("each gap policy does what it says", "[cron]") {
  const auto nightly = [](GapPolicy gap) {
    return next(schedule("30 2 * * *", "America/New_York", {.gap = gap}), "2025-03-08T12:00:00Z", 1);
  };
  CHECK(nightly(GapPolicy::skip) == Times{"2025-03-10T06:30:00Z"});
  CHECK(nightly(GapPolicy::next_valid) == Times{"2025-03-09T07:00:00Z"});
  CHECK(nightly(GapPolicy::shift) == Times{"2025-03-09T07:30:00Z"});
  // For a job with a star, too, where that is asked for.
  CHECK(next(schedule("*/20 2 * * *", "America/New_York", {.gap = GapPolicy::shift}), "2025-03-09T06:00:00Z",
             3) == Times{"2025-03-09T07:00:00Z", "2025-03-09T07:20:00Z", "2025-03-09T07:40:00Z"});
  CHECK(next(schedule("15 * * * *", "America/New_York", {.gap = GapPolicy::next_valid}),
             "2025-03-09T06:20:00Z", 2) == Times{"2025-03-09T07:00:00Z", "2025-03-09T07:15:00Z"});
}

TEST_CASE("a fixed time in a repeated hour runs in the first pass only, as in Vixie cron", "[cron]") {
  CHECK(next(schedule("30 1 * * *", "America/New_York"), "2025-11-02T00:00:00Z", 2) ==
        Times{"2025-11-02T05:30:00Z", "2025-11-03T06:30:00Z"});
  // Also when it is asked in between, or within the second pass.
  CHECK(next(schedule("30 1 * * *", "America/New_York"), "2025-11-02T05:30:00Z", 1) ==
        Times{"2025-11-03T06:30:00Z"});
  CHECK(next(schedule("30 1 * * *", "America/New_York"), "2025-11-02T06:10:00Z", 1) ==
        Times{"2025-11-03T06:30:00Z"});
  CHECK(next(schedule("30 1,2 * * *", "America/New_York"), "2025-11-02T05:30:00Z", 1) ==
        Times{"2025-11-02T07:30:00Z"});
}

TEST_CASE("a job with a star in minute or hour runs in both passes", "[cron]") {
  CHECK(next(schedule("*/30 * * * *", "America/New_York"), "2025-11-02T04:45:00Z", 5) ==
        Times{"2025-11-02T05:00:00Z", "2025-11-02T05:30:00Z", "2025-11-02T06:00:00Z", "2025-11-02T06:30:00Z",
              "2025-11-02T07:00:00Z"});
}

TEST_CASE("each overlap policy does what it says", "[cron]") {
  const auto nightly = [](OverlapPolicy overlap) {
    return next(schedule("30 1 * * *", "America/New_York", {.overlap = overlap}), "2025-11-02T00:00:00Z", 2);
  };
  CHECK(nightly(OverlapPolicy::first) == Times{"2025-11-02T05:30:00Z", "2025-11-03T06:30:00Z"});
  CHECK(nightly(OverlapPolicy::second) == Times{"2025-11-02T06:30:00Z", "2025-11-03T06:30:00Z"});
  CHECK(nightly(OverlapPolicy::both) == Times{"2025-11-02T05:30:00Z", "2025-11-02T06:30:00Z"});
  CHECK(next(schedule("*/30 * * * *", "America/New_York", {.overlap = OverlapPolicy::second}),
             "2025-11-02T04:20:00Z",
             3) == Times{"2025-11-02T04:30:00Z", "2025-11-02T06:00:00Z", "2025-11-02T06:30:00Z"});
}

TEST_CASE("shifts of half an hour are taken as they are in Lord Howe", "[cron]") {
  // 2025-04-06 02:00 goes back to 01:30; 2025-10-05 02:00 goes forward to 02:30.
  CHECK(next(schedule("45 1 * * *", "Australia/Lord_Howe"), "2025-04-05T00:00:00Z", 2) ==
        Times{"2025-04-05T14:45:00Z", "2025-04-06T15:15:00Z"});
  CHECK(
      next(schedule("*/15 1 * * *", "Australia/Lord_Howe"), "2025-04-05T14:20:00Z", 4) ==
      Times{"2025-04-05T14:30:00Z", "2025-04-05T14:45:00Z", "2025-04-05T15:00:00Z", "2025-04-05T15:15:00Z"});
  CHECK(next(schedule("10 2 * * *", "Australia/Lord_Howe"), "2025-10-04T12:00:00Z", 1) ==
        Times{"2025-10-04T15:30:00Z"});
  CHECK(next(schedule("10 2 * * *", "Australia/Lord_Howe", {.gap = GapPolicy::shift}), "2025-10-04T12:00:00Z",
             1) == Times{"2025-10-04T15:40:00Z"});
}

TEST_CASE("a gap that begins and ends within hours is taken as it is in Chatham", "[cron]") {
  // 2025-09-28 02:45 goes forward to 03:45.
  CHECK(next(schedule("* 3 * * *", "Pacific/Chatham"), "2025-09-27T13:50:00Z", 2) ==
        Times{"2025-09-27T14:00:00Z", "2025-09-27T14:01:00Z"});
  CHECK(next(schedule("0 3 * * *", "Pacific/Chatham"), "2025-09-27T00:00:00Z", 2) ==
        Times{"2025-09-27T14:00:00Z", "2025-09-28T13:15:00Z"});
}

TEST_CASE("a day that a zone leaves out is left out, and nothing is made up for", "[cron]") {
  // Apia had no 30 December 2011: from UTC-10 to UTC+14 at its midnight.
  CHECK(next(schedule("0 12 * * *", "Pacific/Apia"), "2011-12-29T00:00:00Z", 3) ==
        Times{"2011-12-29T22:00:00Z", "2011-12-30T22:00:00Z", "2011-12-31T22:00:00Z"});
  CHECK(next(schedule("0 0 30 12 *", "Pacific/Apia"), "2011-06-01T00:00:00Z", 1) ==
        Times{"2012-12-29T10:00:00Z"});
  CHECK(next(schedule("0 0 30 12 *", "Pacific/Apia", {.gap = GapPolicy::next_valid}), "2011-06-01T00:00:00Z",
             1) == Times{"2011-12-30T10:00:00Z"});
  CHECK(next(schedule("0 6 30 12 *", "Pacific/Apia", {.gap = GapPolicy::shift}), "2011-06-01T00:00:00Z", 1) ==
        Times{"2011-12-30T16:00:00Z"});
  CHECK(next(schedule("0 0 6 30 12 * 2011", "Pacific/Apia"), "2011-06-01T00:00:00Z", 1).empty());
}

TEST_CASE("a shift without daylight saving is a shift in Caracas", "[cron]") {
  // 2007-12-09 03:00 went back to 02:30; 2016-05-01 02:30 went forward to 03:00.
  CHECK(next(schedule("45 2 * * *", "America/Caracas"), "2007-12-09T00:00:00Z", 2) ==
        Times{"2007-12-09T06:45:00Z", "2007-12-10T07:15:00Z"});
  CHECK(next(schedule("0 12 * * *", "America/Caracas"), "2007-12-08T17:00:00Z", 1) ==
        Times{"2007-12-09T16:30:00Z"});
  CHECK(next(schedule("40 2 * * *", "America/Caracas"), "2016-05-01T00:00:00Z", 1) ==
        Times{"2016-05-01T07:00:00Z"});
}

TEST_CASE("a gap of three hours is still made up for, and a midnight that is missing too", "[cron]") {
  // Casey, 2009-10-18: from 02:00 to 05:00. Beirut, 2025-03-30: from 00:00 to 01:00.
  CHECK(next(schedule("30 3 * * *", "Antarctica/Casey"), "2009-10-17T12:00:00Z", 1) ==
        Times{"2009-10-17T18:00:00Z"});
  CHECK(next(schedule("@daily", "Asia/Beirut"), "2025-03-29T12:00:00Z", 1) == Times{"2025-03-29T22:00:00Z"});
}

TEST_CASE("an expression all of whose times are jumped over ends and does not search for ever", "[cron]") {
  // The second Sunday of March at 02:30, each year.
  const auto never = schedule("30 2 * 3 0#2", "America/New_York", {.gap = GapPolicy::skip});
  CHECK_FALSE(never.next(quern_test::at("2025-01-01")));
  CHECK(to_rfc3339(*never.previous(quern_test::at("2025-01-01"))) == "2006-03-12T07:30:00Z");
}

TEST_CASE("why an occurrence is where it is can be asked", "[cron]") {
  using Kind = CronSchedule::Kind;
  const auto nightly = schedule("30 2 * * *", "America/New_York");
  CHECK(nightly.kind_of(quern_test::at("2025-03-09T07:00:00Z")) == Kind::after_gap);
  CHECK(nightly.kind_of(quern_test::at("2025-03-10T06:30:00Z")) == Kind::usual);
  const auto often = schedule("*/30 * * * *", "America/New_York");
  CHECK(often.kind_of(quern_test::at("2025-11-02T05:30:00Z")) == Kind::first_pass);
  CHECK(often.kind_of(quern_test::at("2025-11-02T06:30:00Z")) == Kind::second_pass);
  CHECK(often.kind_of(quern_test::at("2025-11-02T07:00:00Z")) == Kind::usual);
  CHECK(often.kind_of(quern_test::at("2025-11-02T04:30:00Z")) == Kind::usual);
}
