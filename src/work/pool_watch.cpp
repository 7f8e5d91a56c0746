// How workers are, and how many there should be.
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "pool_worker.hpp"
#include "quern/core/error.hpp"

namespace quern::inline v1::detail {

void PoolCore::set_health(Worker& worker, bool healthy, const std::string& reason) {
  if (worker.healthy == healthy) return;
  worker.healthy = healthy;
  worker.reason = healthy ? std::string() : reason;
  note(WorkerEventType::worker_health_changed, worker, reason);
}

void PoolCore::replace(Worker& worker, const std::string& reason) {
  set_health(worker, false, reason);
  log_to(setup_.log,
         {.level = LogLevel::error,
          .message = fmt::format("worker {} is unhealthy and is replaced: {}", worker.options.id, reason),
          .worker = worker.options.id});
  WorkerOptions options = worker.options;
  const std::string name = worker.name;
  const bool scaled = worker.scaled;
  int successors = worker.successors;
  do {
    options.id = fmt::format("{}.{}", name, ++successors + 1);
  } while (find(options.id) != nullptr);
  const std::string why = fmt::format("takes the place of {}", worker.options.id);
  const WorkerState state = worker.state;
  leave(worker, reason);
  Worker& added = add_locked(std::move(options), name, why);
  added.name = name;
  added.successors = successors;
  added.scaled = scaled;
  if (state != WorkerState::active) added.state = WorkerState::disabled;
  changed();
  erase_gone();
}

SteadyTime PoolCore::check_health(SteadyTime steady) {
  SteadyTime next = SteadyTime::max();
  const SteadyTime engine = engine_seen_.load();
  for (const auto& worker : workers_) {
    if (steady >= worker->check_at) {
      worker->check_at = steady + worker->options.health_check_interval;
      // Asleep it looks in once per poll interval; so one that has not ticked hangs, mostly in its storage.
      const Duration patience = std::max(worker->options.health_check_interval, 3 * setup_.poll_interval);
      const bool hangs = engine != SteadyTime{0} && steady - engine > patience;
      if (worker->state != WorkerState::leaving)
        set_health(*worker, !hangs,
                   hangs ? fmt::format("the engine has not ticked for {}", to_text(steady - engine))
                         : "the engine ticks again");
      if (worker->healthy) worker->seen = steady;
    }
    next = std::min(next, worker->check_at);
  }
  return next;
}

ScalingSample PoolCore::ask_storage() const {
  StoragePort& storage = queue_.storage();
  const auto statuses = storage.queues();
  const auto served = [&](const std::string& queue, const std::string& kind) {
    if (!setup_.queues.empty() && std::ranges::find(setup_.queues, queue) == setup_.queues.end())
      return false;
    if (std::ranges::find(kinds_, kind, &Kind::name) == kinds_.end()) return false;
    const auto status = std::ranges::find(statuses, queue, &QueueStatus::name);
    return status == statuses.end() || !status->paused;
  };
  ScalingSample sample;
  for (const JobCount& count : storage.count())
    if (count.state == JobState::ready && served(count.queue, count.kind)) sample.ready += count.count;
  if (sample.ready > 0)
    for (const ReadyAge& oldest : storage.oldest_ready())
      if (served(oldest.queue, oldest.kind)) sample.oldest_wait = std::max(sample.oldest_wait, oldest.age);
  return sample;
}

void PoolCore::scale(SteadyTime steady) noexcept {
  try {
    ScalingSample sample = ask_storage();
    {
      const std::lock_guard lock(mutex_);
      std::size_t slots = 0;
      std::size_t running = 0;
      for (const auto& worker : workers_) {
        if (!worker->takes_jobs()) continue;
        ++sample.workers;
        slots += worker->slots();
        running += std::min(worker->slots(), worker->running);
      }
      if (slots > 0) sample.utilization = static_cast<double>(running) / static_cast<double>(slots);
      apply(scaler_->decide(sample, steady));
    }
    wake();
  } catch (const std::exception& e) {
    log_to(setup_.log, LogLevel::warning,
           fmt::format("the pool could not look whether to scale: {}", e.what()));
  }
}

void PoolCore::apply(const Autoscaler::Decision& decision) {
  const ScalingOptions& options = scaler_->options();
  for (int i = 0; i < decision.change; ++i) {
    WorkerOptions worker = options.worker;
    const std::string prefix = worker.id.empty() ? "worker" : worker.id;
    worker.id.clear();
    worker.enabled = true;
    add_locked(std::move(worker), prefix, decision.reason).scaled = true;
  }
  for (int i = 0; i > decision.change; --i) {
    // Of those that it added itself the one with the least to do, and of several the last one.
    Worker* gone = nullptr;
    for (const auto& worker : workers_)
      if (worker->scaled && worker->takes_jobs() && (gone == nullptr || worker->running <= gone->running))
        gone = worker.get();
    if (gone == nullptr) break;
    leave(*gone, decision.reason);
    erase_gone();
  }
}

void PoolCore::tell_events() noexcept {
  std::vector<WorkerEvent> events;
  {
    const std::lock_guard lock(mutex_);
    events.swap(events_);
  }
  for (const WorkerEvent& event : events) {
    try {
      setup_.on_event(event);
    } catch (const std::exception& e) {
      log_to(setup_.log, {.level = LogLevel::error,
                          .message = fmt::format("who was told of {} of worker {} failed: {}",
                                                 to_string(event.type), event.worker, e.what()),
                          .worker = event.worker});
    } catch (...) {
      log_to(setup_.log, {.level = LogLevel::error,
                          .message = fmt::format("who was told of {} of worker {} failed",
                                                 to_string(event.type), event.worker),
                          .worker = event.worker});
    }
  }
}

void PoolCore::take_scaling() {
  const std::lock_guard lock(mutex_);
  if (!next_scaling_) return;
  scaler_.reset();
  if (*next_scaling_) {
    scaler_.emplace(**next_scaling_);
    const auto takes_jobs = static_cast<std::size_t>(
        std::ranges::count_if(workers_, [](const auto& worker) { return worker->takes_jobs(); }));
    const ScalingOptions& options = scaler_->options();
    if (takes_jobs < options.min_workers)
      apply({static_cast<int>(options.min_workers - takes_jobs), "added for the new minimum"});
    else if (takes_jobs > options.max_workers)
      apply({-static_cast<int>(takes_jobs - options.max_workers), "taken away for the new maximum"});
  }
  scale_at_ = SteadyTime{0};
  next_scaling_.reset();
}

NextTick PoolCore::tick(TimePoint now) noexcept {
  const SteadyTime steady = clock_.steady();
  take_scaling();
  SteadyTime next = SteadyTime::max();
  if (scaler_ && steady >= scale_at_) {
    scale_at_ = steady + scaler_->options().interval;
    scale(steady);
  }
  if (scaler_) next = scale_at_;
  {
    const std::lock_guard lock(mutex_);
    next = std::min(next, check_health(steady));
  }
  tell_events();
  return next == SteadyTime::max() ? NextTick{} : NextTick{now + std::max(next - steady, Duration::zero())};
}

}  // namespace quern::inline v1::detail
