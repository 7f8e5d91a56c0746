#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/time.hpp"

namespace quern::inline v1 {

/// How long things took: durations counted in buckets, from which any quantile is told to within 1/64 of itself,
/// in memory that does not grow with their number.
///
/// Method   log-linear buckets, as in HdrHistogram (G. Tene, hdrhistogram.org): each power of two is cut into 32
///          equal parts, so a bucket is at most 1/32 of its values wide; below 64 us each microsecond has its own.
/// Range    0 to 2^41 us (25 days). What is longer is counted in the last bucket, what is negative as 0.
/// Memory   8 bytes for each bucket up to the highest that was used: 6 kB for up to a minute, never more than 9.5 kB.
/// Merging  what several nodes or minutes counted, added up, is what one histogram would have counted.
/// Threads  a plain value, not thread-safe.
class Histogram {
 public:
  /// Counts one duration, or several of the same. In constant time, but where it has to grow.
  void record(Duration value, std::uint64_t count = 1);
  /// Adds all that the other one has counted.
  void merge(const Histogram& other);
  /// What was counted after `before`, an earlier copy of this one. Exact, but for its shortest and longest, which are told to within
  /// their bucket.
  [[nodiscard]] Histogram since(const Histogram& before) const;

  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  /// Of all durations, exact; saturates.
  [[nodiscard]] Duration sum() const noexcept { return sum_; }
  /// Exact; zero where nothing was counted.
  [[nodiscard]] Duration min() const noexcept { return empty() ? Duration::zero() : min_; }
  [[nodiscard]] Duration max() const noexcept { return max_; }
  /// Zero where nothing was counted.
  [[nodiscard]] Duration mean() const noexcept;

  /// The duration that the share `q` of all does not exceed (the nearest rank; 0 is the shortest, 1 the longest),
  /// to within 1/64 of it. Empty where nothing was counted. Throws InvalidArgument (field "q") beyond 0 to 1.
  [[nodiscard]] std::optional<Duration> quantile(double q) const;
  /// How many took at most so long. A bucket that reaches beyond it counts in full where its middle does not.
  [[nodiscard]] std::uint64_t at_most(Duration bound) const noexcept;

  /// As JSON of one line, without the empty buckets:
  /// {"count":3,"sum_us":900,"min_us":100,"max_us":500,"buckets":[[82,1],[133,1],[158,1]]}.
  [[nodiscard]] std::string to_json() const;
  /// The inverse. Throws InvalidArgument (field "histogram") for what `to_json` can't have written.
  [[nodiscard]] static Histogram from_json(std::string_view text);

  /// The same in few bytes, for where many are stored: some 3 bytes for each bucket that is not empty. A line of printable ASCII
  /// that begins with the format's version, 1.
  [[nodiscard]] std::string to_compact() const;
  /// The inverse. Throws InvalidArgument (field "histogram") for what is no such text.
  [[nodiscard]] static Histogram from_compact(std::string_view text);

  friend bool operator==(const Histogram& a, const Histogram& b) = default;

 private:
  static constexpr int precision = 5;  // bits
  static constexpr int powers = 41;
  static constexpr std::size_t most_buckets = std::size_t{powers - precision + 1} << precision;

  [[nodiscard]] static std::size_t bucket_of(std::int64_t us) noexcept;
  [[nodiscard]] static std::int64_t middle_of(std::size_t bucket) noexcept;
  /// Whether its sum, shortest and longest can be those of its buckets, of which the last one is not empty.
  [[nodiscard]] bool consistent() const noexcept;

  std::uint64_t count_ = 0;
  Duration sum_{0};
  Duration min_{0};
  Duration max_{0};
  std::vector<std::uint64_t> buckets_{};  // the last one is not empty
};

}  // namespace quern::inline v1
