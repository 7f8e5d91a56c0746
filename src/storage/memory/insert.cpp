#include <fmt/format.h>

#include <algorithm>

#include "quern/core/error.hpp"
#include "storage/memory/jobs.hpp"

namespace quern::inline v1::memory {

JobId Jobs::reserve_ids(std::size_t count) {
  if (count < 1 || count > std::size_t{1} << 32U) {
    throw InvalidArgument("count", fmt::format("is {}, allowed are 1 to 2^32", count));
  }
  if (count > max_job_id - next_id_) throw StorageError("all job ids have been reserved", false);
  const JobId first{next_id_};
  next_id_ += count;
  return first;
}

std::vector<InsertResult> Jobs::insert(Call& call, std::span<const NewJob> jobs) {
  std::set<JobId> coming;
  check_batch(jobs, coming);
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
  if (std::ranges::none_of(queues_, [](const auto& queue) { return queue.second.max_waiting > 0; }))
    return true;
  std::map<std::string_view, std::uint64_t> coming;  // to queues that have a limit
  std::set<std::string_view> keys;
  for (const NewJob& job : jobs) {
    const std::string& key = job.unique.key;
    const bool first_with_key = key.empty() || keys.insert(key).second;
    const auto queue = queues_.find(job.queue);
    if (queue == queues_.end() || queue->second.max_waiting == 0) continue;
    if (first_with_key && needs_room(call, job)) ++coming[queue->first];
  }
  return std::ranges::all_of(coming, [&](const auto& some) {
    const auto& [queue, count] = *queues_.find(some.first);
    const std::uint64_t there = waiting(queue);
    return there < count.max_waiting && some.second <= count.max_waiting - there;
  });
}

bool Jobs::needs_room(const Call& call, const NewJob& job) {
  if (rows_.contains(job.id)) return false;
  const Row* const holder = job.unique.key.empty() ? nullptr : key_holder(job.unique.key, call.now);
  if (holder == nullptr) return true;
  // It is not added, or takes the place of one that waits; which may stand in another queue.
  const JobState state = holder->job.state;
  const bool waits = state == JobState::scheduled || state == JobState::ready || state == JobState::blocked;
  return job.unique.on_conflict == UniqueConflict::replace && waits && holder->job.queue != job.queue;
}

std::uint64_t Jobs::waiting(const std::string& queue) const {
  std::uint64_t sum = 0;
  for (auto it = indexes_.shelves().lower_bound(Shelf{.queue = queue});
       it != indexes_.shelves().end() && it->first.queue == queue; ++it) {
    const JobState state = it->first.state;
    if (state == JobState::blocked || state == JobState::scheduled || state == JobState::ready)
      sum += it->second.size();
  }
  return sum;
}

/// `coming`: ids that earlier batches of the same call bring; those of this one are added.
void Jobs::check_batch(std::span<const NewJob> jobs, std::set<JobId>& coming) const {
  std::set<JobId> here;
  for (const NewJob& job : jobs) {
    if (!job.id || job.id.value > max_job_id) {
      throw InvalidArgument("id", fmt::format("is {}, allowed are 1 to {}", job.id.value, max_job_id));
    }
    if (!here.insert(job.id).second) {
      throw InvalidArgument("id", fmt::format("{} stands twice in the batch", job.id.value));
    }
    if (!rows_.contains(job.id)) {
      for (const JobId parent : job.parents) {
        if (rows_.contains(parent) || coming.contains(parent)) continue;
        throw InvalidArgument("parents", fmt::format("there is no job {}", parent.value));
      }
    }
    coming.insert(job.id);
  }
}

InsertResult Jobs::insert_one(Call& call, const NewJob& job, StandIns& stand_ins) {
  if (rows_.contains(job.id)) return {.status = InsertStatus::repeated};

  InsertResult result;
  Row* const holder = job.unique.key.empty() ? nullptr : key_holder(job.unique.key, call.now);
  if (holder != nullptr) {
    result.holder = holder->job.id;
    const JobState state = holder->job.state;
    const bool waits = state == JobState::scheduled || state == JobState::ready;
    if (job.unique.on_conflict == UniqueConflict::replace && (waits || state == JobState::blocked)) {
      cancel_now(call, *holder, fmt::format("replaced by job {}", job.id.value));
      settle(call);
      result.status = InsertStatus::replaced;
    } else {
      result.status = InsertStatus::duplicate;
      if (job.unique.on_conflict == UniqueConflict::reschedule && waits) {
        wait_until(call, *holder, job.run_at.resolve(call.now));
        event(call, JobEventType::rescheduled, *holder, fmt::format("rescheduled by job {}", job.id.value));
        result.status = InsertStatus::rescheduled;
      }
      stand_ins.emplace(job.id, holder->job.id);
      return result;
    }
  }
  add_row(call, job, stand_ins);
  return result;
}

void Jobs::add_row(Call& call, const NewJob& job, const StandIns& stand_ins) {
  Row fresh;
  fresh.job = {.id = job.id,
               .kind = job.kind,
               .payload = job.payload,
               .queue = job.queue,
               .priority = job.priority,
               .state = JobState::blocked,
               .tenant = job.tenant,
               .tags = job.tags,
               .unique_key = job.unique.key,
               .on_parent_failure = job.on_parent_failure,
               .created_by = job.created_by,
               .digest = job.digest,
               .max_attempts = job.max_attempts,
               .created_at = call.now,
               .run_at = job.run_at.resolve(call.now),
               .timeout = job.timeout};
  if (job.deadline) fresh.job.deadline = job.deadline->resolve(call.now);
  fresh.unique = job.unique;
  std::set<JobId> named;
  for (const JobId parent : job.parents) {
    const auto stand_in = stand_ins.find(parent);
    const JobId real = stand_in == stand_ins.end() ? parent : stand_in->second;
    if (named.insert(real).second) fresh.job.parents.push_back(real);
  }

  Row& row = rows_.emplace(job.id, std::move(fresh)).first->second;
  queues_.try_emplace(job.queue);
  if (!job.unique.key.empty()) keys_.insert_or_assign(job.unique.key, job.id);

  // It starts blocked by all its parents; then those that have ended already are resolved as if they ended
  // now.
  indexes_.add(row);
  event(call, JobEventType::created, row);
  if (row.job.parents.empty()) return wait_until(call, row, row.job.run_at);
  for (const JobId parent : row.job.parents) add_edge(row, rows_.at(parent));
  for (const JobId id : row.job.parents) {
    const Row& parent = rows_.at(id);
    if (row.job.state == JobState::blocked && is_terminal(parent.job.state)) resolve_edge(call, row, parent);
  }
  if (row.job.state == JobState::blocked) event(call, JobEventType::blocked, row);
  settle(call);
}

}  // namespace quern::inline v1::memory
