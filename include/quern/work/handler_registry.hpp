#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "quern/core/retry_policy.hpp"
#include "quern/core/secret.hpp"
#include "quern/queue/typed_job.hpp"
#include "quern/work/isolation.hpp"
#include "quern/work/job_context.hpp"
#include "quern/work/job_result.hpp"
#include "quern/work/worker.hpp"

namespace quern::inline v1 {

/// What holds for all jobs of one kind.
struct HandlerOptions {
  Duration timeout{0};  ///< Of one attempt. 0: as the configuration says. A job's own goes first.
  std::optional<RetryPolicy> retry{};  ///< None: as the configuration says.
  int max_attempts = 0;                ///< 0: as the configuration says. A job's own goes first.
  int concurrency = 0;  ///< At most so many at once on this processor. 0: no limit but its slots.
  std::string queue{};  ///< Where jobs of this kind wait unless an enqueue says otherwise.
  /// What a job needs while it runs, for the budgets of a WorkerPool and its workers. A Processor has none.
  Resources cost{};
  /// `process`: a crash, a hang or a leak of the handler is one failed attempt and harms nothing else. Costs
  /// about as much as two forks for each attempt, and needs `start_isolation`.
  Isolation isolation = Isolation::none;
  IsolationLimits limits{};  ///< Of an isolated attempt.
};

/// Runs one job. May be called from many threads at once. An exception is a failure with its message kept.
using Handler = std::function<JobResult(JobContext&)>;

/// Wraps every handler: does something before and after, and calls `next` once (or not at all).
using Middleware = std::function<JobResult(JobContext&, const std::function<JobResult()>& next)>;

/// Which handler runs which kind of job. Fill it before a processor is made of it; then it is only read.
class HandlerRegistry {
 public:
  struct Entry {
    Handler handler;
    HandlerOptions options;
    /// Makes the secrets in a payload known; null where the kind has none. Throws InvalidArgument for another
    /// payload.
    void (*secrets)(const Payload&, detail::Redactor&) = nullptr;
  };

  /// Registers the handler of a typed job: a callable (no `mutable` lambda: threads share it) that takes
  /// `(const T&, JobContext&)` or `(const T&)` and returns JobResult, or nothing (which means completed). A
  /// payload that is no T makes the job dead (undecodable). Throws InvalidArgument when the kind has a
  /// handler already, an option is out of range, or an isolated kind comes after `start_isolation`.
  template <TypedJob T, class F>
  HandlerRegistry& on(F&& function, HandlerOptions options = {}) {
    return add(T::kind, typed<T>(std::forward<F>(function)), std::move(options), secrets_of<T>());
  }

  /// Registers a handler by the kind's name: a callable that takes `(JobContext&)`; the payload is
  /// `context.job().payload`.
  template <class F>
    requires std::is_invocable_v<const std::decay_t<F>&, JobContext&>
  HandlerRegistry& on(std::string_view kind, F&& function, HandlerOptions options = {}) {
    return add(kind, untyped(std::forward<F>(function)), std::move(options));
  }

  /// Wraps all handlers, those registered before and after; the first one added is the outermost. Throws
  /// InvalidArgument after `start_isolation`: isolated handlers would go without it.
  HandlerRegistry& use(Middleware middleware);

  /// Forks the processes that isolated handlers will be forked from, with the handlers as they are now: all
  /// isolated kinds and all middleware must be there. To be called early in main, while the program has one
  /// thread; best before storages are opened, since children inherit what is open. A copy of this registry,
  /// as a Processor has it, shares them; they end with the last one, and when this process does, however it
  /// ends.
  ///
  /// An isolated handler runs with the memory that the program had at this call. Its JobContext works as
  /// ever, and middleware runs around it in its process. What it changes in memory is gone with its process;
  /// it must open files, connections and storages of its own.
  ///
  /// Throws InvalidArgument: where this process has other threads, a second call, options out of range, on
  /// systems other than Linux. Throws std::system_error when no process can be made.
  HandlerRegistry& start_isolation(IsolationOptions options = {});
  [[nodiscard]] bool isolation_started() const noexcept { return fork_server_ != nullptr; }
  /// Of `start_isolation`; null before.
  [[nodiscard]] const std::shared_ptr<detail::ForkServer>& fork_server() const noexcept {
    return fork_server_;
  }

  /// The handler of a kind; null when there is none.
  [[nodiscard]] const Entry* find(std::string_view kind) const noexcept;
  [[nodiscard]] const std::map<std::string, Entry, std::less<>>& entries() const noexcept { return entries_; }

  /// Runs a job through the middleware and its handler; the exception that a handler throws comes out as
  /// `failed`. RunLost passes through.
  [[nodiscard]] JobResult run(const Entry& entry, JobContext& context) const;

 private:
  HandlerRegistry& add(std::string_view kind, Handler handler, HandlerOptions options,
                       decltype(Entry::secrets) secrets = nullptr);

  template <class T>
  static decltype(Entry::secrets) secrets_of() {
    if constexpr (HasFields<T>) {
      if (detail::has_secrets(detail::CodecOf<T>::codec))
        return [](const Payload& payload, detail::Redactor& redactor) {
          T job = payload.as<T>();
          detail::collect_secrets(detail::CodecOf<T>::codec, &job, redactor);
        };
    }
    return nullptr;
  }

  template <class F>
  static Handler untyped(F&& function) {
    using Result = std::invoke_result_t<const std::decay_t<F>&, JobContext&>;
    static_assert(std::is_void_v<Result> || std::is_same_v<Result, JobResult>,
                  "a handler returns quern::JobResult or nothing");
    if constexpr (std::is_void_v<Result>)
      return [function = std::forward<F>(function)](JobContext& context) {
        function(context);
        return JobResult::completed();
      };
    else
      return std::forward<F>(function);
  }

  template <class T, class F>
  static Handler typed(F&& function) {
    constexpr bool with_context = std::is_invocable_v<const std::decay_t<F>&, const T&, JobContext&>;
    static_assert(with_context || std::is_invocable_v<const std::decay_t<F>&, const T&>,
                  "a handler of T takes (const T&, JobContext&) or (const T&)");
    return untyped([function = std::forward<F>(function)](JobContext& context) {
      std::optional<T> job;
      try {
        job.emplace(context.job().payload.template as<T>());
      } catch (const InvalidArgument& e) {
        return JobResult::undecodable(e.what());
      }
      if constexpr (with_context) {
        if constexpr (std::is_void_v<std::invoke_result_t<const std::decay_t<F>&, const T&, JobContext&>>) {
          function(*job, context);
          return JobResult::completed();
        } else {
          return function(*job, context);
        }
      } else if constexpr (std::is_void_v<std::invoke_result_t<const std::decay_t<F>&, const T&>>) {
        function(*job);
        return JobResult::completed();
      } else {
        return function(*job);
      }
    });
  }

  std::map<std::string, Entry, std::less<>> entries_;
  std::vector<Middleware> middleware_;
  std::shared_ptr<detail::ForkServer> fork_server_;
};

}  // namespace quern::inline v1
