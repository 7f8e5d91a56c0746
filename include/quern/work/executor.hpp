#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace quern::inline v1 {

/// Names one task while it runs.
using TaskToken = std::uint64_t;

/// Where handlers run.
///
/// post     runs the task, now or on another thread; may throw when it cannot. Tasks don't throw.
/// abandon  the task does not end: stop counting on its thread, which may never come back, and take another
/// one for
///          what follows. Nothing happens when it has ended meanwhile.
/// Threads  a processor calls both from one thread at a time.
template <class E>
concept Executor = requires(E& executor, TaskToken token, std::function<void()> task) {
  executor.post(token, std::move(task));
  executor.abandon(token);
};

/// Runs each task at once, on the thread that posts it: a test's whole engine on one thread.
class InlineExecutor {
 public:
  void post(TaskToken /*token*/, const std::function<void()>& task) { task(); }
  void abandon(TaskToken /*token*/) noexcept {}
};

/// Runs tasks on threads of its own: as many as there were tasks at once, kept for the next ones.
///
/// The destructor waits for the tasks that were not abandoned. An abandoned thread ends by itself when its
/// task returns; until then it must find alive whatever the task refers to.
class ThreadExecutor {
 public:
  ThreadExecutor();
  ThreadExecutor(const ThreadExecutor&) = delete;
  ThreadExecutor& operator=(const ThreadExecutor&) = delete;
  ~ThreadExecutor();

  /// Throws std::system_error when a thread is needed and cannot be made.
  void post(TaskToken token, std::function<void()> task);
  void abandon(TaskToken token);
  /// Threads that are there now, abandoned ones not counted.
  [[nodiscard]] std::size_t threads() const;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

static_assert(Executor<InlineExecutor>);
static_assert(Executor<ThreadExecutor>);

}  // namespace quern::inline v1
