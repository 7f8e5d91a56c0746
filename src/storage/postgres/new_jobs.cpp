#include "storage/postgres/new_jobs.hpp"

#include <fmt/format.h>

#include <unordered_set>

#include "quern/core/error.hpp"
#include "storage/postgres/job_json.hpp"

namespace quern::inline v1::postgres {
namespace {

std::optional<std::string_view> text_of(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional<std::string_view>(text);
}

}  // namespace

void NewJobs::add(const NewJob& job, int lane) {
  ids_.push_back(static_cast<std::int64_t>(job.id.value));
  lanes_.push_back(lane);
  priorities_.push_back(job.priority.level);
  max_attempts_.push_back(job.max_attempts);
  payloads_.push_back(job.payload.text());
  const Moment run_at = moment_of(job.run_at);
  ats_.push_back(run_at.at);
  afters_.push_back(run_at.after);
  Moment deadline;
  if (job.deadline) deadline = moment_of(*job.deadline);
  if (job.deadline && job.deadline->immediate()) deadline.after = 0;
  deadline_ats_.push_back(deadline.at);
  deadline_afters_.push_back(deadline.after);
  timeouts_.push_back(job.timeout == Duration::zero() ? std::nullopt : Long(job.timeout.count()));
  tenants_.push_back(text_of(job.tenant));
  tags_.push_back(job.tags.empty() ? std::nullopt : std::optional(join_tags(job.tags)));
  created_by_.push_back(text_of(job.created_by));
  digests_.push_back(text_of(job.digest));
  traces_.push_back(text_of(job.trace));
}

void NewJobs::put(Params& params) const {
  params.add_longs(ids_)
      .add_ints(lanes_)
      .add_shorts(priorities_)
      .add_ints(max_attempts_)
      .add_texts(payloads_);
  for (const auto* const column : {&ats_, &afters_, &deadline_ats_, &deadline_afters_, &timeouts_}) {
    if (any(*column))
      params.add_longs(std::span(*column));
    else
      params.null();
  }
  const std::vector<Text> tags(tags_.begin(), tags_.end());
  for (const auto* const column : {&tenants_, &tags, &created_by_, &digests_, &traces_}) {
    if (any(*column))
      params.add_texts(std::span(*column));
    else
      params.null();
  }
}

std::vector<JobId> ids_of(std::span<const NewJob> jobs) {
  std::vector<JobId> ids;
  for (const NewJob& job : jobs) ids.push_back(job.id);
  return ids;
}

void check_ids(std::span<const NewJob> jobs) {
  bool ascending = true;
  JobId before{};
  for (const NewJob& job : jobs) {
    if (!job.id || job.id.value > max_job_id)
      throw InvalidArgument("id", fmt::format("is {}, allowed are 1 to {}", job.id.value, max_job_id));
    ascending = ascending && before < job.id;
    before = job.id;
  }
  if (ascending) return;  // the usual batch needs no set
  std::unordered_set<std::uint64_t> seen;
  for (const NewJob& job : jobs) {
    if (!seen.insert(job.id.value).second)
      throw InvalidArgument("id", fmt::format("{} stands twice in the batch", job.id.value));
  }
}

}  // namespace quern::inline v1::postgres
