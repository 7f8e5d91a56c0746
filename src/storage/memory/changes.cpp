// What an operator may change of a job that waits, and its deletion.
#include <fmt/format.h>

#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"
#include "storage/memory/jobs.hpp"

namespace quern::inline v1::memory {
namespace {

/// Calls `edit(row)` for the jobs that wait, and answers for all.
template <class Find, class Edit>
std::vector<ChangeResult> change_waiting(std::span<const JobId> ids, const Find& find, const Edit& edit) {
  std::vector<ChangeResult> results;
  results.reserve(ids.size());
  for (const JobId id : ids) {
    Row* const row = find(id);
    if (row == nullptr) {
      results.push_back(ChangeResult::unknown);
    } else if (is_terminal(row->state())) {
      results.push_back(ChangeResult::ended);
    } else if (row->state() == JobState::running) {
      results.push_back(ChangeResult::running);
    } else {
      edit(*row);
      results.push_back(ChangeResult::changed);
    }
  }
  return results;
}

std::string by(std::string_view what, std::string_view who) {
  return who.empty() ? std::string(what) : fmt::format("{} by {}", what, clean_message(who));
}

}  // namespace

std::vector<ChangeResult> Jobs::reschedule(Call& call, std::span<const JobId> ids, When when,
                                           std::string_view who) {
  const TimePoint run_at = when.resolve(call.now);
  const std::string reason = by("rescheduled", who);
  return change_waiting(
      ids, [&](JobId id) { return find_row(id); },
      [&](Row& row) {
        if (row.state() == JobState::blocked) {
          touch(row);
          row.run_at = run_at;
        } else {
          wait_until(call, row, run_at);
        }
        event(call, JobEventType::rescheduled, row, reason);
      });
}

std::vector<ChangeResult> Jobs::set_priority(Call& call, std::span<const JobId> ids, Priority priority,
                                             std::string_view who) {
  const std::string reason = by("priority changed", who);
  return change_waiting(
      ids, [&](JobId id) { return find_row(id); },
      [&](Row& row) {
        const bool scheduled = row.state() == JobState::scheduled;
        change(find_slot(row.job_id()), row, [&](Row& r) { r.set_priority(priority); });
        if (scheduled) wait_until(call, row, row.run_at);
        event(call, JobEventType::priority_changed, row, reason);
      });
}

std::vector<EraseResult> Jobs::erase(Call& call, std::span<const JobId> ids) {
  std::vector<EraseResult> results;
  results.reserve(ids.size());
  for (const JobId id : ids) results.push_back(erase_one(call, id));
  return results;
}

EraseResult Jobs::erase_one(Call& call, JobId id) {
  const Slot slot = find_slot(id);
  if (slot == no_slot) return EraseResult::unknown;
  Row* const row = &rows_[slot];
  if (row->state() == JobState::running) return EraseResult::running;
  if (const More* const rest = has_more(*row); rest != nullptr && !rest->waiters.empty())
    return EraseResult::needed;
  event(call, JobEventType::erased, *row);
  mark_gone(*row);
  drop_waits(*row);
  release_key(*row);
  forget(slot);
  return EraseResult::erased;
}

std::optional<JobId> Jobs::holder_of(const Call& call, const std::string& key) {
  const Row* const holder = key_holder(key, call.now);
  return holder == nullptr ? std::nullopt : std::optional(holder->job_id());
}

}  // namespace quern::inline v1::memory
