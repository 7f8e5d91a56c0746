#pragma once

#include <cstdint>
#include <optional>

#include "quern/schedule/detail/cron_fields.hpp"
#include "quern/schedule/shift_policy.hpp"
#include "schedule/zone_data.hpp"

namespace quern::inline v1::detail {

/// An expression in a zone, as a set of instants in seconds since 1970. It only looks: what it refers to has to live.
///
/// Each span of the zone has instants of its own: those whose local time matches, without those that the policy takes out
/// where the clocks were or will be set back, and with those that it makes for the gap at the span's beginning. A search
/// goes from span to span, and where the next matching local time is far it jumps there.
class ZonedSearch {
 public:
  ZonedSearch(const CronFields& fields, const ZoneData& zone, ShiftPolicy policy) noexcept
      : fields_(fields), zone_(zone), policy_(policy) {}

  /// The first instant at or after `from`.
  [[nodiscard]] std::optional<std::int64_t> next(std::int64_t from) const noexcept;
  /// The last instant at or before `until`.
  [[nodiscard]] std::optional<std::int64_t> previous(std::int64_t until) const noexcept;

 private:
  struct Window {
    std::int64_t begin = 0;
    std::int64_t end = 0;  ///< Not in it. Not after the begin: the window is empty.
  };
  /// The instants at a span's beginning, or at its end, that are left out since the clocks show their times twice.
  [[nodiscard]] Window left_out_at_begin(std::size_t span) const noexcept;
  [[nodiscard]] Window left_out_at_end(std::size_t span) const noexcept;
  /// By how much the clocks jump forward at a span's beginning (negative: back); 0 for the first.
  [[nodiscard]] std::int64_t shift_at(std::size_t span) const noexcept;
  [[nodiscard]] GapPolicy gap_policy(std::int64_t gap) const noexcept;
  [[nodiscard]] OverlapPolicy overlap_policy(std::int64_t repeated) const noexcept;

  /// What the policy makes of the gap at a span's beginning: the first at or after an instant, the last at or before one.
  [[nodiscard]] std::int64_t next_made(std::size_t span, std::int64_t from) const noexcept;
  [[nodiscard]] std::int64_t previous_made(std::size_t span, std::int64_t until) const noexcept;

  const CronFields& fields_;
  const ZoneData& zone_;
  ShiftPolicy policy_;
};

}  // namespace quern::inline v1::detail
