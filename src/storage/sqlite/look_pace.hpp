#pragma once

namespace quern::inline v1::sqlite {

// After a write to the log: how long until the first look for a commit, and after which distance to give up.
// The looks cover 16 s of waiting for the disk. Two of them nearer than `near_ms` to each other are not
// disturbed by further writes.
inline constexpr int first_look_ms = 1;
inline constexpr int next_look_ms = 4;  // after a commit was found: there may be a stream of them
inline constexpr int near_ms = 8;
inline constexpr int last_look_ms = 8192;
inline constexpr int for_ever = -1;  // until the log is written to

/// How long to wait after a look that found nothing. `waited_ms`: before that look. Also where a wait for
/// ever ended without a write, as a signal may end it.
[[nodiscard]] constexpr int wait_after_nothing(int waited_ms) noexcept {
  return waited_ms == for_ever || waited_ms >= last_look_ms ? for_ever : waited_ms * 2;
}

}  // namespace quern::inline v1::sqlite
