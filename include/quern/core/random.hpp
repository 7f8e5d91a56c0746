#pragma once

#include <cassert>
#include <cstdint>

namespace quern::inline v1 {

/// A small seeded generator (SplitMix64, Steele et al., OOPSLA 2014): the same seed gives the same numbers on
/// every platform. For jitter and sampling, not for secrets. A plain value, not thread-safe.
class Random {
 public:
  explicit constexpr Random(std::uint64_t seed) noexcept : state_(seed) {}

  /// The next 64 random bits.
  [[nodiscard]] constexpr std::uint64_t next() noexcept {
    state_ += 0x9E3779B97F4A7C15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31U);
  }

  /// A number in [0, bound); `bound` must not be 0. The bias is below bound / 2^64.
  [[nodiscard]] constexpr std::uint64_t below(std::uint64_t bound) noexcept {
    assert(bound > 0);
    return next() % bound;
  }

  /// A seed from the operating system, for production.
  [[nodiscard]] static std::uint64_t entropy();

 private:
  std::uint64_t state_;
};

}  // namespace quern::inline v1
