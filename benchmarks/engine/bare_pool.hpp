#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace bench {

/// The floor in memory: a mutex, a deque of std::function, two threads.
class BarePool {
 public:
  BarePool() { start(); }
  /// `start` is to follow.
  explicit BarePool(std::defer_lock_t /*later*/) {}
  void start() {
    for (int i = 0; i < workers; ++i) threads_.emplace_back([this] { work(); });
  }
  ~BarePool() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
  }
  BarePool(const BarePool&) = delete;
  BarePool& operator=(const BarePool&) = delete;
  void post(std::function<void()> task) {
    {
      const std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    wake_.notify_one();
  }

 private:
  static constexpr int workers = 2;

  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return stop_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      const auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      lock.lock();
    }
  }
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  bool stop_ = false;
  std::vector<std::jthread> threads_;
};

/// Counts down what was done, and lets one thread wait for the end.
class Countdown {
 public:
  explicit Countdown(std::size_t count) : left_(count) {}
  void done() {
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) left_.notify_all();
  }
  void wait() const {
    for (std::size_t left = left_.load(); left != 0; left = left_.load()) left_.wait(left);
  }

 private:
  std::atomic<std::size_t> left_;
};

}  // namespace bench
