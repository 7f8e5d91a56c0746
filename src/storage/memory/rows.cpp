// A row and where it is found.
#include <algorithm>
#include <cassert>

#include "storage/memory/jobs.hpp"

namespace quern::inline v1::memory {
namespace {

Line::Key ready_key(const Row& row) { return {row.run_at, row.id}; }
Line::Key ended_key(const Row& row) { return {row.finished_at(), row.id}; }

/// Removes `id` from the set at `key`, and the set when it is empty.
void erase_from(std::map<std::string, std::set<JobId>>& sets, const std::string& key, JobId id) {
  const auto found = sets.find(key);
  if (found == sets.end()) return;
  found->second.erase(id);
  if (found->second.empty()) sets.erase(found);
}

}  // namespace

Jobs::~Jobs() {
  ids_.walk(
      true, 0, {}, rows_, [](const Row&) { return LaneId{0}; },
      [&](Slot slot) {
        drop_payload(rows_[slot]);
        return true;
      });
}

More& Jobs::more(Row& row) {
  if (row.more == 0) row.more = mores_.add();
  return mores_[row.more];
}

Payload Jobs::payload_of(const Row& row) const {
  return Payload::from_bytes(Arena::bytes(row.payload), profile(row).codec);
}

void Jobs::keep_payload(Row& row, std::string_view bytes, bool own_block) {
  row.payload_owned = own_block || bytes.size() > Arena::longest ? 1 : 0;
  row.payload = row.payload_owned != 0 ? Arena::keep_alone(bytes) : arena_.keep(bytes);
}

void Jobs::drop_payload(Row& row) noexcept {
  if (row.payload == nullptr) return;
  if (row.payload_owned != 0)
    Arena::release_alone(row.payload);
  else
    arena_.release(row.payload);
  row.payload = nullptr;
}

void Jobs::link_ready(Slot slot, Row& row) {
  Lane& in = lane(row);
  if (in.count(JobState::ready) == 0) {
    in.place_in_kind = in.kind->ready.size();
    in.kind->ready.push_back(&in);
  }
  in.ready_line(row.priority()).add(row, slot, ready_key(row));
}

void Jobs::unlink_ready(Row& row) {
  Lane& in = lane(row);
  if (row.place != no_slot) in.ready_line(row.priority()).remove(row, ready_key(row));
  if (in.count(JobState::ready) > 1) return;
  std::vector<Lane*>& others = in.kind->ready;
  others[in.place_in_kind] = others.back();
  others[in.place_in_kind]->place_in_kind = in.place_in_kind;
  others.pop_back();
}

void Jobs::link(Slot slot, Row& row) {
  Lane& in = lane(row);
  const JobState state = row.state();
  if (state == JobState::ready) {
    link_ready(slot, row);
  } else if (state == JobState::scheduled) {
    ++scheduled_count_;
    scheduled_.add({row.run_at, row.id});
  } else if (state == JobState::running) {
    NodeRuns& runs = runs_of(row.node().value);
    row.place = static_cast<std::uint32_t>(runs.slots.size());
    runs.slots.push_back(slot);
    if (const More* const rest = has_more(row); rest != nullptr && rest->cancel_requested)
      runs.asked_to_stop.insert(row.job_id());
  } else if (is_terminal(state)) {
    const More* const rest = has_more(row);
    if (rest == nullptr || rest->waiters.empty()) in.ended_line(state).add(row, slot, ended_key(row));
  }
  for (Rule* const rule : in.rules) {
    if (state == JobState::running) ++rule->running;
    if (state == JobState::ready) ++rule->ready;
  }
  ++in.counts[index_of(state)];
  ids_.note(row.id, state);
}

void Jobs::unlink(Row& row) {
  Lane& in = lane(row);
  const JobState state = row.state();
  if (state == JobState::ready) {
    unlink_ready(row);
  } else if (state == JobState::scheduled) {
    --scheduled_count_;
    scheduled_.tidy(scheduled_count_,
                    [&](const DueHeap::Entry& entry) { return entry.id != row.id && is_due(entry); });
  } else if (state == JobState::running) {
    NodeRuns& runs = runs_of(row.node().value);
    const Slot last = runs.slots.back();
    runs.slots[row.place] = last;
    rows_[last].place = row.place;
    runs.slots.pop_back();
    row.place = no_slot;
    if (!runs.asked_to_stop.empty()) runs.asked_to_stop.erase(row.job_id());
  } else if (is_terminal(state) && row.place != no_slot) {
    in.ended_line(state).remove(row, ended_key(row));
  }
  for (Rule* const rule : in.rules) {
    if (state == JobState::running) --rule->running;
    if (state == JobState::ready) --rule->ready;
  }
  assert(in.counts[index_of(state)] > 0);
  --in.counts[index_of(state)];
}

bool Jobs::is_due(const DueHeap::Entry& entry) const {
  const Slot slot = ids_.find(entry.id);
  return slot != no_slot && rows_[slot].state() == JobState::scheduled && rows_[slot].run_at == entry.at;
}

bool Jobs::can_expire(const DueHeap::Entry& entry) const {
  const Slot slot = ids_.find(entry.id);
  if (slot == no_slot) return false;
  const Row& row = rows_[slot];
  const More* const rest = has_more(row);
  return rest != nullptr && rest->deadline == entry.at && row.state() != JobState::running &&
         !is_terminal(row.state());
}

void Jobs::forget(Slot slot) {
  Row& row = rows_[slot];
  unlink(row);
  if (const More* const rest = has_more(row)) {
    if (!rest->tenant.empty()) erase_from(tenants_, rest->tenant, row.job_id());
    for (const std::string& tag : rest->tags) erase_from(tags_, tag, row.job_id());
    if (rest->deadline != TimePoint::max()) --deadline_count_;
    mores_.remove(row.more);
  }
  drop_payload(row);
  ids_.remove(row.id);
  rows_.remove(slot);
}

Job Jobs::job_of(const Row& row) const {
  const Lane& in = lane(row);
  Job job;
  job.id = row.job_id();
  job.kind = in.kind->name;
  job.payload = payload_of(row);
  job.queue = in.queue->name;
  job.priority = row.priority();
  job.state = row.state();
  job.attempt = static_cast<int>(row.attempt);
  job.max_attempts = row.max_is_claimed != 0 ? 0 : static_cast<int>(row.max_attempts);
  job.epoch = row.epoch;
  job.created_at = row.created_at;
  job.run_at = row.run_at;
  if (row.started_at != Row::never) job.started_at = row.started_at;
  if (is_terminal(job.state)) job.finished_at = row.finished_at();
  job.timeout = profile(row).timeout;
  job.node = row.node().value;
  const More* const rest = has_more(row);
  if (rest == nullptr) return job;
  job.tenant = rest->tenant;
  job.tags = rest->tags;
  job.unique_key = rest->unique.key;
  job.parents = rest->parents;
  job.on_parent_failure = rest->on_parent_failure;
  job.created_by = rest->created_by;
  job.digest = rest->digest;
  job.trace = rest->trace;
  job.run = rest->run;
  job.crashes = rest->crashes;
  job.snoozes = rest->snoozes;
  job.cancel_requested = rest->cancel_requested;
  if (rest->deadline != TimePoint::max()) job.deadline = rest->deadline;
  if (rest->timeout != Duration::zero()) job.timeout = rest->timeout;
  job.progress = rest->progress;
  job.result = rest->result;
  job.dead_reason = rest->dead_reason;
  job.end_message = rest->end_message;
  job.errors = rest->errors;
  return job;
}

}  // namespace quern::inline v1::memory
