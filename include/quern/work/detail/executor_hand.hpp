#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>

#include "quern/work/executor.hpp"

namespace quern::inline v1::detail {

using HandTask = std::shared_ptr<ExecutorTask>;

/// The tasks that one thread of an executor has taken and not yet run. What it has not begun can be taken
/// away again, so that nothing waits behind a task that takes long.
///
/// Threads  `take` and `run` from the thread itself; `take` and the others under the executor's lock.
class Hand {
 public:
  static constexpr std::size_t most = 32;

  /// Moves up to `limit` tasks from the front of `tasks`, at least one, but beside an impatient one none.
  /// There must be one, and its own must have been run.
  std::size_t take(std::deque<HandTask>& tasks, std::size_t limit) {
    std::uint32_t count = 0;
    do {
      places_[count++] = std::move(tasks.front());
      tasks.pop_front();
    } while (count < std::min(limit, most) && !tasks.empty() && places_[count - 1]->patient &&
             tasks.front()->patient);
    end_ = count;
    next_.store(0, std::memory_order_release);
    return count;
  }

  /// Runs them; the answer is how many.
  std::size_t run() {
    std::size_t ran = 0;
    for (std::uint32_t i = next_.fetch_add(1); i < most; i = next_.fetch_add(1)) {
      if (i >= end_) break;
      HandTask task = std::move(places_[i]);
      current_.store(task->token, std::memory_order_release);
      ExecutorTask& one = *task;
      one.run(std::move(task));
      ++ran;
      if (current_.exchange(0) == abandoned_mark) {
        abandoned_ = true;
        break;
      }
    }
    return ran;
  }

  /// What it runs now; 0: nothing.
  [[nodiscard]] TaskToken current() const noexcept { return current_.load(); }
  /// True while it holds tasks that it has not begun.
  [[nodiscard]] bool holds_more() const noexcept { return next_.load() < end_; }

  /// Puts what it has not begun back to the front.
  void give_back(std::deque<HandTask>& tasks) {
    const std::uint32_t from = next_.exchange(most);
    for (std::uint32_t i = end_; i > from; --i) tasks.push_front(std::move(places_[i - 1]));
  }

  /// True: it runs that task, and its thread will not go on after it.
  [[nodiscard]] bool abandon(TaskToken token) noexcept {
    return current_.compare_exchange_strong(token, abandoned_mark);
  }
  /// For the thread itself.
  [[nodiscard]] bool abandoned() const noexcept { return abandoned_; }

 private:
  static constexpr TaskToken abandoned_mark = ~TaskToken{0};

  std::array<HandTask, most> places_{};
  std::uint32_t end_ = 0;
  std::atomic<std::uint32_t> next_{most};
  std::atomic<TaskToken> current_{0};
  bool abandoned_ = false;
};

}  // namespace quern::inline v1::detail
