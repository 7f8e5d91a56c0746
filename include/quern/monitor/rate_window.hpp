#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "quern/core/clock.hpp"

namespace quern::inline v1 {

/// How many jobs ended in the last minutes, and how many of them badly: counted in 5 s steps over 15 minutes,
/// in 1.5 kB. A plain value, not thread-safe.
class RateWindow {
 public:
  static constexpr Duration step = std::chrono::seconds(5);
  static constexpr Duration longest = std::chrono::minutes(15);

  struct Rate {
    std::uint64_t ended = 0;
    std::uint64_t failed = 0;
    double per_second = 0;    ///< `ended` by the window's length.
    double failed_share = 0;  ///< Of `ended`, 0 to 1; 0 where none has ended.
  };

  /// At a time on the steady clock; one that goes back counts as the latest.
  void add(SteadyTime now, std::uint32_t ended, std::uint32_t failed);
  /// Over the last whole steps that the window holds, from `step` to `longest`, which it is bound to; the step that
  /// is under way counts only once it is over.
  [[nodiscard]] Rate over(Duration window, SteadyTime now) const;

 private:
  static constexpr std::size_t steps = static_cast<std::size_t>(longest / step) + 1;
  struct Step {
    std::uint32_t ended = 0;
    std::uint32_t failed = 0;
  };
  [[nodiscard]] static std::int64_t number(SteadyTime time) noexcept { return time / step; }

  std::array<Step, steps> counted_{};
  std::int64_t latest_ = 0;  // step's number
};

}  // namespace quern::inline v1
