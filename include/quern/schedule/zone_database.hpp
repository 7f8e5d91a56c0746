#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/schedule/time_zone.hpp"

namespace quern::inline v1 {

/// Where zones come from.
struct ZoneDatabaseOptions {
  /// The folder of compiled zone files. Empty: the first that is there of /usr/share/zoneinfo, /usr/lib/zoneinfo,
  /// /usr/share/lib/zoneinfo and /etc/zoneinfo.
  std::filesystem::path folder;
  /// An empty folder means the one in the environment's TZDIR first. Read once, when the database is made.
  bool honour_tzdir = true;
};

/// What is known of the zone data, for a line of log at the start.
struct ZoneDataReport {
  std::filesystem::path folder;          ///< Where it is looked for.
  std::string version;                   ///< "2025b"; empty where the folder does not say.
  std::optional<std::chrono::days> age;  ///< How old it is at least; empty where that can't be told.
  std::vector<std::string> problems;     ///< A sentence each: missing, stale. Empty: all is well.
};

/// The time zones of the system's tz database (IANA), read from compiled files as they are asked for. Any thread may call
/// anything. A zone that was given out never changes: `reload` makes new snapshots.
class ZoneDatabase {
 public:
  explicit ZoneDatabase(ZoneDatabaseOptions options = {});
  ZoneDatabase(const ZoneDatabase&) = delete;
  ZoneDatabase& operator=(const ZoneDatabase&) = delete;
  ~ZoneDatabase();

  /// A zone by its name ("America/New_York"). "UTC" and "Etc/UTC" need no data. Throws ZoneError where there is none (with names
  /// that are near), where there is no zone data (with what to install), or where its file is damaged. The first call
  /// for a zone reads its file; a later one is a look-up.
  [[nodiscard]] TimeZone find(std::string_view name) const;

  /// Reads all zones that were given out once more; from then on `find` gives what the files say now. Answers the names of
  /// those whose clocks changed, and raises the generation where there are any. A zone whose file is gone or damaged
  /// stays as it was, and is named in `failed`.
  struct Reloaded {
    std::vector<std::string> changed;
    std::vector<std::string> failed;  ///< One sentence each.
  };
  Reloaded reload();

  /// How often a reload has changed something: whoever keeps instants that were computed before computes them anew.
  [[nodiscard]] std::uint64_t generation() const noexcept;

  /// The names of all zones that the folder holds, sorted. Reads the folder: some milliseconds.
  [[nodiscard]] std::vector<std::string> names() const;

  /// Whether the data is there, and whether it is stale: older than `stale_after` at `now`. Governments change their clocks a few
  /// times a year, at weeks' notice. Its age is counted from its files' date or the end of its version's year, whichever is older.
  [[nodiscard]] ZoneDataReport report(TimePoint now,
                                      std::chrono::days stale_after = std::chrono::days(548)) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace quern::inline v1
