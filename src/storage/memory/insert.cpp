#include <fmt/format.h>

#include <algorithm>

#include "quern/core/error.hpp"
#include "storage/memory/jobs.hpp"

namespace quern::inline v1::memory {
namespace {

/// Most jobs: no parents, each id larger than the one before. Then no job of the batch refers to another.
bool is_plain(std::span<const NewJob> jobs) {
  std::uint64_t last = 0;
  for (const NewJob& job : jobs) {
    if (job.id.value <= last || job.id.value > max_job_id || !job.parents.empty()) return false;
    last = job.id.value;
  }
  return true;
}

/// True when nothing of the job has to be kept in a `More`.
bool fits_a_row(const NewJob& job) {
  return job.tenant.empty() && job.tags.empty() && job.unique.key.empty() && job.parents.empty() &&
         job.on_parent_failure == ParentPolicy::cancel && job.created_by.empty() && job.digest.empty() &&
         job.trace.empty() && !job.deadline;
}

}  // namespace

JobId Jobs::reserve_ids(std::size_t count) {
  if (count < 1 || count > std::size_t{1} << 32U) {
    throw InvalidArgument("count", fmt::format("is {}, allowed are 1 to 2^32", count));
  }
  if (count > max_job_id - next_id_) throw StorageError("all job ids have been reserved", false);
  const JobId first{next_id_};
  next_id_ += count;
  return first;
}

bool Jobs::all_there(std::span<const NewJob> jobs) {
  return std::ranges::all_of(jobs, [&](const NewJob& job) { return find_row(job.id) != nullptr; });
}

std::vector<InsertResult> Jobs::insert(Call& call, std::span<const NewJob> jobs) {
  if (!is_plain(jobs)) {
    Coming coming;
    check_batch(jobs, coming);
  }
  if (!has_room(call, jobs)) return {jobs.size(), InsertResult{.status = InsertStatus::queue_full}};
  StandIns stand_ins;
  return insert_checked(call, jobs, stand_ins);
}

std::vector<InsertResult> Jobs::insert_checked(Call& call, std::span<const NewJob> jobs,
                                               StandIns& stand_ins) {
  std::vector<InsertResult> results;
  results.reserve(jobs.size());
  for (const NewJob& job : jobs) results.push_back(insert_one(call, job, stand_ins));
  return results;
}

bool Jobs::has_room(const Call& call, std::span<const NewJob> jobs) {
  // Mostly no queue has a limit, and then the jobs need not be looked at.
  if (names_.limited == 0) return true;
  std::map<const Queue*, std::uint64_t> coming;  // to queues that have a limit
  std::set<std::string_view> keys;
  for (const NewJob& job : jobs) {
    const std::string& key = job.unique.key;
    const bool first_with_key = key.empty() || keys.insert(key).second;
    const Queue* const queue = names_.find_queue(job.queue);
    if (queue == nullptr || queue->max_waiting == 0) continue;
    if (first_with_key && needs_room(call, job)) ++coming[queue];
  }
  return std::ranges::all_of(coming, [&](const auto& some) {
    const auto& [queue, count] = some;
    std::uint64_t there = 0;
    for (const Lane* const lane : queue->lanes)
      there +=
          lane->count(JobState::blocked) + lane->count(JobState::scheduled) + lane->count(JobState::ready);
    return there < queue->max_waiting && count <= queue->max_waiting - there;
  });
}

bool Jobs::needs_room(const Call& call, const NewJob& job) {
  if (find_slot(job.id) != no_slot) return false;
  const Row* const holder = job.unique.key.empty() ? nullptr : key_holder(job.unique.key, call.now);
  if (holder == nullptr) return true;
  // It is not added, or takes the place of one that waits; which may stand in another queue.
  const JobState state = holder->state();
  const bool waits = state == JobState::scheduled || state == JobState::ready || state == JobState::blocked;
  return job.unique.on_conflict == UniqueConflict::replace && waits && lane(*holder).queue->name != job.queue;
}

/// `coming`: ids that earlier batches of the same call bring; those of this one are added.
void Jobs::check_batch(std::span<const NewJob> jobs, Coming& coming) const {
  std::set<JobId> here;
  for (const NewJob& job : jobs) {
    if (!job.id || job.id.value > max_job_id) {
      throw InvalidArgument("id", fmt::format("is {}, allowed are 1 to {}", job.id.value, max_job_id));
    }
    if (!here.insert(job.id).second) {
      throw InvalidArgument("id", fmt::format("{} stands twice in the batch", job.id.value));
    }
    if (find_slot(job.id) == no_slot) {
      for (const JobId parent : job.parents) {
        if (find_slot(parent) != no_slot || coming.contains(parent)) continue;
        throw InvalidArgument("parents", fmt::format("there is no job {}", parent.value));
      }
      check_durability(job, coming);
    }
    coming.emplace(job.id, &job);
  }
}

InsertResult Jobs::insert_one(Call& call, const NewJob& job, StandIns& stand_ins) {
  if (const Row* const there = find_row(job.id)) {
    confirm(*there);
    return {.status = InsertStatus::repeated};
  }

  InsertResult result;
  Row* const holder = job.unique.key.empty() ? nullptr : key_holder(job.unique.key, call.now);
  if (holder != nullptr) {
    result.holder = holder->job_id();
    const JobState state = holder->state();
    const bool waits = state == JobState::scheduled || state == JobState::ready;
    if (job.unique.on_conflict == UniqueConflict::replace && (waits || state == JobState::blocked)) {
      cancel_now(call, *holder, fmt::format("replaced by job {}", job.id.value));
      settle(call);
      result.status = InsertStatus::replaced;
    } else {
      result.status = InsertStatus::duplicate;
      confirm(*holder);
      if (job.unique.on_conflict == UniqueConflict::reschedule && waits) {
        wait_until(call, *holder, job.run_at.resolve(call.now));
        event(call, JobEventType::rescheduled, *holder, fmt::format("rescheduled by job {}", job.id.value));
        result.status = InsertStatus::rescheduled;
      }
      stand_ins.emplace(job.id, result.holder);
      return result;
    }
  }
  add_row(call, job, stand_ins);
  return result;
}

void Jobs::add_row(Call& call, const NewJob& job, const StandIns& stand_ins) {
  const Slot slot = rows_.add();
  Row& row = rows_[slot];
  row.id = job.id.value;
  row.run_at = job.run_at.resolve(call.now);
  row.created_at = call.now;
  row.max_attempts = static_cast<unsigned>(std::max(job.max_attempts, 0)) & most_attempts;
  row.set_priority(job.priority);
  row.profile = names_.profile(job.queue, job.kind, job.timeout, job.payload.codec());
  mark_new(slot, row);
  // What waits long must not hold a whole chunk of the arena.
  keep_payload(row, job.payload.bytes(), row.run_at > call.now);
  if (!fits_a_row(job)) {
    More& rest = more(row);
    rest.tenant = job.tenant;
    rest.tags = job.tags;
    rest.created_by = job.created_by;
    rest.digest = job.digest;
    rest.trace = job.trace;
    rest.unique = job.unique;
    rest.on_parent_failure = job.on_parent_failure;
    if (job.deadline) rest.deadline = job.deadline->resolve(call.now);
    std::set<JobId> named;
    for (const JobId parent : job.parents) {
      const auto stand_in = stand_ins.find(parent);
      const JobId real = stand_in == stand_ins.end() ? parent : stand_in->second;
      if (named.insert(real).second) rest.parents.push_back(real);
    }
    if (!job.tenant.empty()) tenants_[job.tenant].insert(job.id);
    for (const std::string& tag : job.tags) tags_[tag].insert(job.id);
    if (!job.unique.key.empty()) keys_.insert_or_assign(job.unique.key, job.id);
  }
  if (profile(row).timeout != job.timeout) more(row).timeout = job.timeout;
  ids_.add(row.id, slot, lane(row).id, row.created_at);
  if (const More* const rest = has_more(row); rest != nullptr && rest->deadline != TimePoint::max()) {
    ++deadline_count_;
    if (expect_deadline(row)) call.work = true;
  }
  if (const More* const rest = has_more(row); rest != nullptr && !rest->parents.empty()) {
    row.set_state(JobState::blocked);
    link(slot, row);
    event(call, JobEventType::created, row);
    return add_parents(call, row);
  }
  const bool ready = row.run_at <= call.now;
  row.set_state(ready ? JobState::ready : JobState::scheduled);
  link(slot, row);
  event(call, JobEventType::created, row);
  if (ready)
    call.ready = true;
  else if (scheduled_.top([&](const DueHeap::Entry& e) { return is_due(e); })->id == row.id)
    call.work = true;
}

void Jobs::add_parents(Call& call, Row& row) {
  // It starts blocked by all its parents; then those that have ended already are resolved as if they ended
  // now.
  const std::vector<JobId> parents = more(row).parents;
  for (const JobId parent : parents) add_edge(row, row_at(parent));
  for (const JobId id : parents) {
    const Row& parent = row_at(id);
    if (row.state() == JobState::blocked && is_terminal(parent.state())) resolve_edge(call, row, parent);
  }
  if (row.state() == JobState::blocked) event(call, JobEventType::blocked, row);
  settle(call);
}

}  // namespace quern::inline v1::memory
