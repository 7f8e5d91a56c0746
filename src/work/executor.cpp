#include "quern/work/executor.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "core/pause.hpp"
#include "quern/work/detail/executor_hand.hpp"

namespace quern::inline v1 {
namespace {

class FunctionTask final : public detail::ExecutorTask {
 public:
  explicit FunctionTask(std::function<void()> work) : work_(std::move(work)) { patient = false; }
  void run(std::shared_ptr<ExecutorTask> /*self*/) noexcept override { work_(); }

 private:
  std::function<void()> work_;
};

/// The executor that this thread helps just now.
thread_local const void* helping_here = nullptr;

/// About as long as putting a thread to sleep and waking it takes.
constexpr int spins = 400;
/// What another thread's waking must be worth.
constexpr auto worth_a_thread = std::chrono::microseconds(50);
/// Tasks that take longer are not taken by the handful.
constexpr auto short_task = std::chrono::microseconds(20);
/// Tasks that take longer may well wait for something: each is worth a thread.
constexpr auto long_task = std::chrono::microseconds(200);

}  // namespace

struct ThreadExecutor::Shared {
  explicit Shared(ClockRef used_clock) : clock(used_clock) {}

  using Task = detail::HandTask;
  /// One thread's place; the thread keeps it alive, so that an abandoned one can still look at it.
  struct Worker {
    detail::Hand hand;
    std::size_t handful = 1;  // how many tasks it takes at once
    TaskToken seen = 0;       // what it ran when `stir` looked last
    int stirs = 0;            // how often it still ran that
    bool slow = false;        // too often: not to be counted on
  };

  const ClockRef clock;  // tells how long tasks take
  mutable std::mutex mutex;
  std::condition_variable work_came;
  std::condition_variable thread_left;
  std::condition_variable helped;
  std::deque<Task> tasks;
  std::vector<std::shared_ptr<Worker>> workers;
  std::size_t idle = 0;  // asleep, or signalled and not yet awake
  std::size_t helping = 0;
  std::atomic<std::size_t> hands{0};  // threads that took more than one task
  std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
  std::chrono::nanoseconds task_time = worth_a_thread;  // what one took lately
  detail::ExecutorHelper* helper = nullptr;
  bool nudged = false;
  bool closing = false;

  // One idle thread watches: it looks for a while before it sleeps, so that who brings something need not wake
  // it; and it can be woken without the lock, which it would then have to wait for.
  enum Bell : int { quiet, asleep, rung, nudge_rung };  // an int, for a futex
  std::atomic<bool> has_helper{false};
  std::atomic<bool> watched{false};
  std::atomic<int> bell{quiet};
  std::atomic<std::size_t> waiting{0};  // as many as `tasks`, for who has not the lock; see show_waiting

  /// To be called whenever `tasks` or `closing` has changed. Threads that shall end must look, too.
  void show_waiting() { waiting.store(closing ? std::max<std::size_t>(1, tasks.size()) : tasks.size()); }

  void run(const std::shared_ptr<Worker>& me) {
    std::unique_lock lock(mutex);
    bool help_first = false;
    SteadyTime looked{0};  // at the clock, just now; 0: not since
    while (true) {
      if (std::exchange(nudged, false) || help_first) {
        help_first = false;
        looked = help(lock);
      } else if (!tasks.empty()) {
        if (!run_some(lock, *me, std::exchange(looked, {}))) return;  // abandoned: no longer counted
        help_first = helper != nullptr && tasks.empty();
      } else if (closing) {
        break;
      } else {
        looked = {};
        ++idle;
        if (helper != nullptr && !watched.load())
          help_first = watch(lock);
        else
          work_came.wait(lock, [&] { return closing || nudged || !tasks.empty(); });
        --idle;
      }
    }
    std::erase(workers, me);
    thread_left.notify_all();
  }

