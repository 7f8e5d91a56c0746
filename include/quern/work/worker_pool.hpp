#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "quern/work/detail/pool_core.hpp"
#include "quern/work/processor.hpp"

namespace quern::inline v1 {

struct PoolOptions {
  /// As for a Processor. `max_concurrent_jobs` must be 0: the workers' slots are what there is.
  ProcessorOptions processor{};
  std::vector<WorkerOptions>
      workers{};         ///< At the start, at most 10,000. Scaling adds what its minimum lacks.
  Balancer balancing{};  ///< See quern::balancing. Empty: least_loaded.
  /// What the jobs of all workers may need together (see HandlerOptions::cost). What is not named is not limited here.
  Resources budget{};
  std::optional<ScalingOptions> scaling{};  ///< None: workers come and go by hand only.
  /// A worker whose jobs fail so often in a row is unhealthy, and is replaced. 0: failures say nothing of workers.
  int unhealthy_failures = 0;
  /// Told, by `tick` and by `stop`, of workers that come, go, or change their health, in the order of the changes. What it throws
  /// is logged and dropped.
  std::function<void(const WorkerEvent&)> on_event{};
};

/// Runs a queue's jobs with workers that come and go: a Processor whose slots belong to workers.
///
///     quern::WorkerPool pool{queue, handlers, {.workers = {{.id = "big", .max_jobs = 20}, {.id = "gpu", .max_jobs = 1}}}};
///     pool.start();
///     pool.resize("big", 40);
///     pool.remove("gpu");                           // graceful: what it runs may end
///
/// Workers   are capacity, not threads: jobs run on the threads of one executor, as many as there are jobs that run, so
///           an idle worker has none. All of them claim together, in batches, as one node.
/// Claims    only what some worker has room for, with its kinds, the jobs' costs and the budgets. Where all workers support
///           all kinds and no kind has a cost, that is one claim by priority. Else kinds of different workers, and
///           kinds with a cost, are claimed one after the other, which goes round: priority holds within each.
/// Health    a worker whose job ignores its stop beyond `stop_grace` is unhealthy: it gets no more jobs, another one with the
///           same options takes its place at once, and it goes when its other jobs have ended. The late result of the
///           job is dropped, as the engine does it. The same where its jobs fail too often in a row.
/// Errors    members that take an id return false when there is no such worker, or it is leaving.
/// Threads   every member but `tick` may be called from any thread; `tick` from one at a time, and not while started.
template <Storage S, Executor E>
class WorkerPool {
 public:
  /// The queue must outlive the pool; the handlers are copied. Throws InvalidArgument or ConfigError for options out
  /// of range: two workers of one id, a kind that has no handler, a `max_concurrent_jobs`.
  explicit WorkerPool(JobQueue<S>& queue, HandlerRegistry handlers, PoolOptions options = {})
      : pool_(queue.core(), handlers, setup(options)),
        processor_(queue, std::move(handlers), engine_options(std::move(options.processor)), &pool_) {
    pool_.wake_with([this] { processor_.core_.look_again(); });
  }
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  ~WorkerPool() { runner_.stop(); }

  /// Both the engine's and the pool's bounded piece of work.
  NextTick tick(TimePoint now) {
    const NextTick engine = processor_.tick(now);
    return earliest(engine, pool_.tick(now));
  }
  void start() {
    processor_.start();
    if (!runner_.running()) runner_.start(pool_, pool_.clock(), pool_.waker());
  }
  /// As Processor::stop; workers' own timeouts don't matter then.
  void stop(StopOptions options = {}) {
    runner_.stop();
    processor_.stop(options);
    pool_.tell_events();
  }

  /// Adds a worker, and returns its id. Throws InvalidArgument as the constructor.
  std::string add(WorkerOptions options) { return pool_.add(std::move(options)); }
  /// No new jobs; it is gone when those that run have ended, or were handed back after its timeout.
  bool remove(std::string_view id) { return pool_.remove(id); }
  bool enable(std::string_view id) { return pool_.enable(id); }
  bool disable(std::string_view id) { return pool_.disable(id); }
  /// As `remove`, but it stays, and can be enabled again.
  bool drain(std::string_view id) { return pool_.drain(id); }
  /// Fewer than it runs: it takes none until it has room. Throws InvalidArgument unless 1 to 100,000.
  bool resize(std::string_view id, int max_jobs) { return pool_.resize(id, max_jobs); }
  /// From the next tick on it scales so; none: no more, and the workers stay that there are. Throws ConfigError or
  /// InvalidArgument as the constructor.
  void set_scaling(std::optional<ScalingOptions> scaling) { pool_.set_scaling(std::move(scaling)); }
  /// In the order in which they were added. Costs O(workers + running jobs).
  [[nodiscard]] std::vector<WorkerStatus> workers() const { return pool_.workers(); }
  /// Active and healthy ones.
  [[nodiscard]] std::size_t healthy_workers() const { return pool_.healthy_workers(); }

  /// What drives them: its `node`, `running`, `executor`, `run_until_idle`. Not to be stopped or ticked by itself.
  [[nodiscard]] Processor<S, E>& processor() noexcept { return processor_; }

 private:
  [[nodiscard]] static detail::PoolSetup setup(const PoolOptions& options) {
    detail::PoolSetup made{.workers = options.workers,
                           .balancing = options.balancing,
                           .budget = options.budget,
                           .scaling = options.scaling,
                           .unhealthy_failures = options.unhealthy_failures,
                           .on_event = options.on_event,
                           .queues = {},
                           .poll_interval = options.processor.poll_interval,
                           .log = options.processor.log};
    for (const QueueSlots& queue : options.processor.queues) made.queues.push_back(queue.name);
    return made;
  }
  [[nodiscard]] ProcessorOptions engine_options(ProcessorOptions options) const {
    if (options.max_concurrent_jobs != 0)
      throw InvalidArgument("processor.max_concurrent_jobs",
                            "is set; the workers of a pool say how many jobs it runs");
    options.max_concurrent_jobs = static_cast<int>(pool_.most_slots());
    return options;
  }

  detail::PoolCore pool_;
  Processor<S, E> processor_;
  Runner runner_;
};

}  // namespace quern::inline v1
