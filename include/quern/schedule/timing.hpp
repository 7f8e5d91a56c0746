#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/fields.hpp"
#include "quern/core/time.hpp"
#include "quern/schedule/shift_policy.hpp"
#include "quern/schedule/time_zone.hpp"
#include "quern/schedule/zone_database.hpp"

namespace quern::inline v1 {

/// Hours of the week, by the clocks of a zone.
struct TimeWindow {
  std::string days = "*";      ///< As cron's day of the week: "MON-FRI", "SAT,SUN", "0-5".
  std::string from = "00:00";  ///< "09:00" or "09:00:00"; this moment is within.
  std::string to = "24:00";    ///< This one is not. Before or equal to `from`: it ends on the next day.
  friend bool operator==(const TimeWindow&, const TimeWindow&) = default;
};
QUERN_FIELDS(TimeWindow, days, from, to)

/// When something is to happen, as plain values that travel as JSON: one of `cron`, `every` and `at`, and what narrows it.
struct TimingSpec {
  std::string cron{};  ///< A cron expression; see CronExpression.
  Duration every{0};   ///< 1 s to 3660 days, counted from `anchor` in both directions.
  TimePoint anchor{};  ///< Of `every`: an instant at which it happens. Default: 1970-01-01T00:00:00Z.
  std::vector<TimePoint> at{};        ///< Single instants, in any order; 1 to 10,000.
  std::string zone = "UTC";           ///< Whose clocks `cron`, `except` and `within` go by.
  ShiftPolicy shifts{};               ///< Of `cron`.
  std::vector<std::string> except{};  ///< Dates on which it does not happen: "2026-12-24"; up to 1000.
  std::vector<TimeWindow> within{};   ///< It happens only within any of these; up to 32. None: at any time.
  std::optional<TimePoint> start{};   ///< Not before this.
  std::optional<TimePoint> until{};   ///< Not after this.
  Duration jitter{0};                 ///< Up to so much later, 0 to 24 h; see Timing::due.
  friend bool operator==(const TimingSpec&, const TimingSpec&) = default;
};
QUERN_FIELDS(ShiftPolicy, gap, overlap)
QUERN_FIELDS(TimingSpec, cron, every, anchor, at, zone, shifts, except, within, start, until, jitter)

/// A TimingSpec that was checked, with the data of its zone: a set of instants. A value, cheap to copy; concurrent use is safe.
///
///     const quern::Timing timing({.cron = "*/15 * * * *", .zone = "Europe/Berlin", .except = {"2026-12-24"},
///                                 .within = {{.days = "MON-FRI", .from = "09:00", .to = "17:00"}}},
///                                "report", zones);
///
/// Cost  of `next` and `previous` as of CronSchedule, some 100 ns; times that are left out are jumped over by days and windows,
///       so that some hundred of them cost microseconds. Where all are left out for ever, a search goes to the end of 2199
///       (some 10 ms), which the constructor does once, and refuses such a timing.
class Timing {
 public:
  /// `name`: the schedule's, which `H` and the jitter are drawn from. Throws InvalidArgument (also CronError) that names the
  /// field, where the spec is faulty or no instant of it will or did ever come; ZoneError where there is no such zone.
  Timing(TimingSpec spec, std::string_view name, const ZoneDatabase& zones);

  /// The first instant after one. Empty: none comes any more.
  [[nodiscard]] std::optional<TimePoint> next(TimePoint after) const noexcept;
  /// The last instant before one. Empty: there was none.
  [[nodiscard]] std::optional<TimePoint> previous(TimePoint before) const noexcept;
  /// True when it is one of the instants, to the microsecond.
  [[nodiscard]] bool matches(TimePoint instant) const noexcept;

  /// When what belongs to an instant is to be done: up to `jitter` later, by a number that is drawn from the name and the
  /// instant, so the same on every node and after every restart.
  [[nodiscard]] TimePoint due(TimePoint instant) const noexcept;

  /// In English: "every 15 minutes, in Berlin, on MON-FRI from 09:00 to 17:00, not on 2026-12-24".
  [[nodiscard]] std::string describe() const;

  [[nodiscard]] const TimingSpec& spec() const noexcept;
  [[nodiscard]] const TimeZone& zone() const noexcept;

 private:
  struct Parts;
  std::shared_ptr<const Parts> parts_;
};

}  // namespace quern::inline v1
