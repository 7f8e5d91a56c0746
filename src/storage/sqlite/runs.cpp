#include <algorithm>

#include "quern/core/limits.hpp"
#include "storage/sqlite/operations.hpp"
#include "storage/sqlite/sql.hpp"

namespace quern::inline v1::sqlite {

HeldRun held_by(Work& work, const RunRef& run) {
  ClaimRow* const row = work.claims.row(static_cast<std::int64_t>(run.claim));
  if (row == nullptr || row->node() != run.node || !work.alive(run.node)) return {};
  const auto spot = row->find(run.id);
  if (!spot || spot->group->epoch != run.epoch) return {};
  return {row, *spot};
}

void tell_lost(Work& work, const RunRef& run) {
  if (!work.events_wanted) return;
  const auto place = work.look_up(run.id);
  if (place) {
    work.event(JobEventType::lease_lost, run.id, place->lane, 0, run.epoch);
  } else {
    work.events.push_back(
        {.type = JobEventType::lease_lost, .id = run.id, .epoch = run.epoch, .at = work.now});
  }
}

std::vector<RunCheck> progress(Work& work, std::span<const ProgressUpdate> updates) {
  std::vector<RunCheck> checks;
  checks.reserve(updates.size());
  for (const ProgressUpdate& update : updates) {
    const HeldRun held = held_by(work, update.ref);
    if (!held) {
      checks.push_back(RunCheck::lost);
      continue;
    }
    const std::string message = clean_message(update.progress.message);
    Query row = work.db.query(sql::set_progress);
    row.bind(update.ref.id, update.ref.epoch, std::clamp(update.progress.percent, 0, 100), message);
    const int percent = row.step() ? row.small(0) : 0;
    while (row.step()) {
    }
    const ClaimGroup& group = *held.spot.group;
    if (JobEvent* told =
            work.event(JobEventType::progress_updated, update.ref.id, group.lane, group.attempt, group.epoch))
      told->progress = {.percent = percent, .message = message};
    checks.push_back(RunCheck::held);
  }
  return checks;
}

RunCheck save_step(Work& work, const RunRef& run, const Step& step) {
  if (!held_by(work, run)) return RunCheck::lost;
  work.db.run(sql::add_step, run.id, step.name, Blob{step.value.text()});
  return RunCheck::held;
}

}  // namespace quern::inline v1::sqlite
