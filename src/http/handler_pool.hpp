#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace quern::inline v1::http::detail {

/// Threads for what may block, with a bounded line before them. Thread-safe.
class HandlerPool {
 public:
  /// Throws std::system_error when no thread can be made.
  HandlerPool(int threads, std::size_t waiting);
  HandlerPool(const HandlerPool&) = delete;
  HandlerPool& operator=(const HandlerPool&) = delete;
  ~HandlerPool() { stop(); }

  /// `work` must not throw. False: the line is full, or the pool has stopped.
  [[nodiscard]] bool submit(std::function<void()> work);
  /// What waits is dropped, what runs is waited for.
  void stop() noexcept;
  [[nodiscard]] std::size_t waiting() const;

 private:
  void run();

  const std::size_t limit_;
  mutable std::mutex mutex_;
  std::condition_variable bell_;
  std::deque<std::function<void()>> line_;
  std::size_t idle_ = 0;
  bool stopped_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace quern::inline v1::http::detail
