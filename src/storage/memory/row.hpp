#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "quern/core/job.hpp"
#include "quern/storage/requests.hpp"

namespace quern::inline v1::memory {

/// Where a row lies.
using Slot = std::uint32_t;
inline constexpr Slot no_slot = 0xFFFF'FFFF;
/// A queue and a kind; the unit of counting.
using LaneId = std::uint32_t;
/// What many jobs have in common; see names.hpp.
using ProfileId = std::uint32_t;

inline constexpr std::size_t state_count = 7;
/// More attempts than these are not told apart.
inline constexpr unsigned most_attempts = (1U << 25U) - 1;
[[nodiscard]] constexpr std::size_t index_of(JobState state) noexcept {
  return static_cast<std::size_t>(state) - 1;
}

/// What is kept of each job. Many millions of these lie in memory, so what few jobs have is in `More`.
struct Row {
  std::uint64_t id = 0;
  TimePoint run_at{};
  TimePoint created_at{};
  TimePoint started_at = never;
  std::int64_t end_or_node = 0;  ///< running: the node; ended: when it ended, in microseconds.
  const char* payload = nullptr;
  std::uint64_t attempt : 25 = 0;
  std::uint64_t max_attempts : 25 = 0;   ///< The job's own, or what the last claim made of 0.
  std::uint64_t max_is_claimed : 1 = 0;  ///< The latter.
  std::uint64_t state_number : 3 = 0;
  std::uint64_t level : 4 = 0;           ///< Of the priority.
  std::uint64_t late : 1 = 0;            ///< Its place in a Line is among the late ones.
  std::uint64_t payload_owned : 1 = 0;   ///< The payload lies in a block of its own, not in the arena.
  std::uint64_t changed : 2 = 0;         ///< In which generations; see ChangeLog.
  std::uint64_t kept_elsewhere : 1 = 0;  ///< It was captured at least once.
  ProfileId profile = 0;
  std::uint32_t more = 0;  ///< Where the rest is; 0: there is none.
  Epoch epoch = 0;
  std::uint32_t place = no_slot;  ///< In its line, or among its node's runs.

  static constexpr TimePoint never = TimePoint::min();

  [[nodiscard]] JobId job_id() const noexcept { return JobId{id}; }
  [[nodiscard]] JobState state() const noexcept { return static_cast<JobState>(state_number); }
  void set_changed(unsigned bits) noexcept { changed = bits & 3U; }
  void set_state(JobState state) noexcept { state_number = static_cast<unsigned>(state) & 7U; }
  [[nodiscard]] Priority priority() const noexcept { return Priority{static_cast<int>(level)}; }
  void set_priority(Priority priority) noexcept {
    level = static_cast<unsigned>(std::clamp(priority.level, Priority::most_urgent, Priority::least_urgent)) &
            15U;
  }
  /// Running: who runs it.
  [[nodiscard]] NodeId node() const noexcept {
    return NodeId{state() == JobState::running ? static_cast<std::uint64_t>(end_or_node) : 0};
  }
  /// Ended: when.
  [[nodiscard]] TimePoint finished_at() const noexcept { return from_us(end_or_node); }
};
static_assert(sizeof(Row) == 72);

/// What only some jobs have.
struct More {
  std::string tenant;
  std::vector<std::string> tags;
  std::string created_by;
  std::string digest;
  std::string trace;
  Unique unique;
  std::vector<JobId> parents;
  ParentPolicy on_parent_failure = ParentPolicy::cancel;
  TimePoint deadline = TimePoint::max();  ///< max(): none.
  Duration timeout{0};                    ///< 0: as the profile says.

  int run = 1;
  int crashes = 0;
  int snoozes = 0;
  bool cancel_requested = false;
  std::string cancel_reason;  ///< Of a running job whose cancel was requested.

  Progress progress{};
  Epoch progress_epoch = 0;  ///< The run that reported `progress`.
  std::optional<Payload> result;
  DeadReason dead_reason = DeadReason::none;
  std::string end_message;
  std::vector<AttemptError> errors;
  std::vector<Step> steps;

  std::set<JobId> waits_for;  ///< Parents that are not resolved. Blocked means: not empty.
  std::set<JobId> waiters;    ///< The other end: blocked jobs that wait for this one.

  /// True when a job in this state holds its unique key because of it; the period is another matter.
  [[nodiscard]] bool protects_key(JobState state) const noexcept {
    if (unique.key.empty()) return false;
    switch (state) {
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

/// The rows, in chunks that stay where they are. A freed slot is used again. Not thread-safe.
class Rows {
 public:
  [[nodiscard]] Row& operator[](Slot slot) noexcept { return chunks_[slot / per_chunk][slot % per_chunk]; }
  [[nodiscard]] const Row& operator[](Slot slot) const noexcept {
    return chunks_[slot / per_chunk][slot % per_chunk];
  }
  /// A fresh row.
  [[nodiscard]] Slot add() {
    if (!free_.empty()) {
      const Slot slot = free_.back();
      free_.pop_back();
      return slot;
    }
    if (used_ == chunks_.size() * per_chunk) chunks_.push_back(std::make_unique<Row[]>(per_chunk));
    return static_cast<Slot>(used_++);
  }
  void remove(Slot slot) {
    (*this)[slot] = Row{};
    free_.push_back(slot);
  }
  void prefetch(Slot slot) const noexcept { __builtin_prefetch(&(*this)[slot]); }

 private:
  static constexpr std::size_t per_chunk = 2048;
  std::vector<std::unique_ptr<Row[]>> chunks_;  // NOLINT(modernize-avoid-c-arrays): a block of rows
  std::vector<Slot> free_;
  std::size_t used_ = 0;
};

/// The rest of some rows. Number 0 is nobody's. Not thread-safe.
class Mores {
 public:
  [[nodiscard]] More& operator[](std::uint32_t number) noexcept { return all_[number]; }
  [[nodiscard]] const More& operator[](std::uint32_t number) const noexcept { return all_[number]; }
  [[nodiscard]] std::uint32_t add() {
    if (!free_.empty()) {
      const std::uint32_t number = free_.back();
      free_.pop_back();
      return number;
    }
    all_.emplace_back();
    return static_cast<std::uint32_t>(all_.size() - 1);
  }
  void remove(std::uint32_t number) {
    all_[number] = More{};
    free_.push_back(number);
  }

 private:
  std::deque<More> all_{1};
  std::vector<std::uint32_t> free_;
};

}  // namespace quern::inline v1::memory
