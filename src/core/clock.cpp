#include "quern/core/clock.hpp"

#include <fstream>

#include "core/thread_time.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <time.h>
#endif

namespace quern::inline v1 {
namespace {

// Linux: CLOCK_MONOTONIC stops while the machine sleeps, CLOCK_BOOTTIME doesn't. On macOS CLOCK_MONOTONIC
// goes on.
#if defined(CLOCK_BOOTTIME)
constexpr clockid_t steady_clock_id = CLOCK_BOOTTIME;
#define QUERN_HAS_STEADY_CLOCK_ID
#elif defined(__APPLE__)
constexpr clockid_t steady_clock_id = CLOCK_MONOTONIC;
#define QUERN_HAS_STEADY_CLOCK_ID
#endif

std::string read_boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  if (std::getline(file, id) && !id.empty()) return id;
  return "unknown";
}

}  // namespace

TimePoint SystemClock::now() const noexcept {
  return std::chrono::floor<Duration>(std::chrono::system_clock::now());  // CLOCK_REALTIME
}

SteadyTime SystemClock::steady() const noexcept {
#if defined(QUERN_HAS_STEADY_CLOCK_ID)
  timespec time{};
  if (clock_gettime(steady_clock_id, &time) == 0) {
    return std::chrono::seconds(time.tv_sec) +
           std::chrono::floor<Duration>(std::chrono::nanoseconds(time.tv_nsec));
  }
#endif
  return std::chrono::floor<Duration>(std::chrono::steady_clock::now().time_since_epoch());
}

std::string SystemClock::boot_id() const {
  static const std::string id = read_boot_id();
  return id;
}

namespace detail {

Duration thread_time() noexcept {
#if defined(CLOCK_THREAD_CPUTIME_ID)
  timespec time{};
  // Both ends of a span are cut to whole microseconds, so that what a sum of many short ones loses and gains evens out.
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0)
    return std::chrono::seconds(time.tv_sec) +
           std::chrono::floor<Duration>(std::chrono::nanoseconds(time.tv_nsec));
#endif
  return Duration{0};
}

}  // namespace detail

ClockRef::ClockRef() noexcept
    : ClockRef([]() noexcept -> const SystemClock& {
        static const SystemClock clock;
        return clock;
      }()) {}

}  // namespace quern::inline v1
