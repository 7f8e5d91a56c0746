#include <set>
#include <tuple>

#include "quern/schedule/cron_expression.hpp"
#include "schedule/cron_hash.hpp"
#include "support/catch.hpp"

using namespace quern;

namespace {

bool same(std::string_view a, std::string_view b, std::string_view name = {}) {
  return CronExpression::parse(a, name).same_times(CronExpression::parse(b, name));
}

struct Refused {
  std::string text;
  std::size_t position;
  std::size_t length;
  std::string message;  ///< A part of it.
};

void check_refused(const Refused& refused) {
  INFO(refused.text);
  try {
    static_cast<void>(CronExpression::parse(refused.text));
    FAIL("was accepted");
  } catch (const CronError& e) {
    CHECK(e.field() == "cron");
    CHECK(e.position() == refused.position);
    CHECK(e.length() == refused.length);
    CHECK_THAT(e.what(), Catch::Matchers::ContainsSubstring(refused.message));
  }
}

}  // namespace

TEST_CASE("a faulty expression is refused with the place, what was found and what is allowed", "[cron]") {
  const std::vector<Refused> table{
      {"", 0, 0, "found nothing, where five are needed"},
      {"   ", 3, 0, "found nothing"},
      {"0 0 * *", 7, 0, "found 4 fields"},
      {"0 0 0 1 1 * 2026 9", 17, 1, "found an eighth field \"9\""},
      {"60 0 * * *", 0, 2, "the minute, at character 1: found \"60\", where a number from 0 to 59"},
      {"0 24 * * *", 2, 2, "a number from 0 to 23"},
      {"0 0 0 * *", 4, 1, "the day of the month, at character 5: found \"0\", where a number from 1 to 31"},
      {"0 0 32 * *", 4, 2, "from 1 to 31"},
      {"0 0 * 13 *", 6, 2, "from 1 to 12"},
      {"0 0 * 0 *", 6, 1, "from 1 to 12"},
      {"0 0 * * 8", 8, 1, "from 0 to 7"},
      {"0 0 0 1 1 * 1969", 12, 4, "from 1970 to 2199"},
      {"0 0 0 1 1 * 2200", 12, 4, "from 1970 to 2199"},
      {"99999999999999999999999 0 * * *", 0, 23, "from 0 to 59"},
      {"60 0 0 1 1 *", 0, 2, "the second"},
      {"5-1 0 * * *", 0, 3, "ends before it begins, which is not allowed; write 5-59,0-1"},
      {"0 0 * * FRI-0", 8, 5, "write 5-7"},
      {"0 0 * * SAT-MON", 8, 7, "write 6,0-1"},
      {"0 0 * NOV-FEB *", 6, 7, "write 11-12,1-2"},
      {"1,,2 0 * * *", 2, 1, "found \",\""},
      {",1 0 * * *", 0, 1, "found \",\""},
      {"1, 0 * * *", 2, 0, "found the end of the field, where a number from 0 to 59 is allowed"},
      {"1- 0 * * *", 2, 0, "found the end of the field"},
      {"*/0 0 * * *", 2, 1, "found \"0\", where a step from 1 to 60"},
      {"*/61 0 * * *", 2, 2, "a step from 1 to 60"},
      {"0 */25 * * *", 4, 2, "a step from 1 to 24"},
      {"0 0 * * */8", 10, 1, "a step from 1 to 7"},
      {"*/ 0 * * *", 2, 0, "a step"},
      {"*/5/2 0 * * *", 3, 1, "found \"/\", where a comma or the end of the field"},
      {"*5 0 * * *", 1, 1, "a comma or the end of the field"},
      {"+5 0 * * *", 0, 2, "found \"+5\""},
      {"-5 0 * * *", 0, 1, "found \"-\""},
      {"0 0 + * *", 4, 1, "found \"+\""},
      {"0 0 * * +", 9, 0, "found the end of the field"},
      {"1.5 0 * * *", 1, 2, "found \".5\""},
      {"? 0 * * *", 0, 1, "found \"?\""},
      {"0 0 * ? *", 6, 1, "found \"?\""},
      {"0 0 ?,5 * *", 4, 1, "found \"?\""},
      {"0 0 ?/2 * *", 4, 1, "found \"?\""},
      {"0 0 L-31 * *", 6, 2, "a number of days from 0 to 30"},
      {"0 0 L- * *", 6, 0, "a number of days"},
      {"0 0 W * *", 4, 1, "found \"W\""},
      {"0 0 WL * *", 4, 2, "found \"WL\""},
      {"0 0 1-5W * *", 7, 1, "found \"W\""},
      {"0 0 L-3W * *", 7, 1, "found \"W\""},
      {"0 L * * *", 2, 1, "found \"L\""},
      {"0 0 * * L", 8, 1, "found \"L\", where a number from 0 to 7 or a name from SUN to SAT"},
      {"0 0 * * 5#0", 10, 1, "a number or L from 1 to 5"},
      {"0 0 * * 5#6", 10, 1, "from 1 to 5"},
      {"0 0 * * #2", 8, 1, "found \"#\""},
      {"0 0 * * 5#", 10, 0, "a number or L"},
      {"0 0 * * 1-5L", 11, 1, "found \"L\""},
      {"0 0 * * 15W", 8, 2, "from 0 to 7"},
      {"0 0 * JANUARY *", 9, 4, "found \"UARY\""},
      {"0 0 * * MONDAY", 11, 3, "found \"DAY\""},
      {"0 0 * * FOO", 8, 3, "found \"FOO\""},
      {"MON 0 * * *", 0, 3, "found \"MON\""},
      {"H 0 * * *", 0, 1, "there is no name"},
      {"@fortnightly", 0, 12, "where @yearly"},
      {"@every 1h", 0, 6, "an interval is a schedule of its own"},
      {"@reboot", 0, 7, "a start of the machine is not a time"},
      {"@daily 5", 7, 1, "after a macro"},
      {"0 0 * * * @daily", 10, 6, "found \"@daily\""},
      {"0 0 * *\n*", 7, 1, "found \"\\x0a\""},
      {std::string("0 0 * * *\0", 10), 9, 1, "found \"\\x00\""},
      {"0 0 * * \xc3\xa9", 8, 1, "only printable ASCII"},
      {std::string(257, ' '), 256, 1, "found 257 bytes, where at most 256"},
  };
  for (const Refused& refused : table) check_refused(refused);
}

