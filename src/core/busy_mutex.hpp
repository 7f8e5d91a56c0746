#pragma once

#include <atomic>
#include <mutex>

#include "core/pause.hpp"

namespace quern::inline v1::detail {

/// A mutex for what takes microseconds: who finds it taken looks again for about as long as it would take to
/// put the thread to sleep and wake it, and only then sleeps. Meets the Lockable requirements.
class BusyMutex {
 public:
  void lock() {
    for (int looks = 0; looks < most_looks; ++looks) {
      if (!taken_.load(std::memory_order_relaxed) && try_lock()) return;
      pause_a_moment();
    }
    mutex_.lock();
    taken_.store(true, std::memory_order_relaxed);
  }
  [[nodiscard]] bool try_lock() {
    if (!mutex_.try_lock()) return false;
    taken_.store(true, std::memory_order_relaxed);
    return true;
  }
  void unlock() {
    taken_.store(false, std::memory_order_relaxed);
    mutex_.unlock();
  }

 private:
  static constexpr int most_looks = 1000;

  std::mutex mutex_;
  std::atomic<bool> taken_{false};  // as good as known without touching the mutex
};

}  // namespace quern::inline v1::detail
