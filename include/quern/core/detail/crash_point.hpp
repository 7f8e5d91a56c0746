#pragma once

#include <atomic>

namespace quern::inline v1::detail {

/// What a crash point calls; null outside crash tests. Only `quern::testing` sets it.
using CrashHook = void (*)(const char* name) noexcept;
inline std::atomic<CrashHook> crash_hook{nullptr};

/// Marks a place at which a crash must do no harm, so that a test can kill the process right here.
/// Costs one relaxed load, and stands only at the boundaries of I/O.
inline void crash_point(const char* name) noexcept {
  if (const CrashHook hook = crash_hook.load(std::memory_order_relaxed)) hook(name);
}

}  // namespace quern::inline v1::detail
