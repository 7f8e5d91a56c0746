// Jobs as another storage shows them.
#include <algorithm>
#include <map>
#include <utility>

#include "storage/sqlite/images.hpp"
#include "storage/sqlite/job_more.hpp"
#include "storage/sqlite/operations.hpp"
#include "storage/sqlite/sql.hpp"

namespace quern::inline v1::sqlite {
namespace {

/// The rare fields, packed; empty: it has none.
std::string more_of(const JobImage& image) {
  const Job& job = image.job;
  const bool plain = job.timeout == Duration::zero() && job.tenant.empty() && job.tags.empty() &&
                     image.unique.key.empty() && job.parents.empty() &&
                     job.on_parent_failure == ParentPolicy::cancel && job.created_by.empty() &&
                     job.digest.empty() && job.trace.empty();
  if (plain) return {};
  NewJob fields;
  fields.timeout = job.timeout;
  fields.tenant = job.tenant;
  fields.tags = job.tags;
  fields.unique = image.unique;
  fields.on_parent_failure = job.on_parent_failure;
  fields.created_by = job.created_by;
  fields.digest = job.digest;
  fields.trace = job.trace;
  return pack_more(fields, job.parents);
}

}  // namespace

void ImageWriter::write(const ImageChunk& chunk) {
  for (const JobId id : chunk.erased) erase(id);
  for (const JobImage& image : chunk.jobs) put(image);
  for (const RecordKey& key : chunk.erased_records) work_.db.run(sql::erase_record, key.collection, key.key);
  for (const Record& record : chunk.records)
    work_.db.run(sql::put_record, record.collection, record.key, Blob{record.value.text()});
  for (const QueueStatus& queue : chunk.queues)
    work_.db.run(sql::put_queue, queue.name, queue.paused, queue.max_waiting);
}

void ImageWriter::take_out(Place& place) {
  if (is_terminal(place.state)) {
    work_.forget_end(place);
  } else if (place.state == JobState::running) {
    work_.leave_claim(*place.claim, place.spot);
    if (work_.has_any(sql::any_cancel)) work_.db.run(sql::delete_cancel, place.id);
  } else {
    work_.leave(place);
  }
}

void ImageWriter::erase(JobId id) {
  auto place = work_.locate(id);
  if (!place) return;
  take_out(*place);
  const auto more = unpack_more(place->more);
  if (more && !more->unique.key.empty()) work_.db.run(sql::free_key, more->unique.key, id);
  work_.zones.erased(id, place->lane, more ? &*more : nullptr);
  work_.erase_rows({id.value, id.value});
}

void ImageWriter::put(const JobImage& image) {
  const Job& job = image.job;
  const LaneId lane = work_.lanes.intern(work_.db, job.queue, job.kind);
  const std::string more = more_of(image);
  const auto packed = more.empty() ? std::nullopt : std::optional(Blob{more});
  const bool added =
      work_.db.run(sql::add_job, job.id, lane, job.priority.level, job.max_attempts, job.run_at,
                   job.created_at, job.deadline, packed, Blob{job.payload.text()}) != 0;
  bool changed = false;
  if (added) {
    work_.zones.added(job.id, lane, job.created_at);
    if (!job.tenant.empty() || !job.tags.empty()) work_.zones.label(job.id, job.tenant, job.tags);
  } else {
    changed = replace(job);
  }
  put_beside(image, added);

  const bool ended = is_terminal(job.state);
  const bool keeps_attempt = ended || job.state == JobState::running;  // in another table
  changed = changed || job.run != 1 || job.crashes != 0 || job.snoozes != 0 || !job.errors.empty() ||
            (!keeps_attempt && (job.attempt != 0 || job.epoch != 0 || job.started_at));
  if (changed) {
    // Of a running job the row shows what it was before its claim.
    const bool running = job.state == JobState::running;
    work_.db.run(sql::set_changed, job.id, job.priority.level, job.run, job.attempt - (running ? 1 : 0),
                 job.epoch - (running ? 1U : 0U), job.crashes, job.snoozes, job.run_at, job.deadline,
                 running ? std::nullopt : job.started_at);
    work_.now_has(sql::any_changed);
  }
  place(image, lane, changed);
}

/// Takes the job out of where it stood; true: it has, or needs, a row in quern_changed.
bool ImageWriter::replace(const Job& job) {
  auto before = work_.locate(job.id);
  // As it says itself now; what it has of the rest comes with the image.
  const bool changed = before->changed || before->priority != job.priority || before->run_at != job.run_at ||
                       before->deadline != job.deadline;
  take_out(*before);
  if (work_.has_any(sql::any_step)) work_.db.run(sql::delete_steps, job.id, job.id);
  if (work_.has_any(sql::any_progress)) work_.db.run(sql::delete_progress, job.id, job.id);
  if (work_.has_any(sql::any_error)) work_.db.run(sql::delete_errors, job.id, job.id);
  return changed;
}

void ImageWriter::put_beside(const JobImage& image, bool added) {
  const Job& job = image.job;
  if (!image.unique.key.empty()) {
    if (image.holds_key) {
      const auto until = image.unique.period > Duration::zero()
                             ? When::after(image.unique.period).resolve(job.created_at)
                             : TimePoint::max();
      work_.db.run(sql::take_key, image.unique.key, job.id, until);
    } else if (!added) {
      work_.db.run(sql::free_key, image.unique.key, job.id);
    }
  }
  for (const AttemptError& error : job.errors) {
    work_.db.run(sql::add_error, job.id, error.epoch, error.attempt, error.at, static_cast<int>(error.fault),
                 error.message);
    work_.now_has(sql::any_error);
  }
  for (const Step& step : image.steps) {
    work_.db.run(sql::add_step, job.id, step.name, Blob{step.value.text()});
    work_.now_has(sql::any_step);
  }
  if (job.progress != Progress{} || image.progress_epoch != 0) {
    work_.db.query(sql::set_progress)
        .bind(job.id, image.progress_epoch, job.progress.percent, job.progress.message)
        .run();
    work_.now_has(sql::any_progress);
  }
}

void ImageWriter::place(const JobImage& image, LaneId lane, bool changed) {
  const Job& job = image.job;
  switch (job.state) {
    case JobState::blocked:
      for (const JobId parent : image.waits_for)
        work_.db.run(sql::add_dep, parent, job.id, static_cast<int>(job.on_parent_failure));
      work_.now_has(sql::any_dep);
      return work_.block(job.id, lane, job.deadline);
    case JobState::scheduled:
      return work_.schedule(job.id, lane, job.priority, job.run_at, changed, job.deadline);
    case JobState::ready:
      return work_.make_ready(job.id, lane, job.priority, job.run_at, changed, job.deadline);
    case JobState::running:
      return note_run(image, lane, changed);
    case JobState::completed:
    case JobState::dead:
    case JobState::cancelled:
      return work_.put_end({.id = job.id,
                            .lane = lane,
                            .state = job.state,
                            .attempt = job.attempt,
                            .epoch = job.epoch,
                            .started_at = job.started_at,
                            .reason = job.dead_reason,
                            .message = job.end_message,
                            .result = job.result ? &*job.result : nullptr},
                           job.finished_at.value_or(work_.now));
  }
}

void ImageWriter::note_run(const JobImage& image, LaneId lane, bool changed) {
  const Job& job = image.job;
  ClaimGroup group{.lane = lane,
                   .attempt = job.attempt,
                   .epoch = job.epoch,
                   .max_attempts = std::max(1, image.claimed_attempts),
                   .keyed = !image.unique.key.empty(),
                   .changed = changed};
  auto& groups = runs_[job.started_at.value_or(work_.now)];
  const auto known = std::ranges::find_if(groups, [&](const auto& some) { return same(some.first, group); });
  if (known == groups.end())
    groups.push_back({std::move(group), {job.id.value}});
  else
    known->second.push_back(job.id.value);
  work_.count(lane, JobState::running, 1);
  if (job.cancel_requested) {
    work_.db.run(sql::add_cancel, job.id, image.cancel_reason);
    work_.now_has(sql::any_cancel);
  }
}

void ImageWriter::finish() {
  for (auto& [claimed_at, groups] : runs_) {
    std::vector<ClaimGroup> packed;
    for (auto& [group, ids] : groups) {
      group.ids = runs_of(std::move(ids));
      packed.push_back(std::move(group));
    }
    const PackedClaim claim = pack_claim(packed);
    work_.db.run(sql::add_claim, keeper_.value, claimed_at, Blob{claim.settled}, Blob{claim.entries});
  }
  runs_.clear();
}

}  // namespace quern::inline v1::sqlite
