#pragma once

#include <functional>
#include <mutex>
#include <utility>

#include "quern/queue/job_queue.hpp"
#include "quern/work/detail/processor_core.hpp"

namespace quern::inline v1 {

template <Storage S = AnyStorage, Executor E = ThreadExecutor>
class WorkerPool;

/// Runs a queue's jobs with a host's handlers.
///
///     quern::Processor processor{queue, handlers, {.max_concurrent_jobs = 8}};
///     processor.start();                            // threads of its own ...
///     processor.stop();                             // ... until here; or:
///     processor.run_until_idle();                   // on this thread; or:
///     processor.tick(clock.now());                  // step by step, in tests
///
/// Claims   in batches, as many as there are free slots, and only kinds that have a handler.
/// Idle     it sleeps until the next due time, a wake-up, or its poll interval.
/// Timeout  a handler is asked to stop; if it goes on beyond `stop_grace`, the attempt has failed, its thread
///          is replaced, and its late result is dropped. Such a handler must not outlive what it refers to: a
///          hung thread cannot be ended.
/// Stop     see `stop`. The destructor stops with no wait: with the usual grace where the processor was
///          started, else at once. Threads  every member but `tick` may be called from any thread; `tick`
///          from one at a time, and not while started.
template <Storage S = AnyStorage, Executor E = ThreadExecutor>
class Processor {
 public:
  /// The queue must outlive the processor; the handlers are copied. Kinds get the defaults that their
  /// handlers name. Throws InvalidArgument for options out of range.
  explicit Processor(JobQueue<S>& queue, HandlerRegistry handlers, ProcessorOptions options = {})
      : Processor(queue, std::move(handlers), std::move(options), nullptr) {}
  Processor(const Processor&) = delete;
  Processor& operator=(const Processor&) = delete;
  ~Processor() {
    if (engine_.running()) {
      stop({.wait = Duration::zero()});
      return;
    }
    // Driven by hand: whatever runs is handed back without waiting for a clock that may stand still.
    core_.request_stop({.wait = Duration::zero(), .grace = Duration::zero()});
    for (int step = 0; step < 3 && !core_.stopped(); ++step) core_.tick(core_.clock().now());
    lease_.stop();
  }

  /// Does one bounded piece of work as of `now`; says when it wants to be called next. Never throws.
  NextTick tick(TimePoint now) { return core_.tick(now); }

  /// Starts working on threads of its own: one that drives the engine, one that keeps the lease, and those
  /// that run jobs: up to one per job where jobs take long. Harmless when started; a stopped processor does
  /// not start again.
  void start() {
    start_lease();
    if (engine_.running()) return;
    core_.let_help(true);
    engine_.start(core_, core_.clock(), core_.waker());
  }

  /// No new jobs; those that run may go on for `wait`, are then asked to stop, and get `grace`; what is left
  /// is handed back at no cost. Bounded by wait + grace + a few seconds, even with a handler that never
  /// returns and a storage that does not answer. A second stop is harmless. Called from a handler it only
  /// begins to stop.
  void stop(StopOptions options = {}) {
    core_.request_stop(options);
    if (core_.on_handler_thread()) return;
    const std::lock_guard lock(stop_mutex_);
    if (engine_.running()) {
      core_.wait_stopped();
      engine_.stop();
      core_.let_help(false);
    } else {
      drive([&] { return core_.stopped(); });
    }
    lease_.stop();
    core_.lease_has_thread(false);
  }

  /// Begins to stop and returns at once; `stopped` tells when it is done.
  void request_stop(StopOptions options = {}) { core_.request_stop(options); }
  [[nodiscard]] bool stopped() const noexcept { return core_.stopped(); }

  /// Works on this thread until nothing is ready or running here. Jobs that wait for a later time stay.
  void run_until_idle() {
    run_until([&] { return core_.idle(); });
  }
  /// Works on this thread until `done()`, which is asked after each step, or until it was stopped.
  void run_until(const std::function<bool()>& done) {
    start_lease();
    core_.let_help(true, true);
    try {
      drive([&] { return done() || core_.stopped(); });
    } catch (...) {  // of `done`
      core_.let_help(engine_.running());
      throw;
    }
    core_.let_help(engine_.running());
  }

  /// Jobs that run here now.
  [[nodiscard]] std::size_t running() const noexcept { return core_.running(); }
  /// This node's current incarnation; zero before the first tick.
  [[nodiscard]] NodeId node() noexcept { return core_.lease().node(); }
  [[nodiscard]] E& executor() noexcept { return executor_.executor; }

 private:
  friend class WorkerPool<S, E>;
  Processor(JobQueue<S>& queue, HandlerRegistry handlers, ProcessorOptions options,
            detail::RunPlacement* placement)
      : core_(queue.core(), std::move(handlers), std::move(options), executor_, placement) {}

  struct ExecutorAdapter final : detail::ExecutorPort {
    void post(TaskToken token, std::function<void()> task) override { executor.post(token, std::move(task)); }
    void abandon(TaskToken token) override { executor.abandon(token); }
    bool post_all(std::span<const std::shared_ptr<detail::ExecutorTask>> tasks) override {
      if constexpr (helps) executor.post_all(tasks);
      return helps;
    }
    void stir() override {
      if constexpr (helps) executor.stir();
    }
    [[nodiscard]] bool backlog() const override {
      if constexpr (helps) return executor.backlog();
      return false;
    }
    bool nudge() noexcept override {
      if constexpr (helps) return executor.nudge();
      return false;
    }
    bool set_helper(detail::ExecutorHelper* helper) override {
      if constexpr (helps) executor.set_helper(helper);
      return helps;
    }
    static constexpr bool helps = std::same_as<E, ThreadExecutor>;
    E executor;
  };
  void start_lease() {
    if (lease_.running() || core_.stopped()) return;
    core_.lease_has_thread(true);
    lease_.start(core_.lease(), core_.clock(), core_.lease_waker());
  }
  template <class Done>
  void drive(const Done& done) {
    while (true) {
      const NextTick next = core_.tick(core_.clock().now());
      if (done()) return;
      core_.waker()->wait(Runner::until(next, core_.clock().now()));
    }
  }

  ExecutorAdapter executor_;
  detail::ProcessorCore core_;
  std::mutex stop_mutex_;
  Runner lease_;
  Runner engine_;
};

}  // namespace quern::inline v1
