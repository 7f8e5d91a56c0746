#include <stdlib.h>
#include <time.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <optional>
#include <thread>

#include "quern/core/random.hpp"
#include "schedule/fixture.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/temp_folder.hpp"

using namespace quern;
using namespace std::chrono_literals;
using quern_test::at;
using quern_test::TempFolder;

namespace {

const std::filesystem::path system_folder = "/usr/share/zoneinfo";

/// All zones compiled anew from tzdata's text form, as "slim" or "fat"; false where there is no compiler.
bool compile_zones(const std::string& form, const std::filesystem::path& folder) {
  const std::string source = (system_folder / "tzdata.zi").string();
  for (const char* zic : {"/usr/sbin/zic", "/usr/bin/zic"}) {
    if (!std::filesystem::exists(zic) || !std::filesystem::exists(source)) continue;
    quern_test::ChildProcess compiler({zic, "-b", form, "-d", folder.string(), source});
    compiler.wait();
    return compiler.exit_code() == 0;
  }
  return false;
}

/// The C library's opinion: it reads zone files by code of its own.
long offset_by_c_library(time_t instant) {
  tm local{};
  ::localtime_r(&instant, &local);
  return local.tm_gmtoff;
}

std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const ZoneError& e) {
    return e.what();
  }
  return {};
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

/// A zone file of version 2 with nothing in it but a kind of local time and a footer.
std::string file_with_rule(std::string_view rule) {
  const auto header = [](int kinds, int letters) {
    std::string text("TZif2");
    text.append(15, '\0');
    for (const int count : {0, 0, 0, 0, kinds, letters}) {
      text.append(3, '\0');
      text.push_back(static_cast<char>(count));
    }
    return text;
  };
  const std::string kind("\0\0\0\0\0\0UTC\0", 10);
  std::string file;
  for (int block = 0; block < 2; ++block) file.append(header(1, 4)).append(kind);
  file.push_back('\n');
  file.append(rule).push_back('\n');
  return file;
}

}  // namespace

TEST_CASE("fat and slim zone files give the same clocks until 2200, for every zone", "[zone]") {
  const TempFolder folder;
  if (!compile_zones("slim", folder / "slim") || !compile_zones("fat", folder / "fat")) {
    WARN("zic or tzdata.zi is missing: the two forms are not compared");
    return;
  }
  const ZoneDatabase slim({.folder = folder / "slim"});
  const ZoneDatabase fat({.folder = folder / "fat"});
  const auto names = slim.names();
  CHECK(names == fat.names());
  CHECK(names.size() > 300);
  for (const std::string& name : names) {
    // zic of glibc 2.36 writes no shifts around Ramadan into their slim files from 2073 on; zdump shows the same.
    if (name == "Asia/Gaza" || name == "Asia/Hebron") continue;
    INFO(name);
    CHECK(slim.find(name).same_clocks(fat.find(name)));
  }
  // A slim file stops at 2007, where the rule of today began.
  for (const ZoneDatabase* database : {&slim, &fat}) {
    const TimeZone zone = database->find("America/New_York");
    for (const int year : {2008, 2037, 2038, 2050, 2099, 2199}) {
      CHECK(zone.offset_at(std::chrono::sys_days(std::chrono::year(year) / 7 / 1)) == -4h);
      CHECK(zone.offset_at(std::chrono::sys_days(std::chrono::year(year) / 1 / 1)) == -5h);
    }
  }
}

