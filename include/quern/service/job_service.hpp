#pragma once

#include <atomic>
#include <concepts>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "quern/monitor/alert_manager.hpp"
#include "quern/monitor/health_probes.hpp"
#include "quern/monitor/job_history.hpp"
#include "quern/monitor/job_monitor.hpp"
#include "quern/queue/job_queue.hpp"
#include "quern/schedule/scheduler.hpp"
#include "quern/schedule/zone_database.hpp"
#include "quern/service/detail/service_parts.hpp"
#include "quern/service/service_config.hpp"
#include "quern/service/service_events.hpp"
#include "quern/work/worker_pool.hpp"

namespace quern::inline v1 {

/// The whole of a running system, from one configuration: storage, queue, workers, schedules, monitor, alerts, health, and one
/// stream of events from all of them.
///
///     quern::JobService service{quern::ServiceConfig::from_environment(quern::ServiceConfig::from_file("jobs.json"))};
///     service.handlers().on<SendDigest>([](const SendDigest& job) { ... });
///     service.start();
///     service.queue().enqueue(SendDigest{"a/b"});
///     ...
///     service.stop();
///
/// Opening   `open`, which `start`, `tick` and the parts call by themselves, makes the storage (and migrates it) and what stands
///           on it; these live as long as the service, so references to them stay good. With isolated handlers it first
///           forks the process that they run in: see `HandlerRegistry::start_isolation` for when that may be.
/// Start     health, then monitor, history and alerts, then workers, then the scheduler, which is told before of the schedules that
///           the configuration declares; what this machine's last process has left behind is handed back
///           first where `processor.flightRecord` is set. Kinds that have jobs waiting and no handler anywhere give a
///           `kind_without_handler` event and a line in the log. Where any of it throws, all is as before.
/// Stop      in reverse. Can be started again: with workers made anew, of the handlers and the configuration as they are then.
/// Parts     each is also usable without a service; this one has no secrets.
/// Threads   `start`, `stop`, `open`, `reload` and the parts may be called from any thread, `stop` also from a handler, where it
///           only begins to stop. `tick` from one at a time, and not while started. `handlers` is not to be changed
///           meanwhile.
template <Storage S = AnyStorage, Executor E = ThreadExecutor>
class JobService {
 public:
  /// Opens the storage that the configuration names, later. Throws ConfigError with every fault.
  explicit JobService(ServiceConfig config = {})
    requires std::same_as<S, AnyStorage>
      : JobService(nullptr, std::move(config)) {}
  /// On a storage of the host's, which must outlive the service; `ServiceConfig::storage` and `clock` are not used.
  explicit JobService(S& storage, ServiceConfig config = {}) : JobService(&storage, std::move(config)) {}
  JobService(const JobService&) = delete;
  JobService& operator=(const JobService&) = delete;
  /// Stops, without waiting for jobs longer than the usual grace.
  ~JobService() {
    stop({.wait = Duration::zero()});
    pool_.reset();
  }

  /// To be filled before `open`, `start` or `tick`; what is added later counts from the next start on.
  [[nodiscard]] HandlerRegistry& handlers() noexcept { return handlers_; }

  /// Harmless when it is open. Throws InvalidArgument or StorageError, and can be called again.
  void open() {
    const std::lock_guard lock(mutex_);
    open_locked();
  }

  // The parts; each opens the service where it is not.
  [[nodiscard]] JobQueue<S>& queue() { return opened().queue; }
  [[nodiscard]] JobMonitor<S>& monitor() { return opened().monitor; }
  [[nodiscard]] JobHistory<S>& history() { return opened().history; }
  [[nodiscard]] AlertManager<S>& alerts() { return opened().alerts; }
  /// For schedules beside those of the configuration, and to ask for them, also while it is stopped. The service starts, stops
  /// and ticks it.
  [[nodiscard]] Scheduler<S>& scheduler() { return opened().scheduler; }
  /// Whose clocks schedules go by; its `reload` takes over new zone data.
  [[nodiscard]] ZoneDatabase& zones() { return opened().zones; }
  [[nodiscard]] ServiceEvents& events() { return opened().events; }
  /// Null while it is stopped, and where `run_jobs` is false. Who holds it keeps it from going, not from being stopped; it
  /// must be gone before the service.
  [[nodiscard]] std::shared_ptr<WorkerPool<S, E>> pool() const {
    const std::lock_guard lock(pool_mutex_);
    return pool_;
  }
  /// Whether this process should get work, and whether it should be restarted; see HealthChecks. Down while it is stopped.
  [[nodiscard]] HealthReport readiness() const { return health_report(false); }
  [[nodiscard]] HealthReport liveness() const { return health_report(true); }

