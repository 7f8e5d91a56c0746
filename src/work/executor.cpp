#include "quern/work/executor.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>

namespace quern::inline v1 {

struct ThreadExecutor::Shared {
  struct Task {
    TaskToken token = 0;
    std::function<void()> work;
  };
  /// One thread's place; the thread keeps it alive, so that an abandoned one can still look at it.
  struct Worker {
    bool abandoned = false;
  };

  mutable std::mutex mutex;
  std::condition_variable work_came;
  std::condition_variable thread_left;
  std::deque<Task> tasks;
  std::unordered_map<TaskToken, std::shared_ptr<Worker>> running;
  std::size_t threads = 0;
  std::size_t idle = 0;
  bool closing = false;

  void run(const std::shared_ptr<Worker>& me) {
    std::unique_lock lock(mutex);
    while (true) {
      ++idle;
      work_came.wait(lock, [&] { return closing || !tasks.empty(); });
      --idle;
      if (tasks.empty()) break;
      Task task = std::move(tasks.front());
      tasks.pop_front();
      running.emplace(task.token, me);
      lock.unlock();
      task.work();
      task.work = nullptr;  // what it holds goes before the thread waits again
      lock.lock();
      if (me->abandoned) return;  // no longer counted
      running.erase(task.token);
    }
    --threads;
    thread_left.notify_all();
  }
};

ThreadExecutor::ThreadExecutor() : shared_(std::make_shared<Shared>()) {}

ThreadExecutor::~ThreadExecutor() {
  std::unique_lock lock(shared_->mutex);
  shared_->closing = true;
  shared_->work_came.notify_all();
  shared_->thread_left.wait(lock, [&] { return shared_->threads == 0; });
}

void ThreadExecutor::post(TaskToken token, std::function<void()> task) {
  const std::lock_guard lock(shared_->mutex);
  if (shared_->idle <= shared_->tasks.size()) {
    // Detached and counted: a thread that may be abandoned cannot be joined.
    std::thread([shared = shared_] { shared->run(std::make_shared<Shared::Worker>()); }).detach();
    ++shared_->threads;
  }
  shared_->tasks.push_back({token, std::move(task)});
  shared_->work_came.notify_one();
}

void ThreadExecutor::abandon(TaskToken token) {
  const std::lock_guard lock(shared_->mutex);
  const auto found = shared_->running.find(token);
  if (found == shared_->running.end()) return;
  found->second->abandoned = true;
  shared_->running.erase(found);
  --shared_->threads;
  shared_->thread_left.notify_all();
}

std::size_t ThreadExecutor::threads() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->threads;
}

}  // namespace quern::inline v1
