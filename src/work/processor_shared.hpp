#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "quern/work/detail/processor_core.hpp"

namespace quern::inline v1::detail {

/// Finishes, claims and promotions in one transaction.
inline constexpr std::size_t batch = 1000;

/// What handlers' threads share with the engine. It outlives the engine when a handler does not return.
struct ProcessorCore::Shared {
  Shared(HandlerRegistry registry, JobLimits job_limits, Duration grace, std::shared_ptr<Waker> bell,
         ClockRef time)
      : handlers(std::move(registry)),
        limits(job_limits),
        stop_grace(grace),
        waker(std::move(bell)),
        clock(time) {}

  /// From any thread. The run may be gone as soon as this has begun.
  void put_done(std::shared_ptr<Run> run) noexcept;
  /// The engine has gone: results are dropped from now on. A run refers to this, so none may stay here.
  void close() noexcept;
  /// Fetches what is done into `runs`, in the order in which it came.
  void take_done(std::vector<std::shared_ptr<Run>>& runs);
  [[nodiscard]] bool anything_new(bool results_too) const {
    if (work.load() || due.load() || cancel.load()) return true;
    return results_too && done.load() != nullptr;
  }

  const HandlerRegistry handlers;
  const JobLimits limits;
  const Duration stop_grace;
  const std::shared_ptr<Waker> waker;
  const ClockRef clock;
  // Set before there are runs; the first one perhaps not at all.
  std::unique_ptr<FlightRecord> flight;
  LogSetup log;
  /// True while somebody watches, so that runs note when they begin and end.
  std::atomic<bool> watched{false};
  std::atomic<bool> work{true};
  /// Something may be due earlier than before, or whoever ticks shall look at everything.
  std::atomic<bool> due{true};
  std::atomic<bool> cancel{false};
  /// True while the executor's threads help: then a result needs no bell.
  std::atomic<bool> helped{false};
  /// True while the driving thread looks for results every millisecond anyway.
  std::atomic<bool> looks_soon{false};
  /// What is done, the last one first: a chain through `Run::next_done`. Of `closed()`: the engine has gone.
  std::atomic<Run*> done{nullptr};
  [[nodiscard]] Run* closed() noexcept { return reinterpret_cast<Run*>(this); }  // no run lies there
};

/// One run of one job: the task that the executor runs, and later its result.
/// Used again for another run once nobody else knows it.
struct ProcessorCore::Run final : RunState, ExecutorTask {
  Run(Claim claim, RunPort& port, std::shared_ptr<Shared> with, const HandlerRegistry::Entry& of,
      const void* its_engine)
      : RunState(std::move(claim), port, &with->log),
        shared(std::move(with)),
        entry(&of),
        engine(its_engine) {}

  void run(std::shared_ptr<ExecutorTask> self) noexcept override;
  /// On this thread, or in a process that this thread waits for.
  [[nodiscard]] JobResult call_handler() noexcept;
  /// Writes what the handler has logged.
  void write_log() noexcept;
  /// On its thread, around the handler, where runs are traced.
  void begin_span() noexcept;
  void end_span() noexcept;
  /// Ends its span if that has not ended; from any thread. `message` is without secrets.
  void close_span(bool failed, std::string_view outcome, std::string_view message) noexcept;

  const std::shared_ptr<Shared> shared;
  const HandlerRegistry::Entry* entry;
  const void* const engine;
  JobResult result = JobResult::completed();
  SteadyTime claimed{0};
  // Its span is ended by its thread, or by the engine that gives it up and may be gone, with the tracer, before a
  // thread comes back. Null: it is not traced.
  Tracer* tracer = nullptr;
  std::mutex span_mutex{};
  std::unique_ptr<Span> span{};
  bool span_closed = false;
  // Written by its thread, which may be late where the run was given up. 0: not yet, or nobody watches.
  std::atomic<SteadyTime> began{SteadyTime{0}};
  std::atomic<SteadyTime> ended{SteadyTime{0}};
  // The same; the memory of an isolated attempt only.
  std::atomic<Duration> cpu{Duration{0}};
  std::atomic<std::uint64_t> peak_memory{0};
  // While it is among the done ones:
  std::shared_ptr<Run> self{};
  Run* next_done = nullptr;
};

}  // namespace quern::inline v1::detail
