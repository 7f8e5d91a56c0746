#include "quern/monitor/alert_state.hpp"

#include <algorithm>

namespace quern::inline v1 {
namespace {

/// Whether so much time has passed. Not where the clock was set back meanwhile.
bool passed(TimePoint since, Duration time, TimePoint now) { return now - since >= time; }

/// Whether another notice that the alert fires may be given.
bool cooled_down(const AlertRule& rule, const AlertState& state, TimePoint now) {
  return !state.notified_at || passed(*state.notified_at, rule.cool_down, now);
}

void decide(AlertStep& step, AlertChange change, bool notify, TimePoint now) {
  step.change = change;
  step.notify = notify;
  ++step.next.number;
  if (change == AlertChange::fires || change == AlertChange::resolved) step.next.changed_at = now;
  step.next.notified = notify && change != AlertChange::resolved;
  if (step.next.notified) step.next.notified_at = now;
}

AlertStep from_inactive(const AlertRule& rule, const AlertState& state, const AlertSight& sight,
                        bool silenced, TimePoint now) {
  AlertStep step{.next = state};
  if (!sight.since) return step;
  step.status = AlertStatus::pending;
  if (!passed(*sight.since, rule.hold_for, now)) return step;
  step.status = AlertStatus::firing;
  step.next.firing = true;
  step.next.since = std::min(*sight.since, now);
  decide(step, AlertChange::fires, !silenced && cooled_down(rule, state, now), now);
  return step;
}

AlertStep from_firing(const AlertRule& rule, const AlertState& state, const AlertSight& sight, bool silenced,
                      TimePoint now) {
  AlertStep step{.status = AlertStatus::firing, .next = state};
  if (!sight.since && (!sight.last || passed(*sight.last, rule.keep_firing_for, now))) {
    step.status = AlertStatus::inactive;
    step.next.firing = false;
    decide(step, AlertChange::resolved, rule.notify_resolved && state.notified && !silenced, now);
  } else if (silenced) {
    if (state.notified) decide(step, AlertChange::silenced, false, now);
  } else if (state.notified) {
    if (rule.repeat > Duration::zero() && state.notified_at && passed(*state.notified_at, rule.repeat, now))
      decide(step, AlertChange::reminds, true, now);
  } else if (cooled_down(rule, state, now)) {
    decide(step, AlertChange::reminds, true, now);
  }
  return step;
}

}  // namespace

std::string_view to_string(AlertStatus status) noexcept {
  switch (status) {
    case AlertStatus::inactive:
      return "inactive";
    case AlertStatus::pending:
      return "pending";
    case AlertStatus::firing:
      return "firing";
  }
  return "?";
}

AlertStep next_alert_step(const AlertRule& rule, const AlertState& state, const AlertSight& sight,
                          bool silenced, TimePoint now) {
  return state.firing ? from_firing(rule, state, sight, silenced, now)
                      : from_inactive(rule, state, sight, silenced, now);
}

}  // namespace quern::inline v1
