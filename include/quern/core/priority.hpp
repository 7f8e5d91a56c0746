#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

namespace quern::inline v1 {

/// How urgent a job is: 0 to 9, a lower number is served first.
struct Priority {
  int level = 2;

  static const Priority critical;  ///< 0
  static const Priority high;      ///< 1
  static const Priority normal;    ///< 2, the default
  static const Priority low;       ///< 3

  static constexpr int most_urgent = 0;
  static constexpr int least_urgent = 9;

  friend constexpr auto operator<=>(const Priority&, const Priority&) = default;
};

inline constexpr Priority Priority::critical{0};
inline constexpr Priority Priority::high{1};
inline constexpr Priority Priority::normal{2};
inline constexpr Priority Priority::low{3};

/// "critical", "high", "normal", "low"; the number for the other levels.
[[nodiscard]] std::string to_string(Priority priority);
/// Reads a name or a number from 0 to 9; empty for anything else.
[[nodiscard]] std::optional<Priority> parse_priority(std::string_view text) noexcept;

}  // namespace quern::inline v1
