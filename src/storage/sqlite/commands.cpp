#include <fmt/core.h>

#include "quern/core/limits.hpp"
#include "storage/sqlite/operations.hpp"
#include "storage/sqlite/sql.hpp"

namespace quern::inline v1::sqlite {
namespace {

CancelResult cancel_one(Work& work, JobId id, const std::string& reason) {
  auto place = work.locate(id);
  if (!place) return CancelResult::unknown;
  if (is_terminal(place->state)) return CancelResult::ended;
  if (place->state != JobState::running) {
    work.end_waiting(*place, JobState::cancelled, DeadReason::none, reason);
    work.settle();
    return CancelResult::cancelled;
  }
  if (work.db.run(sql::add_cancel, id, reason) != 0) {
    work.now_has(sql::any_cancel);
    if (JobEvent* told =
            work.event(JobEventType::cancel_requested, id, place->lane, place->attempt, place->epoch))
      told->message = reason;
  }
  work.asked_to_stop.push_back(id);
  return CancelResult::requested;
}

RetryResult retry_one(Work& work, JobId id, const std::string& reason) {
  auto place = work.look_up(id);
  if (!place) return RetryResult::unknown;
  if (!is_terminal(place->state)) return RetryResult::not_ended;
  const auto more = unpack_more(place->more);
  if (more && !more->unique.key.empty()) {
    const Unique& unique = more->unique;
    const auto holder = work.db.value(sql::key_holder, unique.key, work.now);
    if (holder && static_cast<std::uint64_t>(*holder) != id.value) return RetryResult::key_taken;
    const auto until = unique.period > Duration::zero()
                           ? When::after(unique.period).resolve(place->created_at)
                           : TimePoint::max();
    work.db.run(sql::take_key, unique.key, id, until);
  }
  work.forget_end(*place);
  if (work.has_any(sql::any_progress)) work.db.run(sql::delete_progress, id, id);
  if (work.has_any(sql::any_step)) work.db.run(sql::delete_steps, id, id);
  ++place->run;
  place->attempt = 0;
  place->crashes = 0;
  place->snoozes = 0;
  place->run_at = work.now;
  place->deadline.reset();
  work.save_changed(*place);
  work.wait_until(*place, place->run_at);
  if (JobEvent* told = work.event(JobEventType::retrying, id, place->lane, place->attempt, place->epoch)) {
    told->run_at = place->run_at;
    told->message = reason;
  }
  return RetryResult::retried;
}

}  // namespace

std::vector<CancelResult> cancel(Work& work, std::span<const JobId> ids, std::string_view who) {
  const std::string reason = who.empty() ? "cancelled" : fmt::format("cancelled by {}", clean_message(who));
  std::vector<CancelResult> results;
  results.reserve(ids.size());
  for (const JobId id : ids) results.push_back(cancel_one(work, id, reason));
  return results;
}

std::vector<RetryResult> retry(Work& work, std::span<const JobId> ids, std::string_view who) {
  const std::string reason = who.empty() ? "retried" : fmt::format("retried by {}", clean_message(who));
  std::vector<RetryResult> results;
  results.reserve(ids.size());
  for (const JobId id : ids) results.push_back(retry_one(work, id, reason));
  return results;
}

}  // namespace quern::inline v1::sqlite
