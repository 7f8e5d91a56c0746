#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "quern/core/log.hpp"
#include "quern/core/runner.hpp"
#include "quern/work/executor.hpp"

namespace quern::inline v1 {

enum class HealthStatus : std::uint8_t {
  up,
  degraded,  ///< It works, but not as it should.
  down,
  unknown,  ///< Not checked yet, or too long ago.
};
/// "up", "degraded", "down", "unknown"
[[nodiscard]] std::string_view to_string(HealthStatus status) noexcept;

/// What a probe has found.
struct ProbeResult {
  HealthStatus status = HealthStatus::up;
  std::string message{};  ///< For people; no passwords.
  /// Figures with their names, such as {"latency_ms", 1.5}.
  std::vector<std::pair<std::string, double>> details{};
};

/// Which question a probe helps to answer.
enum class ProbeScope : std::uint8_t {
  readiness,  ///< Whether this process should get work: anything that it needs, databases and services of others.
  liveness,  ///< Whether it should be restarted: only what a restart would mend, so never a database.
  both,
};

/// Looks after one component. `check` runs on a thread of the executor, one run of it at a time, and may take its time: nobody
/// waits for it.
struct HealthProbe {
  std::string name{};  ///< Of the component. 1 to 100 bytes, no two the same.
  /// Gets a stop token that is asked to stop at the timeout. What it throws is taken for down, with its text as the
  /// message. It must not outlive what it refers to; a run that hangs can't be ended.
  std::function<ProbeResult(std::stop_token)> check{};
  /// A run that takes longer is given up: the component is down, and the probe begins anew only once that run has returned.
  /// 1 ms to 1 h.
  Duration timeout = std::chrono::seconds(5);
  Duration interval =
      std::chrono::seconds(10);  ///< From the begin of a run to that of the next. 10 ms to 1 day.
  bool critical = true;          ///< False: the whole is degraded where this is down.
  ProbeScope scope = ProbeScope::readiness;
};

/// What is known of one component.
struct ComponentHealth {
  std::string name{};
  HealthStatus status = HealthStatus::unknown;
  std::string message{};
  std::vector<std::pair<std::string, double>> details{};
  bool critical = true;
  bool timed_out = false;                 ///< Its last run was given up.
  std::optional<TimePoint> checked_at{};  ///< When its last run ended, or was given up. None: not yet.
  Duration age{0};                        ///< Since then.
  Duration took{0};                       ///< That run.
  std::optional<Duration> running{};      ///< A run is under way, for so long.
};

/// The answer to one question.
struct HealthReport {
  HealthStatus status = HealthStatus::up;  ///< Never unknown.
  TimePoint at{};
  std::vector<ComponentHealth> components{};  ///< In the order in which the probes were given.

  /// For an HTTP status: 200 where true, else 503. Degraded is good enough.
  [[nodiscard]] bool ok() const noexcept { return status != HealthStatus::down; }
};
/// As JSON of one line; durations in seconds, times as in RFC 3339.
[[nodiscard]] std::string to_json(const HealthReport& report);

namespace detail {

/// All of HealthChecks but its executor's type.
class HealthCore {
 public:
  using Post = std::function<void(TaskToken, std::function<void()>)>;
  using Abandon = std::function<void(TaskToken)>;

  /// Throws ConfigError.
  HealthCore(std::vector<HealthProbe> probes, ClockRef clock, Logger log, Post post, Abandon abandon);
  HealthCore(const HealthCore&) = delete;
  HealthCore& operator=(const HealthCore&) = delete;
  /// Gives up what runs.
  ~HealthCore();

  NextTick tick(TimePoint now) noexcept;
  [[nodiscard]] HealthReport report(bool liveness) const;
  [[nodiscard]] ClockRef clock() const noexcept { return clock_; }
  [[nodiscard]] const std::shared_ptr<Waker>& waker() const noexcept { return waker_; }

 private:
  struct Probe;
  void begin(const std::shared_ptr<Probe>& probe);
  void give_up(Probe& probe, SteadyTime steady);

  const ClockRef clock_;
  const Logger log_;
  const Post post_;
  const Abandon abandon_;
  const std::shared_ptr<Waker> waker_;
  std::vector<std::shared_ptr<Probe>> probes_;
  TaskToken last_token_ = 0;  // of the thread that ticks
};

}  // namespace detail

/// Tells whether this process is alive and ready, and how its components are.
///
///     quern::HealthChecks health({quern::storage_probe(queue), quern::memory_probe(512 << 20)});
///     health.start();
///     ... answer GET /ready with to_json(health.readiness()), and 503 unless ok()
///
/// Asking  never runs a probe and never waits for one: the answer is what the last runs have found, with its age.
/// Probes  each runs by itself, so that one that hangs keeps neither the others nor the answers.
/// Ready   down while a critical component is down or unknown: so also until all of them were looked at once. Degraded
///         while another one is not up.
/// Alive   down while a critical component of that scope is down. What is unknown does not count: a process is not restarted
///         for not having been looked at.
/// Threads every member but `tick` may be called from any thread; `tick` from one at a time, and not while started.
template <Executor E = ThreadExecutor>
class HealthChecks {
 public:
  /// The clock must outlive it. Throws ConfigError with all that is wrong with the probes.
  explicit HealthChecks(std::vector<HealthProbe> probes, ClockRef clock = {}, Logger log = {})
      : core_(
            std::move(probes), clock, std::move(log),
            [this](TaskToken token, std::function<void()> task) { executor_.post(token, std::move(task)); },
            [this](TaskToken token) { executor_.abandon(token); }) {}
  HealthChecks(const HealthChecks&) = delete;
  HealthChecks& operator=(const HealthChecks&) = delete;
  ~HealthChecks() { stop(); }

  /// Begins runs that are due, and gives up those that take too long; says when it wants to be called next.
  NextTick tick(TimePoint now) noexcept { return core_.tick(now); }
  /// Ticks on a thread of its own. Harmless when started. Throws std::system_error where no thread can be had.
  void start() {
    if (!runner_.running()) runner_.start(core_, core_.clock(), core_.waker());
  }
  /// Begins no more runs; waits for none. Can be started again.
  void stop() noexcept { runner_.stop(); }

  [[nodiscard]] HealthReport liveness() const { return core_.report(true); }
  [[nodiscard]] HealthReport readiness() const { return core_.report(false); }
  [[nodiscard]] E& executor() noexcept { return executor_; }

 private:
  E executor_{};
  detail::HealthCore core_;
  Runner runner_;
};

}  // namespace quern::inline v1
