#include "monitor/metrics_collector.hpp"

#include <algorithm>
#include <functional>

#include "quern/monitor/fingerprint.hpp"

namespace quern::inline v1::detail {

template <class Map>
typename Map::mapped_type& MetricsCollector::of(Map& map, std::string_view queue,
                                                std::string_view kind) const {
  const std::pair<std::string_view, std::string_view> names(queue, kind);
  if (const auto known = map.find(names); known != map.end()) return known->second;
  if (map.size() >= most_pairs_) return map[{"(other)", "(other)"}];
  return map[{std::string(queue), std::string(kind)}];
}

void MetricsCollector::on_enqueued(std::span<const NewJob> jobs,
                                   std::span<const InsertResult> results) noexcept {
  const std::lock_guard lock(door_mutex_);
  Door* door = nullptr;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    // Those of one batch are mostly alike.
    if (door == nullptr || jobs[i].queue != jobs[i - 1].queue || jobs[i].kind != jobs[i - 1].kind)
      door = &of(door_, jobs[i].queue, jobs[i].kind);
    switch (results[i].status) {
      case InsertStatus::added:
      case InsertStatus::replaced:
        ++door->enqueued;
        break;
      case InsertStatus::duplicate:
      case InsertStatus::rescheduled:
        ++door->duplicates;
        break;
      case InsertStatus::queue_full:
        ++door->refused;
        break;
      case InsertStatus::repeated:
        break;
    }
  }
}

void MetricsCollector::on_claimed(std::span<const Claim> claims) noexcept {
  const std::lock_guard lock(mutex_);
  Runs* runs = nullptr;
  for (std::size_t i = 0; i < claims.size(); ++i) {
    if (runs == nullptr || claims[i].queue != claims[i - 1].queue || claims[i].kind != claims[i - 1].kind)
      runs = &of(runs_, claims[i].queue, claims[i].kind);
    ++runs->counted.started;
  }
}

void MetricsCollector::count(JobMetrics& metrics, const RunReport& run) {
  if (run.began) {
    metrics.waited.record(run.waited);
    metrics.ran.record(run.ran);
  }
  metrics.cpu += run.cpu;
  metrics.peak_memory = std::max(metrics.peak_memory, run.peak_memory);
  if (run.status == FinishStatus::lost) {
    ++metrics.lost;
    return;
  }
  switch (run.outcome) {
    case Outcome::completed:
      ++metrics.completed;
      metrics.age.record(run.age);
      break;
    case Outcome::failed:
    case Outcome::discarded:
      ++metrics.failed;
      if (run.fault == AttemptFault::timeout) ++metrics.timed_out;
      if (run.state == JobState::dead)
        ++metrics.dead;
      else if (run.state != JobState::cancelled)
        ++metrics.retried;
      break;
    case Outcome::cancelled:
      ++metrics.cancelled;
      break;
    case Outcome::snoozed:
      ++metrics.snoozed;
      break;
    case Outcome::released:
      ++metrics.released;
      break;
  }
}

namespace {
bool has_failed(const RunReport& run) {
  return run.status == FinishStatus::recorded &&
         (run.outcome == Outcome::failed || run.outcome == Outcome::discarded);
}
}  // namespace

void MetricsCollector::note_failure(const RunReport& run, std::uint64_t fingerprint, TimePoint at,
                                    SteadyTime now) {
  constexpr std::size_t most_queues = 10;
  constexpr std::size_t most_examples = 5;
  auto found = failures_.find(fingerprint);
  if (found == failures_.end()) {
    // A new one takes the place of the one that was seen longest ago.
    if (failures_.size() >= most_failure_groups_)
      failures_.erase(std::ranges::min_element(
          failures_, {}, [](const auto& entry) { return entry.second.group.last_seen; }));
    found = failures_.try_emplace(fingerprint).first;
    FailureGroup& made = found->second.group;
    made.fingerprint = fingerprint;
    made.kind = run.kind;
    made.error = normalized_error(run.message);
    made.first_seen = at;
  }
  FailureGroup& group = found->second.group;
  found->second.window.add(now, 1, 1);
  ++group.count;
  if (run.state == JobState::dead) ++group.dead;
  group.last_seen = at;
  if (group.queues.size() < most_queues && std::ranges::find(group.queues, run.queue) == group.queues.end())
    group.queues.push_back(run.queue);
  if (group.examples.size() == most_examples) group.examples.pop_back();
  group.examples.insert(group.examples.begin(), {run.ref.id, run.attempt, at, run.message});
}

