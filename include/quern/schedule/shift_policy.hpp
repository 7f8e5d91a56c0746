#pragma once

#include <cstdint>

namespace quern::inline v1 {

/// What becomes of a time that the clocks jump over (02:30 on a night that goes from 02:00 to 03:00).
enum class GapPolicy : std::uint8_t {
  vixie,  ///< As Vixie cron: a job with fixed hours and minutes runs once, right after a gap of up to 3 hours.
  skip,   ///< It is left out.
  next_valid,  ///< Once at the first instant after the gap, whatever the gap and the job.
  shift,       ///< Late by the length of the gap: at 03:30.
};

/// What becomes of a time that comes twice (01:30 on a night that goes from 02:00 back to 01:00).
enum class OverlapPolicy : std::uint8_t {
  vixie,  ///< As Vixie cron: a job with fixed hours and minutes runs in the first pass of up to 3 hours only.
  first,  ///< In the first pass only.
  second,  ///< In the second pass only.
  both,    ///< In both.
};

/// How a schedule takes the shifts of its zone's clocks. By default as Vixie cron does; there a job with `*` (or `H/n`)
/// in its minute or hour follows the wall clock: every time that the clocks show, in both passes.
struct ShiftPolicy {
  GapPolicy gap = GapPolicy::vixie;
  OverlapPolicy overlap = OverlapPolicy::vixie;

  friend bool operator==(const ShiftPolicy&, const ShiftPolicy&) = default;
};

}  // namespace quern::inline v1
