#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "quern/core/time.hpp"

namespace quern::inline v1 {

/// How a rate is counted.
enum class RateAlgorithm : std::uint8_t {
  /// Starts are paid from a bucket that holds up to `burst` and gets `count` in each `per`, evenly. After a rest
  /// `burst` may start at once, so that in one `per` up to `burst + count` do.
  token_bucket = 1,
  /// Never more than `count` starts in any window of the length `per`, wherever it begins. Starts that are near each
  /// other (within a 64th of `per`) count as if all were as late as the last of them, so that a start may have to
  /// wait for up to 1.6 % of `per` longer than it would have to.
  sliding_window = 2,
};

/// How many jobs may start in a time.
struct StartRate {
  std::int64_t count = 0;  ///< 1 to 100,000. 0: there is no such limit.
  Duration per{0};         ///< 1 ms to 366 days.
  RateAlgorithm algorithm = RateAlgorithm::token_bucket;
  std::int64_t burst = 0;  ///< Of a token bucket: 1 to 100,000; 0: as many as `count`.
  friend bool operator==(const StartRate&, const StartRate&) = default;
};

/// A limit for jobs of all nodes together; see docs/limits.md. A job has to have room under every rule that is
/// for it.
struct LimitRule {
  std::string name{};             ///< Names the rule; 1 to 128 bytes.
  std::string queue{};            ///< For jobs of this queue. Empty: of any.
  std::string kind{};             ///< For jobs of this kind. Empty: of any.
  std::uint64_t max_running = 0;  ///< So many run at once, at most 10^9. 0: any number.
  StartRate rate{};
  friend bool operator==(const LimitRule&, const LimitRule&) = default;

  [[nodiscard]] bool is_for(std::string_view job_queue, std::string_view job_kind) const noexcept {
    return (queue.empty() || queue == job_queue) && (kind.empty() || kind == job_kind);
  }
};

/// A rule, and how it stands now.
struct LimitStatus {
  LimitRule rule{};
  std::uint64_t running = 0;              ///< Jobs that run now, of those that the rule is for.
  std::optional<std::uint64_t> free{};    ///< How many more may run at once. None: any number.
  std::optional<std::uint64_t> starts{};  ///< How many the rate lets start now. None: any number.
  Duration wait{0};                       ///< How long until the rate lets one start. 0: at once.
};

/// How many rules a storage keeps.
inline constexpr std::size_t max_limit_rules = 1000;

/// Throws InvalidArgument that names the first faulty field. A rule has to limit something.
void check(const LimitRule& rule);

}  // namespace quern::inline v1