std::vector<FailureGroup> MetricsCollector::failures() const {
  const SteadyTime now = clock_.steady();
  std::vector<FailureGroup> groups;
  {
    const std::lock_guard lock(failures_mutex_);
    for (const auto& [fingerprint, failures] : failures_) {
      FailureGroup& group = groups.emplace_back(failures.group);
      for (std::size_t i = 0; i < JobMetrics::windows.size(); ++i)
        group.per_second[i] = failures.window.over(JobMetrics::windows[i], now).per_second;
    }
  }
  std::ranges::sort(groups, std::greater(),
                    [](const FailureGroup& group) { return std::pair(group.last_seen, group.count); });
  return groups;
}

void MetricsCollector::on_ended(std::span<const RunReport> runs) noexcept {
  const SteadyTime now = clock_.steady();
  if (std::ranges::any_of(runs, has_failed)) {
    const TimePoint at = clock_.now();
    for (const RunReport& run : runs) {
      if (!has_failed(run)) continue;
      const std::uint64_t fingerprint = failure_fingerprint(run.kind, run.message);
      const std::lock_guard lock(failures_mutex_);
      note_failure(run, fingerprint, at, now);
    }
  }
  const std::lock_guard lock(mutex_);
  Runs* entry = nullptr;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (entry == nullptr || runs[i].queue != runs[i - 1].queue || runs[i].kind != runs[i - 1].kind)
      entry = &of(runs_, runs[i].queue, runs[i].kind);
    count(entry->counted, runs[i]);
    if (runs[i].status == FinishStatus::lost) continue;
    const bool failed = has_failed(runs[i]);
    if (failed || runs[i].outcome == Outcome::completed) entry->window.add(now, 1, failed ? 1 : 0);
  }
}

void MetricsCollector::on_rescued(const RescueResult& result) noexcept {
  const std::lock_guard lock(mutex_);
  rest_.dead_nodes += result.nodes;
  rest_.rescued_jobs += result.rescued;
  rest_.rescue_dead_jobs += result.dead;
}

void MetricsCollector::on_node_lost() noexcept {
  const std::lock_guard lock(mutex_);
  ++rest_.leases_lost;
}

void MetricsCollector::on_load(const void* processor, std::size_t running, std::size_t slots) noexcept {
  const std::lock_guard lock(mutex_);
  if (slots == 0)
    load_.erase(processor);
  else
    load_[processor] = {running, slots};
}

void MetricsCollector::on_storage_call(StorageCall call, Duration took, bool failed) noexcept {
  const std::lock_guard lock(mutex_);
  StorageCallMetrics& metrics = calls_.at(static_cast<std::size_t>(call));
  metrics.took.record(took);
  if (failed) ++metrics.failed;
}

void MetricsCollector::set_sample(Metrics sample) {
  const std::lock_guard lock(mutex_);
  rest_.sampled_at = sample.sampled_at;
  rest_.counts = std::move(sample.counts);
  rest_.oldest_ready = std::move(sample.oldest_ready);
  rest_.longest_runs = std::move(sample.longest_runs);
  rest_.queues = std::move(sample.queues);
  rest_.limits = std::move(sample.limits);
  rest_.nodes = sample.nodes;
}

void MetricsCollector::sample_failed() {
  const std::lock_guard lock(mutex_);
  ++rest_.failed_samples;
}

Metrics MetricsCollector::metrics() const {
  const SteadyTime now = clock_.steady();
  std::map<Names, JobMetrics> jobs;
  Metrics made;
  {
    const std::lock_guard lock(mutex_);
    made = rest_;
    for (const auto& [processor, load] : load_) {
      made.running += load.first;
      made.slots += load.second;
    }
    for (std::size_t i = 0; i < calls_.size(); ++i) {
      if (calls_[i].took.empty()) continue;
      made.storage.push_back(calls_[i]);
      made.storage.back().call = static_cast<StorageCall>(i);
    }
    for (const auto& [names, runs] : runs_) {
      JobMetrics& metrics = jobs[names] = runs.counted;
      for (std::size_t i = 0; i < JobMetrics::windows.size(); ++i)
        metrics.rates[i] = runs.window.over(JobMetrics::windows[i], now);
    }
  }
  {
    const std::lock_guard lock(door_mutex_);
    for (const auto& [names, door] : door_) {
      JobMetrics& metrics = jobs[names];
      metrics.enqueued = door.enqueued;
      metrics.duplicates = door.duplicates;
      metrics.refused = door.refused;
    }
  }
  for (auto& [names, metrics] : jobs) {
    metrics.queue = names.first;
    metrics.kind = names.second;
    made.jobs.push_back(std::move(metrics));
  }
  return made;
}

}  // namespace quern::inline v1::detail