  /// Starts all of it, on threads of its own. Harmless when it is started. Throws InvalidArgument, ConfigError, StorageError,
  /// std::system_error.
  void start() {
    const std::lock_guard lock(mutex_);
    if (started_) return;
    begin();
    try {
      health_->start();
      if (config_.queue.enable_metrics) parts_->monitor.start();
      if (records()) parts_->history.start();
      if (watches_alerts()) parts_->alerts.start();
      if (pool_) pool_->start();
      if (config_.scheduling) parts_->scheduler.start(declares_any(config_));
    } catch (...) {
      end({.wait = Duration::zero()});
      throw;
    }
    started_ = true;
  }
  [[nodiscard]] bool started() const {
    const std::lock_guard lock(mutex_);
    return started_;
  }

  /// No new jobs; those that run may go on, are then asked to stop, and are handed back (see Processor::stop). Harmless when it
  /// is stopped. Called from a handler it only begins to stop.
  void stop() { stop(stop_options()); }
  void stop(StopOptions options) {
    if (Parts* const parts = opened_.load(std::memory_order_acquire)) parts->scheduler.stop();
    // Without the lock: a handler that stops would else wait for one that waits for the handler.
    if (const auto running = pool()) {
      running->stop(options);
      if (!running->processor().stopped()) return;
    }
    const std::lock_guard lock(mutex_);
    if (begun_) end(options);
    started_ = false;
  }

  /// One bounded piece of work of each part as of `now`, on this thread, instead of `start`; says when it wants to be called
  /// next. The first one begins as `start` does, and may throw as that; `stop` ends it.
  NextTick tick(TimePoint now) {
    bool monitored = false;
    bool recorded = false;
    bool alerted = false;
    bool scheduled = false;
    {
      const std::lock_guard lock(mutex_);
      begin();
      monitored = config_.queue.enable_metrics;
      recorded = records();
      alerted = watches_alerts();
      scheduled = config_.scheduling;
    }
    // Without the lock, since a handler that runs on this thread may call the service.
    NextTick next = health()->tick(now);
    if (monitored) next = earliest(next, parts_->monitor.tick(now));
    if (recorded) next = earliest(next, parts_->history.tick(now));
    if (alerted) next = earliest(next, parts_->alerts.tick(now));
    // Before the workers, who take its jobs at once.
    if (scheduled) next = earliest(next, parts_->scheduler.tick(now));
    if (const auto running = pool()) next = earliest(next, running->tick(now));
    return next;
  }

  /// Takes over what JSON can express of `next`; what comes from code only stays as it is. What can change while jobs run does:
  /// limits, workers that all have ids, scaling, schedules, alert rules, how long a stop may take, and of `queue` retries, timeouts,
  /// retention and the cleanup interval. The answer names the rest. Throws ConfigError for a faulty one, and nothing changes;
  /// StorageError where the limits or schedules can't be set: then it can be called again.
  ReloadResult reload(ServiceConfig next) {
    next.validate();
    const std::lock_guard lock(mutex_);
    if (pool_) detail::check_kinds(next, handlers_);
    if (parts_) detail::check_schedules(next, parts_->zones);
    detail::Reload reload(config_, std::move(next), begun_);
    if (parts_) {
      if (begun_) detail::change_limits(parts_->queue.core().storage(), config_.limits, reload.next().limits);
      if (begun_ && reload.schedules()) declare(reload.next());
      if (reload.queue()) parts_->queue.set_config(reload.live_queue());
      if (reload.rules()) parts_->alerts.set_rules(reload.next().alerts.rules);
    }
    if (pool_) {
      if (reload.scaling()) pool_->set_scaling(reload.next().pool.scaling);
      if (reload.workers()) detail::change_workers(*pool_, config_.pool.workers, reload.next().pool.workers);
    }
    const bool scheduled = config_.scheduling;
    config_ = reload.next();
    if (started_ && config_.scheduling != scheduled)
      config_.scheduling ? parts_->scheduler.start(declares_any(config_)) : parts_->scheduler.stop();
    if (started_) watches_alerts() ? parts_->alerts.start() : parts_->alerts.stop();
    if (started_) records() ? parts_->history.start() : parts_->history.stop();
    if (parts_)
      parts_->events.publish(
          SystemEvent{SystemEventType::config_reloaded, now(), {}, detail::summary(reload.result())});
    return reload.result();
  }
  /// The one in force, or to be in force after the next start.
  [[nodiscard]] ServiceConfig config() const {
    const std::lock_guard lock(mutex_);
    return config_;
  }

 private:
  /// What lives as long as the service once it is open.
  struct Parts {
    Parts(S& storage, const ServiceConfig& config, std::function<std::size_t()> healthy_workers)
        : queue(storage, config.queue),
          clock(queue.core().storage().clock()),
          events(queue.core().storage()),
          monitor(queue, detail::monitor_options(config)),
          history(queue, monitor, detail::history_options(config)),
          alerts(queue, monitor, detail::alert_options(config, events, std::move(healthy_workers))),
          zones(config.zones),
          scheduler(queue, zones, detail::scheduler_options(config, events)) {}
    JobQueue<S> queue;
    ClockRef clock;
    ServiceEvents events;
    JobMonitor<S> monitor;
    JobHistory<S> history;
    AlertManager<S> alerts;
    ZoneDatabase zones;
    Scheduler<S> scheduler;
  };

