#include "quern/core/job_state.hpp"

namespace quern::inline v1 {

std::string_view to_string(JobState state) noexcept {
  switch (state) {
    case JobState::blocked:
      return "blocked";
    case JobState::scheduled:
      return "scheduled";
    case JobState::ready:
      return "ready";
    case JobState::running:
      return "running";
    case JobState::completed:
      return "completed";
    case JobState::dead:
      return "dead";
    case JobState::cancelled:
      return "cancelled";
  }
  return "unknown";
}

std::optional<JobState> parse_job_state(std::string_view text) noexcept {
  for (const JobState state : all_job_states) {
    if (to_string(state) == text) return state;
  }
  return std::nullopt;
}

std::string_view to_string(DeadReason reason) noexcept {
  switch (reason) {
    case DeadReason::none:
      return "none";
    case DeadReason::out_of_attempts:
      return "out_of_attempts";
    case DeadReason::discarded:
      return "discarded";
    case DeadReason::expired:
      return "expired";
    case DeadReason::quarantined:
      return "quarantined";
    case DeadReason::undecodable:
      return "undecodable";
    case DeadReason::snoozed_too_often:
      return "snoozed_too_often";
  }
  return "unknown";
}

}  // namespace quern::inline v1
