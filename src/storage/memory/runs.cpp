#include <algorithm>

#include "quern/core/limits.hpp"
#include "storage/memory/jobs.hpp"

namespace quern::inline v1::memory {

std::vector<RunCheck> Jobs::progress(Call& call, std::span<const ProgressUpdate> updates) {
  std::vector<RunCheck> checks;
  checks.reserve(updates.size());
  for (const ProgressUpdate& update : updates) {
    Row* const row = held_by(update.ref);
    if (row == nullptr) {
      checks.push_back(RunCheck::lost);
      continue;
    }
    const int least = row->progress_epoch == row->job.epoch ? row->job.progress.percent : 0;
    row->progress_epoch = row->job.epoch;
    row->job.progress = {.percent = std::max(least, std::clamp(update.progress.percent, 0, 100)),
                         .message = clean_message(update.progress.message)};
    event(call, JobEventType::progress_updated, *row);
    checks.push_back(RunCheck::held);
  }
  return checks;
}

RunCheck Jobs::save_step(const RunRef& run, const Step& step) {
  Row* const row = held_by(run);
  if (row == nullptr) return RunCheck::lost;
  const bool known = std::ranges::any_of(row->steps, [&](const Step& s) { return s.name == step.name; });
  if (!known) row->steps.push_back(step);
  return RunCheck::held;
}

std::vector<Step> Jobs::steps(JobId id) const {
  const auto it = rows_.find(id);
  return it == rows_.end() ? std::vector<Step>{} : it->second.steps;
}

}  // namespace quern::inline v1::memory
