#include <fmt/format.h>

#include <cassert>

#include "quern/core/limits.hpp"
#include "storage/memory/jobs.hpp"

namespace quern::inline v1::memory {

std::vector<FinishResult> Jobs::finish(Call& call, std::span<const Finish> finishes,
                                       const std::function<void(const Record&)>& put_record) {
  // Of a completion's jobs it must be known beforehand that they can be added; a run that is not held brings
  // none.
  std::set<JobId> seen;
  Coming coming;
  for (const Finish& finish : finishes) {
    if (finish.outcome != Outcome::completed || finish.jobs.empty()) continue;
    if (held_by(finish.ref) != nullptr && seen.insert(finish.ref.id).second) check_batch(finish.jobs, coming);
  }

  StandIns stand_ins;
  std::vector<FinishResult> results;
  results.reserve(finishes.size());
  for (const Finish& finish : finishes) {
    Row* const row = held_by(finish.ref);  // one that has ended in this call holds nothing any more
    if (row == nullptr) {
      lease_lost(call, finish.ref);
      results.push_back({.status = FinishStatus::lost});
      continue;
    }
    finish_one(call, *row, finish);
    note_end(call, lane(*row));
    const JobState state = row->state();
    settle(call);
    if (finish.outcome == Outcome::completed) {
      insert_checked(call, finish.jobs, stand_ins);
      for (const Record& record : finish.records) put_record(record);
    }
    // Where this finish put it; what later ones of the batch do to it is theirs to tell.
    results.push_back({.status = FinishStatus::recorded, .state = state});
  }
  return results;
}

void Jobs::finish_one(Call& call, Row& row, const Finish& finish) {
  assert(row.state() == JobState::running);
  touch(row);
  if (finish.outcome == Outcome::completed) {
    if (finish.result) more(row).result = finish.result;
    return end(call, row, JobState::completed, DeadReason::none, {});
  }
  std::string message = clean_message(finish.message);
  const bool failed = finish.outcome == Outcome::failed || finish.outcome == Outcome::discarded;
  if (failed) {
    remember_error(call, row, finish.fault, message);
    event(call, JobEventType::failed, row, message);
  }
  const More* const rest = has_more(row);
  if (rest != nullptr && rest->cancel_requested) return cancel_now(call, row, rest->cancel_reason);

  const bool put_off = finish.outcome == Outcome::snoozed || finish.outcome == Outcome::released;
  if (put_off) {
    row.attempt = (row.attempt - 1) & most_attempts;
    if (++more(row).snoozes > max_snoozes) {
      return die(call, row, DeadReason::snoozed_too_often,
                 fmt::format("snoozed or handed back more than {} times", max_snoozes));
    }
  }
  switch (finish.outcome) {
    case Outcome::completed:
      break;
    case Outcome::discarded:
      return die(call, row, finish.dead_reason, std::move(message));
    case Outcome::cancelled:
      return cancel_now(call, row, message.empty() ? "cancelled" : std::move(message));
    case Outcome::failed:
      if (row.attempt >= row.max_attempts) {
        return die(call, row, DeadReason::out_of_attempts, std::move(message));
      }
      wait_until(call, row, finish.again.resolve(call.now));
      return event(call, JobEventType::retrying, row);
    case Outcome::snoozed:
      wait_until(call, row, finish.again.resolve(call.now));
      return event(call, JobEventType::snoozed, row, std::move(message));
    case Outcome::released:
      make_ready(call, row, row.run_at);
      return event(call, JobEventType::released, row);
  }
}

}  // namespace quern::inline v1::memory
