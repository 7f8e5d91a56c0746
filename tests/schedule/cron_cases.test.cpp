// The cases on which independent implementations of cron agree (data/next.jsonl).
#include <fstream>
#include <nlohmann/json.hpp>
#include <ranges>

#include "schedule/fixture.hpp"
#include "support/catch.hpp"

using namespace quern;

namespace {

std::vector<nlohmann::json> cases() {
  std::vector<nlohmann::json> all;
  std::ifstream file(QUERN_SOURCE_DIR "/tests/schedule/data/next.jsonl");
  for (std::string line; std::getline(file, line);) all.push_back(nlohmann::json::parse(line));
  return all;
}

}  // namespace

TEST_CASE("next gives what independent implementations of cron agree on", "[cron]") {
  const auto all = cases();
  REQUIRE(all.size() == 262);
  for (const auto& item : all) {
    INFO(item.dump());
    const CronSchedule schedule =
        quern_test::schedule(item["expr"].get<std::string>(), item["tz"].get<std::string>());
    CHECK(quern_test::next(schedule, item["from"].get<std::string>(), 5) ==
          item["next"].get<std::vector<std::string>>());
  }
}

TEST_CASE("previous goes back the way that next came, and matches agrees with both", "[cron]") {
  for (const auto& item : cases()) {
    INFO(item.dump());
    const CronSchedule schedule =
        quern_test::schedule(item["expr"].get<std::string>(), item["tz"].get<std::string>());
    const auto times = item["next"].get<std::vector<std::string>>();
    const TimePoint from = quern_test::at(item["from"].get<std::string>());
    for (std::size_t i = 0; i < times.size(); ++i) {
      const TimePoint time = quern_test::at(times[i]);
      CHECK(schedule.matches(time));
      CHECK_FALSE(schedule.matches(time + Duration(1)));
      const TimePoint before = i == 0 ? from : quern_test::at(times[i - 1]);
      if (i > 0) CHECK(schedule.previous(time) == before);
      if (i == 0) CHECK(schedule.previous(time).value_or(TimePoint::min()) <= before);
      CHECK(schedule.previous(time + Duration(1)) == time);
      CHECK(schedule.next(time - Duration(1)) == time);
      CHECK(schedule.next(time).value_or(TimePoint::max()) > time);
    }
  }
}

TEST_CASE("the fraction of a second from which next is asked counts", "[cron]") {
  const auto minutely = quern_test::schedule("* * * * *");
  CHECK(quern_test::next(minutely, "2025-03-01T10:00:00Z", 1) ==
        std::vector<std::string>{"2025-03-01T10:01:00Z"});
  CHECK(quern_test::next(minutely, "2025-03-01T09:59:59.999999Z", 1) ==
        std::vector<std::string>{"2025-03-01T10:00:00Z"});
  CHECK(quern_test::next(minutely, "2025-03-01T10:00:00.000001Z", 1) ==
        std::vector<std::string>{"2025-03-01T10:01:00Z"});
}

TEST_CASE("a search begins anywhere in time and ends with the years of cron", "[cron]") {
  const auto yearly = quern_test::schedule("0 0 1 1 *", "America/New_York");
  CHECK(to_rfc3339(*yearly.next(TimePoint::min())) == "1970-01-01T05:00:00Z");
  CHECK(to_rfc3339(*yearly.previous(TimePoint::max())) == "2199-01-01T05:00:00Z");
  CHECK_FALSE(yearly.next(TimePoint::max()));
  CHECK_FALSE(yearly.previous(TimePoint::min()));
  CHECK_FALSE(yearly.next(quern_test::at("2199-01-01T05:00:00Z")));
  CHECK_FALSE(yearly.previous(quern_test::at("1970-01-01T05:00:00Z")));
}

TEST_CASE("an expression whose years are over has no next and still a previous occurrence", "[cron]") {
  const auto past = quern_test::schedule("0 30 12 24 12 * 2001-2003", "Europe/Berlin");
  CHECK_FALSE(past.next(quern_test::at("2025-01-01")));
  CHECK(to_rfc3339(*past.previous(quern_test::at("2025-01-01"))) == "2003-12-24T11:30:00Z");
  CHECK_FALSE(past.previous(quern_test::at("2001-01-01")));
  CHECK(to_rfc3339(*past.next(quern_test::at("1980-01-01"))) == "2001-12-24T11:30:00Z");
}

TEST_CASE("with both day fields either matches, and with a plus both have to", "[cron]") {
  CHECK(quern_test::next(quern_test::schedule("0 0 13 * 5"), "2025-06-01T00:00:00Z", 3) ==
        std::vector<std::string>{"2025-06-06T00:00:00Z", "2025-06-13T00:00:00Z", "2025-06-20T00:00:00Z"});
  CHECK(quern_test::next(quern_test::schedule("0 0 13 * +5"), "2025-06-01T00:00:00Z", 2) ==
        std::vector<std::string>{"2025-06-13T00:00:00Z", "2026-02-13T00:00:00Z"});
  // A step restricts, also one that leaves every day.
  CHECK(quern_test::next(quern_test::schedule("0 0 */2 * 1"), "2025-06-01T00:00:00Z", 3) ==
        std::vector<std::string>{"2025-06-02T00:00:00Z", "2025-06-03T00:00:00Z", "2025-06-05T00:00:00Z"});
}

TEST_CASE("29 February on a Monday is found in both directions, over a century without its leap day",
          "[cron]") {
  const auto rare = quern_test::schedule("0 0 29 2 +1");
  CHECK(quern_test::next(rare, "2025-01-01T00:00:00Z", 4) ==
        std::vector<std::string>{"2044-02-29T00:00:00Z", "2072-02-29T00:00:00Z", "2112-02-29T00:00:00Z",
                                 "2140-02-29T00:00:00Z"});
  CHECK(to_rfc3339(*rare.previous(quern_test::at("2112-02-29"))) == "2072-02-29T00:00:00Z");
}

TEST_CASE("occurrences are a range that ends with the expression", "[cron]") {
  const auto schedule = quern_test::schedule("0 0 0 1 1 * 2026-2028");
  std::vector<std::string> times;
  for (const TimePoint time : schedule.after(quern_test::at("2025-06-01"))) times.push_back(to_rfc3339(time));
  CHECK(times ==
        std::vector<std::string>{"2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"});

  static_assert(std::ranges::forward_range<Occurrences>);
  times.clear();
  const auto daily = quern_test::schedule("@daily");
  for (const TimePoint time : daily.after(quern_test::at("2025-06-01")) | std::views::take(2))
    times.push_back(to_rfc3339(time));
  CHECK(times == std::vector<std::string>{"2025-06-02T00:00:00Z", "2025-06-03T00:00:00Z"});
}
