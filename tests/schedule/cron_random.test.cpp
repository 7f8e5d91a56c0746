// Texts of chance: whatever is read, it is refused with a place in the text or behaves as every expression does.
#include <fstream>

#include "quern/core/random.hpp"
#include "schedule/fixture.hpp"
#include "schedule/try_out.hpp"
#include "support/catch.hpp"

using namespace quern;
using quern_test::try_out;

namespace {

/// Expressions that use every part of the dialect, one a line.
std::vector<std::string> corpus() {
  std::vector<std::string> texts;
  std::ifstream file(QUERN_SOURCE_DIR "/tests/schedule/corpus/expressions.txt");
  for (std::string line; std::getline(file, line);) texts.push_back(line);
  return texts;
}

TimePoint some_time(Random& random) {
  return from_us(static_cast<std::int64_t>(random.next() % 6'000'000'000) * 1'000'000);
}

}  // namespace

TEST_CASE("every expression of the corpus is one", "[cron]") {
  const TimeZone zone = quern_test::zones().find("America/New_York");
  const auto texts = corpus();
  CHECK(texts.size() > 40);
  for (const std::string& text : texts) {
    INFO(text);
    CHECK(try_out(text, zone, quern_test::at("2025-01-01")));
  }
}

TEST_CASE("changed expressions are refused or behave, in zones of all kinds", "[cron]") {
  const auto texts = corpus();
  const std::string letters = "0123456789*,-/?LW#H+() \tMONJANFRI@";
  Random random(2025);
  std::vector<TimeZone> zones{TimeZone(), TimeZone::fixed(std::chrono::minutes(345))};
  for (const char* name : {"America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca",
                           "Asia/Gaza", "Antarctica/Troll", "Europe/Dublin"})
    zones.push_back(quern_test::zones().find(name));
  int read = 0;
  for (int i = 0; i < 60'000; ++i) {
    std::string text = texts[random.next() % texts.size()];
    for (std::uint64_t changes = random.next() % 4; changes > 0 && !text.empty(); --changes) {
      const std::size_t place = random.next() % text.size();
      const char letter = letters[random.next() % letters.size()];
      switch (random.next() % 4) {
        case 0:
          text[place] = letter;
          break;
        case 1:
          text.insert(place, 1, letter);
          break;
        case 2:
          text.erase(place, 1);
          break;
        default:
          text.insert(place, texts[random.next() % texts.size()], 0, random.next() % 8);
          break;
      }
    }
    INFO(text);
    read += try_out(text, zones[random.next() % zones.size()], some_time(random)) ? 1 : 0;
  }
  CHECK(read > 10'000);
}

TEST_CASE("bytes of chance are refused with a place among them", "[cron]") {
  Random random(99);
  for (int i = 0; i < 50'000; ++i) {
    std::string text(random.next() % 300, '\0');
    for (char& c : text) c = static_cast<char>(random.next());
    static_cast<void>(try_out(text, TimeZone(), some_time(random)));
  }
}

TEST_CASE("the longest expressions are read in bounded time", "[cron]") {
  std::string text = "0";
  while (text.size() + 2 < CronExpression::max_length - 8) text += ",*";
  CHECK_NOTHROW(CronExpression::parse(text + " * * * *"));
  CHECK_THROWS_AS(CronExpression::parse(std::string(10'000'000, '*')), CronError);
}
