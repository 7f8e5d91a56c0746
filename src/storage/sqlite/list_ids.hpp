#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_set>
#include <vector>

#include "quern/storage/requests.hpp"
#include "storage/sqlite/connection.hpp"
#include "storage/sqlite/find.hpp"
#include "storage/sqlite/id_runs.hpp"
#include "storage/sqlite/lanes.hpp"

// Where the ids of a list come from. A list asks several sources in turn, each for the next id that it may
// be, until all name the same one: what any of them knows to be far away is stepped over by all.

namespace quern::inline v1::sqlite {

/// The lanes that a filter allows; all of them when it names neither queue nor kind.
class LaneFilter {
 public:
  LaneFilter(Connection& db, const JobFilter& filter);
  [[nodiscard]] bool all() const { return all_; }
  [[nodiscard]] bool none() const { return !all_ && lanes_.empty(); }
  [[nodiscard]] bool allows(LaneId lane) const { return all_ || lanes_.contains(lane); }
  [[nodiscard]] const std::unordered_set<LaneId>& lanes() const { return lanes_; }

 private:
  bool all_;
  std::unordered_set<LaneId> lanes_;
};

/// What a list is made of.
struct Listing {
  Connection& db;
  Finder& finder;
  const LaneFilter& lanes;
  bool up = false;

  /// Whether the list has come to `b` when it has come to `a`.
  [[nodiscard]] bool reached(std::uint64_t a, std::uint64_t b) const noexcept { return up ? a >= b : a <= b; }
  [[nodiscard]] std::uint64_t nearer(std::uint64_t a, std::uint64_t b) const noexcept {
    return up ? std::min(a, b) : std::max(a, b);
  }
  /// The next id after one; 0 at the end.
  [[nodiscard]] std::uint64_t after(std::uint64_t id) const noexcept {
    if (up) return id < max_job_id ? id + 1 : 0;
    return id - 1;
  }
};

/// Ids in the order of the list.
class Ids {
 public:
  explicit Ids(const Listing& listing) : listing_(listing) {}
  Ids(const Ids&) = delete;
  Ids& operator=(const Ids&) = delete;
  virtual ~Ids() = default;
  /// The next id from `at` on, itself included, that may be wanted; 0: none. `at` never goes back, and is not
  /// 0.
  virtual std::uint64_t next(std::uint64_t at) = 0;

 protected:
  const Listing& listing_;
};

/// A statement that gives ids from ?1 on; ?2 is `more`. Steps where the next id is near, else looks it up.
class QueriedIds final : public Ids {
 public:
  QueriedIds(const Listing& listing, const Statement& up, const Statement& down,
             std::optional<std::int64_t> more = std::nullopt);
  std::uint64_t next(std::uint64_t at) override;

 private:
  Query rows_;
  std::optional<std::int64_t> more_;
  std::uint64_t head_ = 0;
  bool done_ = false;
};

/// Ids held in memory.
class HeldIds final : public Ids {
 public:
  HeldIds(const Listing& listing, std::vector<IdRange> ranges);
  std::uint64_t next(std::uint64_t at) override;

 private:
  std::vector<IdRange> ranges_;  // the next one stands at the back
};

/// Any of the states.
[[nodiscard]] std::unique_ptr<Ids> ids_in_states(const Listing& listing, const std::vector<JobState>& states);
/// Every job, of the wanted lanes.
[[nodiscard]] std::unique_ptr<Ids> all_ids(const Listing& listing);
/// The ids of zones with jobs of the wanted lanes; not all of them are such jobs, nor jobs at all.
[[nodiscard]] std::unique_ptr<Ids> ids_near_lanes(const Listing& listing);
/// The ids of zones with jobs created from `first` to `last`; not all of them are.
[[nodiscard]] std::unique_ptr<Ids> ids_near_times(const Listing& listing, TimePoint first, TimePoint last);

}  // namespace quern::inline v1::sqlite
