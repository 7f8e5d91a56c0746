#include "storage/sqlite/find.hpp"

#include "storage/sqlite/job_more.hpp"
#include "storage/sqlite/reading.hpp"
#include "storage/sqlite/sql_read.hpp"

namespace quern::inline v1::sqlite {
namespace {

// The columns of sql::full_job, in the order of their tables.
enum Column : int {
  queue,
  kind,
  priority,
  max_attempts,
  run_at,
  created_at,
  deadline,
  more,
  payload,
  changed_run,
  changed_attempt,
  changed_epoch,
  crashes,
  snoozes,
  changed_run_at,
  changed_deadline,
  changed_started_at,
  completed_id,
  completed_attempt,
  completed_epoch,
  completed_started_at,
  completed_at,
  result,
  failed_state,
  failed_attempt,
  failed_epoch,
  failed_started_at,
  failed_at,
  dead_reason,
  end_message,
  percent,
  progress_message,
  scheduled_id,
  blocked_id,
  cancel_id
};

Payload payload_of(const Query& row, int column) { return Payload::json(row.string(column)); }

Job as_added(const Query& row, JobId id) {
  Job job;
  job.id = id;
  job.queue = row.string(queue);
  job.kind = row.string(kind);
  job.priority = Priority{row.small(priority)};
  job.max_attempts = row.small(max_attempts);
  job.run_at = row.time(run_at);
  job.created_at = row.time(created_at);
  job.deadline = row.maybe_time(deadline);
  job.payload = payload_of(row, payload);
  if (row.null(more)) return job;
  auto rare = unpack_more(row.bytes(more));
  if (!rare) return job;  // a claim will set the job aside
  job.timeout = rare->timeout;
  job.tenant = std::move(rare->tenant);
  job.tags = std::move(rare->tags);
  job.unique_key = std::move(rare->unique.key);
  job.parents = std::move(rare->parents);
  job.on_parent_failure = rare->on_parent_failure;
  job.created_by = std::move(rare->created_by);
  job.digest = std::move(rare->digest);
  job.trace = std::move(rare->trace);
  return job;
}

void add_changes(const Query& row, Job& job) {
  if (row.null(changed_run)) return;
  job.run = row.small(changed_run);
  job.attempt = row.small(changed_attempt);
  job.epoch = static_cast<Epoch>(row.number(changed_epoch));
  job.crashes = row.small(crashes);
  job.snoozes = row.small(snoozes);
  job.run_at = row.time(changed_run_at);
  job.deadline = row.maybe_time(changed_deadline);
  job.started_at = row.maybe_time(changed_started_at);
}

void add_completion(const Query& row, Job& job) {
  job.state = JobState::completed;
  job.attempt = row.small(completed_attempt);
  job.epoch = static_cast<Epoch>(row.number(completed_epoch));
  job.started_at = row.maybe_time(completed_started_at);
  job.finished_at = row.time(completed_at);
  if (!row.null(result)) job.result = payload_of(row, result);
}

void add_failure(const Query& row, Job& job) {
  job.state = static_cast<JobState>(row.small(failed_state));
  job.attempt = row.small(failed_attempt);
  job.epoch = static_cast<Epoch>(row.number(failed_epoch));
  job.started_at = row.maybe_time(failed_started_at);
  job.finished_at = row.time(failed_at);
  job.dead_reason = static_cast<DeadReason>(row.small(dead_reason));
  job.end_message = row.string(end_message);
}

}  // namespace

const std::unordered_map<JobId, Finder::Running>& Finder::running() {
  if (running_) return *running_;
  running_.emplace();
  for (const ClaimRow* const row : claims_.all()) {
    row->each([&](JobId id, const ClaimRow::Spot& spot) {
      running_->emplace(id, Running{row->node(), row->claimed_at(), spot.group->attempt, spot.group->epoch,
                                    spot.group->max_attempts});
      return true;
    });
  }
  return *running_;
}

std::optional<Job> Finder::find(JobId id) {
  Query row = db_.query(sql::full_job);
  if (!row.bind(id).step()) return std::nullopt;
  Job job = as_added(row, id);
  add_changes(row, job);
  bool may_have_errors = !row.null(changed_run);
  if (!row.null(percent)) job.progress = {row.small(percent), row.string(progress_message)};
  if (!row.null(completed_id)) {
    add_completion(row, job);
  } else if (!row.null(failed_state)) {
    add_failure(row, job);
    may_have_errors = true;
  } else if (!row.null(scheduled_id)) {
    job.state = JobState::scheduled;
  } else if (!row.null(blocked_id)) {
    job.state = JobState::blocked;
  } else if (const auto run = running().find(id); run != running().end()) {
    job.state = JobState::running;
    job.node = run->second.node.value;
    job.started_at = run->second.claimed_at;
    job.attempt = run->second.attempt;
    job.epoch = run->second.epoch;
    job.cancel_requested = !row.null(cancel_id);
  } else {
    job.state = JobState::ready;
  }
  if (may_have_errors) add_errors(job);
  return job;
}

void Finder::add_errors(Job& job) {
  Query row = db_.query(sql::errors_of);
  row.bind(job.id);
  while (row.step()) {
    job.errors.push_back({.attempt = row.small(0),
                          .epoch = static_cast<Epoch>(row.number(1)),
                          .at = row.time(2),
                          .fault = static_cast<AttemptFault>(row.small(3)),
                          .message = row.string(4)});
  }
}

std::vector<std::optional<Job>> find(Connection& db, std::span<const JobId> ids) {
  Finder finder(db);
  std::vector<std::optional<Job>> found;
  found.reserve(ids.size());
  for (const JobId id : ids) found.push_back(finder.find(id));
  return found;
}

}  // namespace quern::inline v1::sqlite
