#include "quern/testing/detail/engine_core.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <utility>

#include "quern/testing/storage_proxy.hpp"

namespace quern::inline v1::testing {

std::string to_string(const Drained& drained) {
  std::string text = fmt::format("{} run{}", drained.runs, drained.runs == 1 ? "" : "s");
  std::string_view separator = ": ";
  const auto add = [&](std::size_t count, std::string_view what) {
    if (count > 0) text += fmt::format("{}{} {}", std::exchange(separator, ", "), count, what);
  };
  add(drained.completed, "completed");
  add(drained.failed, "failed");
  add(drained.snoozed, "snoozed");
  add(drained.cancelled, "cancelled");
  add(drained.dead, "dead");
  for (const auto* lines : {&drained.problems, &drained.log})
    for (const std::string& line : *lines) text += "\n  " + line;
  return text;
}

std::ostream& operator<<(std::ostream& out, const Drained& drained) { return out << to_string(drained); }

namespace detail {

/// One processor on this thread, restricted to a queue where wanted.
struct EngineCore::Worker {
  struct Executor final : quern::detail::ExecutorPort {
    explicit Executor(const StorageProxy* mortal) : proxy(mortal) {}
    void post(TaskToken /*token*/, std::function<void()> task) override {
      // A dead process starts nothing more, also when it had claimed several jobs at once.
      if (proxy == nullptr || !proxy->crashed()) task();
    }
    void abandon(TaskToken /*token*/) override {}
    const StorageProxy* proxy;
  };

  Worker(quern::detail::QueueCore& queue, const HandlerRegistry& handlers, ProcessorOptions options)
      : proxy(dynamic_cast<const StorageProxy*>(&queue.storage())),
        executor(proxy),
        core(queue, handlers, std::move(options), executor) {}
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() {
    if (crashed()) return;
    core.request_stop({.wait = Duration::zero(), .grace = Duration::zero()});
    for (int step = 0; step < 3 && !core.stopped(); ++step) core.tick(core.clock().now());
  }
  [[nodiscard]] bool crashed() const noexcept { return proxy != nullptr && proxy->crashed(); }

