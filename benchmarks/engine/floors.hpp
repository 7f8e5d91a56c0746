#pragma once

#include <vector>

#include "support.hpp"

namespace bench {

/// The floor in memory: a mutex, a deque of std::function, two threads, the same job copied into each; from the
/// first hand-over to the last end, in jobs per second.
[[nodiscard]] double pool_rate(const std::vector<SendDigest>& jobs);
/// Microseconds from a hand-over to a thread that waits on a condition variable. The sender waits for it meanwhile.
[[nodiscard]] std::vector<double> condvar_waits(int count);

/// Runs of 100 share a priority, as batches of real jobs do.
[[nodiscard]] inline int priority(std::size_t number) { return static_cast<int>(number / 100 * 7 % 4); }
/// The floor in SQLite: the same bytes through one prepared INSERT, in one transaction, in jobs per second.
[[nodiscard]] double sqlite_floor_rate(const Settings& settings, std::size_t count);

}  // namespace bench
