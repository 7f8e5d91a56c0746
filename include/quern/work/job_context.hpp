#pragma once

#include <concepts>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "quern/core/log.hpp"
#include "quern/queue/typed_job.hpp"
#include "quern/storage/requests.hpp"

namespace quern::inline v1 {

/// Why a handler was asked to stop.
enum class StopReason : std::uint8_t {
  none,      ///< It was not.
  cancel,    ///< Somebody cancelled the job.
  timeout,   ///< The attempt took too long.
  shutdown,  ///< The processor stops; the job will be handed back, at no cost.
  lost,      ///< Its node lost the job; whatever the handler returns is dropped.
};

namespace detail {
class RunState;
}

/// A handler's view of its run, and its way to the engine.
///
/// Lifetime  valid until the handler returns, also when the processor has given the run up meanwhile.
/// Threads   a handler may use it from threads of its own, one call at a time; `stop_requested`, `stop_token`,
///           `progress`, `log` and `secret` at any time.
/// Errors    `step` throws RunLost once the run is lost. Let it pass: the handler's result would be dropped.
class JobContext {
 public:
  explicit JobContext(std::shared_ptr<detail::RunState> state) : state_(std::move(state)) {}

  /// The job as it was claimed.
  [[nodiscard]] const Claim& job() const noexcept;
  [[nodiscard]] JobId id() const noexcept { return job().ref.id; }
  /// This attempt, from 1.
  [[nodiscard]] int attempt() const noexcept { return job().attempt; }
  [[nodiscard]] bool last_attempt() const noexcept { return job().attempt >= job().max_attempts; }
  /// Grows with each claim of the job: for the host's own writes that must not be overtaken by an older run.
  [[nodiscard]] Epoch fence() const noexcept { return job().ref.epoch; }

  /// The trace context of this run, as W3C's traceparent, with a tracestate after a space where there is one; empty where
  /// the job belongs to no trace. Send it along with requests; jobs that are enqueued on this thread have it anyway.
  [[nodiscard]] const std::string& trace() const noexcept;

  /// True once the run should end soon: return `JobResult::cancelled()`, or finish what is nearly done.
  [[nodiscard]] bool stop_requested() const noexcept;
  /// The same as a token, for `std::condition_variable_any` and callbacks.
  [[nodiscard]] std::stop_token stop_token() const;
  [[nodiscard]] StopReason stop_reason() const noexcept;

  /// Says how far the run has come. Cheap: kept, and written together with others a few times a second.
  /// `percent` is clamped to 0 to 100 and never goes back within a run.
  void progress(int percent, std::string_view message = {});

  /// Tells the processor's `log`, with what is known of the job beside `fields`, and keeps the line with the job:
  /// JobQueue::log_lines gives it back. Cheap: kept lines are written together, a few seconds later or at the
  /// end of the run, which costs a job that logs one write more; JobLogOptions say how many stay. Never fails
  /// for the sake of the sink or of the storage.
  ///
  ///     context.info("sent", {{"recipient", address}, {"bytes", size}});
  void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});
  void debug(std::string_view message, std::initializer_list<LogField> fields = {}) {
    log(LogLevel::debug, message, fields);
  }
  void info(std::string_view message, std::initializer_list<LogField> fields = {}) {
    log(LogLevel::info, message, fields);
  }
  void warning(std::string_view message, std::initializer_list<LogField> fields = {}) {
    log(LogLevel::warning, message, fields);
  }
  void error(std::string_view message, std::initializer_list<LogField> fields = {}) {
    log(LogLevel::error, message, fields);
  }
  /// From now on "***" stands where this run would show `value`: in its lines, its progress and the message it
  /// ends with. For what is no Secret in the job's struct: a key that the handler fetched, a payload read by hand.
  void secret(std::string_view value);

  /// Runs `work` once per job, also over retries, snoozes and crashes: its result is stored durably under
  /// `name` before this returns, and given back without running `work` when it is there already. If it
  /// throws, nothing is stored. `name` must be unique within the handler, and not begin with "quern.". The result must be a struct
  /// with QUERN_FIELDS, something that nlohmann::json can encode and decode, or void. A crash between the
  /// work and its storing runs it again: make it repeatable.
  template <std::invocable Work>
  auto step(std::string_view name, Work&& work) -> std::invoke_result_t<Work> {
    using Result = std::invoke_result_t<Work>;
    begin_step(name);
    if constexpr (std::is_void_v<Result>) {
      if (find_step(name)) return;
      std::forward<Work>(work)();
      save_step(name, Payload());
    } else {
      using Value = std::remove_cvref_t<Result>;
      if (const auto saved = find_step(name)) return saved->template as<Value>();
      Value value = std::forward<Work>(work)();
      save_step(name, Payload::of(value));
      return value;
    }
  }
  /// True when the step of that name has been done.
  [[nodiscard]] bool step_done(std::string_view name) { return find_step(name).has_value(); }

  /// A job that is added in the same transaction in which this one completes: exactly once, however often
  /// this one is retried. Dropped when the run ends otherwise. Its `created_by` is "job:ID" unless it says
  /// something else, its tenant and digest are this job's, its trace this run's. Returns its id. Throws InvalidArgument as an
  /// enqueue does.
  JobId then(NewJob job);
  template <TypedJob T>
  JobId then(const T& job, JobOptions options = {}) {
    return then(make_job(job, std::move(options)));
  }
  /// A record that is put in the same transaction in which this job completes, or not at all.
  void then(Record record);

 private:
  [[nodiscard]] std::optional<Payload> find_step(std::string_view name);
  void begin_step(std::string_view name);
  void save_step(std::string_view name, Payload value);

  std::shared_ptr<detail::RunState> state_;
};

}  // namespace quern::inline v1
