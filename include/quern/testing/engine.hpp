#pragma once

#include <chrono>
#include <concepts>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "quern/core/clock.hpp"
#include "quern/queue/job_queue.hpp"
#include "quern/storage/memory_storage.hpp"
#include "quern/testing/detail/engine_core.hpp"
#include "quern/testing/drained.hpp"
#include "quern/testing/enqueued.hpp"

namespace quern::inline v1::testing {

struct EngineOptions {
  /// One slot, so that jobs run strictly one after the other; no name of the machine; the same jitter each
  /// time; and long intervals, so that a year passes quickly. Change single fields of `defaults()`.
  ProcessorOptions processor = defaults();
  /// As production has it: retry policy, attempts, limits.
  // The last one: where a member after it may throw, g++ 12 at -O3 falsely warns of -Wmaybe-uninitialized.
  JobQueueConfig config{};

  [[nodiscard]] static ProcessorOptions defaults() {
    ProcessorOptions made;
    made.name = "test";
    made.max_concurrent_jobs = 1;
    made.lease = made.poll_interval = made.watch_interval = std::chrono::hours(1);
    made.seed = 1;
    return made;
  }
};

namespace detail {
struct OwnStorage {
  ManualClock clock;
  AnyStorage storage{std::make_unique<StorageAdapter<MemoryStorage>>(clock)};
};
}  // namespace detail

/// A whole engine for a test: clock, storage, queue and processor on the test's own thread. Nothing happens
/// but in `drain`, `drain_all` and `advance`, and time stands still but for `advance` and `drain_all`, so
/// everything is deterministic.
///
///     quern::testing::Engine engine;                      // jobs in memory, as a JobQueue<>
///     engine.register_handlers([&](quern::HandlerRegistry& handlers) { app.add_handlers(handlers); });
///     engine.queue().enqueue(SendMail{17});
///     CHECK(engine.drain().completed == 1);
///
/// A host whose functions take a `JobQueue<SqliteStorage>&` opens that storage with a ManualClock and hands
/// both in: `Engine engine(storage, clock)`.
///
/// Handlers  run on the test's thread, to their end, before the engine looks at them again. So a timeout or
///           a cancel does not reach a running one; test what a handler does then with `perform`.
/// Threads   everything from one thread. Handlers may use threads of their own.
/// Errors    every member that touches the storage may throw StorageError. While jobs run the engine goes on
///           as in production: it asks a failing storage again later, and `Drained::log` says so.
template <Storage S = AnyStorage>
class Engine {
 public:
  /// With a clock and a storage in memory of its own. Throws ConfigError, or InvalidArgument for options out
  /// of range.
  explicit Engine(HandlerRegistry handlers = {}, EngineOptions options = {})
    requires std::same_as<S, AnyStorage>
      : own_(std::make_unique<detail::OwnStorage>()),
        clock_(own_->clock),
        queue_(own_->storage, std::move(options.config)),
        core_(queue_.core(), clock_, std::move(handlers), std::move(options.processor)) {}

  /// On the host's storage, which was opened with `clock`; both must outlive the engine. Several engines may
  /// use one storage. Throws InvalidArgument when it is another clock.
  Engine(S& storage, ManualClock& clock, HandlerRegistry handlers = {}, EngineOptions options = {})
      : clock_(clock),
        queue_(storage, std::move(options.config)),
        core_(queue_.core(), clock_, std::move(handlers), std::move(options.processor)) {}

  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  [[nodiscard]] JobQueue<S>& queue() noexcept { return queue_; }
  [[nodiscard]] S& storage() noexcept { return queue_.storage(); }
  [[nodiscard]] ManualClock& clock() noexcept { return clock_; }
  [[nodiscard]] const HandlerRegistry& handlers() const noexcept { return core_.handlers(); }

  /// Calls `add(HandlerRegistry&)`, which may add handlers and middleware, before and between drains. Throws
  /// Error within one, and what `add` throws.
  template <std::invocable<HandlerRegistry&> F>
  void register_handlers(F&& add) {
    core_.change_handlers(std::forward<F>(add));
  }
  /// Adds one handler, as HandlerRegistry::on does.
  template <TypedJob T, class F>
  Engine& on(F&& function, HandlerOptions options = {}) {
    register_handlers(
        [&](HandlerRegistry& handlers) { handlers.on<T>(std::forward<F>(function), std::move(options)); });
    return *this;
  }
  template <class F>
  Engine& on(std::string_view kind, F&& function, HandlerOptions options = {}) {
    register_handlers(
        [&](HandlerRegistry& handlers) { handlers.on(kind, std::forward<F>(function), std::move(options)); });
    return *this;
  }

  /// Wraps all handlers, as HandlerRegistry::use does.
  Engine& use(Middleware middleware) {
    register_handlers([&](HandlerRegistry& handlers) { handlers.use(std::move(middleware)); });
    return *this;
  }

  /// Runs everything that is ready, and what that adds, until nothing is. Time stands still: delayed jobs,
  /// and retries after a wait, stay. Throws DrainLimit after `options.max_runs` runs.
  Drained drain(const DrainOptions& options = {}) { return core_.drain(options); }

  /// The same, and lets time pass to each delayed job and retry, until none waits for its time any more (of
  /// those that have a handler here).
  Drained drain_all(const DrainOptions& options = {}) { return core_.drain_all(options); }

  /// Lets time pass. Whatever becomes due meanwhile runs at its own time: a job due in 5 minutes sees the
  /// clock there. Also runs what is ready before and after. Throws InvalidArgument for a time in the past.
  Drained advance(Duration by, const DrainOptions& options = {}) {
    return core_.advance_to(clock_.now() + by, options);
  }
  Drained advance_to(TimePoint time, const DrainOptions& options = {}) {
    return core_.advance_to(time, options);
  }

  /// The functions of enqueued.hpp, on this queue.
  template <TypedJob T>
  [[nodiscard]] std::vector<EnqueuedJob<T>> enqueued(const JobMatch& match = {}) {
    return testing::enqueued<T>(queue_, match);
  }
  template <TypedJob T>
  [[nodiscard]] Finding has_enqueued(const JobMatch& match = {}) {
    return testing::has_enqueued<T>(queue_, match);
  }
  template <TypedJob T, JobPredicate<T> P>
  [[nodiscard]] Finding has_enqueued(const P& predicate, const JobMatch& match = {}) {
    return testing::has_enqueued<T>(queue_, predicate, match);
  }

  /// The job as it stands. Throws Error when there is none.
  [[nodiscard]] Job job(JobId id) const { return core_.job(id); }
  [[nodiscard]] JobState state(JobId id) const { return core_.job(id).state; }
  /// Why the job is dead or cancelled, else what its last failed attempt said; empty when none failed.
  [[nodiscard]] std::string last_error(JobId id) const { return core_.last_error(id); }
  /// What the job's handler completed with. Throws Error when there is no result, saying how the job stands
  /// and its last error, and InvalidArgument when it is no R.
  template <class R>
  [[nodiscard]] R result(JobId id) const {
    return core_.result(id).template as<R>();
  }
  /// How many jobs stand in a state; of one kind where a kind is given.
  [[nodiscard]] std::size_t count(JobState state, std::string_view kind = {}) const {
    return core_.count(state, kind);
  }

 private:
  std::unique_ptr<detail::OwnStorage> own_;  // empty when the storage is the host's
  ManualClock& clock_;
  JobQueue<S> queue_;
  detail::EngineCore core_;
};

}  // namespace quern::inline v1::testing
