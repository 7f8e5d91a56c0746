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
    } else if (is_terminal(row->job.state)) {
      results.push_back(CancelResult::ended);
    } else if (row->job.state == JobState::running) {
      if (!row->job.cancel_requested) {
        change(*row, [](Row& r) { r.job.cancel_requested = true; });
        row->cancel_reason = reason;
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
    if (!is_terminal(row->job.state)) {
      results.push_back(RetryResult::not_ended);
      continue;
    }
    const auto& key = row->unique.key;
    const Row* const holder = key.empty() ? nullptr : key_holder(key, call.now);
    if (holder != nullptr && holder != row) {
      results.push_back(RetryResult::key_taken);
      continue;
    }
    if (!key.empty()) keys_.insert_or_assign(key, id);
    change(*row, [&](Row& r) {
      Job& job = r.job;
      ++job.run;
      job.state = JobState::ready;
      job.attempt = 0;
      job.crashes = 0;
      job.snoozes = 0;
      job.cancel_requested = false;
      job.run_at = call.now;
      job.deadline.reset();
      job.finished_at.reset();
      job.progress = {};
      job.result.reset();
      job.dead_reason = DeadReason::none;
      job.end_message.clear();
      r.cancel_reason.clear();
      r.steps.clear();
    });
    call.work = true;
    event(call, JobEventType::retrying, *row, reason);
    results.push_back(RetryResult::retried);
  }
  return results;
}

void Jobs::pause(std::string_view queue, bool paused) {
  if (const auto it = queues_.find(queue); it != queues_.end()) {
    it->second.paused = paused;
  } else if (paused) {
    queues_[std::string(queue)].paused = true;
  }
}

void Jobs::limit_queue(std::string_view queue, std::uint64_t max_waiting) {
  if (const auto it = queues_.find(queue); it != queues_.end()) {
    it->second.max_waiting = max_waiting;
  } else if (max_waiting > 0) {
    queues_[std::string(queue)].max_waiting = max_waiting;
  }
}

}  // namespace quern::inline v1::memory
