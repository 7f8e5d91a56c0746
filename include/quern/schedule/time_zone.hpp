#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "quern/core/error.hpp"
#include "quern/core/time.hpp"

namespace quern::inline v1 {

/// A time zone is unknown, or its data is missing or damaged. The message says which, and what to do.
class ZoneError : public Error {
 public:
  using Error::Error;
};

namespace detail {
struct ZoneData;
}

/// A time zone: the offsets of its clocks from UTC, past and future. An immutable snapshot of its data, as cheap to copy as
/// a shared pointer; concurrent use is safe. Named ones come from a `ZoneDatabase`.
///
/// Right to the end of 2200, also where a compiled file lists only the past and leaves the rest to the rule in its
/// footer (RFC 9636); later instants have the offset of the end of 2200.
class TimeZone {
 public:
  /// A stretch of time in which the clocks run without a shift.
  struct Span {
    TimePoint begin = TimePoint::min();  ///< Its first instant; `TimePoint::min()`: it has always been so.
    TimePoint end = TimePoint::max();    ///< The first instant after it; `TimePoint::max()`: none is known.
    std::chrono::seconds offset{0};      ///< Local time minus UTC.
    std::string_view abbreviation;       ///< "EST"; lives as long as the zone's data.
    bool daylight = false;               ///< Said to be daylight saving time.
  };

  /// UTC; needs no zone data.
  TimeZone();
  /// A fixed offset, named like "UTC+05:30". Throws InvalidArgument beyond 24 hours.
  [[nodiscard]] static TimeZone fixed(std::chrono::seconds offset);
  /// From the bytes of a compiled zone file (TZif, versions 1 to 4). Throws ZoneError where they are damaged or count leap
  /// seconds. Some 10 us and 10 KB.
  [[nodiscard]] static TimeZone from_tzif(std::string name, std::string_view bytes);

  [[nodiscard]] const std::string& name() const noexcept;
  /// The span that an instant lies in. O(log transitions), some 10 ns. The abbreviation's text belongs to the zone.
  [[nodiscard]] Span span_at(TimePoint instant) const noexcept;
  /// Local time minus UTC at an instant.
  [[nodiscard]] std::chrono::seconds offset_at(TimePoint instant) const noexcept;
  /// True when both have the same offsets at all instants: what follows from one follows from the other.
  [[nodiscard]] bool same_clocks(const TimeZone& other) const noexcept;

  /// The data itself, for quern's own use.
  [[nodiscard]] const detail::ZoneData& data() const noexcept { return *data_; }

 private:
  explicit TimeZone(std::shared_ptr<const detail::ZoneData> data) noexcept : data_(std::move(data)) {}

  std::shared_ptr<const detail::ZoneData> data_;
};

}  // namespace quern::inline v1
