#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "quern/work/detail/processor_core.hpp"

namespace quern::inline v1::detail {

/// Finishes, claims and promotions in one transaction.
inline constexpr std::size_t batch = 1000;

/// What handlers' threads share with the engine. It outlives the engine when a handler does not return.
struct ProcessorCore::Shared {
  Shared(HandlerRegistry registry, JobLimits job_limits, std::shared_ptr<Waker> bell)
      : handlers(std::move(registry)), limits(job_limits), waker(std::move(bell)) {}

  void put_done(std::shared_ptr<Run> run) {
    const std::lock_guard lock(mutex);
    if (!closed) done.push_back(std::move(run));
  }
  /// The engine has gone: results are dropped from now on. A run refers to this, so none may stay here.
  void close() {
    std::vector<std::shared_ptr<Run>> dropped;
    const std::lock_guard lock(mutex);
    closed = true;
    std::swap(dropped, done);
  }
  /// Fetches what is done into `runs`, which is empty, and takes its memory for what will be.
  void take_done(std::vector<std::shared_ptr<Run>>& runs) {
    const std::lock_guard lock(mutex);
    std::swap(done, runs);
  }
  [[nodiscard]] bool anything_new(bool results_too) const {
    if (work.load() || cancel.load()) return true;
    if (!results_too) return false;
    const std::lock_guard lock(mutex);
    return !done.empty();
  }

  const HandlerRegistry handlers;
  const JobLimits limits;
  const std::shared_ptr<Waker> waker;
  std::atomic<bool> work{true};
  std::atomic<bool> cancel{false};
  /// True while the executor's threads help: then a result needs no bell.
  std::atomic<bool> helped{false};
  /// True while the driving thread looks for results every millisecond anyway.
  std::atomic<bool> looks_soon{false};
  mutable std::mutex mutex;
  std::vector<std::shared_ptr<Run>> done;
  bool closed = false;
};

/// One run of one job: the task that the executor runs, and later its result.
struct ProcessorCore::Run final : RunState, ExecutorTask, std::enable_shared_from_this<Run> {
  Run(Claim claim, RunPort& port, std::shared_ptr<Shared> with, const HandlerRegistry::Entry& of,
      const void* its_engine)
      : RunState(std::move(claim), port), shared(std::move(with)), entry(of), engine(its_engine) {}

  void run() noexcept override;

  const std::shared_ptr<Shared> shared;
  const HandlerRegistry::Entry& entry;
  const void* const engine;
  JobResult result = JobResult::completed();
};

}  // namespace quern::inline v1::detail
