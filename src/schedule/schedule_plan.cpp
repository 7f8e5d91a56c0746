#include "schedule/schedule_plan.hpp"

#include <algorithm>
#include <optional>

namespace quern::inline v1::detail {
namespace {

constexpr std::uint64_t most_counted = 10'000;

/// Of what passed in (handled, edge], what is made up for, in order.
std::vector<TimePoint> made_up_for(const Timing& timing, const ScheduleSpec& spec, TimePoint handled,
                                   TimePoint edge, TimePoint now, bool on_time) {
  std::vector<TimePoint> instants;
  if (spec.missed == MissedRuns::skip || (spec.missed == MissedRuns::once && on_time)) return instants;
  const std::size_t most = spec.missed == MissedRuns::all ? std::min(spec.missed_limit, most_planned) : 1;
  for (auto instant = timing.previous(edge + Duration(1));
       instant && *instant > handled && instants.size() < most; instant = timing.previous(*instant)) {
    if (spec.missed_within > Duration::zero() && now - *instant > spec.missed_within) break;
    instants.push_back(*instant);
  }
  std::ranges::reverse(instants);
  return instants;
}

}  // namespace

ScheduleRun left_out(const Timing& timing, TimePoint after, TimePoint until, TimePoint now,
                     SkipReason reason) {
  ScheduleRun run{.count = 0, .decided = now, .reason = reason};
  auto instant = timing.next(after);
  if (!instant || *instant > until) return run;
  run.instant = *instant;
  run.last = timing.previous(until + Duration(1)).value_or(*instant);
  for (; instant && *instant <= until && run.count < most_counted; instant = timing.next(*instant))
    ++run.count;
  return run;
}

SchedulePlan plan_of(const Timing& timing, const ScheduleSpec& spec, const ScheduleState& state,
                     TimePoint now, Duration missed_after, Duration set_back) {
  SchedulePlan plan;
  plan.handled = state.handled;
  if (state.handled > now + set_back) {
    plan.handled = now;
    plan.skipped.push_back({.instant = now,
                            .last = state.handled,
                            .count = 0,
                            .decided = now,
                            .reason = SkipReason::clock_set_back});
    return plan;
  }
  const TimePoint edge = std::max(state.handled, now - missed_after);
  std::vector<TimePoint> on_time;
  for (auto instant = timing.next(edge); instant && *instant <= now && on_time.size() < most_planned;
       instant = timing.next(*instant))
    on_time.push_back(*instant);
  const auto skip = [&](TimePoint after, TimePoint until, SkipReason reason) {
    if (after >= until) return;
    if (const ScheduleRun run = left_out(timing, after, until, now, reason); run.count > 0)
      plan.skipped.push_back(run);
  };
  if (edge > state.handled) {
    plan.run = made_up_for(timing, spec, state.handled, edge, now, !on_time.empty());
    skip(state.handled, plan.run.empty() ? edge : plan.run.front() - Duration(1), SkipReason::missed);
    plan.handled = edge;
  }
  plan.run.insert(plan.run.end(), on_time.begin(), on_time.end());
  if (!on_time.empty()) plan.handled = on_time.back();
  if (spec.max_runs > 0 && plan.run.size() > spec.max_runs - std::min(state.runs, spec.max_runs)) {
    const auto left = static_cast<std::ptrdiff_t>(spec.max_runs - std::min(state.runs, spec.max_runs));
    skip(plan.run[static_cast<std::size_t>(left)] - Duration(1), plan.handled, SkipReason::ended);
    plan.run.erase(plan.run.begin() + left, plan.run.end());
  }
  return plan;
}

void note(ScheduleState& state, const ScheduleRun& run) {
  if (run.reason == SkipReason::none) {
    ++state.runs;
    state.last_job = run.job;
    const Duration late = std::max(Duration::zero(), Duration(run.decided - run.instant));
    state.lateness_sum += late;
    state.lateness_max = std::max(state.lateness_max, late);
  } else {
    state.skipped += run.count;
  }
  state.recent.push_back(run);
  if (state.recent.size() > kept_schedule_runs) state.recent.erase(state.recent.begin());
}

}  // namespace quern::inline v1::detail
