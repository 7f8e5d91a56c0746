#include "quern/monitor/health_probes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>

#include "quern/core/error.hpp"
#include "quern/monitor/process_usage.hpp"

namespace quern::inline v1 {
namespace detail {
namespace {

using namespace std::chrono_literals;

/// Hears how the processors of a queue come round.
class EngineWatch final : public QueueObserver {
 public:
  explicit EngineWatch(ClockRef clock) : clock_(clock) {}

  void on_load(const void* processor, std::size_t running, std::size_t slots) noexcept override {
    const SteadyTime now = clock_.steady();
    const std::lock_guard lock(mutex_);
    if (slots == 0)
      engines_.erase(processor);
    else
      engines_[processor] = {now, running, slots};
  }
  void on_node_lost() noexcept override {
    const SteadyTime now = clock_.steady();
    const std::lock_guard lock(mutex_);
    lost_ = now;
  }

  struct Sum {
    std::size_t running = 0;
    std::size_t slots = 0;
    Duration idle{0};                ///< Since the processor that was seen longest ago.
    std::optional<Duration> lost{};  ///< Since a lease was lost last.
  };
  [[nodiscard]] Sum sum() const {
    const SteadyTime now = clock_.steady();
    Sum sum;
    const std::lock_guard lock(mutex_);
    for (const auto& [processor, engine] : engines_) {
      sum.running += engine.running;
      sum.slots += engine.slots;
      sum.idle = std::max(sum.idle, now - engine.seen);
    }
    if (lost_) sum.lost = now - *lost_;
    return sum;
  }

 private:
  struct Engine {
    SteadyTime seen{0};
    std::size_t running = 0;
    std::size_t slots = 0;
  };
  const ClockRef clock_;
  mutable std::mutex mutex_;
  std::map<const void*, Engine> engines_;
  std::optional<SteadyTime> lost_;
};

/// Watches for as long as somebody has it.
std::shared_ptr<const EngineWatch> watch(QueueCore& queue) {
  auto watch = std::make_shared<EngineWatch>(queue.storage().clock());
  queue.observers().add(watch);
  const EngineWatch* const engines = watch.get();
  return {engines, [&queue, watch](const EngineWatch*) { queue.observers().remove(*watch); }};
}

HealthProbe made(std::string name, std::function<ProbeResult(std::stop_token)> check) {
  HealthProbe probe;
  probe.name = std::move(name);
  probe.check = std::move(check);
  return probe;
}

}  // namespace

HealthProbe storage_probe(StoragePort& storage, StorageProbeOptions options) {
  if (options.slow < 0s) throw InvalidArgument("slow", fmt::format("is {}", to_text(options.slow)));
  return made("storage", [&storage, options](const std::stop_token&) {
    const ClockRef clock = storage.clock();
    const SteadyTime begun = clock.steady();
    static_cast<void>(storage.get_record("quern.health", "probe"));
    const Duration took = clock.steady() - begun;
    ProbeResult result;
    result.details = {{"latency_ms", std::chrono::duration<double, std::milli>(took).count()}};
    if (options.slow > 0s && took > options.slow) {
      result.status = HealthStatus::degraded;
      result.message = fmt::format("answered after {}", to_text(took));
    }
    return result;
  });
}

HealthProbe queue_probe(std::function<Metrics()> metrics, QueueProbeOptions options) {
  HealthProbe probe = made(
      "queue",
      [metrics = std::move(metrics), options = std::move(options)](const std::stop_token&) -> ProbeResult {
        const Metrics now = metrics();
        if (now.sampled_at == TimePoint::min())
          return {HealthStatus::unknown, "the storage was not sampled yet", {}};
        const auto jobs = [&](JobState state) {
          std::uint64_t sum = 0;
          for (const JobCount& count : now.counts)
            if (count.state == state && (options.queue.empty() || options.queue == count.queue))
              sum += count.count;
          return sum;
        };
        const std::uint64_t ready = jobs(JobState::ready);
        ProbeResult result;
        result.details = {{"ready", static_cast<double>(ready)},
                          {"running", static_cast<double>(jobs(JobState::running))}};
        for (const QueueStatus& queue : now.queues)
          if (options.paused_is_degraded && queue.paused &&
              (options.queue.empty() || options.queue == queue.name)) {
            result.status = HealthStatus::degraded;
            result.message = fmt::format("the queue {} is paused", queue.name);
          }
        if (options.most_ready > 0 && ready > options.most_ready) {
          result.status = HealthStatus::degraded;
          result.message = fmt::format("{} jobs are ready, more than {}", ready, options.most_ready);
        }
        return result;
      });
  probe.critical = false;
  return probe;
}

HealthProbe worker_probe(QueueCore& queue, WorkerProbeOptions options) {
  return made("workers", [engines = watch(queue), options](const std::stop_token&) {
    const EngineWatch::Sum sum = engines->sum();
    ProbeResult result;
    result.details = {{"slots", static_cast<double>(sum.slots)},
                      {"running", static_cast<double>(sum.running)}};
    if (sum.lost && *sum.lost < options.lease_lost_for) {
      result.status = HealthStatus::degraded;
      result.message = fmt::format("lost its lease {} ago", to_text(*sum.lost));
    }
    if (sum.slots < options.least_slots) {
      result.status = HealthStatus::down;
      result.message = fmt::format("has {} slots, and needs {}", sum.slots, options.least_slots);
    }
    return result;
  });
}

HealthProbe engine_probe(QueueCore& queue, Duration stuck_after) {
  if (stuck_after < 5s)
    throw InvalidArgument("stuck_after", fmt::format("is {}; allowed is 5s and more", to_text(stuck_after)));
  HealthProbe probe = made("engine", [engines = watch(queue), stuck_after](const std::stop_token&) {
    const EngineWatch::Sum sum = engines->sum();
    ProbeResult result;
    result.details = {{"idle_s", std::chrono::duration<double>(sum.idle).count()}};
    if (sum.idle > stuck_after) {
      result.status = HealthStatus::down;
      result.message = fmt::format("a processor has not come round for {}", to_text(sum.idle));
    }
    return result;
  });
  probe.scope = ProbeScope::liveness;
  return probe;
}

}  // namespace detail

HealthProbe memory_probe(std::uint64_t limit_bytes) {
  if (limit_bytes == 0) throw InvalidArgument("limit_bytes", "is 0");
  return detail::made("memory", [limit_bytes](const std::stop_token&) {
    const std::uint64_t used = process_usage().resident_bytes;
    ProbeResult result;
    result.details = {{"resident_bytes", static_cast<double>(used)},
                      {"limit_bytes", static_cast<double>(limit_bytes)}};
    if (used > limit_bytes / 10 * 9) {
      result.status = used > limit_bytes ? HealthStatus::down : HealthStatus::degraded;
      result.message = fmt::format("uses {} bytes, and {} are allowed", used, limit_bytes);
    }
    return result;
  });
}

HealthProbe disk_probe(std::filesystem::path path, std::uint64_t least_free_bytes) {
  return detail::made("disk", [path = std::move(path), least_free_bytes](const std::stop_token&) {
    const std::uint64_t free = std::filesystem::space(path).available;
    ProbeResult result;
    result.details = {{"free_bytes", static_cast<double>(free)}};
    if (free / 2 < least_free_bytes) {
      result.status = free < least_free_bytes ? HealthStatus::down : HealthStatus::degraded;
      result.message = fmt::format("{} bytes are free, and {} are needed", free, least_free_bytes);
    }
    return result;
  });
}

}  // namespace quern::inline v1
