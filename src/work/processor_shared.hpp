#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "quern/work/detail/processor_core.hpp"

namespace quern::inline v1::detail {

/// What handlers' threads share with the engine. It outlives the engine when a handler does not return.
struct ProcessorCore::Shared {
  struct Done {
    TaskToken token = 0;
    JobResult result;
  };

  Shared(HandlerRegistry registry, JobLimits job_limits, std::shared_ptr<Waker> bell)
      : handlers(std::move(registry)), limits(job_limits), waker(std::move(bell)) {}

  /// Runs one handler to its end and leaves the result for the engine. Never throws.
  void run(TaskToken token, const HandlerRegistry::Entry& entry,
           const std::shared_ptr<RunState>& state) noexcept;

  [[nodiscard]] std::vector<Done> take_done() {
    const std::lock_guard lock(mutex);
    return std::exchange(done, {});
  }
  [[nodiscard]] bool anything_new() const {
    if (work.load(std::memory_order_acquire) || cancel.load(std::memory_order_acquire)) return true;
    const std::lock_guard lock(mutex);
    return !done.empty();
  }

  const HandlerRegistry handlers;
  const JobLimits limits;
  const std::shared_ptr<Waker> waker;
  std::atomic<bool> work{true};
  std::atomic<bool> cancel{false};
  mutable std::mutex mutex;
  std::vector<Done> done;
};

}  // namespace quern::inline v1::detail
