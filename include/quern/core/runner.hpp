#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "quern/core/clock.hpp"
#include "quern/core/time.hpp"

namespace quern::inline v1 {

/// A bell: a sleeper waits for it or for a time. Thread-safe; ringing is cheap when nobody sleeps.
class Waker {
 public:
  void wake() noexcept {
    {
      const std::lock_guard lock(mutex_);
      rung_ = true;
    }
    bell_.notify_one();
  }

  /// Returns when the bell was rung since the last return, or after `longest`.
  void wait(Duration longest) {
    std::unique_lock lock(mutex_);
    if (longest > Duration::zero())
      bell_.wait_for(lock, std::min<Duration>(longest, std::chrono::hours(1)), [&] { return rung_; });
    rung_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable bell_;
  bool rung_ = false;
};

/// A thread that drives a steppable part: calls `part.tick(now)` when it is due or woken.
class Runner {
 public:
  Runner() noexcept = default;
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  ~Runner() { stop(); }

  /// Starts the thread. `part` and `clock` must outlive it; `waker` is what wakes it early. A part's `tick`
  /// must not throw. Throws std::system_error when no thread can be made.
  template <class Part>
  void start(Part& part, ClockRef clock, std::shared_ptr<Waker> waker) {
    stop();
    waker_ = waker;
    thread_ = std::jthread([&part, clock, waker = std::move(waker)](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        const NextTick next = part.tick(clock.now());
        if (!stop.stop_requested()) waker->wait(until(next, clock.now()));
      }
    });
  }

  /// Ends the thread after the tick under way. Harmless when there is none.
  void stop() noexcept {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    waker_->wake();
    thread_.join();
  }

  [[nodiscard]] bool running() const noexcept { return thread_.joinable(); }
  [[nodiscard]] bool is_this_thread() const noexcept {
    return thread_.get_id() == std::this_thread::get_id();
  }

  /// The wait from `now` to the next tick; never negative, never overflowing.
  [[nodiscard]] static Duration until(NextTick next, TimePoint now) noexcept {
    if (next.at <= now) return Duration::zero();
    if (next.at == TimePoint::max()) return Duration::max();
    return next.at - now;
  }

 private:
  std::shared_ptr<Waker> waker_;
  std::jthread thread_;
};

}  // namespace quern::inline v1
