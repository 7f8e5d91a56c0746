#include "storage/memory/jobs.hpp"

#include <fmt/format.h>

#include <cassert>

#include "quern/core/limits.hpp"

namespace quern::inline v1::memory {

Row* Jobs::find_row(JobId id) {
  const auto it = rows_.find(id);
  return it == rows_.end() ? nullptr : &it->second;
}

Row* Jobs::held_by(const RunRef& run) {
  Row* const row = find_row(run.id);
  const bool held = row != nullptr && row->job.state == JobState::running && row->job.epoch == run.epoch &&
                    row->job.node == run.node.value && nodes_.alive(run.node);
  return held ? row : nullptr;
}

void Jobs::event(Call& call, JobEventType type, const Row& row, std::string message) const {
  if (!call.events_wanted) return;
  const Job& job = row.job;
  call.events.push_back({.type = type,
                         .id = job.id,
                         .kind = job.kind,
                         .queue = job.queue,
                         .attempt = job.attempt,
                         .epoch = job.epoch,
                         .at = call.now,
                         .run_at = job.run_at,
                         .progress = job.progress,
                         .dead_reason = job.dead_reason,
                         .message = std::move(message)});
}

void Jobs::wait_until(Call& call, Row& row, TimePoint run_at) {
  if (run_at <= call.now) return make_ready(call, row, run_at);
  change(row, [&](Row& r) {
    r.job.state = JobState::scheduled;
    r.job.run_at = run_at;
    r.job.node = 0;
  });
  if (indexes_.scheduled().begin()->second == row.job.id) call.work = true;
}

void Jobs::make_ready(Call& call, Row& row, TimePoint run_at) {
  change(row, [&](Row& r) {
    r.job.state = JobState::ready;
    r.job.run_at = run_at;
    r.job.node = 0;
  });
  call.work = true;
}

void Jobs::lease_lost(Call& call, const RunRef& run) const {
  if (!call.events_wanted) return;
  JobEvent event{.type = JobEventType::lease_lost, .id = run.id, .epoch = run.epoch, .at = call.now};
  if (const auto it = rows_.find(run.id); it != rows_.end()) {
    event.kind = it->second.job.kind;
    event.queue = it->second.job.queue;
  }
  call.events.push_back(std::move(event));
}

void Jobs::remember_error(const Call& call, Row& row, AttemptFault fault, std::string message) {
  auto& errors = row.job.errors;
  if (errors.size() >= max_attempt_errors) errors.erase(errors.begin());
  errors.push_back({.attempt = row.job.attempt,
                    .epoch = row.job.epoch,
                    .at = call.now,
                    .fault = fault,
                    .message = std::move(message)});
}

void Jobs::end(Call& call, Row& row, JobState state, DeadReason reason, std::string message) {
  assert(is_terminal(state) && !is_terminal(row.job.state));
  drop_waits(row);
  change(row, [&](Row& r) {
    r.job.state = state;
    r.job.dead_reason = reason;
    r.job.end_message = std::move(message);
    r.job.finished_at = call.now;
    r.job.node = 0;
  });
  if (!row.protects_key()) release_key(row);
  unsettled_.push_back(row.job.id);
  const auto type = state == JobState::completed ? JobEventType::completed
                    : state == JobState::dead    ? JobEventType::dead
                                                 : JobEventType::cancelled;
  event(call, type, row, row.job.end_message);
}

void Jobs::die(Call& call, Row& row, DeadReason reason, std::string message) {
  end(call, row, JobState::dead, reason, std::move(message));
}

void Jobs::cancel_now(Call& call, Row& row, std::string message) {
  end(call, row, JobState::cancelled, DeadReason::none, std::move(message));
}

void Jobs::expire(Call& call, Row& row) {
  die(call, row, DeadReason::expired, "not started by its deadline");
}

void Jobs::settle(Call& call) {
  while (!unsettled_.empty()) {
    const Row& parent = rows_.at(unsettled_.front());
    unsettled_.pop_front();
    const auto waiters = parent.waiters;  // a copy: each resolved edge leaves the set
    for (const JobId child : waiters) resolve_edge(call, rows_.at(child), parent);
  }
}

void Jobs::resolve_edge(Call& call, Row& child, const Row& parent) {
  assert(child.job.state == JobState::blocked);
  const bool failed = parent.job.state != JobState::completed;
  if (failed && child.job.on_parent_failure == ParentPolicy::stay_blocked) return;
  if (failed && child.job.on_parent_failure == ParentPolicy::cancel) {
    return cancel_now(call, child,
                      fmt::format("its parent {} is {}", parent.job.id.value, to_string(parent.job.state)));
  }
  drop_edge(child, parent.job.id);
  if (child.waits_for.empty()) wait_until(call, child, child.job.run_at);
}

// A row's waiters decide whether it may be pruned, so the indexes must hear of them.

void Jobs::add_edge(Row& child, Row& parent) {
  child.waits_for.insert(parent.job.id);
  change(parent, [&](Row& r) { r.waiters.insert(child.job.id); });
}

void Jobs::drop_edge(Row& child, JobId parent) {
  child.waits_for.erase(parent);
  change(rows_.at(parent), [&](Row& r) { r.waiters.erase(child.job.id); });
}

void Jobs::drop_waits(Row& child) {
  while (!child.waits_for.empty()) drop_edge(child, *child.waits_for.begin());
}

Row* Jobs::key_holder(const std::string& key, TimePoint now) {
  const auto it = keys_.find(key);
  if (it == keys_.end()) return nullptr;
  Row& row = rows_.at(it->second);
  assert(row.protects_key());
  const bool passed = row.unique.period > Duration::zero() &&
                      now >= When::after(row.unique.period).resolve(row.job.created_at);
  return passed ? nullptr : &row;
}

void Jobs::release_key(const Row& row) {
  const auto it = keys_.find(row.unique.key);
  if (it != keys_.end() && it->second == row.job.id) keys_.erase(it);
}

}  // namespace quern::inline v1::memory
