#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>

#include "quern/core/time.hpp"
#include "quern/schedule/cron_expression.hpp"
#include "quern/schedule/shift_policy.hpp"
#include "quern/schedule/time_zone.hpp"

namespace quern::inline v1 {

class Occurrences;

/// A cron expression in a time zone, with what to do when its clocks shift: a set of instants, whole seconds of UTC, from
/// 1970 to the end of 2199 by local time. A plain value; concurrent reads are safe.
///
/// Cost: some 50 to 200 ns per call in every zone, no allocation. A yearly date, 29 February or one that never comes again
/// costs the same: the search jumps by sets of bits and never walks over minutes or days. Only an expression all of whose
/// times fall into gaps that are skipped looks at each of them (some 30 us until 2199).
class CronSchedule {
 public:
  explicit CronSchedule(CronExpression expression, TimeZone zone = {}, ShiftPolicy policy = {});

  /// The first occurrence after an instant (never that instant itself; fractions of a second count). Empty: none comes any more.
  [[nodiscard]] std::optional<TimePoint> next(TimePoint after) const noexcept;
  /// The last occurrence before an instant. Empty: there was none.
  [[nodiscard]] std::optional<TimePoint> previous(TimePoint before) const noexcept;
  /// True when the instant is an occurrence, to the microsecond.
  [[nodiscard]] bool matches(TimePoint instant) const noexcept;
  /// All occurrences after an instant, as a range: `for (auto at : schedule.after(now) | std::views::take(5))`.
  [[nodiscard]] Occurrences after(TimePoint instant) const;

  /// Why an occurrence is where it is.
  enum class Kind : std::uint8_t {
    usual,        ///< The clocks show a time of the expression, once.
    after_gap,    ///< Its own time was jumped over.
    first_pass,   ///< The clocks will show the same time again.
    second_pass,  ///< The clocks show this time again.
  };
  /// For an instant that is an occurrence. Costs like `next`.
  [[nodiscard]] Kind kind_of(TimePoint occurrence) const noexcept;

  /// In English: "at 09:30 on weekdays, in New York".
  [[nodiscard]] std::string describe() const;

  [[nodiscard]] const CronExpression& expression() const noexcept { return expression_; }
  [[nodiscard]] const TimeZone& zone() const noexcept { return zone_; }
  [[nodiscard]] ShiftPolicy policy() const noexcept { return policy_; }

 private:
  CronExpression expression_;
  TimeZone zone_;
  ShiftPolicy policy_;
};

/// The occurrences of a schedule after an instant, in order; a forward range that computes each when it is asked for. It has a
/// copy of the schedule, and its iterators point into it.
class Occurrences {
 public:
  class Iterator {
   public:
    using value_type = TimePoint;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::forward_iterator_tag;
    using iterator_category = std::input_iterator_tag;

    Iterator() = default;
    [[nodiscard]] TimePoint operator*() const noexcept { return *at_; }
    Iterator& operator++() noexcept {
      at_ = schedule_->next(*at_);
      return *this;
    }
    Iterator operator++(int) noexcept {
      Iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const Iterator& a, const Iterator& b) noexcept { return a.at_ == b.at_; }
    friend bool operator==(const Iterator& a, std::default_sentinel_t /*end*/) noexcept { return !a.at_; }

   private:
    friend class Occurrences;
    Iterator(const CronSchedule& schedule, TimePoint after) noexcept
        : schedule_(&schedule), at_(schedule.next(after)) {}

    const CronSchedule* schedule_ = nullptr;
    std::optional<TimePoint> at_;
  };

  Occurrences(CronSchedule schedule, TimePoint after) : schedule_(std::move(schedule)), after_(after) {}
  [[nodiscard]] Iterator begin() const noexcept { return {schedule_, after_}; }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 private:
  CronSchedule schedule_;
  TimePoint after_;
};

}  // namespace quern::inline v1
