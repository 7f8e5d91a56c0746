#include "storage/memory/jobs.hpp"

#include <fmt/format.h>

#include <cassert>

#include "quern/core/limits.hpp"

namespace quern::inline v1::memory {

Row* Jobs::held_by(const RunRef& run) {
  Row* const row = find_row(run.id);
  const bool held = row != nullptr && row->state() == JobState::running && row->epoch == run.epoch &&
                    row->node() == run.node && nodes_.alive(run.node);
  return held ? row : nullptr;
}

void Jobs::event(Call& call, JobEventType type, const Row& row, std::string message) const {
  if (!call.events_wanted) return;
  const Lane& in = lane(row);
  const More* const rest = has_more(row);
  call.events.push_back({.type = type,
                         .id = row.job_id(),
                         .kind = in.kind->name,
                         .queue = in.queue->name,
                         .attempt = static_cast<int>(row.attempt),
                         .epoch = row.epoch,
                         .at = call.now,
                         .run_at = row.run_at,
                         .progress = rest == nullptr ? Progress{} : rest->progress,
                         .dead_reason = rest == nullptr ? DeadReason::none : rest->dead_reason,
                         .message = std::move(message)});
}

void Jobs::wait_until(Call& call, Row& row, TimePoint run_at) {
  if (run_at <= call.now) return make_ready(call, row, run_at);
  const bool ran = row.state() == JobState::running;
  change(find_slot(row.job_id()), row, [&](Row& r) {
    r.set_state(JobState::scheduled);
    r.run_at = run_at;
  });
  if (ran && expect_deadline(row)) call.work = true;
  const DueHeap::Entry* const next = scheduled_.top([&](const DueHeap::Entry& e) { return is_due(e); });
  if (next->id == row.id) call.work = true;
}

void Jobs::make_ready(Call& call, Row& row, TimePoint run_at) {
  const bool ran = row.state() == JobState::running;
  change(find_slot(row.job_id()), row, [&](Row& r) {
    r.set_state(JobState::ready);
    r.run_at = run_at;
  });
  if (ran && expect_deadline(row)) call.work = true;
  call.ready = true;
}

bool Jobs::expect_deadline(const Row& row) {
  const More* const rest = has_more(row);
  if (rest == nullptr || rest->deadline == TimePoint::max()) return false;
  deadlines_.tidy(deadline_count_, [&](const DueHeap::Entry& entry) { return can_expire(entry); });
  deadlines_.add({rest->deadline, row.id});
  return true;
}

void Jobs::lease_lost(Call& call, const RunRef& run) const {
  if (!call.events_wanted) return;
  JobEvent event{.type = JobEventType::lease_lost, .id = run.id, .epoch = run.epoch, .at = call.now};
  if (const Slot slot = find_slot(run.id); slot != no_slot) {
    event.kind = lane(rows_[slot]).kind->name;
    event.queue = lane(rows_[slot]).queue->name;
  }
  call.events.push_back(std::move(event));
}

void Jobs::remember_error(const Call& call, Row& row, AttemptFault fault, std::string message) {
  auto& errors = more(row).errors;
  if (errors.size() >= max_attempt_errors) errors.erase(errors.begin());
  errors.push_back({.attempt = static_cast<int>(row.attempt),
                    .epoch = row.epoch,
                    .at = call.now,
                    .fault = fault,
                    .message = std::move(message)});
}

void Jobs::end(Call& call, Row& row, JobState state, DeadReason reason, std::string message) {
  assert(is_terminal(state) && !is_terminal(row.state()));
  touch(row);
  drop_waits(row);
  if (reason != DeadReason::none || !message.empty()) {
    More& rest = more(row);
    rest.dead_reason = reason;
    rest.end_message = message;
  }
  change(find_slot(row.job_id()), row, [&](Row& r) {
    r.set_state(state);
    r.end_or_node = to_us(call.now);
  });
  if (const More* const rest = has_more(row)) {
    if (!rest->protects_key(state)) release_key(row);
    if (!rest->waiters.empty()) unsettled_.push_back(row.job_id());
  }
  // It may stay for months, and must not hold a whole chunk of the arena.
  if (state != JobState::completed && row.payload_owned == 0) {
    const char* const old = row.payload;
    keep_payload(row, Arena::bytes(old), true);
    arena_.release(old);
  }
  const auto type = state == JobState::completed ? JobEventType::completed
                    : state == JobState::dead    ? JobEventType::dead
                                                 : JobEventType::cancelled;
  event(call, type, row, std::move(message));
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
    const Row& parent = row_at(unsettled_.front());
    unsettled_.pop_front();
    const More* const rest = has_more(parent);
    if (rest == nullptr) continue;
    const auto waiters = rest->waiters;  // a copy: each resolved edge leaves the set
    for (const JobId child : waiters) resolve_edge(call, row_at(child), parent);
  }
}

void Jobs::resolve_edge(Call& call, Row& child, const Row& parent) {
  assert(child.state() == JobState::blocked);
  const bool failed = parent.state() != JobState::completed;
  const ParentPolicy policy = more(child).on_parent_failure;
  if (failed && policy == ParentPolicy::stay_blocked) return;
  if (failed && policy == ParentPolicy::cancel) {
    return cancel_now(call, child, fmt::format("its parent {} is {}", parent.id, to_string(parent.state())));
  }
  touch(child);
  drop_edge(child, parent.job_id());
  if (more(child).waits_for.empty()) wait_until(call, child, child.run_at);
}

// A row's waiters decide whether it may be pruned, so the lines must hear of them.

void Jobs::add_edge(Row& child, Row& parent) {
  more(child).waits_for.insert(parent.job_id());
  More& rest = more(parent);
  relink(find_slot(parent.job_id()), parent, [&] { rest.waiters.insert(child.job_id()); });
}

void Jobs::drop_edge(Row& child, JobId parent) {
  more(child).waits_for.erase(parent);
  Row& row = row_at(parent);
  More& rest = more(row);
  relink(find_slot(parent), row, [&] { rest.waiters.erase(child.job_id()); });
}

void Jobs::drop_waits(Row& child) {
  const More* const rest = has_more(child);
  if (rest == nullptr) return;
  while (!rest->waits_for.empty()) drop_edge(child, *rest->waits_for.begin());
}

Row* Jobs::key_holder(const std::string& key, TimePoint now) {
  const auto it = keys_.find(key);
  if (it == keys_.end()) return nullptr;
  Row& row = row_at(it->second);
  const Unique& unique = more(row).unique;
  assert(more(row).protects_key(row.state()));
  const bool passed =
      unique.period > Duration::zero() && now >= When::after(unique.period).resolve(row.created_at);
  return passed ? nullptr : &row;
}

void Jobs::release_key(const Row& row) {
  const More* const rest = has_more(row);
  if (rest == nullptr) return;
  const auto it = keys_.find(rest->unique.key);
  if (it != keys_.end() && it->second == row.job_id()) keys_.erase(it);
}

}  // namespace quern::inline v1::memory
