#include <fmt/format.h>

#include <algorithm>

#include "monitor/metrics_collector.hpp"
#include "quern/core/error.hpp"
#include "quern/monitor/job_monitor.hpp"

namespace quern::inline v1::detail {
namespace {

MonitorOptions checked(MonitorOptions options) {
  using namespace std::chrono_literals;
  if (options.sample_interval < 100ms || options.sample_interval > 1h)
    throw InvalidArgument("sample_interval",
                          fmt::format("is {}; allowed is 100ms to 1h", to_text(options.sample_interval)));
  if (options.most_pairs < 1 || options.most_pairs > 100'000)
    throw InvalidArgument("most_pairs", fmt::format("is {}; allowed is 1 to 100000", options.most_pairs));
  if (options.most_failure_groups < 1 || options.most_failure_groups > 10'000)
    throw InvalidArgument("most_failure_groups",
                          fmt::format("is {}; allowed is 1 to 10000", options.most_failure_groups));
  return options;
}

BulkOptions of_group(BulkOptions options, std::uint64_t fingerprint) {
  if (options.only) throw InvalidArgument("only", "is set; the group says which jobs are meant");
  options.only = failed_like(fingerprint);
  return options;
}

}  // namespace

MonitorCore::MonitorCore(QueueCore& queue, MonitorOptions options)
    : queue_(queue),
      options_(checked(std::move(options))),
      clock_(queue.storage().clock()),
      waker_(std::make_shared<Waker>()),
      collector_(
          std::make_shared<MetricsCollector>(clock_, options_.most_pairs, options_.most_failure_groups)) {
  queue_.observers().add(collector_);
}

MonitorCore::~MonitorCore() { queue_.observers().remove(*collector_); }

NextTick MonitorCore::tick(TimePoint now) noexcept {
  if (now < sample_at_ && sample_at_ - now <= options_.sample_interval) return {sample_at_};
  sample_at_ = now + options_.sample_interval;
  StoragePort& storage = queue_.storage();
  try {
    Metrics sample;
    sample.sampled_at = now;
    sample.counts = storage.count();
    sample.oldest_ready = storage.oldest_ready();
    sample.queues = storage.queues();
    const auto nodes = storage.nodes();
    sample.nodes = static_cast<std::size_t>(std::ranges::count(nodes, NodeState::alive, &NodeStatus::state));
    collector_->set_sample(std::move(sample));
  } catch (const std::exception& e) {
    collector_->sample_failed();
    log_to(options_.log, LogLevel::warning, fmt::format("the storage could not be sampled: {}", e.what()));
  }
  return {sample_at_};
}

Metrics MonitorCore::metrics() const {
  Metrics metrics = collector_->metrics();
  metrics.at = clock_.now();
  metrics.process = process_usage();
  return metrics;
}

std::vector<FailureGroup> MonitorCore::failures() const { return collector_->failures(); }

BulkResult MonitorCore::retry_failures(const std::string& kind, std::uint64_t fingerprint,
                                       BulkOptions options) {
  return retry_all(queue_.storage(), {.states = {JobState::dead}, .kind = kind},
                   of_group(std::move(options), fingerprint));
}

BulkResult MonitorCore::discard_failures(const std::string& kind, std::uint64_t fingerprint,
                                         BulkOptions options) {
  options = of_group(std::move(options), fingerprint);
  BulkResult all = erase_all(queue_.storage(), {.states = {JobState::dead}, .kind = kind}, options);
  options.limit -= all.matched;
  const BulkResult waiting =
      cancel_all(queue_.storage(), {.states = {JobState::scheduled, JobState::ready}, .kind = kind}, options);
  all.matched += waiting.matched;
  all.changed += waiting.changed;
  all.next = {};
  return all;
}

}  // namespace quern::inline v1::detail
