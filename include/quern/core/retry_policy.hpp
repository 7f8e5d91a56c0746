#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

#include "quern/core/time.hpp"

namespace quern::inline v1 {

/// How much of a wait is left to chance.
enum class Jitter : std::uint8_t {
  none,   ///< Nothing.
  equal,  ///< Half: evenly from [wait/2, wait].
  full,   ///< Nearly all: evenly from [minimum, wait].
};

/// How long a failed job waits before its next attempt. A plain value; concurrent reads are safe.
///
/// The wait before attempt n + 1, n failed ones behind it, and before jitter:
///   exponential  base * factor^(n - 1)
///   linear       base * n
///   fixed        base
///   custom       what the function says
/// and never above `ceiling` nor below `minimum` (1 ms): a retry is never in the past (I09).
/// Jitter as in "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
class RetryPolicy {
 public:
  /// Its limits: waits from 1 ms to 365 days, a factor from 1 to 100.
  static constexpr Duration minimum = std::chrono::milliseconds(1);
  static constexpr Duration longest = std::chrono::hours(24 * 365);

  /// Exponential with full jitter from 2 s to 5 min, doubling.
  RetryPolicy() = default;

  /// Each throws InvalidArgument, naming the parameter, when one is outside the limits or base > ceiling.
  [[nodiscard]] static RetryPolicy exponential(Duration base = std::chrono::seconds(2),
                                               Duration ceiling = std::chrono::minutes(5),
                                               double factor = 2.0, Jitter jitter = Jitter::full);
  [[nodiscard]] static RetryPolicy linear(Duration base, Duration ceiling = std::chrono::minutes(5),
                                          Jitter jitter = Jitter::none);
  [[nodiscard]] static RetryPolicy fixed(Duration wait, Jitter jitter = Jitter::none);
  /// `wait(attempt)` is called with the number of failed attempts, from any thread; what it returns is
  /// clamped to [minimum, longest]. If it throws, the job waits as by default.
  [[nodiscard]] static RetryPolicy custom(std::function<Duration(int attempt)> wait);

  /// The wait after `attempt` failed attempts (from 1; less counts as 1). `draw` is any random number, so a
  /// test can fix it. Never throws; correct for every attempt up to 2^31 - 1; O(1).
  [[nodiscard]] Duration delay(int attempt, std::uint64_t draw) const noexcept;

 private:
  enum class Shape : std::uint8_t { exponential, linear, fixed, custom };
  RetryPolicy(Shape shape, Duration base, Duration ceiling, double factor, Jitter jitter);

  Shape shape_ = Shape::exponential;
  Jitter jitter_ = Jitter::full;
  double factor_ = 2.0;
  Duration base_ = std::chrono::seconds(2);
  Duration ceiling_ = std::chrono::minutes(5);
  std::function<Duration(int)> custom_;
};

}  // namespace quern::inline v1
