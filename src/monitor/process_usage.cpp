#include "quern/monitor/process_usage.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string_view>

namespace quern::inline v1 {
namespace {

/// The second number of /proc/self/statm: pages.
std::uint64_t resident_pages() noexcept {
  const int file = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  std::array<char, 128> text{};
  const auto size = ::read(file, text.data(), text.size());
  ::close(file);
  if (size <= 0) return 0;
  const std::string_view line(text.data(), static_cast<std::size_t>(size));
  const auto blank = line.find(' ');
  if (blank == std::string_view::npos) return 0;
  std::uint64_t pages = 0;
  std::from_chars(line.data() + blank + 1, line.data() + line.size(), pages);
  return pages;
}

}  // namespace

ProcessUsage process_usage() noexcept {
  ProcessUsage usage;
  rusage used{};
  if (::getrusage(RUSAGE_SELF, &used) == 0) {
    const auto us = [](const timeval& time) { return std::int64_t{time.tv_sec} * 1'000'000 + time.tv_usec; };
    usage.cpu = Duration(us(used.ru_utime) + us(used.ru_stime));
#ifdef __APPLE__
    usage.peak_bytes = static_cast<std::uint64_t>(used.ru_maxrss);
#else
    usage.peak_bytes = static_cast<std::uint64_t>(used.ru_maxrss) * 1024;
#endif
  }
  const long page = ::sysconf(_SC_PAGESIZE);
  if (page > 0) usage.resident_bytes = resident_pages() * static_cast<std::uint64_t>(page);
  return usage;
}

}  // namespace quern::inline v1
