#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "quern/core/job.hpp"
#include "storage/sqlite/connection.hpp"
#include "storage/sqlite/id_runs.hpp"
#include "storage/sqlite/job_more.hpp"
#include "storage/sqlite/lanes.hpp"

namespace quern::inline v1::sqlite {

// Jobs are found by lane, time and end through zones: 256 neighbouring ids, of which the indexes only say
// that there may be such a job among them. So a batch of inserts or finishes costs a row or two and not one
// per job. An entry may be there without need, but never missing.

/// How many bits of an id stand behind the number of its zone; the same for an area, which is 256 zones.
inline constexpr unsigned zone_bits = 8;
inline constexpr unsigned area_bits = 16;

[[nodiscard]] constexpr std::uint64_t zone_of(std::uint64_t id, unsigned bits = zone_bits) noexcept {
  return id >> bits;
}
[[nodiscard]] constexpr IdRange ids_of_zone(std::uint64_t zone, unsigned bits = zone_bits) noexcept {
  return {zone << bits, (zone << bits) + (std::uint64_t{1} << bits) - 1};
}

/// Times of creation are kept as the number of a tick, 0.13 s (2^17 us): so a single insert seldom widens its
/// zone.
[[nodiscard]] inline std::int64_t tick_of(TimePoint time) noexcept { return to_us(time) >> 17; }
/// Times of an end as that of a span, about a minute (2^26 us): so many that end share an entry.
[[nodiscard]] inline std::int64_t span_of(TimePoint time) noexcept { return to_us(time) >> 26; }

/// What a label is of; the numbers are stored.
enum class LabelType : std::uint8_t { tenant = 1, tag = 2 };

/// Keeps the indexes by which jobs are listed and pruned. Gathers within a transaction; `flush` writes.
class ZoneBook {
 public:
  explicit ZoneBook(Connection& db) : db_(db) {}

  void added(JobId id, LaneId lane, TimePoint created_at);
  void ended(JobId id, LaneId lane, JobState state, TimePoint finished_at);
  /// Writes at once. For a job that has a tenant or tags.
  void label(JobId id, const std::string& tenant, const std::vector<std::string>& tags);
  /// The job's row is about to be deleted. `more` is null when it has none that can be read.
  void erased(JobId id, LaneId lane, const JobMore* more);
  void flush();

 private:
  struct Times {
    std::int64_t earliest = 0;
    std::int64_t latest = 0;
  };
  using LaneZone = std::pair<LaneId, std::uint64_t>;
  using Ended = std::tuple<JobState, LaneId, std::int64_t, std::uint64_t>;

  std::int64_t label_id(LabelType type, const std::string& name);
  void unlabel(LabelType type, const std::string& name, JobId id);
  void clear_erased();

  Connection& db_;
  std::map<std::uint64_t, Times> times_;
  std::set<LaneZone> lanes_;
  std::set<Ended> ended_;
  std::set<LaneZone> erased_;
  std::set<std::int64_t> unlabelled_;
  std::map<std::pair<LabelType, std::string>, std::int64_t> labels_;
  // What was noted last, as the next is mostly the same.
  LaneZone last_added_{};
  std::int64_t last_tick_ = 0;
  Ended last_ended_{};
};

/// Makes the indexes of a file that has none yet. Reads every job once.
void fill_zones(Connection& db);

}  // namespace quern::inline v1::sqlite
