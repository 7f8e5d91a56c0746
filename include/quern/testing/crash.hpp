#pragma once

#include <string_view>

namespace quern::inline v1::testing {

/// Kills this process with SIGKILL at the `count`-th time (from 1) that it passes the crash point `name`. For
/// child processes of crash tests: nothing is flushed, nothing is unwound. Replaces an earlier wish.
void arm_crash(std::string_view name, int count);

/// The same from the environment: QUERN_CRASH_AT=name:count. Without the variable nothing happens; a
/// malformed one ends the process with exit code 2 and a message.
void arm_crash_from_environment();

/// How often this process has passed the crash point since `count_crash_points` was called.
[[nodiscard]] int crash_point_passes(std::string_view name);
/// Begins to count passes of all crash points, without crashing.
void count_crash_points();

}  // namespace quern::inline v1::testing
