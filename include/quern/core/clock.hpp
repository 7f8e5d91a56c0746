#pragma once

#include <atomic>
#include <concepts>
#include <string>

#include "quern/core/time.hpp"

namespace quern::inline v1 {

/// Time since the machine started, which no adjustment of the wall clock moves. Only differences between
/// two readings of one boot mean anything.
using SteadyTime = Duration;

/// A source of time. Everything in quern that needs the time is handed one of these.
///
/// now      civil time, for due times, deadlines and records; may jump when somebody sets the clock.
/// steady   for leases and timeouts on one machine; never goes back, and goes on while the machine sleeps.
/// boot_id  names the period over which `steady` is comparable; differs after a restart of the machine.
/// Threads  all three may be called from any thread.
template <class C>
concept Clock = requires(const C& clock) {
  { clock.now() } -> std::same_as<TimePoint>;
  { clock.steady() } -> std::same_as<SteadyTime>;
  { clock.boot_id() } -> std::same_as<std::string>;
};

/// The machine's clocks: CLOCK_REALTIME and CLOCK_BOOTTIME. Stateless.
class SystemClock {
 public:
  [[nodiscard]] TimePoint now() const noexcept;
  [[nodiscard]] SteadyTime steady() const noexcept;
  /// The kernel's boot id; where there is none to read, a constant.
  [[nodiscard]] std::string boot_id() const;
};

/// A clock that stands still until it is told to move: for tests and simulations. Thread-safe.
class ManualClock {
 public:
  /// Starts at `start`; the steady clock starts at one hour.
  explicit ManualClock(TimePoint start = from_us(1'767'225'600'000'000)) noexcept : now_us_(to_us(start)) {}

  /// Both clocks go on by `by`, which must not be negative.
  void advance(Duration by) noexcept {
    now_us_ += by.count();
    steady_us_ += by.count();
  }
  /// Somebody sets the wall clock; the steady clock takes no notice.
  void set_wall(TimePoint now) noexcept { now_us_ = to_us(now); }
  /// The machine restarts: a new boot id, and the steady clock begins again at `steady`.
  void reboot(SteadyTime steady = Duration{0}) noexcept {
    ++boots_;
    steady_us_ = steady.count();
  }

  [[nodiscard]] TimePoint now() const noexcept { return from_us(now_us_); }
  [[nodiscard]] SteadyTime steady() const noexcept { return SteadyTime(steady_us_); }
  [[nodiscard]] std::string boot_id() const { return "manual-" + std::to_string(boots_.load()); }

 private:
  std::atomic<std::int64_t> now_us_;
  std::atomic<std::int64_t> steady_us_{3'600'000'000};
  std::atomic<int> boots_{1};
};

/// A reference to any clock, cheap to copy; the clock must outlive it. Without a clock: the SystemClock.
class ClockRef {
 public:
  ClockRef() noexcept;
  template <Clock C>
    requires(!std::same_as<C, ClockRef>)
  ClockRef(const C& clock) noexcept  // NOLINT(google-explicit-constructor): a reference in all but name
      : object_(&clock),
        now_([](const void* c) { return static_cast<const C*>(c)->now(); }),
        steady_([](const void* c) { return static_cast<const C*>(c)->steady(); }),
        boot_id_([](const void* c) { return static_cast<const C*>(c)->boot_id(); }) {}
  template <Clock C>
    requires(!std::same_as<C, ClockRef>)
  ClockRef(const C&&) = delete;  // a temporary clock would dangle

  [[nodiscard]] TimePoint now() const { return now_(object_); }
  [[nodiscard]] SteadyTime steady() const { return steady_(object_); }
  [[nodiscard]] std::string boot_id() const { return boot_id_(object_); }

 private:
  const void* object_;
  TimePoint (*now_)(const void*);
  SteadyTime (*steady_)(const void*);
  std::string (*boot_id_)(const void*);
};

}  // namespace quern::inline v1