TEST_CASE("a date that no year has is found out when the expression is read", "[cron]") {
  const std::vector<Refused> table{
      {"0 0 30 2 *", 4, 4, "no year has such a date (day of the month \"30\", month \"2\")"},
      {"0 0 31 2,4,6,9,11 *", 4, 13, "no year has such a date"},
      {"0 0 31W 4 *", 4, 5, "no year"},
      {"0 0 L-30 2 *", 4, 6, "no year"},
      {"0 0 0 29 2 ? 2021-2023", 6, 4, "year \"2021-2023\""},
      {"0 0 1-7 * +1#2", 4, 5, "day of the week \"+1#2\""},
      {"0 0 30 2 +1", 4, 4, "no year"},
  };
  for (const Refused& refused : table) {
    check_refused(refused);
  }
  // With a day of the week beside it, the date does come.
  CHECK_NOTHROW(CronExpression::parse("0 0 30 2 1"));
}

TEST_CASE("ways of writing the same times are the same", "[cron]") {
  const std::vector<std::pair<std::string, std::string>> table{
      {"@yearly", "0 0 1 1 *"},
      {"@annually", "0 0 1 1 *"},
      {"@monthly", "0 0 1 * *"},
      {"@weekly", "0 0 * * 0"},
      {"@daily", "0 0 * * *"},
      {"@midnight", "@Daily"},
      {" @HOURLY\t", "0 * * * *"},
      {"0 0 * * *", "\t00  000\t* * *  "},
      {"0 0 * * 7", "0 0 * * SUN"},
      {"0 0 * * 0-7", "0 0 * * 0-6"},
      {"0 0 * * 5-7", "0 0 * * 5,6,0"},
      {"0 0 * * FRI-SUN", "0 0 * * 5-7"},
      {"0 0 * * mon-sun/2", "0 0 * * 1,3,5,7"},
      {"0 0 * * SUN-SUN", "0 0 * * 0"},
      {"0 0 * jan-Mar mon,tue", "0 0 * 1-3 1-2"},
      {"0 0 ? * ?", "0 0 * * *"},
      {"5/15 * * * *", "5,20,35,50 * * * *"},
      {"10-30/10 0 * * *", "10,20,30 0 * * *"},
      {"0 0 * * 1/2", "0 0 * * 1,3,5"},
      {"0 0 * * 7/2", "0 0 * * 0"},
      {"0 0 * * FRIL", "0 0 * * 5#L"},
      {"0 0 * * 5l", "0 0 * * FRI#l"},
      {"0 0 l,lw,15w * *", "0 0 L-0,LW,15W * *"},
      {"0 0 0 1 1 *", "0 0 1 1 *"},
      {"0 0 0 1 1 * *", "0 0 1 1 *"},
      {"0 0 0 1 1 * 2190/4", "0 0 0 1 1 * 2190,2194,2198"},
  };
  for (const auto& [a, b] : table) {
    INFO(a << " and " << b);
    CHECK(same(a, b));
  }
  CHECK_FALSE(same("0 0 13 * 5", "0 0 13 * +5"));
  CHECK_FALSE(same("0 0 1-31 * 1", "0 0 * * 1"));
  CHECK_FALSE(same("0-59 0 * * *", "* 0 * * *"));  // the second follows the wall clock
}

TEST_CASE("H is drawn from the schedule's name, the same in every process and version", "[cron]") {
  // These numbers are a promise: running schedules would move if they changed.
  CHECK(detail::cron_hash("nightly report", 1) == UINT64_C(0xc3974a2e9a84576e));
  CHECK(same("H H * * *", "34 2 * * *", "nightly report"));
}

TEST_CASE("H stays within its field or its range, and spreads names evenly", "[cron]") {
  std::set<std::uint64_t> minutes;
  std::set<std::uint32_t> days;
  for (int i = 0; i < 2000; ++i) {
    const std::string name = "schedule " + std::to_string(i);
    minutes.insert(CronExpression::parse("H * * * *", name).fields().minutes);
    days.insert(CronExpression::parse("0 0 H * *", name).fields().days);
    const auto in_range = CronExpression::parse("H(10-19) H(1-5) H H H", name).fields();
    CHECK((in_range.minutes & ~(UINT64_C(0x3ff) << 10)) == 0);
    CHECK((in_range.hours & ~0x3eU) == 0);
    const auto stepped = CronExpression::parse("H/15 * * * *", name).fields().minutes;
    // Four minutes a quarter of an hour apart.
    CHECK((stepped >> 15 & 0x1fffffffffff) == (stepped & 0x1fffffffffff));
    CHECK_NOTHROW(CronExpression::parse("H H H H H H H", name));
  }
  CHECK(minutes.size() == 60);
  CHECK(days.size() == 28);
  CHECK_THROWS_AS(CronExpression::parse("H(5-1) * * * *", "x"), CronError);
  CHECK_THROWS_AS(CronExpression::parse("H(1-5 * * * *", "x"), CronError);
  CHECK_THROWS_AS(CronExpression::parse("H-5 * * * *", "x"), CronError);
}