  /// Reading the clock costs as much as many a task, so who has just done so says what it was. False: the
  /// thread was abandoned meanwhile.
  bool run_some(std::unique_lock<std::mutex>& lock, Worker& me, SteadyTime looked) {
    const std::size_t share = std::max<std::size_t>(1, tasks.size() / cores);
    const std::size_t count = me.hand.take(tasks, std::min(me.handful, share));
    const bool many = count > 1;
    if (many) ++hands;
    show_waiting();
    // Nobody else looks after the results while this thread goes on with other tasks.
    if (helper != nullptr && (many || !tasks.empty())) helper->results_wait();
    lock.unlock();
    const SteadyTime from = looked == SteadyTime{0} ? clock.steady() : looked;
    const std::size_t ran = me.hand.run();
    const std::chrono::nanoseconds took = clock.steady() - from;
    lock.lock();
    if (many) --hands;
    if (me.hand.abandoned()) return false;
    me.slow = false;
    const auto each = took / static_cast<std::ptrdiff_t>(std::max<std::size_t>(1, ran));
    // A thread that lost its processor for a moment says nothing of the tasks. The clock counts microseconds,
    // so several in a row may seem to take no time, which must not be the end of it.
    constexpr std::chrono::nanoseconds tick = std::chrono::microseconds(1);
    task_time = (task_time * 3 + std::min(each, std::max(task_time, tick) * 4)) / 4;
    if (each > short_task)
      me.handful = 1;
    else if (ran == me.handful)
      me.handful = std::min(me.handful * 2, detail::Hand::most);
    return true;
  }

  SteadyTime help(std::unique_lock<std::mutex>& lock) {
    if (helper == nullptr) return {};
    detail::ExecutorHelper& part = *helper;
    ++helping;
    lock.unlock();
    helping_here = this;
    const SteadyTime looked = part.help();
    helping_here = nullptr;
    lock.lock();
    if (--helping == 0 && helper == nullptr) helped.notify_all();
    return looked;
  }

  /// Waits for a nudge or a task; true: it was nudged. The lock is not held meanwhile.
  bool watch(std::unique_lock<std::mutex>& lock) {
    watched.store(true);
    lock.unlock();
    while (waiting.load() == 0) {
      for (int i = 0; i < spins && bell.load(std::memory_order_relaxed) == quiet &&
                      waiting.load(std::memory_order_relaxed) == 0;
           ++i)
        detail::pause_a_moment();
      int seen = quiet;
      if (bell.compare_exchange_strong(seen, asleep)) {
        bell.wait(asleep);
        seen = bell.load();
      }
      if (seen == nudge_rung) break;
      bell.compare_exchange_strong(seen, quiet);  // rung: something comes, or has come
    }
    lock.lock();  // first, so that nobody else watches before the bell is quiet
    // In this order: who sees `watched` after setting the bell can count on its being seen here.
    watched.store(false);
    return bell.exchange(quiet) == nudge_rung;
  }

  /// Rings the watching thread's bell.
  void ring(Bell with) {
    int before = bell.load();
    while (before != nudge_rung && !bell.compare_exchange_weak(before, with)) {
    }
    if (before == asleep) bell.notify_one();
  }

  /// Makes a thread more. Throws when there is none at all.
  static void add_thread(const std::shared_ptr<Shared>& self) {
    auto worker = std::make_shared<Worker>();
    self->workers.push_back(worker);
    try {
      // Detached and counted: a thread that may be abandoned cannot be joined.
      std::thread([self, worker] { self->run(worker); }).detach();
    } catch (...) {
      self->workers.pop_back();
      if (self->workers.empty()) throw;  // else those that are there will do it
    }
  }

  /// So many threads more will be asked to look for tasks: those that are missing are made.
  static void make_threads(std::size_t count, const std::shared_ptr<Shared>& self) {
    for (std::size_t i = self->idle; i < count; ++i) add_thread(self);
  }
  /// So many threads more shall look for tasks, of those that are idle.
  void wake(std::size_t count) {
    const bool watcher = watched.load();
    for (std::size_t i = watcher ? 1 : 0; i < std::min(count, idle); ++i) work_came.notify_one();
    if (watcher && count > 0) ring(rung);
  }

  /// Threads that are awake and not at something long.
  [[nodiscard]] std::size_t quick() const {
    const auto slow = static_cast<std::size_t>(
        std::ranges::count_if(workers, [](const auto& worker) { return worker->slow; }));
    return workers.size() - idle - slow;
  }

