#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "quern/core/clock.hpp"
#include "quern/core/detail/redactor.hpp"
#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"
#include "quern/work/detail/run_log.hpp"
#include "quern/work/job_context.hpp"

namespace quern::inline v1::detail {

/// What a run may ask of the engine, from its handler's thread.
class RunPort {
 public:
  RunPort() = default;
  RunPort(const RunPort&) = delete;
  RunPort& operator=(const RunPort&) = delete;
  virtual ~RunPort() = default;
  virtual RunCheck save_step(const RunRef& run, const Step& step) = 0;
  virtual std::vector<Step> steps(JobId id) = 0;
  virtual void number(NewJob& job) = 0;  // defaults, check at the door, id
  [[nodiscard]] virtual const JobLimits& limits() const = 0;
};

class RunState;

/// What quern itself has to say about a run. Borrows the run and the message.
[[nodiscard]] LogRecord about(const RunState& run, LogLevel level, std::string_view message);

/// Throws InvalidArgument for a step's name that quern keeps for itself.
void check_step_name(std::string_view name);

/// One run of a handler, shared by the engine and the handler's thread. It outlives the processor when a
/// handler does not return, so the way back to the engine can be cut: from then on every call throws RunLost.
class RunState {
 public:
  /// `log`: what it logs with, which must live until `cut`; null: nothing is told or kept.
  RunState(Claim claim, RunPort& port, const LogSetup* log = nullptr)
      : claim_(std::move(claim)), port_(&port), log_setup_(log) {}
  // For another run at the same port, while nobody else knows it: as if made anew.
  /// Lets go of all that belongs to the run that has ended.
  void rest();
  void begin(Claim&& claim);
  RunState(const RunState&) = delete;
  RunState& operator=(const RunState&) = delete;
  virtual ~RunState() = default;

  [[nodiscard]] const Claim& claim() const noexcept { return claim_; }
  /// Made at the first call: few handlers ask for it.
  [[nodiscard]] std::stop_token stop_token();
  [[nodiscard]] bool stop_requested() const noexcept { return stop_reason() != StopReason::none; }
  [[nodiscard]] StopReason stop_reason() const noexcept { return reason_.load(std::memory_order_acquire); }

  /// The first reason stays. Stop callbacks of the handler run here.
  void request_stop(StopReason reason) noexcept;

  /// The engine has given the run up: its calls fail from now on, and its result will be dropped. Never
  /// waits.
  void give_up() noexcept { given_up_.store(true, std::memory_order_release); }
  [[nodiscard]] bool given_up() const noexcept { return given_up_.load(std::memory_order_acquire); }

  /// Cuts the way back to the engine; waits for a call under way (bounded by the storage's own timeouts).
  void cut() noexcept {
    give_up();
    {
      const std::lock_guard lock(sink_mutex_);
      log_setup_.store(nullptr);
    }
    const std::lock_guard lock(port_mutex_);
    port_ = nullptr;
  }

  /// Calls `use(port)` unless the run was given up, then throws RunLost.
  template <class Use>
  decltype(auto) with_port(Use&& use) {
    const std::lock_guard lock(port_mutex_);
    if (given_up() || port_ == nullptr)
      throw RunLost("the run of job " + to_string(claim_.ref.id) + " was given up");
    return std::forward<Use>(use)(*port_);
  }

  /// Virtual, so that a test sees every report.
  virtual void report(int percent, std::string_view message);
  /// The last report that was not fetched yet.
  [[nodiscard]] std::optional<Progress> fetch_report();

  // What it says, from any thread. Nothing of it shows what the redactor knows.
  [[nodiscard]] Redactor& redactor() noexcept { return redactor_; }
  [[nodiscard]] const Redactor& redactor() const noexcept { return redactor_; }
  /// Tells the sink, and keeps the line until it is written.
  virtual void log(LogLevel level, std::string_view message, std::span<const LogField> fields);
  /// Tells the sink what quern itself has to say about the run.
  void tell(LogLevel level, std::string_view message);
  /// The lowest level that anybody wants; none where nobody wants any.
  [[nodiscard]] std::optional<LogLevel> least_logged() const noexcept;
  /// True while there are lines to be written.
  [[nodiscard]] bool has_log() const noexcept { return has_log_.load(std::memory_order_acquire); }
  /// Writes the lines that are to be written on this occasion. `patient`: waits where another thread is at it;
  /// else that is left to that one. What could not be written is kept for the next call.
  RunCheck flush_log(RunPort& port, LogFlush when, bool patient);

  [[nodiscard]] std::optional<Payload> find_step(std::string_view name);
  /// Throws InvalidArgument when this run has asked for a step of that name before.
  void begin_step(std::string_view name);
  void save_step(std::string_view name, Payload value);
  JobId then(NewJob job);
  void then(Record record);
  [[nodiscard]] std::vector<NewJob> take_jobs() { return std::move(jobs_); }
  [[nodiscard]] std::vector<Record> take_records() { return std::move(records_); }

  /// The trace that it is in, as a job keeps it: its span's, else its job's. For its handler's threads: set before that is
  /// called.
  [[nodiscard]] const std::string& trace() const noexcept { return trace_.empty() ? claim_.trace : trace_; }
  void set_trace(std::string trace) noexcept { trace_ = std::move(trace); }

  /// A pool's worker that runs it, else the processor's name where it was given one; set before it begins.
  std::string worker{};

  // Used by the engine's thread alone.
  Duration timeout{0};
  SteadyTime alarm{0};

 protected:
  using UseLine = std::function<void(std::string_view message, std::span<const LogField> fields)>;
  /// Calls `use` with what may be seen of a line.
  void redacted(std::string_view message, std::span<const LogField> fields, const UseLine& use) const;
  /// Virtual, so that a test sees every line.
  virtual void keep(JobLogLine line);

 private:
  Claim claim_;
  std::string trace_;  // empty: as the job says
  std::mutex stop_mutex_;
  std::stop_source stop_{std::nostopstate};  // until somebody asks for a token
  std::atomic<StopReason> reason_{StopReason::none};
  std::atomic<bool> given_up_{false};

  std::mutex port_mutex_;
  RunPort* port_;

  std::mutex progress_mutex_;
  std::optional<Progress> report_;
  std::atomic<bool> reported_{false};  // true: there is one
  int reported_percent_ = 0;

  Redactor redactor_;
  std::mutex sink_mutex_;  // held while the sink is told, so that none is told after `cut`
  std::atomic<const LogSetup*> log_setup_;
  std::mutex flush_mutex_;  // held while lines are written
  std::mutex log_mutex_;
  std::unique_ptr<RunLog> log_;  // once there is a line
  std::atomic<bool> has_log_{false};

  // Used by the handler, one call at a time; by the engine once the handler has returned.
  std::optional<std::vector<Step>> steps_;
  std::set<std::string, std::less<>> step_names_;
  std::vector<NewJob> jobs_;
  std::vector<Record> records_;
};

}  // namespace quern::inline v1::detail
