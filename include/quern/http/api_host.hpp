#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/monitor/alert_manager.hpp"
#include "quern/monitor/failures.hpp"
#include "quern/monitor/health.hpp"
#include "quern/monitor/history_point.hpp"
#include "quern/monitor/metrics.hpp"
#include "quern/queue/queue_core.hpp"
#include "quern/schedule/scheduler.hpp"
#include "quern/service/job_service.hpp"
#include "quern/service/service_events.hpp"
#include "quern/work/handler_registry.hpp"
#include "quern/work/scaling.hpp"
#include "quern/work/worker.hpp"

namespace quern::inline v1::http {

/// What may be done to a worker by its id.
enum class WorkerAction : std::uint8_t { enable, disable, drain };

/// What the API stands on. `ServiceHost` is a JobService as one; a host that puts the parts together itself may have its own.
///
/// Threads  every member may be called from any thread.
class ApiHost {
 public:
  ApiHost() = default;
  ApiHost(const ApiHost&) = delete;
  ApiHost& operator=(const ApiHost&) = delete;
  virtual ~ApiHost() = default;

  [[nodiscard]] virtual quern::detail::QueueCore& queue() = 0;
  [[nodiscard]] virtual const HandlerRegistry& handlers() = 0;
  [[nodiscard]] virtual Metrics metrics() = 0;
  [[nodiscard]] virtual std::vector<FailureGroup> failures() = 0;
  [[nodiscard]] virtual std::vector<HistoryPoint> history(const HistoryQuery& query) = 0;
  [[nodiscard]] virtual std::vector<AlertView> alerts() = 0;
  [[nodiscard]] virtual std::vector<AlertSilence> silences() = 0;
  virtual std::uint64_t silence(AlertMatch match, TimePoint until, std::string reason, std::string who) = 0;
  virtual bool unsilence(std::uint64_t id) = 0;
  [[nodiscard]] virtual HealthReport health(bool liveness) = 0;
  /// None: this process runs no jobs now.
  [[nodiscard]] virtual std::optional<std::vector<WorkerStatus>> workers() = 0;
  // None: this process runs no jobs now; false: there is no such worker.
  virtual std::optional<bool> change(std::string_view worker, WorkerAction action) = 0;
  virtual std::optional<bool> resize(std::string_view worker, int max_jobs) = 0;
  /// False: the pool does not scale, or there is none.
  virtual bool scale(std::size_t min_workers, std::size_t max_workers) = 0;
  [[nodiscard]] virtual Subscription subscribe(std::function<void(const ServiceEvent&)> callback) = 0;
  /// As JSON, without secrets.
  [[nodiscard]] virtual std::string config() = 0;
  /// Null: there are no schedules here.
  [[nodiscard]] virtual quern::detail::SchedulerCore* scheduler() = 0;
};

/// A JobService, which must outlive it.
template <Storage S, Executor E>
class ServiceHost final : public ApiHost {
 public:
  explicit ServiceHost(JobService<S, E>& service) : service_(service) {}

  quern::detail::QueueCore& queue() override { return service_.queue().core(); }
  const HandlerRegistry& handlers() override { return service_.handlers(); }
  Metrics metrics() override { return service_.monitor().metrics(); }
  std::vector<FailureGroup> failures() override { return service_.monitor().failures(); }
  std::vector<HistoryPoint> history(const HistoryQuery& query) override {
    return service_.history().query(query);
  }
  std::vector<AlertView> alerts() override { return service_.alerts().alerts(); }
  std::vector<AlertSilence> silences() override { return service_.alerts().silences(); }
  std::uint64_t silence(AlertMatch match, TimePoint until, std::string reason, std::string who) override {
    return service_.alerts().silence(std::move(match), until, std::move(reason), std::move(who));
  }
  bool unsilence(std::uint64_t id) override { return service_.alerts().unsilence(id); }
  HealthReport health(bool liveness) override {
    return liveness ? service_.liveness() : service_.readiness();
  }
  std::optional<std::vector<WorkerStatus>> workers() override {
    const auto pool = service_.pool();
    if (!pool) return std::nullopt;
    return pool->workers();
  }
  std::optional<bool> change(std::string_view worker, WorkerAction action) override {
    const auto pool = service_.pool();
    if (!pool) return std::nullopt;
    if (action == WorkerAction::enable) return pool->enable(worker);
    return action == WorkerAction::disable ? pool->disable(worker) : pool->drain(worker);
  }
  std::optional<bool> resize(std::string_view worker, int max_jobs) override {
    const auto pool = service_.pool();
    if (!pool) return std::nullopt;
    return pool->resize(worker, max_jobs);
  }
  bool scale(std::size_t min_workers, std::size_t max_workers) override {
    auto config = service_.config();
    if (!service_.pool() || !config.pool.scaling) return false;
    config.pool.scaling->min_workers = min_workers;
    config.pool.scaling->max_workers = max_workers;
    (void)service_.reload(std::move(config));
    return true;
  }
  Subscription subscribe(std::function<void(const ServiceEvent&)> callback) override {
    return service_.events().subscribe(std::move(callback));
  }
  std::string config() override { return to_json(service_.config()); }
  quern::detail::SchedulerCore* scheduler() override {
    if constexpr (requires { service_.scheduler().core(); })
      return &service_.scheduler().core();
    else
      return nullptr;
  }

 private:
  JobService<S, E>& service_;
};

}  // namespace quern::inline v1::http
