#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string_view>
#include <vector>

#include "quern/core/clock.hpp"
#include "storage/rate_state.hpp"
#include "storage/sqlite/lanes.hpp"

namespace quern::inline v1::sqlite {

/// A rule, what counts for it, and what may still start under it.
struct RuleRoom {
  LimitRule rule{};
  detail::RateState rate{};
  std::uint64_t running = 0;
  std::uint64_t ready = 0;
  std::uint64_t left = 0;
  std::int64_t started = 0;
  bool changed = false;  ///< `rate` is not as it was read.

  void note_starts(std::size_t count) noexcept {
    left -= count;
    ready -= std::min<std::uint64_t>(ready, count);
    started += static_cast<std::int64_t>(count);
  }
};

/// All rules with what counts for them, as one transaction finds them; what was gathered in memory must have been
/// written (`Work::flush_counts`). Cost: where there are none, one step into an empty table; else a row for each, and one
/// for each lane with ready or running jobs.
class RuleBook {
 public:
  RuleBook(Connection& db, LaneBook& lanes, SteadyTime now);

  [[nodiscard]] bool empty() const noexcept { return rooms_.empty(); }
  /// The rules that are for jobs of a lane. They live as long as the book.
  [[nodiscard]] std::vector<RuleRoom*> of(const Lane& lane);
  /// False: one of its rules has no room.
  [[nodiscard]] bool has_room(const Lane& lane) const;
  /// The clock was set back, and that is to be kept.
  [[nodiscard]] bool clock_was_set_back() const;
  /// Writes what the rates have let start.
  void save(Connection& db);
  /// How long until a rate lets a ready job start that waits for it now; `Duration::max()`: none does.
  [[nodiscard]] Duration next_start() const;
  /// By name.
  [[nodiscard]] std::vector<LimitStatus> status() const;

 private:
  void count(Connection& db, LaneBook& lanes);

  SteadyTime now_;
  std::deque<RuleRoom> rooms_;
};

// As operations.hpp says:

/// Throws InvalidArgument when there are too many.
void set_limit(Connection& db, const LimitRule& rule, SteadyTime now);

}  // namespace quern::inline v1::sqlite
