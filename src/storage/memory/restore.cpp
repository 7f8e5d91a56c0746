// Jobs that come from another storage.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "storage/memory/jobs.hpp"

namespace quern::inline v1::memory {
namespace {

/// True when nothing of the job has to be kept in a `More`.
bool fits_a_row(const JobImage& image) {
  const Job& job = image.job;
  return job.tenant.empty() && job.tags.empty() && image.unique.key.empty() && job.parents.empty() &&
         job.on_parent_failure == ParentPolicy::cancel && job.created_by.empty() && job.digest.empty() &&
         job.trace.empty() && !job.deadline && job.run == 1 && job.crashes == 0 && job.snoozes == 0 &&
         !job.cancel_requested && job.progress == Progress{} && !job.result &&
         job.dead_reason == DeadReason::none && job.end_message.empty() && job.errors.empty() &&
         image.steps.empty();
}

More more_of(const JobImage& image) {
  const Job& job = image.job;
  More more;
  more.tenant = job.tenant;
  more.tags = job.tags;
  more.created_by = job.created_by;
  more.digest = job.digest;
  more.trace = job.trace;
  more.unique = image.unique;
  more.parents = job.parents;
  more.on_parent_failure = job.on_parent_failure;
  more.deadline = job.deadline.value_or(TimePoint::max());
  more.run = job.run;
  more.crashes = job.crashes;
  more.snoozes = job.snoozes;
  more.cancel_requested = job.cancel_requested;
  more.cancel_reason = image.cancel_reason;
  more.progress = job.progress;
  more.progress_epoch = image.progress_epoch;
  more.result = job.result;
  more.dead_reason = job.dead_reason;
  more.end_message = job.end_message;
  more.errors = job.errors;
  more.steps = image.steps;
  more.waits_for.insert(image.waits_for.begin(), image.waits_for.end());
  return more;
}

}  // namespace

void Jobs::restore(const JobImage& image) {
  const Job& job = image.job;
  const Slot slot = rows_.add();
  Row& row = rows_[slot];
  row.id = job.id.value;
  row.run_at = job.run_at;
  row.created_at = job.created_at;
  row.started_at = job.started_at.value_or(Row::never);
  row.attempt = static_cast<unsigned>(job.attempt) & most_attempts;
  const bool running = job.state == JobState::running;
  row.max_is_claimed = running && job.max_attempts == 0 ? 1 : 0;
  row.max_attempts =
      static_cast<unsigned>(running ? image.claimed_attempts : job.max_attempts) & most_attempts;
  row.epoch = job.epoch;
  row.set_priority(job.priority);
  row.profile = names_.profile(job.queue, job.kind, job.timeout, job.payload.codec());
  row.kept_elsewhere = 1;
  const bool stays =
      job.state == JobState::scheduled || job.state == JobState::dead || job.state == JobState::cancelled;
  keep_payload(row, job.payload.bytes(), stays);
  if (!fits_a_row(image)) more(row) = more_of(image);
  if (profile(row).timeout != job.timeout) more(row).timeout = job.timeout;
  row.set_state(job.state);
  if (running) row.end_or_node = static_cast<std::int64_t>(job.node);
  if (is_terminal(job.state)) row.end_or_node = to_us(job.finished_at.value_or(job.created_at));

  if (!job.tenant.empty()) tenants_[job.tenant].insert(job.id);
  for (const std::string& tag : job.tags) tags_[tag].insert(job.id);
  if (image.holds_key) keys_.insert_or_assign(image.unique.key, job.id);
  ids_.add(row.id, slot, lane(row).id, row.created_at);
  next_id_ = std::max(next_id_, row.id + 1);
  if (job.deadline) {
    ++deadline_count_;
    if (!is_terminal(job.state) && !running) static_cast<void>(expect_deadline(row));  // `restored` tells
  }
  link(slot, row);
  if (job.state == JobState::blocked) unresolved_.push_back(job.id);
}

void Jobs::restore(const QueueStatus& queue) {
  Queue& known = names_.queue(queue.name);
  known.paused = queue.paused;
  if (queue.max_waiting > 0) ++names_.limited;
  known.max_waiting = queue.max_waiting;
}

void Jobs::restore(const LimitRule& rule) { names_.rules.restore(rule, names_.lanes(), nodes_.steady()); }

void Jobs::restored(Call& call) {
  const std::vector<JobId> blocked = std::exchange(unresolved_, {});
  std::map<JobId, JobId> missing;  // a child, and a parent of it that did not come
  for (const JobId id : blocked) {
    Row& child = row_at(id);
    const std::set<JobId> parents = more(child).waits_for;
    for (const JobId parent : parents) {
      if (Row* const row = find_row(parent)) {
        add_edge(child, *row);
        continue;
      }
      touch(child);
      more(child).waits_for.erase(parent);
      missing.emplace(id, parent);
    }
  }
  for (const auto& [id, parent] : missing) {
    Row& child = row_at(id);
    if (child.state() != JobState::blocked) continue;  // one of its parents has been cancelled here
    if (more(child).on_parent_failure != ParentPolicy::run) {
      cancel_now(call, child, fmt::format("its parent {} was not kept", parent.value));
      settle(call);
    } else if (more(child).waits_for.empty()) {
      wait_until(call, child, child.run_at);
    }
  }
  call.work = true;
}

}  // namespace quern::inline v1::memory
