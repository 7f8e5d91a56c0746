#include <fmt/core.h>

#include <map>

#include "quern/core/limits.hpp"
#include "storage/record_changes.hpp"
#include "storage/sqlite/operations.hpp"
#include "storage/sqlite/reading.hpp"
#include "storage/sqlite/sql.hpp"

namespace quern::inline v1::sqlite {
namespace {

/// One batch on its way in.
class Insert {
 public:
  Insert(Work& work, StandIns& stand_ins) : work_(work), stand_ins_(stand_ins) {}

  InsertResult add(const NewJob& job) {
    const bool plain = job.unique.key.empty() && job.parents.empty();
    // A plain job finds out when its row turns out to be there already.
    if (!plain && work_.db.exists(sql::has_job, job.id)) return {.status = InsertStatus::repeated};

    InsertResult result;
    if (!job.unique.key.empty()) {
      result = meet_holder(job);
      if (result.status == InsertStatus::duplicate || result.status == InsertStatus::rescheduled) {
        stand_ins_.emplace(job.id, result.holder);
        return result;
      }
    }
    const std::vector<JobId> parents = real_parents(job);
    const LaneId lane = work_.lanes.intern(work_.db, job.queue, job.kind);
    const TimePoint run_at = job.run_at.resolve(work_.now);
    const auto deadline = job.deadline ? std::optional(job.deadline->resolve(work_.now)) : std::nullopt;
    const std::string more = pack_more(job, parents);
    const auto stored_more = more.empty() ? std::nullopt : std::optional(Blob{more});
    if (work_.db.run(sql::add_job, job.id, lane, job.priority.level, job.max_attempts, run_at, work_.now,
                     deadline, stored_more, Blob{job.payload.text()}) == 0)
      return {.status = InsertStatus::repeated};
    work_.zones.added(job.id, lane, work_.now);
    if (!job.tenant.empty() || !job.tags.empty()) work_.zones.label(job.id, job.tenant, job.tags);

    if (!job.unique.key.empty()) {
      const auto until = job.unique.period > Duration::zero()
                             ? When::after(job.unique.period).resolve(work_.now)
                             : TimePoint::max();
      work_.db.run(sql::take_key, job.unique.key, job.id, until);
    }
    if (parents.empty()) {
      const JobState state = work_.wait_until(job.id, lane, job.priority, run_at, false, deadline);
      tell_created(job.id, lane, state, run_at);
    } else {
      place_child(job, lane, run_at, deadline, parents);
    }
    return result;
  }

 private:
  /// What the holder of the job's key makes of it: `added` and `replaced` mean that the job may be added.
  InsertResult meet_holder(const NewJob& job) {
    const auto id = work_.db.value(sql::key_holder, job.unique.key, work_.now);
    if (!id) return {};
    const JobId holder{static_cast<std::uint64_t>(*id)};
    auto place = work_.locate(holder);
    if (!place) return {};  // only in a damaged file
    if (is_terminal(place->state)) {
      // A record that could not be read when its job was set aside left its key behind.
      const auto more = unpack_more(place->more);
      if (!more || more->unique.key != job.unique.key) return {};
    }
    const bool waits = place->state == JobState::scheduled || place->state == JobState::ready;
    if (job.unique.on_conflict == UniqueConflict::replace && (waits || place->state == JobState::blocked)) {
      work_.end_waiting(*place, JobState::cancelled, DeadReason::none,
                        fmt::format("replaced by job {}", job.id.value));
      work_.settle();
      return {.status = InsertStatus::replaced, .holder = holder};
    }
    if (job.unique.on_conflict == UniqueConflict::reschedule && waits) {
      work_.leave(*place);
      place->run_at = job.run_at.resolve(work_.now);
      work_.save_changed(*place);
      work_.wait_until(*place, place->run_at);
      if (JobEvent* told =
              work_.event(JobEventType::rescheduled, holder, place->lane, place->attempt, place->epoch)) {
        told->run_at = place->run_at;
        told->message = fmt::format("rescheduled by job {}", job.id.value);
      }
      return {.status = InsertStatus::rescheduled, .holder = holder};
    }
    return {.status = InsertStatus::duplicate, .holder = holder};
  }

  /// Each parent once; for one of this batch that was not added, the job that holds its key.
  std::vector<JobId> real_parents(const NewJob& job) const {
    std::vector<JobId> parents;
    std::set<JobId> named;
    for (const JobId parent : job.parents) {
      const auto stand_in = stand_ins_.find(parent);
      const JobId real = stand_in == stand_ins_.end() ? parent : stand_in->second;
      if (named.insert(real).second) parents.push_back(real);
    }
    return parents;
  }

  void tell_created(JobId id, LaneId lane, JobState state, TimePoint run_at) {
    if (JobEvent* told = work_.event(JobEventType::created, id, lane, 0, 0)) told->run_at = run_at;
    if (state == JobState::blocked) work_.event(JobEventType::blocked, id, lane, 0, 0);
  }

