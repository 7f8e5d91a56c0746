#include "quern/monitor/alert_metric.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <map>
#include <utility>

#include "quern/monitor/alert_event.hpp"

namespace quern::inline v1 {
namespace {

double seconds(Duration time) { return std::chrono::duration<double>(time).count(); }

/// Values by what the metric is told apart by, of those that it is about.
template <class Value>
class Groups {
 public:
  explicit Groups(const AlertMetric& metric) : metric_(metric) {}

  /// Null: the metric is not about these.
  [[nodiscard]] Value* of(const std::string& queue, const std::string& kind) {
    if (!metric_.queue().empty() && metric_.queue() != queue) return nullptr;
    if (!metric_.kind().empty() && metric_.kind() != kind) return nullptr;
    return &values_[{metric_.by() == AlertBy::queue ? queue : metric_.queue(),
                     metric_.by() == AlertBy::kind ? kind : metric_.kind()}];
  }
  /// `make(value)` gives a number, or none.
  template <class Make>
  [[nodiscard]] std::vector<AlertValue> take(const Make& make) const {
    std::vector<AlertValue> all;
    for (const auto& [names, value] : values_)
      if (const std::optional<double> number = make(value); number && std::isfinite(*number))
        all.push_back({names.first, names.second, *number});
    return all;
  }

