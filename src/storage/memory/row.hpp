#pragma once

#include <set>
#include <string>
#include <vector>

#include "quern/core/job.hpp"
#include "quern/storage/requests.hpp"

namespace quern::inline v1::memory {

/// All that is kept of one job.
struct Row {
  Job job;
  Unique unique;
  int claimed_max_attempts = 0;  ///< As resolved by the last claim.
  Epoch progress_epoch = 0;      ///< The run that reported `job.progress`.
  std::string cancel_reason;     ///< Of a running job whose cancel was requested.
  std::vector<Step> steps;
  std::set<JobId> waits_for;  ///< Parents that are not resolved. Blocked means: not empty.
  std::set<JobId> waiters;    ///< The other end: blocked jobs that wait for this one.

  /// True when it holds its unique key because of its state; the period is another matter.
  [[nodiscard]] bool protects_key() const noexcept {
    if (unique.key.empty()) return false;
    switch (job.state) {
      case JobState::completed:
        return unique.while_completed;
      case JobState::dead:
        return unique.while_dead;
      case JobState::cancelled:
        return unique.while_cancelled;
      default:
        return true;
    }
  }
};

}  // namespace quern::inline v1::memory