  JobService(S* storage, ServiceConfig config) : config_(std::move(config)), storage_(storage) {
    config_.validate();
  }

  [[nodiscard]] Parts& opened() {
    if (Parts* const parts = opened_.load(std::memory_order_acquire)) return *parts;
    const std::lock_guard lock(mutex_);
    return open_locked();
  }
  Parts& open_locked() {
    if (parts_) return *parts_;
    detail::start_isolation(handlers_, config_);
    if constexpr (std::same_as<S, AnyStorage>)
      if (storage_ == nullptr) storage_ = &own_.emplace(open_storage(config_.storage, config_.clock));
    parts_ = std::make_unique<Parts>(*storage_, config_, [this] {
      const auto running = pool();
      return running ? running->healthy_workers() : std::size_t{0};
    });
    opened_.store(parts_.get(), std::memory_order_release);
    return *parts_;
  }

  /// Makes what is made anew with each start.
  void begin() {
    if (begun_) return;
    Parts& parts = open_locked();
    detail::check_schedules(config_, parts.zones);
    parts.queue.set_config(config_.queue);
    detail::change_limits(parts.queue.core().storage(), {}, config_.limits);
    std::shared_ptr<WorkerPool<S, E>> made;
    if (config_.run_jobs)
      made = std::make_shared<WorkerPool<S, E>>(parts.queue, handlers_,
                                                detail::pool_options(config_, parts.events));
    std::vector<HealthProbe> probes = detail::probes(
        parts.queue.core(), [&monitor = parts.monitor] { return monitor.metrics(); },
        [&scheduler = parts.scheduler] { return scheduler.faults(); }, config_);
    auto health = std::make_shared<HealthChecks<E>>(std::move(probes), parts.clock, config_.log);
    detail::tell_unhandled(parts.queue.core().storage(), handlers_, config_, parts.events);
    declare(config_);
    {
      const std::lock_guard lock(pool_mutex_);
      pool_ = std::move(made);
      health_ = std::move(health);
    }
    begun_ = true;
    parts.events.publish(SystemEvent{SystemEventType::service_started, now(), {}, "the service starts"});
  }

  /// Of an open service.
  void declare(const ServiceConfig& config) {
    if (config.scheduling && config.schedules)
      parts_->scheduler.declare(*config.schedules, config.undeclared);
  }
  [[nodiscard]] static bool declares_any(const ServiceConfig& config) {
    return config.schedules && !config.schedules->empty();
  }

  void end(StopOptions options) {
    parts_->scheduler.stop();
    if (pool_) pool_->stop(options);
    parts_->alerts.stop();
    if (records()) parts_->history.stop();
    parts_->monitor.stop();
    health_->stop();
    // Who is called while the pool goes may ask for it, so not under that lock.
    std::shared_ptr<WorkerPool<S, E>> gone;
    std::shared_ptr<HealthChecks<E>> checks;
    {
      const std::lock_guard lock(pool_mutex_);
      gone.swap(pool_);
      checks.swap(health_);
    }
    begun_ = false;
    parts_->events.publish(
        SystemEvent{SystemEventType::service_stopped, now(), {}, "the service has stopped"});
  }

  [[nodiscard]] HealthReport health_report(bool liveness) const {
    if (const auto checks = health()) return liveness ? checks->liveness() : checks->readiness();
    const Parts* const parts = opened_.load(std::memory_order_acquire);
    return detail::stopped_report((parts == nullptr ? ClockRef() : parts->clock).now());
  }
  [[nodiscard]] std::shared_ptr<HealthChecks<E>> health() const {
    const std::lock_guard lock(pool_mutex_);
    return health_;
  }

  [[nodiscard]] bool records() const { return config_.recording && config_.queue.enable_metrics; }
  [[nodiscard]] bool watches_alerts() const { return config_.alerting && config_.queue.enable_metrics; }
  [[nodiscard]] TimePoint now() const { return parts_->clock.now(); }
  [[nodiscard]] StopOptions stop_options() const {
    const std::lock_guard lock(mutex_);
    return config_.stop;
  }

  mutable std::mutex mutex_;  // taken first
  ServiceConfig config_;
  HandlerRegistry handlers_;
  std::optional<AnyStorage> own_;
  S* storage_;
  std::unique_ptr<Parts> parts_;
  std::atomic<Parts*> opened_{nullptr};  // the same, for who asks without the lock
  bool begun_ = false;                   // the parts of a start are there
  bool started_ = false;                 // and run on threads of their own

  mutable std::mutex pool_mutex_;  // for who asks while another one starts or stops
  std::shared_ptr<HealthChecks<E>> health_;
  std::shared_ptr<WorkerPool<S, E>> pool_;
};

explicit JobService() -> JobService<AnyStorage>;
explicit JobService(ServiceConfig) -> JobService<AnyStorage>;

}  // namespace quern::inline v1
