#include "quern/schedule/zone_database.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <utility>

#include "schedule/civil.hpp"
#include "schedule/tzif.hpp"
#include "schedule/zone_names.hpp"

namespace quern::inline v1 {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view what_to_install =
    "install the system's zone data (Debian and Ubuntu: tzdata; Alpine: tzdata; Fedora: tzdata) or name a "
    "folder that has it";
constexpr std::size_t largest_file = 1 << 20;

fs::path choose_folder(const ZoneDatabaseOptions& options) {
  if (!options.folder.empty()) return options.folder;
  if (options.honour_tzdir) {
    if (const char* tzdir = std::getenv("TZDIR"); tzdir != nullptr && *tzdir != '\0') return tzdir;
  }
  for (const char* folder :
       {"/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"}) {
    std::error_code ignored;
    if (fs::is_directory(folder, ignored)) return folder;
  }
  return "/usr/share/zoneinfo";
}

/// Empty where it can't be read or is larger than any zone.
std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes;
  std::error_code error;
  if (!file || !fs::is_regular_file(path, error) || fs::file_size(path, error) > largest_file || error)
    return bytes;
  bytes.assign(std::istreambuf_iterator<char>(file), {});
  return bytes;
}

/// The version that tzdata's own text form begins with: "# version 2025b".
std::string read_version(const fs::path& folder) {
  std::ifstream file(folder / "tzdata.zi");
  std::string line;
  constexpr std::string_view begin = "# version ";
  if (!std::getline(file, line) || !line.starts_with(begin)) return {};
  return line.substr(begin.size(), 16);
}

/// Days since 1970 at which the data was written, at the latest; empty: unknown.
std::optional<std::int64_t> day_of_data(const fs::path& folder, const std::string& version) {
  std::optional<std::int64_t> day;
  struct stat status{};
  if (::stat((folder / "tzdata.zi").c_str(), &status) == 0 ||
      ::stat((folder / "Etc/UTC").c_str(), &status) == 0)
    day = civil::floor_div(status.st_mtime, civil::day_seconds);
  int year = 0;
  for (const char c : version.substr(0, 4)) year = c >= '0' && c <= '9' ? year * 10 + (c - '0') : 0;
  if (year >= 1990) {
    const std::int64_t end_of_year = civil::days_from(year + 1, 1, 1);
    if (!day || end_of_year < *day) day = end_of_year;
  }
  return day;
}

}  // namespace

struct ZoneDatabase::State {
  fs::path folder;
  std::atomic<std::uint64_t> generation{0};
  mutable std::mutex mutex;
  std::map<std::string, TimeZone, std::less<>> zones;  // guarded by the mutex

  /// Reads a zone's file; throws ZoneError.
  [[nodiscard]] TimeZone read(const std::string& name) const;
  [[noreturn]] void fail(const std::string& name) const;
};

TimeZone ZoneDatabase::State::read(const std::string& name) const {
  const std::string bytes = detail::is_zone_name(name) ? read_file(folder / name) : std::string();
  if (!detail::looks_like_tzif(bytes)) fail(name);
  return TimeZone::from_tzif(name, bytes);
}

void ZoneDatabase::State::fail(const std::string& name) const {
  const std::vector<std::string> names = detail::list_zones(folder);
  if (names.empty())
    throw ZoneError(fmt::format("there is no zone data in {}, so the time zone \"{}\" can't be used; {}",
                                folder.string(), name, what_to_install));
  std::string hint;
  for (const std::string& near : detail::near_names(name, names))
    hint += (hint.empty() ? "; did you mean " : " or ") + near;
  hint += hint.empty() ? "; names look like America/New_York" : "?";
  throw ZoneError(
      fmt::format("there is no time zone \"{}\" in {}{}", name.substr(0, 255), folder.string(), hint));
}

ZoneDatabase::ZoneDatabase(ZoneDatabaseOptions options) : state_(std::make_unique<State>()) {
  state_->folder = choose_folder(options);
}

ZoneDatabase::~ZoneDatabase() = default;

TimeZone ZoneDatabase::find(std::string_view name) const {
  if (name == "UTC" || name == "Etc/UTC") return {};
  {
    const std::scoped_lock lock(state_->mutex);
    if (const auto known = state_->zones.find(name); known != state_->zones.end()) return known->second;
  }
  std::string key(name);
  TimeZone zone = state_->read(key);
  const std::scoped_lock lock(state_->mutex);
  // Who else has read it meanwhile was first.
  return state_->zones.emplace(std::move(key), std::move(zone)).first->second;
}

ZoneDatabase::Reloaded ZoneDatabase::reload() {
  std::vector<TimeZone> known;
  {
    const std::scoped_lock lock(state_->mutex);
    for (const auto& [name, zone] : state_->zones) known.push_back(zone);
  }
  Reloaded result;
  std::vector<TimeZone> fresh;
  for (const TimeZone& zone : known) {
    try {
      TimeZone again = state_->read(zone.name());
      if (!again.same_clocks(zone)) result.changed.push_back(zone.name());
      fresh.push_back(std::move(again));
    } catch (const ZoneError& e) {
      result.failed.emplace_back(e.what());
    }
  }
  const std::scoped_lock lock(state_->mutex);
  for (TimeZone& zone : fresh) state_->zones.insert_or_assign(zone.name(), zone);
  if (!result.changed.empty()) ++state_->generation;
  return result;
}

std::uint64_t ZoneDatabase::generation() const noexcept { return state_->generation; }

std::vector<std::string> ZoneDatabase::names() const { return detail::list_zones(state_->folder); }

ZoneDataReport ZoneDatabase::report(TimePoint now, std::chrono::days stale_after) const {
  ZoneDataReport report;
  report.folder = state_->folder;
  if (detail::list_zones(state_->folder).empty()) {
    report.problems.push_back(
        fmt::format("there is no zone data in {}; {}", state_->folder.string(), what_to_install));
    return report;
  }
  report.version = read_version(state_->folder);
  if (const auto day = day_of_data(state_->folder, report.version)) {
    const std::int64_t today = civil::floor_div(to_us(now), civil::day_seconds * 1'000'000);
    report.age = std::chrono::days(today > *day ? today - *day : 0);
    if (*report.age > stale_after)
      report.problems.push_back(fmt::format(
          "the zone data in {} ({}) is {} days old, more than {}: where a government has "
          "changed its clocks since, times are wrong; update tzdata",
          state_->folder.string(), report.version.empty() ? "of an unknown version" : report.version,
          report.age->count(), stale_after.count()));
  }
  return report;
}

}  // namespace quern::inline v1
