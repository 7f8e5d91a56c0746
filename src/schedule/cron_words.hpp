#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace quern::inline v1::detail {

/// The elements of a set of bits.
[[nodiscard]] std::vector<int> elements(std::uint64_t set);
/// "a", "a and b", "a, b and c".
[[nodiscard]] std::string join(const std::vector<std::string>& words, std::string_view last = " and ");
/// "1st", "22nd".
[[nodiscard]] std::string ordinal(int number);

/// How a set of bits can be said in short.
struct Shape {
  bool full = false;  ///< All of 0 to `size` - 1.
  bool run = false;   ///< Neighbors without a gap, at least three.
  int step = 0;  ///< Every so many from 0 to the end, at least three of them or two that halve it; 0: not so.
};
[[nodiscard]] Shape shape_of(const std::vector<int>& values, int size);

/// The part about the time of day, and the part about the dates (it may be empty).
struct CronFields;
[[nodiscard]] std::string describe_time(const CronFields& fields);
[[nodiscard]] std::string describe_dates(const CronFields& fields);
/// True when the times are few and said as such ("at 09:30"), so that "every day" completes them.
[[nodiscard]] bool says_times(const CronFields& fields);

}  // namespace quern::inline v1::detail
