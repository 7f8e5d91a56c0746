#pragma once

#include <cstdint>
#include <vector>

#include "quern/storage/limit_rules.hpp"

// What a rate has let start, and so what it lets start now: whole numbers alone, the same in each storage (in
// PostgreSQL as SQL, see schema_limits.hpp). Times are microseconds of one clock. Where that is earlier than one that
// it has told before, it was set back, and nothing is known of the time between: as if none had passed.

namespace quern::inline v1::detail {

/// One value, which the storage keeps with the rule. Empty: nothing has started yet.
///
/// Token bucket    the time, and how full the bucket was then, in microseconds times `count`: a start costs `per`.
/// Sliding window  slots, oldest first, of three numbers each: its first start, its last one, how many they were. A
///                 slot is as wide as a 64th of the window, so there are about as many.
using RateState = std::vector<std::int64_t>;

/// How many may start now.
[[nodiscard]] std::int64_t starts_left(const StartRate& rate, const RateState& state, std::int64_t now);
/// Microseconds until one may start; 0: now.
[[nodiscard]] std::int64_t wait_for_start(const StartRate& rate, const RateState& state, std::int64_t now);
/// Adds starts, as many as are left at most.
void add_starts(const StartRate& rate, RateState& state, std::int64_t now, std::int64_t count);
/// True where the clock was set back, and the state goes by it from now on. To be asked by who looks for room and may
/// write; otherwise nothing would start until the clock is where it was.
bool follow_clock(const StartRate& rate, RateState& state, std::int64_t now);
/// The state of a rate that takes the place of another. A window counts the same starts after a window; otherwise no more
/// may start now than before.
[[nodiscard]] RateState carried_over(const StartRate& before, const RateState& state, const StartRate& after,
                                     std::int64_t now);
/// The state of a rate of which nobody knows what it has let start.
[[nodiscard]] RateState used_up(const StartRate& rate, std::int64_t now);
/// False: it can't have been written by this code for such a rate.
[[nodiscard]] bool is_sound(const StartRate& rate, const RateState& state);

/// How a rule stands.
[[nodiscard]] LimitStatus status_of(const LimitRule& rule, std::uint64_t running, const RateState& state,
                                    std::int64_t now);
/// How many more jobs the rule lets start now.
[[nodiscard]] std::uint64_t room_of(const LimitRule& rule, std::uint64_t running, const RateState& state,
                                    std::int64_t now);

}  // namespace quern::inline v1::detail
