#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace quern::inline v1 {

/// All of quern's durations: whole microseconds, signed.
using Duration = std::chrono::microseconds;

/// A point of civil time: microseconds since 1970-01-01T00:00:00Z (leap seconds not counted).
using TimePoint = std::chrono::sys_time<Duration>;

/// When a steppable part wants its next `tick`. `TimePoint::max()` means: not before it is woken.
struct NextTick {
  TimePoint at = TimePoint::max();

  /// The earlier of two.
  [[nodiscard]] friend constexpr NextTick earliest(NextTick a, NextTick b) noexcept {
    return a.at < b.at ? a : b;
  }
  friend constexpr auto operator<=>(const NextTick&, const NextTick&) = default;
};

/// A moment that is either absolute or relative to the storage's clock.
///
/// Relative moments are resolved by the storage, in the transaction that writes them, so that a
/// caller whose clock is wrong still waits the right time.
class When {
 public:
  /// As soon as possible.
  constexpr When() noexcept = default;
  /// At an absolute time; one in the past means at once.
  [[nodiscard]] static constexpr When at(TimePoint time) noexcept {
    return When(true, time.time_since_epoch());
  }
  /// After a wait, counted from the storage's now; a negative one means at once.
  [[nodiscard]] static constexpr When after(Duration wait) noexcept {
    return When(false, wait < Duration::zero() ? Duration::zero() : wait);
  }

  /// The absolute time, given the storage's `now`. Never overflows: far futures saturate.
  [[nodiscard]] constexpr TimePoint resolve(TimePoint now) const noexcept {
    if (absolute_) return TimePoint(value_);
    if (now.time_since_epoch() < Duration::zero()) return now + value_;  // far from the upper end
    return value_ > TimePoint::max() - now ? TimePoint::max() : now + value_;
  }
  /// True when it names no wait at all.
  [[nodiscard]] constexpr bool immediate() const noexcept { return !absolute_ && value_ == Duration::zero(); }

 private:
  constexpr When(bool absolute, Duration value) noexcept : absolute_(absolute), value_(value) {}
  bool absolute_ = false;
  Duration value_{0};
};

/// Microseconds since the epoch, the form in which times are stored.
[[nodiscard]] constexpr std::int64_t to_us(TimePoint time) noexcept {
  return time.time_since_epoch().count();
}
/// The inverse of `to_us`.
[[nodiscard]] constexpr TimePoint from_us(std::int64_t us) noexcept { return TimePoint(Duration(us)); }

/// "2026-01-31T08:30:00Z", with a fraction only where there is one ("…:00.250000Z").
/// Years 0000 to 9999 per RFC 3339; outside them the year simply has more digits or a sign.
[[nodiscard]] std::string to_rfc3339(TimePoint time);

/// Reads RFC 3339: "2026-01-31T08:30:00Z", "2026-01-31T08:30:00.5+02:00"; also a bare date, which means
/// midnight UTC. Digits beyond microseconds are cut off; second 60 is refused.
/// Throws InvalidArgument (field "time") on anything else.
[[nodiscard]] TimePoint parse_rfc3339(std::string_view text);

/// A duration for people: "250ms", "2s", "10m", "1h30m", "3d". Exact: `parse_duration` reads it back.
[[nodiscard]] std::string to_text(Duration duration);

/// Reads "500us", "250ms", "2s", "10m", "1h30m", "3d"; units us, ms, s, m, h, d, w; each number a whole one.
/// Throws InvalidArgument (field "duration") on anything else or on overflow.
[[nodiscard]] Duration parse_duration(std::string_view text);

}  // namespace quern::inline v1
