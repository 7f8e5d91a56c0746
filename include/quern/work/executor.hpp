#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "quern/core/clock.hpp"

namespace quern::inline v1 {

/// Names one task while it runs; never 0.
using TaskToken = std::uint64_t;

/// Where handlers run.
///
/// post     runs the task, now or on another thread; may throw when it cannot. Tasks don't throw.
/// abandon  the task does not end: stop counting on its thread, which may never come back, and take another
///          one for what follows. Nothing happens when it has ended meanwhile.
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

namespace detail {

/// A task of a processor.
class ExecutorTask {
 public:
  ExecutorTask() = default;
  ExecutorTask(const ExecutorTask&) = delete;
  ExecutorTask& operator=(const ExecutorTask&) = delete;
  virtual ~ExecutorTask() = default;
  /// `self` keeps it alive, and may be passed on.
  virtual void run(std::shared_ptr<ExecutorTask> self) noexcept = 0;
  TaskToken token = 0;
  bool patient = true;  ///< May wait for a short one before it, on the same thread.
};

/// What a thread of a ThreadExecutor does when it has nothing to run: the processor's own work, so that a job
/// needs no hop from one thread to another.
class ExecutorHelper {
 public:
  ExecutorHelper() = default;
  ExecutorHelper(const ExecutorHelper&) = delete;
  ExecutorHelper& operator=(const ExecutorHelper&) = delete;
  virtual ~ExecutorHelper() = default;
  /// The thread's task has ended and no other waits, or it was nudged. May post tasks, of which the thread
  /// takes one next. The answer is the clock's time just before it posted any; 0: it has not, or long ago.
  virtual SteadyTime help() noexcept = 0;
  /// The thread's task has ended and it goes on with another one: somebody else must look after the result.
  /// Must return at once and not call the executor.
  virtual void results_wait() noexcept = 0;
};

}  // namespace detail

/// Runs tasks on threads of its own, kept for the next ones: each task that is posted by `post` has a thread
/// at once; a processor's jobs have one while they take less than some microseconds, as many as there are
/// processors while they take less than 0.2 ms, and else one each.
///
/// The destructor waits for the tasks that were not abandoned. An abandoned thread ends by itself when its
/// task returns; until then it must find alive whatever the task refers to.
class ThreadExecutor {
 public:
  /// `clock` tells how long tasks take, which decides how many threads they are worth; it must outlive the
  /// executor's threads.
  explicit ThreadExecutor(ClockRef clock = {});
  ThreadExecutor(const ThreadExecutor&) = delete;
  ThreadExecutor& operator=(const ThreadExecutor&) = delete;
  ~ThreadExecutor();

  /// Throws std::system_error when a thread is needed and cannot be made.
  void post(TaskToken token, std::function<void()> task);
  void abandon(TaskToken token);
  /// Threads that are there now, abandoned ones not counted.
  [[nodiscard]] std::size_t threads() const;

  // For processors. Short tasks would only wait for each other's wake-ups if each had a thread of its own, so
  // as many threads are woken as tasks like those before are worth; `stir` adds more while tasks wait for
  // ones that take long.

  /// Queues all of them. Throws as `post`, and has queued none then, but not once one thread is there.
  void post_all(std::span<const std::shared_ptr<detail::ExecutorTask>> tasks);
  /// To be called every millisecond or so while tasks wait.
  void stir();
  /// True while more tasks wait than the calling thread is about to take: 1 where it helps, else 0.
  [[nodiscard]] bool backlog() const;
  /// Lets an idle thread help soon; false when there is none.
  bool nudge() noexcept;
  /// From now on threads help; null: no longer. Waits for one that is at it, unless called by that.
  void set_helper(detail::ExecutorHelper* helper);

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

static_assert(Executor<InlineExecutor>);
static_assert(Executor<ThreadExecutor>);

}  // namespace quern::inline v1
