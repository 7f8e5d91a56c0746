#pragma once

#if !defined(__x86_64__) && !defined(__i386__)
#include <thread>
#endif

namespace quern::inline v1::detail {

/// Between two looks at what another thread is about to change.
inline void pause_a_moment() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace quern::inline v1::detail
