#include <fmt/core.h>

#include <cassert>
#include <set>

#include "quern/core/limits.hpp"
#include "storage/sqlite/operations.hpp"
#include "storage/sqlite/sql.hpp"

namespace quern::inline v1::sqlite {
namespace {

/// What a cancel request gave as its reason; none when the job was not asked to stop.
std::optional<std::string> cancel_reason(Work& work, JobId id) {
  if (!work.has_any(sql::any_cancel)) return std::nullopt;
  Query row = work.db.query(sql::cancel_reason);
  if (!row.bind(id).step()) return std::nullopt;
  return row.string(0);
}

/// Ends a run: the job is where `finish` puts it when this returns.
class Ender {
 public:
  Ender(Work& work, const Finish& finish, const HeldRun& held)
      : work_(work), finish_(finish), group_(*held.spot.group), started_at_(held.row->claimed_at()) {
    reason_ = cancel_reason(work, finish.ref.id);
    work.leave_claim(*held.row, held.spot);
    if (reason_) work.db.run(sql::delete_cancel, finish.ref.id);
  }

  JobState run() {
    if (finish_.outcome == Outcome::completed) {
      return end(JobState::completed, DeadReason::none, {}, group_.keyed,
                 finish_.result ? &*finish_.result : nullptr);
    }
    const std::string message = clean_message(finish_.message);
    if (finish_.outcome == Outcome::failed || finish_.outcome == Outcome::discarded) remember_error(message);
    if (reason_) return end(JobState::cancelled, DeadReason::none, *reason_);
    if (finish_.outcome == Outcome::cancelled)
      return end(JobState::cancelled, DeadReason::none, message.empty() ? "cancelled" : message);
    if (finish_.outcome == Outcome::discarded) return end(JobState::dead, finish_.dead_reason, message);
    if (finish_.outcome == Outcome::failed && group_.attempt >= group_.max_attempts)
      return end(JobState::dead, DeadReason::out_of_attempts, message);
    return wait_again(message);
  }

 private:
  void remember_error(const std::string& message) {
    work_.remember_error(finish_.ref.id, group_.attempt, group_.epoch, finish_.fault, message);
    if (JobEvent* told =
            work_.event(JobEventType::failed, finish_.ref.id, group_.lane, group_.attempt, group_.epoch))
      told->message = message;
  }

  JobState end(JobState state, DeadReason reason, std::string_view message) {
    return end(state, reason, message, group_.keyed, nullptr);
  }
  JobState end(JobState state, DeadReason reason, std::string_view message, bool keyed,
               const Payload* result) {
    work_.end({.id = finish_.ref.id,
               .lane = group_.lane,
               .state = state,
               .attempt = group_.attempt,
               .epoch = group_.epoch,
               .started_at = started_at_,
               .reason = reason,
               .message = message,
               .result = result,
               .keyed = keyed});
    return state;
  }

  /// Failed with attempts left, snoozed or released.
  JobState wait_again(const std::string& message) {
    auto place = work_.look_up(finish_.ref.id);
    if (!place || place->lane != group_.lane) {
      // Its record was damaged while it ran.
      work_.mend(finish_.ref.id, group_.lane, Priority{}, started_at_);
      return end(JobState::dead, DeadReason::undecodable,
                 "its record in the database is missing or cannot be read");
    }
    place->attempt = group_.attempt;
    place->epoch = group_.epoch;
    place->started_at = started_at_;
    if (finish_.outcome != Outcome::failed) {
      --place->attempt;
      if (++place->snoozes > max_snoozes) {
        work_.save_changed(*place);
        return end(JobState::dead, DeadReason::snoozed_too_often,
                   fmt::format("snoozed or handed back more than {} times", max_snoozes));
      }
    }
    if (finish_.outcome != Outcome::released) place->run_at = finish_.again.resolve(work_.now);
    work_.save_changed(*place);
    JobState state = JobState::ready;
    if (finish_.outcome == Outcome::released) {
      work_.make_ready(place->id, place->lane, place->priority, place->run_at, true, place->deadline);
    } else {
      state = work_.wait_until(*place, place->run_at);
    }
    const auto type = finish_.outcome == Outcome::failed    ? JobEventType::retrying
                      : finish_.outcome == Outcome::snoozed ? JobEventType::snoozed
                                                            : JobEventType::released;
    if (JobEvent* told = work_.event(type, place->id, place->lane, place->attempt, place->epoch)) {
      told->run_at = place->run_at;
      if (finish_.outcome == Outcome::snoozed) told->message = message;
    }
    return state;
  }

  Work& work_;
  const Finish& finish_;
  const ClaimGroup& group_;
  TimePoint started_at_;
  std::optional<std::string> reason_;
};

}  // namespace

std::vector<FinishResult> finish(Work& work, std::span<const Finish> finishes) {
  // Everything that may be refused comes before anything is changed.
  std::set<JobId> coming;
  std::set<JobId> seen;
  std::vector<HeldRun> held;
  held.reserve(finishes.size());
  for (const Finish& finish : finishes) {
    HeldRun run = held_by(work, finish.ref);
    if (run && !seen.insert(finish.ref.id).second) run = {};
    held.push_back(run);
    if (!run || finish.outcome != Outcome::completed || finish.jobs.empty()) continue;
    check_batch(work, finish.jobs, coming);
    for (const NewJob& job : finish.jobs) coming.insert(job.id);
  }

  StandIns stand_ins;
  std::vector<FinishResult> results;
  results.reserve(finishes.size());
  for (std::size_t i = 0; i < finishes.size(); ++i) {
    const Finish& finish = finishes[i];
    if (!held[i]) {
      tell_lost(work, finish.ref);
      results.push_back({.status = FinishStatus::lost});
      continue;
    }
    const JobState state = Ender(work, finish, held[i]).run();
    work.settle();
    if (finish.outcome == Outcome::completed) {
      if (!finish.jobs.empty()) {
        work.flush_completed();  // they may name it as their parent
        insert_checked(work, finish.jobs, stand_ins);
      }
      for (const Record& record : finish.records)
        work.db.run(sql::put_record, record.collection, record.key, Blob{record.value.text()});
    }
    results.push_back({.status = FinishStatus::recorded, .state = state});
  }
  if (!finishes.empty() && work.has_any(sql::any_running_limit))
    work.ready = true;  // others may wait for a slot
  return results;
}

}  // namespace quern::inline v1::sqlite