TEST_CASE("every zone's clocks are those that the C library shows, from 1970 to 2099", "[zone]") {
  const char* before = ::getenv("TZ");
  const std::optional<std::string> restore =
      before == nullptr ? std::nullopt : std::optional<std::string>(before);
  const auto names = quern_test::zones().names();
  CHECK(names.size() > 300);
  std::vector<TimeZone> seen;
  for (const std::string& name : names) {
    const TimeZone zone = quern_test::zones().find(name);
    bool repeated = false;
    for (const TimeZone& other : seen) repeated = repeated || other.same_clocks(zone);
    if (repeated) continue;
    seen.push_back(zone);
    ::setenv("TZ", (system_folder / name).c_str(), 1);
    ::tzset();
    // A number of hours that has no factor in common with a week, and each shift to the second.
    long wrong = 0;
    for (time_t instant = 0; instant < 4'102'444'800; instant += 101 * 3600)
      wrong += zone.offset_at(from_us(instant * 1'000'000)).count() != offset_by_c_library(instant) ? 1 : 0;
    for (auto span = zone.span_at(from_us(0)); to_us(span.end) < 4'102'444'800'000'000;
         span = zone.span_at(span.end)) {
      const auto end = static_cast<time_t>(to_us(span.end) / 1'000'000);
      wrong += span.offset.count() != offset_by_c_library(end - 1) ? 1 : 0;
      wrong += zone.offset_at(span.end).count() != offset_by_c_library(end) ? 1 : 0;
    }
    INFO(name);
    CHECK(wrong == 0);
  }
  ::unsetenv("TZ");
  if (restore) ::setenv("TZ", restore->c_str(), 1);
  ::tzset();
}

TEST_CASE("a zone's spans have offsets, names and ends", "[zone]") {
  const TimeZone zone = quern_test::zones().find("America/New_York");
  const auto span = zone.span_at(at("2025-07-01T00:00:00Z"));
  CHECK(span.begin == at("2025-03-09T07:00:00Z"));
  CHECK(span.end == at("2025-11-02T06:00:00Z"));
  CHECK(span.offset == -4h);
  CHECK(span.abbreviation == "EDT");
  CHECK(span.daylight);
  CHECK(zone.span_at(span.end - Duration(1)).offset == -4h);
  CHECK(zone.span_at(span.end).offset == -5h);
  CHECK(zone.span_at(TimePoint::min()).begin == TimePoint::min());
  CHECK(zone.span_at(TimePoint::max()).end == TimePoint::max());
}

TEST_CASE("UTC and fixed offsets need no zone data", "[zone]") {
  const ZoneDatabase none({.folder = "/nonexistent"});
  CHECK(none.find("UTC").name() == "UTC");
  CHECK(none.find("Etc/UTC").offset_at(at("2025-01-01")) == 0s);
  CHECK(TimeZone::fixed(5h + 30min).name() == "UTC+05:30");
  CHECK(TimeZone::fixed(-3h).offset_at(at("2025-01-01")) == -3h);
  CHECK_THROWS_AS(TimeZone::fixed(25h), InvalidArgument);
}

TEST_CASE("the rule of a footer is read in all forms that POSIX has", "[zone]") {
  const auto zone = [](std::string_view rule) { return TimeZone::from_tzif("Test", file_with_rule(rule)); };
  CHECK(zone("<+0530>-5:30").offset_at(at("2050-01-01")) == 5h + 30min);
  CHECK(zone("").offset_at(at("2050-01-01")) == 0s);
  // Dublin, whose summer is its standard time: its winter is an hour earlier.
  const TimeZone dublin = zone("IST-1GMT0,M10.5.0,M3.5.0/1");
  CHECK(dublin.offset_at(at("2050-07-01")) == 1h);
  CHECK(dublin.offset_at(at("2050-01-01")) == 0h);
  // Nuuk: times beyond the day, also negative ones.
  const TimeZone nuuk = zone("<-02>2<-01>,M3.5.0/-1,M10.5.0/0");
  CHECK(nuuk.span_at(at("2050-07-01")).begin == at("2050-03-27T01:00:00Z"));
  CHECK(zone("EET-2EEST,M3.4.4/50,M10.4.4/50").span_at(at("2050-07-01")).begin == at("2050-03-26T00:00:00Z"));
  // Days of the year, with and without 29 February.
  CHECK(zone("AAA0BBB,J60/0,J300/0").span_at(at("2048-05-01")).begin == at("2048-03-01"));
  CHECK(zone("AAA0BBB,59/0,299/0").span_at(at("2048-05-01")).begin == at("2048-02-29"));
  // Daylight saving all year round.
  const TimeZone always = zone("XXX3EDT4,0/0,J365/23");
  for (const char* time :
       {"2050-01-01T04:00:00Z", "2050-12-31T23:59:59Z", "2051-01-01T05:00:00Z", "2048-02-29"})
    CHECK(always.offset_at(at(time)) == -4h);
}

TEST_CASE("a zone that is not there is refused with names that are near", "[zone]") {
  const auto find = [](const std::string& name) {
    return refusal([&] { static_cast<void>(quern_test::zones().find(name)); });
  };
  CHECK(contains(find("america/new_york"), "did you mean America/New_York"));
  CHECK(contains(find("Europe/Berln"), "Europe/Berlin"));
  CHECK(contains(find("New_York"), "America/New_York"));
  CHECK(contains(find("Mars/Olympus_Mons_Base"), "names look like America/New_York"));
  CHECK(contains(find(""), "there is no time zone \"\""));
}

TEST_CASE("a zone's name never leads out of the folder", "[zone]") {
  const TempFolder folder;
  std::filesystem::create_directories(folder / "zones");
  std::filesystem::copy_file(system_folder / "Europe/Berlin", folder / "zones" / "Inside");
  std::filesystem::copy_file(system_folder / "Europe/Berlin", folder / "Outside");
  const ZoneDatabase database({.folder = folder / "zones"});
  CHECK_NOTHROW(database.find("Inside"));
  const std::string absolute = (folder / "Outside").string();
  for (const std::string& name :
       {std::string("../Outside"), std::string("./Inside"), std::string("a/../../Outside"), absolute,
        std::string("Inside/"), std::string("Inside\0x", 8), std::string("."), std::string(300, 'a')})
    CHECK_THROWS_AS(database.find(name), ZoneError);
}

TEST_CASE("missing zone data says what to install", "[zone]") {
  const ZoneDatabase none({.folder = "/nonexistent"});
  CHECK(contains(refusal([&] { static_cast<void>(none.find("Europe/Berlin")); }), "tzdata"));
  const ZoneDataReport report = none.report(at("2026-01-01"));
  REQUIRE(report.problems.size() == 1);
  CHECK(contains(report.problems[0], "there is no zone data in /nonexistent"));
}

TEST_CASE("zone data that is old is reported with its version and age", "[zone]") {
  const TempFolder folder;
  quern_test::write_text(folder / "tzdata.zi", "# version 2024a\nZ UTC 0 - UTC\n");
  std::filesystem::copy_file(system_folder / "Europe/Berlin", folder / "Berlin");
  const ZoneDatabase database({.folder = folder.path()});
  CHECK(database.report(at("2025-06-01")).version == "2024a");
  CHECK(database.report(at("2025-06-01")).problems.empty());
  // The file is of today; its version tells that it can't be younger than 2024.
  const ZoneDataReport report = database.report(at("2030-01-01"));
  REQUIRE(report.problems.size() == 1);
  CHECK(contains(report.problems[0], "(2024a) is 1826 days old, more than 548"));
  CHECK(database.report(at("2025-01-11"), std::chrono::days(9)).problems.size() == 1);
}

TEST_CASE("a reload takes over what has changed and leaves what was given out as it was", "[zone]") {
  const TempFolder folder;
  for (const char* name : {"Moves", "Stays", "Breaks"})
    std::filesystem::copy_file(system_folder / "Europe/Berlin", folder / name);
  ZoneDatabase database({.folder = folder.path()});
  const TimeZone moves = database.find("Moves");
  const TimeZone stays = database.find("Stays");
  const TimeZone breaks = database.find("Breaks");
  CHECK(database.reload().changed.empty());
  CHECK(database.generation() == 0);

  std::filesystem::copy_file(system_folder / "Asia/Tokyo", folder / "Moves",
                             std::filesystem::copy_options::overwrite_existing);
  quern_test::write_text(folder / "Breaks", "TZif2 and no more");
  const auto reloaded = database.reload();
  CHECK(reloaded.changed == std::vector<std::string>{"Moves"});
  REQUIRE(reloaded.failed.size() == 1);
  CHECK(contains(reloaded.failed[0], "Breaks"));
  CHECK(database.generation() == 1);
  CHECK(database.find("Moves").offset_at(at("2025-01-01")) == 9h);
  CHECK(moves.offset_at(at("2025-01-01")) == 1h);
  CHECK(database.find("Stays").same_clocks(stays));
  CHECK(database.find("Breaks").same_clocks(breaks));
}

TEST_CASE("zones can be asked for while they are reloaded", "[zone]") {
  const TempFolder folder;
  std::filesystem::copy_file(system_folder / "Europe/Berlin", folder / "Moves");
  std::filesystem::copy_file(system_folder / "Asia/Tokyo", folder / "Other");
  ZoneDatabase database({.folder = folder.path()});
  std::atomic<bool> done = false;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      while (!done) {
        const auto offset = database.find("Moves").offset_at(at("2025-01-01"));
        if (offset != 1h && offset != 9h) ++wrong;
      }
    });
  for (int i = 0; i < 50; ++i) {
    // Put in its place whole, as packages are installed.
    std::filesystem::copy_file(system_folder / (i % 2 == 0 ? "Asia/Tokyo" : "Europe/Berlin"), folder / "Next",
                               std::filesystem::copy_options::overwrite_existing);
    std::filesystem::rename(folder / "Next", folder / "Moves");
    database.reload();
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(database.generation() > 0);
}

