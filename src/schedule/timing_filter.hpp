#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "quern/schedule/timing.hpp"

namespace quern::inline v1::detail {

/// What is left out of a timing: dates, and all that is in no window. Works on local seconds since 1970.
class TimingFilter {
 public:
  /// Throws InvalidArgument.
  TimingFilter(const std::vector<std::string>& except, const std::vector<TimeWindow>& within);

  [[nodiscard]] bool empty() const noexcept { return days_.empty() && !windowed_; }
  [[nodiscard]] bool takes(std::int64_t local) const noexcept;
  /// The first local second at or after one that may be taken, as if the clocks never shifted.
  [[nodiscard]] std::int64_t next(std::int64_t local) const noexcept;
  /// The last one at or before it.
  [[nodiscard]] std::int64_t previous(std::int64_t local) const noexcept;

 private:
  /// A piece of a day, in seconds.
  struct Piece {
    std::int32_t begin = 0;
    std::int32_t end = 0;  ///< Not in it.
  };
  void add(const TimeWindow& window, std::size_t index);
  [[nodiscard]] bool excepted(std::int64_t day) const noexcept;

  std::vector<std::int64_t> days_;  ///< Sorted.
  bool windowed_ = false;
  std::array<std::vector<Piece>, 7> pieces_{};  ///< By day of the week, sorted, apart from each other.
};

}  // namespace quern::inline v1::detail