  /// How many threads are worth waking for so many tasks.
  [[nodiscard]] std::size_t worth(std::size_t count) const {
    if (task_time > long_task) return count;
    const auto time = task_time * static_cast<std::ptrdiff_t>(count);
    return std::min({count, cores, 1 + static_cast<std::size_t>(time / worth_a_thread)});
  }
};

ThreadExecutor::ThreadExecutor(ClockRef clock) : shared_(std::make_shared<Shared>(clock)) {}

ThreadExecutor::~ThreadExecutor() {
  std::unique_lock lock(shared_->mutex);
  shared_->closing = true;
  shared_->show_waiting();
  shared_->work_came.notify_all();
  if (shared_->watched.load()) shared_->ring(Shared::rung);
  shared_->thread_left.wait(lock, [&] { return shared_->workers.empty(); });
}

void ThreadExecutor::post(TaskToken token, std::function<void()> task) {
  auto made = std::make_shared<FunctionTask>(std::move(task));
  made->token = token;
  const std::lock_guard lock(shared_->mutex);
  if (shared_->idle <= shared_->tasks.size()) Shared::add_thread(shared_);
  shared_->tasks.push_back(std::move(made));
  shared_->show_waiting();
  // Either may be at something else by now.
  shared_->work_came.notify_one();
  if (shared_->watched.load()) shared_->ring(Shared::rung);
}

void ThreadExecutor::post_all(std::span<const std::shared_ptr<detail::ExecutorTask>> tasks) {
  const std::lock_guard lock(shared_->mutex);
  if (tasks.size() == 1 && shared_->tasks.empty() && helping_here == shared_.get()) {
    shared_->tasks.push_back(tasks.front());  // this thread takes it next
    shared_->show_waiting();
    return;
  }
  const std::size_t quick = shared_->quick();
  const std::size_t wanted = shared_->worth(shared_->tasks.size() + tasks.size());
  const std::size_t more = wanted - std::min(quick, wanted);
  Shared::make_threads(more, shared_);  // may throw, so it comes first
  shared_->tasks.insert(shared_->tasks.end(), tasks.begin(), tasks.end());
  shared_->show_waiting();
  shared_->wake(more);
}

void ThreadExecutor::stir() {
  const std::lock_guard lock(shared_->mutex);
  // A thread that lost its processor for a moment is not slow.
  constexpr int patience = 4;
  std::size_t slow = 0;
  for (const auto& worker : shared_->workers) {
    const TaskToken current = worker->hand.current();
    worker->stirs = current != 0 && current == worker->seen ? worker->stirs + 1 : 0;
    worker->seen = current;
    worker->slow = worker->stirs >= patience;
    if (worker->slow) ++slow;
    if (worker->stirs > 0) worker->hand.give_back(shared_->tasks);
  }
  const std::size_t waiting = shared_->tasks.size();
  shared_->show_waiting();
  const std::size_t quick = shared_->quick();
  // Where tasks take long the threads are doubled, so that soon each task has one.
  const std::size_t wanted = std::min(waiting, std::max(shared_->cores, slow));
  const std::size_t more = wanted - std::min(quick, wanted);
  Shared::make_threads(more, shared_);
  shared_->wake(more);
}

bool ThreadExecutor::backlog() const {
  if (shared_->waiting.load() > (helping_here == shared_.get() ? 1 : 0)) return true;
  if (shared_->hands.load() == 0) return false;
  const std::lock_guard lock(shared_->mutex);
  return std::ranges::any_of(shared_->workers, [](const auto& worker) { return worker->hand.holds_more(); });
}

bool ThreadExecutor::nudge() noexcept {
  if (!shared_->has_helper.load()) return false;
  if (shared_->watched.load()) {
    shared_->ring(Shared::nudge_rung);
    if (shared_->watched.load()) return true;
  }
  {
    const std::lock_guard lock(shared_->mutex);
    if (shared_->helper == nullptr || shared_->idle == 0) return false;
    if (shared_->watched.load()) {  // since a moment ago
      shared_->ring(Shared::nudge_rung);
      return true;
    }
    if (std::exchange(shared_->nudged, true)) return true;
  }
  shared_->work_came.notify_one();
  return true;
}

void ThreadExecutor::set_helper(detail::ExecutorHelper* helper) {
  std::unique_lock lock(shared_->mutex);
  shared_->helper = helper;
  shared_->has_helper.store(helper != nullptr);
  if (helper == nullptr && helping_here != shared_.get())
    shared_->helped.wait(lock, [&] { return shared_->helping == 0; });
}

void ThreadExecutor::abandon(TaskToken token) {
  const std::lock_guard lock(shared_->mutex);
  const auto found =
      std::ranges::find_if(shared_->workers, [&](const auto& worker) { return worker->hand.abandon(token); });
  if (found == shared_->workers.end()) return;
  (*found)->hand.give_back(shared_->tasks);
  shared_->workers.erase(found);
  shared_->thread_left.notify_all();
  shared_->show_waiting();
}

std::size_t ThreadExecutor::threads() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->workers.size();
}

}  // namespace quern::inline v1
