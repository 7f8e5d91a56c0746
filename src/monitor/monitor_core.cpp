#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

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
  if (options.long_run < 0s || options.long_run > 24h)
    throw InvalidArgument("long_run", fmt::format("is {}; allowed is 0s to 1d", to_text(options.long_run)));
  return options;
}

BulkOptions of_group(BulkOptions options, std::uint64_t fingerprint) {
  if (options.only) throw InvalidArgument("only", "is set; the group says which jobs are meant");
  options.only = failed_like(fingerprint);
  return options;
}

/// Of all nodes, for each queue and kind. What was added a moment ago can't have run for long, and a list by time passes
/// over it.
std::vector<LongestRun> longest_runs(StoragePort& storage, TimePoint added_before) {
  constexpr int most_pages = 10;
  std::map<std::pair<std::string, std::string>, LongestRun> longest;
  JobFilter filter{.states = {JobState::running}, .created_before = added_before, .oldest_first = true};
  filter.limit = 1000;
  for (int page = 0; page < most_pages; ++page) {
    const JobPage jobs = storage.list(filter);
    for (const Job& job : jobs.jobs) {
      if (!job.started_at) continue;
      LongestRun& run = longest[{job.queue, job.kind}];
      if (!run.job || *job.started_at < run.started_at) run = {job.queue, job.kind, job.id, *job.started_at};
    }
    filter.after = jobs.next;
    if (!filter.after) break;
  }
  std::vector<LongestRun> runs;
  for (auto& [names, run] : longest) runs.push_back(std::move(run));
  return runs;
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
    sample.limits = storage.limits();
    const auto nodes = storage.nodes();
    sample.nodes = static_cast<std::size_t>(std::ranges::count(nodes, NodeState::alive, &NodeStatus::state));
    if (options_.long_run > Duration::zero())
      sample.longest_runs = longest_runs(storage, now - options_.long_run);
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