 private:
  const AlertMetric& metric_;
  std::map<std::pair<std::string, std::string>, Value> values_;
};

std::vector<AlertValue> only(const AlertMetric& metric, std::optional<double> value) {
  if (!value || !std::isfinite(*value)) return {};
  return {{metric.queue(), metric.kind(), *value}};
}

std::vector<AlertValue> jobs_of(const AlertMetric& metric, const Metrics& metrics) {
  Groups<double> groups(metric);
  // Where nothing stands in the state there are no jobs, which is a value.
  if (metric.by() == AlertBy::all) static_cast<void>(groups.of(metric.queue(), metric.kind()));
  for (const JobCount& count : metrics.counts)
    if (count.state == metric.state() && count.kind != alert_decision_kind)
      if (double* const sum = groups.of(count.queue, count.kind)) *sum += static_cast<double>(count.count);
  return groups.take([](double sum) { return sum; });
}

std::vector<AlertValue> longest_of(const AlertMetric& metric, const Metrics& metrics) {
  Groups<double> groups(metric);
  for (const LongestRun& run : metrics.longest_runs)
    if (double* const longest = groups.of(run.queue, run.kind))
      *longest = std::max(*longest, seconds(metrics.at - run.started_at));
  return groups.take([](double longest) { return longest; });
}

std::vector<AlertValue> oldest_of(const AlertMetric& metric, const Metrics& metrics) {
  Groups<double> groups(metric);
  for (const ReadyAge& ready : metrics.oldest_ready)
    if (double* const oldest = groups.of(ready.queue, ready.kind))
      *oldest = std::max(*oldest, seconds(ready.age));
  return groups.take([](double oldest) { return oldest; });
}

std::vector<AlertValue> paused_of(const AlertMetric& metric, const Metrics& metrics) {
  Groups<double> groups(metric);
  for (const QueueStatus& queue : metrics.queues)
    if (double* const paused = groups.of(queue.name, metric.kind()))
      *paused = std::max(*paused, queue.paused ? 1.0 : 0.0);
  return groups.take([](double paused) { return paused; });
}

std::vector<AlertValue> rates_of(const AlertMetric& metric, const Metrics& metrics) {
  const auto window = std::ranges::find(JobMetrics::windows, metric.window()) - JobMetrics::windows.begin();
  Groups<RateWindow::Rate> groups(metric);
  for (const JobMetrics& jobs : metrics.jobs) {
    RateWindow::Rate* const sum = groups.of(jobs.queue, jobs.kind);
    if (sum == nullptr) continue;
    const RateWindow::Rate& rate = jobs.rates.at(static_cast<std::size_t>(window));
    sum->ended += rate.ended;
    sum->failed += rate.failed;
    sum->per_second += rate.per_second;
  }
  const bool share = metric.source() == AlertMetric::Source::failed_share;
  return groups.take([&](const RateWindow::Rate& rate) -> std::optional<double> {
    if (!share) return rate.per_second;
    if (rate.ended == 0 || rate.ended < metric.least()) return std::nullopt;
    return static_cast<double>(rate.failed) / static_cast<double>(rate.ended);
  });
}

}  // namespace

AlertMetric AlertMetric::jobs(JobState state) {
  AlertMetric made(Source::jobs);
  made.state_ = state;
  return made;
}
AlertMetric AlertMetric::longest_run() { return AlertMetric(Source::longest_run); }
AlertMetric AlertMetric::oldest_ready() { return AlertMetric(Source::oldest_ready); }
AlertMetric AlertMetric::nodes() { return AlertMetric(Source::nodes); }
AlertMetric AlertMetric::paused() { return AlertMetric(Source::paused); }
AlertMetric AlertMetric::since_completed(std::string kind) {
  AlertMetric made(Source::since_completed);
  made.kind_ = kind;
  made.event_ = std::move(kind);
  return made;
}
AlertMetric AlertMetric::since_event(std::string name) {
  AlertMetric made(Source::since_event);
  made.event_ = std::move(name);
  return made;
}
AlertMetric AlertMetric::healthy_workers() { return AlertMetric(Source::healthy_workers); }
AlertMetric AlertMetric::failed_share(Duration window, std::uint64_t least) {
  AlertMetric made(Source::failed_share);
  made.window_ = window;
  made.least_ = least;
  return made;
}
AlertMetric AlertMetric::ended_per_second(Duration window) {
  AlertMetric made(Source::ended_per_second);
  made.window_ = window;
  return made;
}
AlertMetric AlertMetric::utilization() { return AlertMetric(Source::utilization); }
AlertMetric AlertMetric::resident_bytes() { return AlertMetric(Source::resident_bytes); }
AlertMetric AlertMetric::custom(Function function) {
  AlertMetric made(Source::custom);
  made.function_ = std::move(function);
  return made;
}

AlertMetric AlertMetric::of_queue(std::string queue) const {
  AlertMetric made = *this;
  made.queue_ = std::move(queue);
  return made;
}
AlertMetric AlertMetric::of_kind(std::string kind) const {
  AlertMetric made = *this;
  made.kind_ = std::move(kind);
  return made;
}
AlertMetric AlertMetric::by(AlertBy by) const {
  AlertMetric made = *this;
  made.by_ = by;
  return made;
}

std::string_view to_string(AlertMetric::Source source) noexcept {
  constexpr std::array<std::string_view, 13> names{
      "jobs",         "longest_run",      "oldest_ready", "nodes",
      "paused",       "since_completed",  "since_event",  "healthy_workers",
      "failed_share", "ended_per_second", "utilization",  "resident_bytes",
      "custom"};
  return names.at(static_cast<std::size_t>(source));
}

std::vector<AlertValue> values_of(const AlertMetric& metric, const Metrics& metrics,
                                  const AlertSurroundings& surroundings) {
  using Source = AlertMetric::Source;
  const bool sampled = metrics.sampled_at != TimePoint::min();
  switch (metric.source()) {
    case Source::jobs:
      return sampled ? jobs_of(metric, metrics) : std::vector<AlertValue>();
    case Source::longest_run:
      return longest_of(metric, metrics);
    case Source::oldest_ready:
      return oldest_of(metric, metrics);
    case Source::paused:
      return paused_of(metric, metrics);
    case Source::nodes:
      return sampled ? only(metric, static_cast<double>(metrics.nodes)) : std::vector<AlertValue>();
    case Source::healthy_workers:
      if (surroundings.healthy_workers) return only(metric, surroundings.healthy_workers);
      return sampled ? only(metric, static_cast<double>(metrics.nodes)) : std::vector<AlertValue>();
    case Source::since_completed:
    case Source::since_event:
      return surroundings.since ? only(metric, seconds(*surroundings.since)) : std::vector<AlertValue>();
    case Source::failed_share:
    case Source::ended_per_second:
      return rates_of(metric, metrics);
    case Source::utilization:
      return metrics.slots > 0 ? only(metric, metrics.utilization()) : std::vector<AlertValue>();
    case Source::resident_bytes:
      return metrics.process.resident_bytes > 0
                 ? only(metric, static_cast<double>(metrics.process.resident_bytes))
                 : std::vector<AlertValue>();
    case Source::custom:
      return only(metric, metric.function()(metrics));
  }
  return {};
}

}  // namespace quern::inline v1
