// A libFuzzer target: each line of the input is read as a cron expression, and tried out if it is one.
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <vector>

#include "schedule/try_out.hpp"

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const quern::ZoneDatabase zones;
  static const std::vector<quern::TimeZone> some{quern::TimeZone(), zones.find("America/New_York"),
                                                 zones.find("Australia/Lord_Howe"),
                                                 zones.find("Pacific/Apia")};
  std::istringstream lines(std::string(data, data + size));
  for (std::string line; std::getline(lines, line);) {
    // The instant follows from the text as well, so that an input says all.
    const auto day = static_cast<std::int64_t>(std::hash<std::string>()(line) % 60'000);
    const quern::TimePoint from = quern::from_us(day * 86'400'000'000);
    quern_test::try_out(line, some[size % some.size()], from);
  }
  return 0;
}
