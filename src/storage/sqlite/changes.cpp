// What an operator may change of a job that waits, and its deletion.
#include <fmt/core.h>

#include "quern/core/limits.hpp"
#include "storage/sqlite/operations.hpp"
#include "storage/sqlite/sql.hpp"

namespace quern::inline v1::sqlite {
namespace {

/// Calls `edit(place)` for the jobs that wait, and answers for all.
template <class Edit>
std::vector<ChangeResult> change_waiting(Work& work, std::span<const JobId> ids, JobEventType type,
                                         const std::string& reason, const Edit& edit) {
  std::vector<ChangeResult> results;
  results.reserve(ids.size());
  for (const JobId id : ids) {
    auto place = work.locate(id);
    if (!place) {
      results.push_back(ChangeResult::unknown);
    } else if (is_terminal(place->state)) {
      results.push_back(ChangeResult::ended);
    } else if (place->state == JobState::running) {
      results.push_back(ChangeResult::running);
    } else {
      edit(*place);
      if (JobEvent* told = work.event(type, id, place->lane, place->attempt, place->epoch)) {
        told->run_at = place->run_at;
        told->message = reason;
      }
      results.push_back(ChangeResult::changed);
    }
  }
  return results;
}

std::string by(std::string_view what, std::string_view who) {
  return who.empty() ? std::string(what) : fmt::format("{} by {}", what, clean_message(who));
}

EraseResult erase_one(Work& work, JobId id) {
  auto place = work.locate(id);
  if (!place) return EraseResult::unknown;
  if (place->state == JobState::running) return EraseResult::running;
  if (work.has_any(sql::any_dep) && work.db.exists(sql::has_children, id)) return EraseResult::needed;
  if (is_terminal(place->state)) {
    work.forget_end(*place);
  } else {
    work.leave(*place);
  }
  const auto more = unpack_more(place->more);
  if (more && !more->unique.key.empty()) work.db.run(sql::free_key, more->unique.key, id);
  work.zones.erased(id, place->lane, more ? &*more : nullptr);
  work.erase_rows({id.value, id.value});
  work.event(JobEventType::erased, id, place->lane, place->attempt, place->epoch);
  return EraseResult::erased;
}

}  // namespace

std::vector<ChangeResult> reschedule(Work& work, std::span<const JobId> ids, When when,
                                     std::string_view who) {
  const TimePoint run_at = when.resolve(work.now);
  return change_waiting(work, ids, JobEventType::rescheduled, by("rescheduled", who), [&](Place& place) {
    const bool blocked = place.state == JobState::blocked;
    if (!blocked) work.leave(place);
    place.run_at = run_at;
    work.save_changed(place);
    if (!blocked) work.wait_until(place, run_at);
  });
}

std::vector<ChangeResult> set_priority(Work& work, std::span<const JobId> ids, Priority priority,
                                       std::string_view who) {
  return change_waiting(
      work, ids, JobEventType::priority_changed, by("priority changed", who), [&](Place& place) {
        const JobState state = place.state;
        if (state != JobState::blocked) work.leave(place);
        place.priority = priority;
        work.save_changed(place);
        if (state == JobState::ready) {
          work.make_ready(place.id, place.lane, priority, place.run_at, true, place.deadline);
        } else if (state == JobState::scheduled) {
          work.wait_until(place, place.run_at);
        }
      });
}

std::vector<EraseResult> erase(Work& work, std::span<const JobId> ids) {
  std::vector<EraseResult> results;
  results.reserve(ids.size());
  for (const JobId id : ids) results.push_back(erase_one(work, id));
  return results;
}

}  // namespace quern::inline v1::sqlite
