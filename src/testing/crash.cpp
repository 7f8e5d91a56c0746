#include "quern/testing/crash.hpp"

#include <signal.h>

#include <atomic>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

#include "quern/core/detail/crash_point.hpp"

namespace quern::inline v1::testing {
namespace {

// Fixed storage: a crash point may be passed on any thread, in any state of the program.
char armed_name[64] = {};
std::atomic<int> passes_left{0};

std::mutex count_mutex;
std::map<std::string, int, std::less<>>& counts() {
  static std::map<std::string, int, std::less<>> passed;
  return passed;
}

void crash_here(const char* name) noexcept {
  if (std::strcmp(name, armed_name) != 0) return;
  if (passes_left.fetch_sub(1) == 1) ::raise(SIGKILL);
}

void count_here(const char* name) noexcept {
  const std::lock_guard lock(count_mutex);
  ++counts()[name];
}

}  // namespace

void arm_crash(std::string_view name, int count) {
  detail::crash_hook.store(nullptr);
  const std::size_t length = std::min(name.size(), sizeof armed_name - 1);
  std::memcpy(armed_name, name.data(), length);
  armed_name[length] = '\0';
  passes_left.store(count);
  detail::crash_hook.store(&crash_here);
}

void arm_crash_from_environment() {
  const char* wish = std::getenv("QUERN_CRASH_AT");
  if (wish == nullptr) return;
  const std::string_view text = wish;
  const std::size_t colon = text.rfind(':');
  int count = 0;
  if (colon != std::string_view::npos && colon > 0 && colon < sizeof armed_name) {
    const std::string_view digits = text.substr(colon + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
    if (error != std::errc() || end != digits.data() + digits.size()) count = 0;
  }
  if (count < 1) {
    std::fprintf(stderr, "QUERN_CRASH_AT=%s: should be name:count, with a count of 1 or more\n", wish);
    std::exit(2);
  }
  arm_crash(text.substr(0, colon), count);
}

int crash_point_passes(std::string_view name) {
  const std::lock_guard lock(count_mutex);
  const auto found = counts().find(name);
  return found == counts().end() ? 0 : found->second;
}

void count_crash_points() {
  {
    const std::lock_guard lock(count_mutex);
    counts().clear();
  }
  detail::crash_hook.store(&count_here);
}

}  // namespace quern::inline v1::testing
