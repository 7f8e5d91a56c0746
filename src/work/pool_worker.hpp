#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "quern/work/detail/pool_core.hpp"

namespace quern::inline v1::detail {

struct PoolCore::Worker {
  WorkerOptions options{};
  std::uint64_t number = 0;
  std::string name{};            // its first one's id, where it took the place of another
  int successors = 0;            // how often its place was taken
  bool scaled = false;           // added by scaling, which may take it away
  std::vector<bool> supports{};  // by the place of a kind
  WorkerState state = WorkerState::active;
  bool healthy = true;
  std::string reason{};                    // why it is not
  std::string leave_reason{};              // why it leaves
  SteadyTime stop_at = SteadyTime::max();  // draining, leaving: when its jobs are asked to stop
  SteadyTime seen{0};                      // when it showed life
  SteadyTime check_at{0};

  std::size_t running = 0;
  Resources used{};
  std::uint64_t started = 0;
  std::uint64_t completed = 0;
  std::uint64_t failed = 0;
  int failures_in_row = 0;
  Duration busy{0};  // of jobs that have ended

  [[nodiscard]] bool takes_jobs() const noexcept { return state == WorkerState::active; }
  [[nodiscard]] std::size_t slots() const noexcept {
    return takes_jobs() ? static_cast<std::size_t>(options.max_jobs) : 0;
  }
  [[nodiscard]] std::size_t free() const noexcept { return slots() - std::min(slots(), running); }
};

}  // namespace quern::inline v1::detail