TEST_CASE("TZDIR names the folder, unless it is not asked for or a folder is", "[zone]") {
  const TempFolder folder;
  std::filesystem::copy_file(system_folder / "Europe/Berlin", folder / "Mine");
  ::setenv("TZDIR", folder.path().c_str(), 1);
  CHECK_NOTHROW(ZoneDatabase().find("Mine"));
  CHECK_THROWS_AS(ZoneDatabase({.folder = {}, .honour_tzdir = false}).find("Mine"), ZoneError);
  CHECK_THROWS_AS(ZoneDatabase({.folder = system_folder}).find("Mine"), ZoneError);
  ::unsetenv("TZDIR");
}

TEST_CASE("a damaged zone file is refused and never read beyond its end", "[zone]") {
  const std::string good = quern_test::read_text(system_folder / "America/New_York");
  for (std::size_t size = 0; size < good.size(); ++size)
    CHECK_THROWS_AS(TimeZone::from_tzif("Cut", std::string_view(good).substr(0, size)), ZoneError);

  Random random(7);
  int read = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = good;
    for (int change = 0; change < 3; ++change)
      bytes[random.next() % bytes.size()] = static_cast<char>(random.next());
    try {
      const TimeZone zone = TimeZone::from_tzif("Changed", bytes);
      const CronSchedule schedule(CronExpression::parse("30 2 * * *"), zone);
      const TimePoint from = at("2025-01-01");
      const auto next = schedule.next(from);
      if (next && *next <= from) FAIL("next went back");
      if (next && schedule.previous(*next + Duration(1)) != next)
        FAIL("previous does not find what next found");
      ++read;
    } catch (const ZoneError&) {
    }
  }
  CHECK(read > 0);
  CHECK_THROWS_AS(TimeZone::from_tzif("Rule", file_with_rule("EST5EDT,M13.1.0,M11.1.0")), ZoneError);
  CHECK_THROWS_AS(TimeZone::from_tzif("Rule", file_with_rule("EST5EDT")), ZoneError);
  CHECK_THROWS_AS(TimeZone::from_tzif("Rule", file_with_rule("E")), ZoneError);
}

TEST_CASE("a zone that counts leap seconds is refused", "[zone]") {
  if (!std::filesystem::exists(system_folder / "right/Europe/Berlin")) return;
  CHECK(contains(refusal([] { static_cast<void>(quern_test::zones().find("right/Europe/Berlin")); }),
                 "leap seconds"));
}