  const StorageProxy* proxy;
  Executor executor;
  quern::detail::ProcessorCore core;
};

EngineCore::EngineCore(quern::detail::QueueCore& queue, ManualClock& clock, HandlerRegistry handlers,
                       ProcessorOptions options)
    : queue_(queue),
      storage_(queue.storage()),
      clock_(clock),
      handlers_(std::move(handlers)),
      options_(std::move(options)) {
  if (storage_.clock().steady() != clock_.steady() || storage_.clock().now() != clock_.now())
    throw InvalidArgument("clock", "is not the one that the storage was opened with");
  publish_defaults();
  storage_.observe(*this);
}

EngineCore::~EngineCore() {
  worker_.reset();
  storage_.unobserve(*this);
}

void EngineCore::stop() {
  {
    const std::lock_guard lock(mutex_);
    if (counting_) throw Error("handlers: cannot be changed from within a handler that the engine runs");
  }
  worker_.reset();
}

void EngineCore::publish_defaults() {
  for (const auto& [kind, entry] : handlers_.entries())
    queue_.set_defaults(kind, {.queue = entry.options.queue,
                               .priority = {},
                               .max_attempts = entry.options.max_attempts,
                               .timeout = entry.options.timeout});
}

std::unique_ptr<EngineCore::Worker> EngineCore::make_worker(const std::string& queue) {
  ProcessorOptions options = options_;
  if (!queue.empty()) options.queues = {{.name = queue}};
  options.log = [this, log = options_.log](const LogRecord& record) {
    if (record.level >= LogLevel::warning && !record.handler) {
      const std::lock_guard lock(mutex_);
      drained_.log.emplace_back(record.message);
    }
    log_to(log, record);
  };
  return std::make_unique<Worker>(queue_, handlers_, std::move(options));
}

void EngineCore::on_events(std::span<const JobEvent> events) noexcept {
  const std::lock_guard lock(mutex_);
  if (!counting_) return;
  for (const JobEvent& event : events) {
    std::string_view ended;
    switch (event.type) {
      case JobEventType::started:
        ++drained_.runs;
        ++runs_of_kind_[event.kind];
        break;
      case JobEventType::completed:
        ++drained_.completed;
        break;
      case JobEventType::snoozed:
        ++drained_.snoozed;
        break;
      case JobEventType::failed:
        ++drained_.failed;
        ended = "failed";
        break;
      case JobEventType::cancelled:
        ++drained_.cancelled;
        ended = "cancelled";
        break;
      case JobEventType::dead:
        ++drained_.dead;
        ended = "dead";
        break;
      default:
        break;
    }
    if (ended.empty()) continue;
    const std::string reason =
        event.dead_reason == DeadReason::none ? "" : fmt::format(" ({})", to_string(event.dead_reason));
    drained_.problems.push_back(fmt::format("{} {}, attempt {}, {}{}{}{}", event.kind, to_string(event.id),
                                            event.attempt, ended, reason, event.message.empty() ? "" : ": ",
                                            event.message));
  }
}

void EngineCore::check_crash() const {
  if (const auto* proxy = dynamic_cast<const StorageProxy*>(&storage_); proxy != nullptr && proxy->crashed())
    throw SimulatedCrash(proxy->crash());
}

void EngineCore::check_limit() {
  const std::lock_guard lock(mutex_);
  if (drained_.runs <= max_runs_) return;
  const auto most = std::ranges::max_element(runs_of_kind_, {}, [](const auto& kind) { return kind.second; });
  throw DrainLimit(fmt::format(
      "after {} runs there is still work; {} of them were of kind \"{}\". A job that adds itself again, or "
      "always snoozes, never comes to an end: test it with perform(), let time pass with advance(), or raise "
      "DrainOptions::max_runs (now {})",
      drained_.runs, most->second, most->first, max_runs_));
}

std::size_t EngineCore::runs() {
  const std::lock_guard lock(mutex_);
  return drained_.runs;
}

NextTick EngineCore::settle(Worker& worker) {
  while (true) {
    const std::size_t before = runs();
    worker.core.look_again();  // somebody else may have added jobs, such as a host's own transaction
    NextTick next;
    do {
      next = worker.core.tick(clock_.now());
      check_crash();
      check_limit();
    } while (next.at <= clock_.now());
    if (runs() == before) return next;
  }
}

void EngineCore::note_unfinished(const Worker& worker) {
  if (worker.core.idle()) return;
  const std::lock_guard lock(mutex_);
  drained_.log.emplace_back("work is left: the engine waits before it asks its failing storage again");
}

bool EngineCore::waits_for_time(const std::string& queue) const {
  return std::ranges::any_of(storage_.count(), [&](const JobCount& count) {
    return count.state == JobState::scheduled && (queue.empty() || count.queue == queue) &&
           handlers_.find(count.kind) != nullptr;
  });
}

template <class Work>
Drained EngineCore::observed(const DrainOptions& options, Work&& work) {
  check_crash();
  {
    const std::lock_guard lock(mutex_);
    if (counting_) throw Error("drain: called from within a handler that it runs");
    drained_ = {};
    runs_of_kind_.clear();
    max_runs_ = options.max_runs;
    counting_ = true;
  }
  const auto end = [this] {
    const std::lock_guard lock(mutex_);
    counting_ = false;
    return std::exchange(drained_, {});
  };
  try {
    if (options.queue.empty()) {
      if (!worker_) worker_ = make_worker({});
      std::forward<Work>(work)(*worker_);
      note_unfinished(*worker_);
    } else {
      const auto worker = make_worker(options.queue);
      std::forward<Work>(work)(*worker);
      note_unfinished(*worker);
    }
  } catch (...) {
    end();
    throw;
  }
  return end();
}

Drained EngineCore::drain(const DrainOptions& options) {
  return observed(options, [&](Worker& worker) { settle(worker); });
}

Drained EngineCore::drain_all(const DrainOptions& options) {
  return observed(options, [&](Worker& worker) {
    while (true) {
      const NextTick next = settle(worker);
      if (!waits_for_time(options.queue)) return;
      clock_.advance(next.at - clock_.now());
    }
  });
}

Drained EngineCore::advance_to(TimePoint end, const DrainOptions& options) {
  if (end < clock_.now())
    throw InvalidArgument("time", fmt::format("is {}, and it is {} already; time only goes forward",
                                              to_rfc3339(end), to_rfc3339(clock_.now())));
  return observed(options, [&](Worker& worker) {
    while (true) {
      const NextTick next = settle(worker);
      if (clock_.now() >= end) return;  // or a handler took longer
      clock_.advance(std::min(next.at, end) - clock_.now());
    }
  });
}

Job EngineCore::job(JobId id) const {
  auto found = std::move(storage_.find(std::span(&id, 1)).front());
  if (!found) throw Error(fmt::format("there is no job {}, or no longer", to_string(id)));
  return *std::move(found);
}

std::string EngineCore::last_error(JobId id) const {
  const Job found = job(id);
  if (found.state == JobState::dead || found.state == JobState::cancelled) return found.end_message;
  return found.errors.empty() ? std::string() : found.errors.back().message;
}

Payload EngineCore::result(JobId id) const {
  Job found = job(id);
  if (found.result) return *std::move(found.result);
  const std::string error = last_error(id);
  throw Error(fmt::format("job {} ({}) has no result: it is {}{}{}", to_string(id), found.kind,
                          to_string(found.state), error.empty() ? "" : ": ", error));
}

std::size_t EngineCore::count(JobState state, std::string_view kind) const {
  std::size_t sum = 0;
  for (const JobCount& count : storage_.count())
    if (count.state == state && (kind.empty() || count.kind == kind)) sum += count.count;
  return sum;
}

}  // namespace detail
}  // namespace quern::inline v1::testing
