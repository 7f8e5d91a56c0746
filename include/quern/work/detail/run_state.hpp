#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "quern/core/clock.hpp"
#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"
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

/// One run of a handler, shared by the engine and the handler's thread. It outlives the processor when a
/// handler does not return, so the way back to the engine can be cut: from then on every call throws RunLost.
class RunState {
 public:
  RunState(Claim claim, RunPort& port) : claim_(std::move(claim)), port_(&port) {}
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

  [[nodiscard]] std::optional<Payload> find_step(std::string_view name);
  /// Throws InvalidArgument when this run has asked for a step of that name before.
  void begin_step(std::string_view name);
  void save_step(std::string_view name, Payload value);
  JobId then(NewJob job);
  void then(Record record);
  [[nodiscard]] std::vector<NewJob> take_jobs() { return std::move(jobs_); }
  [[nodiscard]] std::vector<Record> take_records() { return std::move(records_); }

  // Used by the engine's thread alone.
  Duration timeout{0};
  SteadyTime alarm{0};

 private:
  Claim claim_;
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

  // Used by the handler, one call at a time; by the engine once the handler has returned.
  std::optional<std::vector<Step>> steps_;
  std::set<std::string, std::less<>> step_names_;
  std::vector<NewJob> jobs_;
  std::vector<Record> records_;
};

}  // namespace quern::inline v1::detail
