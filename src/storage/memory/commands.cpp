#include <fmt/format.h>

#include "quern/core/limits.hpp"
#include "storage/memory/jobs.hpp"

namespace quern::inline v1::memory {

std::vector<CancelResult> Jobs::cancel(Call& call, std::span<const JobId> ids, std::string_view who) {
  const auto reason = who.empty() ? "cancelled" : fmt::format("cancelled by {}", clean_message(who));
  std::vector<CancelResult> results;
  results.reserve(ids.size());
  for (const JobId id : ids) {
    Row* const row = find_row(id);
    if (row == nullptr) {
      results.push_back(CancelResult::unknown);
    } else if (is_terminal(row->state())) {
      results.push_back(CancelResult::ended);
    } else if (row->state() == JobState::running) {
      More& rest = more(*row);
      if (!rest.cancel_requested) {
        touch(*row);
        rest.cancel_requested = true;
        rest.cancel_reason = reason;
        running_.at(row->node().value).asked_to_stop.insert(id);
        event(call, JobEventType::cancel_requested, *row, reason);
      }
      call.asked_to_stop.push_back(id);
      results.push_back(CancelResult::requested);
    } else {
      cancel_now(call, *row, reason);
      settle(call);
      results.push_back(CancelResult::cancelled);
    }
  }
  return results;
}

std::vector<RetryResult> Jobs::retry(Call& call, std::span<const JobId> ids, std::string_view who) {
  const auto reason = who.empty() ? "retried" : fmt::format("retried by {}", clean_message(who));
  std::vector<RetryResult> results;
  results.reserve(ids.size());
  for (const JobId id : ids) {
    Row* const row = find_row(id);
    if (row == nullptr) {
      results.push_back(RetryResult::unknown);
      continue;
    }
    if (!is_terminal(row->state())) {
      results.push_back(RetryResult::not_ended);
      continue;
    }
    More& rest = more(*row);
    const auto& key = rest.unique.key;
    const Row* const holder = key.empty() ? nullptr : key_holder(key, call.now);
    if (holder != nullptr && holder != row) {
      results.push_back(RetryResult::key_taken);
      continue;
    }
    touch(*row);
    if (!key.empty()) keys_.insert_or_assign(key, id);
    change(find_slot(id), *row, [&](Row& r) {
      r.set_state(JobState::ready);
      r.attempt = 0;
      r.run_at = call.now;
      if (rest.deadline != TimePoint::max()) --deadline_count_;
      rest.deadline = TimePoint::max();
      ++rest.run;
      rest.crashes = 0;
      rest.snoozes = 0;
      rest.cancel_requested = false;
      rest.progress = {};
      rest.result.reset();
      rest.dead_reason = DeadReason::none;
      rest.end_message.clear();
      rest.cancel_reason.clear();
      rest.steps.clear();
    });
    call.work = true;
    event(call, JobEventType::retrying, *row, reason);
    results.push_back(RetryResult::retried);
  }
  return results;
}

void Jobs::pause(std::string_view queue, bool paused) {
  if (log_ && (paused || names_.find_queue(queue) != nullptr)) log_->changed_queue(queue);
  if (Queue* const known = names_.find_queue(queue)) {
    known->paused = paused;
  } else if (paused) {
    names_.queue(queue).paused = true;
  }
}

void Jobs::limit_queue(std::string_view queue, std::uint64_t max_waiting) {
  Queue* const known = max_waiting > 0 ? &names_.queue(queue) : names_.find_queue(queue);
  if (known == nullptr) return;
  if (log_) log_->changed_queue(queue);
  if (known->max_waiting > 0) --names_.limited;
  if (max_waiting > 0) ++names_.limited;
  known->max_waiting = max_waiting;
}

}  // namespace quern::inline v1::memory
