#pragma once

#include <cstdint>
#include <vector>

#include "quern/schedule/schedule.hpp"

namespace quern::inline v1::detail {

/// What is to be decided about a schedule now.
struct SchedulePlan {
  std::vector<TimePoint> run{};        ///< Instants that get a job, in order, but for what is busy.
  std::vector<ScheduleRun> skipped{};  ///< Those that get none.
  TimePoint handled{};                 ///< All up to here are decided then.
};

/// At most so many instants are decided at once; what is left comes with the next tick.
inline constexpr std::size_t most_planned = 1000;

/// Pure: the same values give the same plan.
[[nodiscard]] SchedulePlan plan_of(const Timing& timing, const ScheduleSpec& spec, const ScheduleState& state,
                                   TimePoint now, Duration missed_after, Duration set_back);

/// All instants of (after, until] as one that was left out; count 0: there is none.
[[nodiscard]] ScheduleRun left_out(const Timing& timing, TimePoint after, TimePoint until, TimePoint now,
                                   SkipReason reason);

/// Keeps a decision: counts it and remembers it.
void note(ScheduleState& state, const ScheduleRun& run);

}  // namespace quern::inline v1::detail
