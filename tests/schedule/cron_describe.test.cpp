#include "schedule/fixture.hpp"
#include "support/catch.hpp"

using namespace quern;

TEST_CASE("an expression is said in English", "[cron]") {
  const std::vector<std::pair<std::string, std::string>> table{
      {"* * * * *", "every minute"},
      {"*/5 * * * *", "every 5 minutes"},
      {"*/7 * * * *", "every 7 minutes from minute 0 of every hour"},
      {"0 * * * *", "every hour"},
      {"15 * * * *", "at minute 15 of every hour"},
      {"0,20,50 * * * *", "at minutes 0, 20 and 50 of every hour"},
      {"0 */2 * * *", "every 2 hours"},
      {"30 */6 * * *", "every 6 hours, at minute 30"},
      {"0 0 * * *", "at 00:00 every day"},
      {"30 9 * * MON-FRI", "at 09:30 on weekdays"},
      {"0 9,17 * * 6,0", "at 09:00 and 17:00 on weekends"},
      {"0 9-17 * * 1-5", "every hour from 09:00 to 17:00 on weekdays"},
      {"*/10 9-17 * * *", "every 10 minutes from 09:00 to 17:50"},
      {"* 3 * * *", "every minute of the hour 3"},
      {"15 30 9 * * *", "at 09:30:15 every day"},
      {"*/10 * * * * *", "every 10 seconds"},
      {"* * * * * *", "every second"},
      {"0 8 * * MON,THU", "at 08:00 on Mondays and Thursdays"},
      {"0 8 1 * *", "at 08:00 on the 1st of the month"},
      {"0 8 1,15 * *", "at 08:00 on the 1st and the 15th of the month"},
      {"0 8 L * *", "at 08:00 on the last day of the month"},
      {"0 8 L-2 * *", "at 08:00 on the day 2 days before the month's last"},
      {"0 8 LW * *", "at 08:00 on the last weekday of the month"},
      {"0 8 15W * *", "at 08:00 on the weekday nearest to the 15th of the month"},
      {"0 8 * * 2#2", "at 08:00 on the second Tuesday of the month"},
      {"0 8 * * FRIL", "at 08:00 on the last Friday of the month"},
      {"0 8 1-7 * *", "at 08:00 from the 1st to the 7th of the month"},
      {"0 8 1-7,L * *", "at 08:00 on the 1st to the 7th and the last day of the month"},
      {"0 8 */2 * *", "at 08:00 on every 2nd day of the month from the 1st"},
      {"0 */12 * * *", "at 00:00 and 12:00 every day"},
      {"0 0 1 1 1", "at 00:00 on the 1st, and also on Mondays, in January"},
      {"0-29 * * * *", "at every minute from 0 to 29 of every hour"},
      {"*/2 */2 * * *", "every 2 minutes of every 2nd hour"},
      {"15,45 */15 * * * *", "at seconds 15 and 45, every 15 minutes"},
      {"* 30 2 * * *", "every second from 02:30 on for a minute"},
      {"0 12 * * MON#1,FRIL", "at 12:00 on the first Monday of the month and the last Friday of the month"},
      {"0 0 0 1 1 * 2024/4", "at 00:00 on 1 January, in every 4th year from 2024 to 2196"},
      {"0 0 0 * * * 2190-2199", "at 00:00 every day, from 2190 to 2199"},
      {"0 0 1 1 *", "at 00:00 on 1 January"},
      {"0 0 1 1,7 *", "at 00:00 on the 1st in January and July"},
      {"0 6 * JUN-AUG *", "at 06:00 every day from June to August"},
      {"0 0 13 * 5", "at 00:00 on the 13th, and also on Fridays"},
      {"0 0 13 * +5", "at 00:00 on the 13th, but only on Fridays"},
      {"0 0 12 24 12 * 2030", "at 12:00 on 24 December, in 2030"},
  };
  for (const auto& [expression, text] : table) {
    INFO(expression);
    CHECK(CronExpression::parse(expression).describe() == text);
  }
}

TEST_CASE("a schedule is said with its zone as people call it", "[cron]") {
  CHECK(quern_test::schedule("30 9 * * 1-5", "America/New_York").describe() ==
        "at 09:30 on weekdays, in New York");
  CHECK(quern_test::schedule("@hourly").describe() == "every hour, in UTC");
  CHECK(
      CronSchedule(CronExpression::parse("@daily"), TimeZone::fixed(std::chrono::minutes(-210))).describe() ==
      "at 00:00 every day, in UTC-03:30");
}
