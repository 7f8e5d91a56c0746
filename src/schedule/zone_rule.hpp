#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "schedule/zone_data.hpp"

namespace quern::inline v1::detail {

/// A day of each year and a time of it, in local seconds from its midnight (RFC 9636: -167 to 167 hours).
struct RuleDate {
  enum class Form : std::uint8_t {
    julian,       ///< `Jn`: day 1 to 365, 29 February never counted.
    day_of_year,  ///< `n`: day 0 to 365, 29 February counted.
    month_week,   ///< `Mm.w.d`: the w-th weekday d of a month, the last for w = 5.
  };
  Form form = Form::month_week;
  int day = 0;
  int month = 0;
  int week = 0;
  std::int32_t time = 7200;

  /// The local time at which it comes in a year, in seconds since 1970 of the calendar.
  [[nodiscard]] std::int64_t in_year(int year) const noexcept;
};

/// The rule in a zone file's footer, as POSIX writes it in TZ: "EST5EDT,M3.2.0,M11.1.0".
struct ZoneRule {
  ZoneKind standard;
  std::optional<ZoneKind> daylight;
  RuleDate to_daylight;
  RuleDate to_standard;

  /// Reads one; empty where the text is none.
  [[nodiscard]] static std::optional<ZoneRule> parse(std::string_view text);

  /// Adds the shifts of all years after the last one that is there. Where there are none yet, from 1969 on.
  void extend(ZoneBuilder& zone, std::int64_t after) const;
};

}  // namespace quern::inline v1::detail
