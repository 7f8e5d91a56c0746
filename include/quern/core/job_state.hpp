#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace quern::inline v1 {

/// Where a job stands. Stored as these numbers, which never change.
enum class JobState : std::uint8_t {
  blocked = 1,    ///< Waits for its parents.
  scheduled = 2,  ///< Waits for its time: a delay, a backoff or a snooze.
  ready = 3,      ///< May be claimed now.
  running = 4,    ///< Claimed by a node.
  completed = 5,  ///< Ended well. Final, unless somebody retries it.
  dead = 6,       ///< Ended badly; `DeadReason` says how. Final, unless somebody retries it.
  cancelled = 7,  ///< Ended by somebody's wish. Final, unless somebody retries it.
};

/// All states, in the order of a job's life.
inline constexpr std::array<JobState, 7> all_job_states{
    JobState::blocked,   JobState::scheduled, JobState::ready,    JobState::running,
    JobState::completed, JobState::dead,      JobState::cancelled};

/// True for completed, dead and cancelled.
[[nodiscard]] constexpr bool is_terminal(JobState state) noexcept { return state >= JobState::completed; }

/// "blocked", "scheduled", ...
[[nodiscard]] std::string_view to_string(JobState state) noexcept;
/// The inverse; empty for any other text.
[[nodiscard]] std::optional<JobState> parse_job_state(std::string_view text) noexcept;

/// Why a job is dead. Stored as these numbers, which never change.
enum class DeadReason : std::uint8_t {
  none = 0,               ///< It is not dead.
  out_of_attempts = 1,    ///< Its last attempt failed, or crashed its node.
  discarded = 2,          ///< Its handler said that no retry can help.
  expired = 3,            ///< It had not started by its deadline.
  quarantined = 4,        ///< It was running at too many deaths of a process.
  undecodable = 5,        ///< Its payload or its record cannot be read.
  snoozed_too_often = 6,  ///< It was snoozed or handed back more often than the limit allows.
};

/// "out_of_attempts", "discarded", ...; "none" where it is not dead.
[[nodiscard]] std::string_view to_string(DeadReason reason) noexcept;

}  // namespace quern::inline v1
