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
    touch(*row);
    More& rest = more(*row);
    const int least = rest.progress_epoch == row->epoch ? rest.progress.percent : 0;
    rest.progress_epoch = row->epoch;
    rest.progress = {.percent = std::max(least, std::clamp(update.progress.percent, 0, 100)),
                     .message = clean_message(update.progress.message)};
    event(call, JobEventType::progress_updated, *row);
    checks.push_back(RunCheck::held);
  }
  return checks;
}

RunCheck Jobs::save_step(const RunRef& run, const Step& step) {
  Row* const row = held_by(run);
  if (row == nullptr) return RunCheck::lost;
  std::vector<Step>& steps = more(*row).steps;
  const bool known = std::ranges::any_of(steps, [&](const Step& s) { return s.name == step.name; });
  if (known) return RunCheck::held;
  touch(*row);
  steps.push_back(step);
  return RunCheck::held;
}

std::vector<Step> Jobs::steps(JobId id) const {
  const Slot slot = find_slot(id);
  const More* const rest = slot == no_slot ? nullptr : has_more(rows_[slot]);
  return rest == nullptr ? std::vector<Step>{} : rest->steps;
}

std::vector<JobId> Jobs::asked_to_stop(NodeId node) const {
  const auto found = running_.find(node.value);
  if (found == running_.end()) return {};
  return {found->second.asked_to_stop.begin(), found->second.asked_to_stop.end()};
}

std::size_t Jobs::running(NodeId node) const {
  const auto found = running_.find(node.value);
  return found == running_.end() ? 0 : found->second.slots.size();
}

}  // namespace quern::inline v1::memory
