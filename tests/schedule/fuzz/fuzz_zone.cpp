// A libFuzzer target: the input is read as a compiled zone file, and schedules are asked in it if it is one.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "schedule/try_out.hpp"

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto zone =
        quern::TimeZone::from_tzif("Fuzz", std::string_view(reinterpret_cast<const char*>(data), size));
    for (const char* expression : {"30 2 * * *", "0 0 29 2 +1"}) {
      const quern::CronSchedule schedule(quern::CronExpression::parse(expression), zone);
      for (const char* from : {"1971-01-01", "2025-01-01", "2100-01-01"}) {
        const auto next = schedule.next(quern::parse_rfc3339(from));
        // A zone of chance may show a time three times, so that only the simplest is asked for.
        if (next) quern_test::demand(*next > quern::parse_rfc3339(from), "next went back");
      }
    }
  } catch (const quern::ZoneError&) {
  }
  return 0;
}
