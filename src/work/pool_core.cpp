// Workers that come, change and go.
#include "quern/work/detail/pool_core.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "pool_worker.hpp"
#include "quern/core/error.hpp"
#include "work/worker_check.hpp"

namespace quern::inline v1::detail {
namespace {

constexpr std::size_t most_workers = 10'000;
constexpr std::size_t most_slots_of_all = 100'000;

}  // namespace

PoolCore::PoolCore(QueueCore& queue, const HandlerRegistry& handlers, PoolSetup setup)
    : queue_(queue),
      clock_(queue.storage().clock()),
      waker_(std::make_shared<Waker>()),
      setup_(std::move(setup)),
      balancer_(setup_.balancing ? setup_.balancing : balancing::least_loaded()) {
  for (const auto& [kind, entry] : handlers.entries()) {
    check_resources(entry.options.cost, fmt::format("handlers.{}.cost", kind));
    Resources cost = entry.options.cost;
    std::erase_if(cost, [](const auto& part) { return part.second == 0; });
    kinds_.push_back({kind, std::move(cost)});
  }
  check_resources(setup_.budget, "budget");
  if (setup_.unhealthy_failures < 0)
    throw InvalidArgument("unhealthy_failures",
                          fmt::format("is {}; allowed is 0 or more", setup_.unhealthy_failures));
  if (setup_.scaling) {
    scaler_.emplace(*setup_.scaling);
    check_new(setup_.scaling->worker, "scaling.worker");
  }
  for (std::size_t i = 0; i < setup_.workers.size(); ++i) {
    check_new(setup_.workers[i], fmt::format("workers[{}]", i));
    add_locked(setup_.workers[i], "worker", "added at the start");
  }
  if (scaler_ && workers_.size() < setup_.scaling->min_workers)
    apply({static_cast<int>(setup_.scaling->min_workers - workers_.size()), "added at the start"});
}

PoolCore::~PoolCore() = default;

std::size_t PoolCore::most_slots() const {
  const std::lock_guard lock(mutex_);
  std::size_t sum = 0;
  for (const auto& worker : workers_) sum += static_cast<std::size_t>(worker->options.max_jobs);
  if (setup_.scaling && setup_.scaling->max_workers > workers_.size())
    sum += (setup_.scaling->max_workers - workers_.size()) *
           static_cast<std::size_t>(setup_.scaling->worker.max_jobs);
  return std::clamp<std::size_t>(sum, 1, most_slots_of_all);
}

PoolCore::Worker* PoolCore::find(std::string_view id) const {
  // The id of one that is leaving is free for another.
  const auto found = std::ranges::find_if(
      workers_, [&](const auto& w) { return w->options.id == id && w->state != WorkerState::leaving; });
  return found == workers_.end() ? nullptr : found->get();
}

void PoolCore::check_new(const WorkerOptions& options, const std::string& path) const {
  check_worker(options, path);
  if (!options.id.empty() && find(options.id) != nullptr)
    throw InvalidArgument(path + ".id", fmt::format("is '{}', which another worker has", options.id));
  for (std::size_t i = 0; i < options.supported_kinds.size(); ++i)
    if (std::ranges::none_of(kinds_,
                             [&](const Kind& kind) { return kind.name == options.supported_kinds[i]; }))
      throw InvalidArgument(fmt::format("{}.supported_kinds[{}]", path, i),
                            fmt::format("is '{}', which has no handler", options.supported_kinds[i]));
  if (workers_.size() >= most_workers)
    throw InvalidArgument("workers",
                          fmt::format("are {} already; allowed are {}", workers_.size(), most_workers));
}

PoolCore::Worker& PoolCore::add_locked(WorkerOptions options, std::string_view prefix,
                                       const std::string& reason) {
  auto worker = std::make_unique<Worker>();
  worker->number = ++last_number_;
  for (std::uint64_t number = worker->number; options.id.empty(); ++number)
    if (auto id = fmt::format("{}-{}", prefix, number); find(id) == nullptr) options.id = std::move(id);
  worker->name = options.id;
  for (const Kind& kind : kinds_)
    worker->supports.push_back(options.supported_kinds.empty() ||
                               std::ranges::find(options.supported_kinds, kind.name) !=
                                   options.supported_kinds.end());
  worker->state = options.enabled ? WorkerState::active : WorkerState::disabled;
  const SteadyTime steady = clock_.steady();
  worker->seen = steady;
  worker->check_at = steady + options.health_check_interval;
  worker->options = std::move(options);
  workers_.push_back(std::move(worker));
  Worker& added = *workers_.back();
  note(WorkerEventType::worker_added, added, reason);
  changed();
  return added;
}

void PoolCore::leave(Worker& worker, std::string reason) {
  worker.state = WorkerState::leaving;
  worker.leave_reason = std::move(reason);
  worker.stop_at = clock_.steady() + worker.options.graceful_shutdown_timeout;
  changed();
}

void PoolCore::erase_gone() {
  std::erase_if(workers_, [&](const std::unique_ptr<Worker>& worker) {
    if (worker->state != WorkerState::leaving || worker->running > 0) return false;
    note(WorkerEventType::worker_removed, *worker, worker->leave_reason);
    return true;
  });
}

void PoolCore::changed() {
  planned_ = false;
  std::size_t slots = 0;
  std::size_t free = 0;
  SteadyTime next = SteadyTime::max();
  for (const auto& worker : workers_) {
    slots += worker->slots();
    free += worker->free();
    if (worker->running > 0) next = std::min(next, worker->stop_at);
  }
  slots_.store(slots);
  free_.store(free);
  next_stop_.store(next);
}

void PoolCore::note(WorkerEventType type, const Worker& worker, std::string reason) {
  if (setup_.on_event)
    events_.push_back({type, clock_.now(), worker.options.id, worker.healthy, std::move(reason)});
  waker_->wake();
}

std::string PoolCore::add(WorkerOptions options) {
  std::string id;
  {
    const std::lock_guard lock(mutex_);
    check_new(options, "worker");
    id = add_locked(std::move(options), "worker", "added").options.id;
  }
  wake();
  return id;
}

template <class Change>
bool PoolCore::change(std::string_view id, const Change& change) {
  {
    const std::lock_guard lock(mutex_);
    Worker* const worker = find(id);
    if (worker == nullptr) return false;
    change(*worker);
    changed();
    erase_gone();
  }
  wake();
  return true;
}

bool PoolCore::remove(std::string_view id) {
  return change(id, [&](Worker& worker) { leave(worker, "removed"); });
}

bool PoolCore::enable(std::string_view id) {
  return change(id, [](Worker& worker) {
    worker.state = WorkerState::active;
    worker.options.enabled = true;
    worker.stop_at = SteadyTime::max();
  });
}

bool PoolCore::disable(std::string_view id) {
  return change(id, [](Worker& worker) {
    worker.state = WorkerState::disabled;
    worker.options.enabled = false;
    worker.stop_at = SteadyTime::max();
  });
}

bool PoolCore::drain(std::string_view id) {
  return change(id, [&](Worker& worker) {
    worker.state = WorkerState::draining;
    worker.options.enabled = false;
    worker.stop_at = clock_.steady() + worker.options.graceful_shutdown_timeout;
  });
}

bool PoolCore::resize(std::string_view id, int max_jobs) {
  WorkerOptions wanted;
  wanted.max_jobs = max_jobs;
  check_worker(wanted, "worker");
  return change(id, [&](Worker& worker) { worker.options.max_jobs = max_jobs; });
}

void PoolCore::set_scaling(std::optional<ScalingOptions> scaling) {
  if (scaling) scaling->validate();
  {
    const std::lock_guard lock(mutex_);
    if (scaling) check_new(scaling->worker, "scaling.worker");
    next_scaling_ = std::move(scaling);
  }
  waker_->wake();
}

std::vector<WorkerStatus> PoolCore::workers() const {
  const std::lock_guard lock(mutex_);
  const SteadyTime steady = clock_.steady();
  std::vector<WorkerStatus> list;
  list.reserve(workers_.size());
  for (const auto& worker : workers_) {
    WorkerStatus& status = list.emplace_back();
    status.options = worker->options;
    status.state = worker->state;
    status.healthy = worker->healthy;
    status.reason = worker->reason;
    status.heartbeat = steady - worker->seen;
    status.used = worker->used;
    status.started = worker->started;
    status.completed = worker->completed;
    status.failed = worker->failed;
    status.failures_in_row = worker->failures_in_row;
    status.busy = worker->busy;
  }
  for (const Run& run : runs_) {
    if (run.token == 0 || run.worker == nullptr) continue;
    const auto at =
        std::ranges::lower_bound(workers_, run.worker->number, {}, [](const auto& w) { return w->number; });
    WorkerStatus& status = list[static_cast<std::size_t>(at - workers_.begin())];
    status.jobs.push_back({run.id, kinds_[run.kind].name, steady - run.since, run.stopping});
    status.busy += steady - run.since;
  }
  return list;
}

std::size_t PoolCore::healthy_workers() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::ranges::count_if(
      workers_, [](const auto& worker) { return worker->takes_jobs() && worker->healthy; }));
}

void PoolCore::wake() const {
  waker_->wake();
  if (wake_) wake_();
}

}  // namespace quern::inline v1::detail