  void place_child(const NewJob& job, LaneId lane, TimePoint run_at, std::optional<TimePoint> deadline,
                   const std::vector<JobId>& parents) {
    std::vector<JobId> open;
    std::string cancelled;
    for (const JobId parent : parents) {
      Query row = work_.db.query(sql::parent_state);
      if (!row.bind(parent).step())
        throw InvalidArgument("parents", fmt::format("there is no job {}", parent.value));
      if (row.null(0)) {
        open.push_back(parent);
        continue;
      }
      const auto state = static_cast<JobState>(row.small(0));
      if (state == JobState::completed || job.on_parent_failure == ParentPolicy::run) continue;
      if (job.on_parent_failure == ParentPolicy::stay_blocked) {
        open.push_back(parent);
      } else if (cancelled.empty()) {
        cancelled = fmt::format("its parent {} is {}", parent.value, to_string(state));
      }
    }
    if (!cancelled.empty()) {
      tell_created(job.id, lane, JobState::cancelled, run_at);
      work_.end({.id = job.id,
                 .lane = lane,
                 .state = JobState::cancelled,
                 .message = cancelled,
                 .keyed = !job.unique.key.empty()});
      work_.settle();
    } else if (open.empty()) {
      const JobState state = work_.wait_until(job.id, lane, job.priority, run_at, false, deadline);
      tell_created(job.id, lane, state, run_at);
    } else {
      for (const JobId parent : open)
        work_.db.run(sql::add_dep, parent, job.id, static_cast<int>(job.on_parent_failure));
      work_.now_has(sql::any_dep);
      work_.block(job.id, lane, deadline);
      tell_created(job.id, lane, JobState::blocked, run_at);
    }
  }

  Work& work_;
  StandIns& stand_ins_;
};

}  // namespace

JobId reserve_ids(Connection& db, std::size_t count) {
  if (count < 1 || count > std::size_t{1} << 32U)
    throw InvalidArgument("count", fmt::format("is {}, allowed are 1 to 2^32", count));
  const auto next = static_cast<std::uint64_t>(db.value(sql::meta, std::string_view("next_id")).value_or(0));
  if (next == 0 || count > max_job_id - next)
    throw StorageError(db.file() + ": all job ids have been reserved", false);
  db.run(sql::set_meta, std::string_view("next_id"), next + count);
  return JobId{next};
}

void check_batch(Work& work, std::span<const NewJob> jobs, std::set<JobId>& coming) {
  bool ascending = true;
  bool has_parents = false;
  JobId before{};
  for (const NewJob& job : jobs) {
    if (!job.id || job.id.value > max_job_id)
      throw InvalidArgument("id", fmt::format("is {}, allowed are 1 to {}", job.id.value, max_job_id));
    ascending = ascending && before < job.id;
    has_parents = has_parents || !job.parents.empty();
    before = job.id;
  }
  if (ascending && !has_parents) return;  // the usual batch needs no set

  std::set<JobId> here;
  for (const NewJob& job : jobs) {
    if (here.contains(job.id))
      throw InvalidArgument("id", fmt::format("{} stands twice in the batch", job.id.value));
    if (!job.parents.empty() && !work.db.exists(sql::has_job, job.id)) {
      for (const JobId parent : job.parents) {
        if (here.contains(parent) || coming.contains(parent) || work.db.exists(sql::has_job, parent))
          continue;
        throw InvalidArgument("parents", fmt::format("there is no job {}", parent.value));
      }
    }
    here.insert(job.id);
  }
}

std::vector<InsertResult> insert_checked(Work& work, std::span<const NewJob> jobs, StandIns& stand_ins) {
  std::vector<InsertResult> results;
  results.reserve(jobs.size());
  Insert insert(work, stand_ins);
  for (const NewJob& job : jobs) results.push_back(insert.add(job));
  return results;
}

std::vector<InsertResult> insert(Work& work, std::span<const NewJob> jobs) {
  std::set<JobId> coming;
  check_batch(work, jobs, coming);
  if (!has_room(work, jobs)) return {jobs.size(), InsertResult{.status = InsertStatus::queue_full}};
  StandIns stand_ins;
  return insert_checked(work, jobs, stand_ins);
}

InsertIfResult insert_if(Work& work, std::span<const NewJob> jobs, std::span<const RecordChange> changes) {
  using detail::RecordsStand;
  InsertIfResult result;
  const RecordsStand stand =
      detail::stand_of(changes, [&](const std::string& collection, const std::string& key) {
        return get_record(work.db, collection, key);
      });
  if (stand == RecordsStand::otherwise) return result;
  if (stand == RecordsStand::as_wanted) {
    for (const NewJob& job : jobs)
      if (!work.db.exists(sql::has_job, job.id)) return result;
  }
  result.done = true;
  if (!jobs.empty()) result.jobs = insert(work, jobs);
  if (stand == RecordsStand::as_wanted || detail::is_full(result.jobs)) return result;
  for (const RecordChange& change : changes) {
    if (change.value)
      work.db.run(sql::put_record, change.collection, change.key, Blob{change.value->text()});
    else
      work.db.run(sql::erase_record, change.collection, change.key);
  }
  return result;
}

}  // namespace quern::inline v1::sqlite
