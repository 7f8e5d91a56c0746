#include "monitor/history_collector.hpp"

#include <algorithm>
#include <chrono>

namespace quern::inline v1::detail {
namespace {

TimePoint minute_of(TimePoint time) { return std::chrono::floor<std::chrono::minutes>(time); }

HistoryNames names_of(const JobMetrics& jobs) { return {jobs.queue, jobs.kind}; }

/// What came to `now` after `before`.
HistoryTally gained(const JobMetrics& now, const JobMetrics& before) {
  HistoryTally gain;
  for (const HistoryCount& count : history_counts)
    gain.counts.*count.of_history = now.*count.of_metrics - before.*count.of_metrics;
  gain.counts.cpu = now.cpu - before.cpu;
  gain.waited = now.waited.since(before.waited);
  gain.ran = now.ran.since(before.ran);
  gain.age = now.age.since(before.age);
  return gain;
}

HistorySlot sample_of(const Metrics& metrics) {
  HistorySlot slot;
  slot.samples = 1;
  slot.nodes_sum = slot.nodes_most = metrics.nodes;
  const auto set = [](HistoryDepths& depths, HistoryDepths::What what, std::uint64_t count) {
    depths.sum[what] = depths.most[what] = count;
  };
  for (const JobCount& count : metrics.counts) {
    const auto depths = [&]() -> HistoryDepths& { return slot.depths[{count.queue, count.kind}]; };
    if (count.state == JobState::ready) set(depths(), HistoryDepths::ready, count.count);
    if (count.state == JobState::scheduled) set(depths(), HistoryDepths::scheduled, count.count);
    if (count.state == JobState::running) set(depths(), HistoryDepths::running, count.count);
    if (count.state == JobState::dead) set(depths(), HistoryDepths::dead, count.count);
  }
  for (const ReadyAge& ready : metrics.oldest_ready)
    slot.depths[{ready.queue, ready.kind}].oldest_ready = std::max(Duration::zero(), ready.age);
  return slot;
}

}  // namespace

HistoryCollector::HistoryCollector(const Metrics& first, TimePoint now, std::size_t most_shares)
    : most_shares_(most_shares), last_(now), minute_(minute_of(now)), sampled_at_(first.sampled_at) {
  for (const JobMetrics& jobs : first.jobs) counted_[names_of(jobs)] = jobs;
}

std::map<HistoryNames, HistoryTally> HistoryCollector::take_gains(const Metrics& metrics) {
  std::map<HistoryNames, HistoryTally> gains;
  for (const JobMetrics& jobs : metrics.jobs) {
    JobMetrics& before = counted_[names_of(jobs)];
    HistoryTally gain = gained(jobs, before);
    if (gain.empty()) continue;
    gains.emplace(names_of(jobs), std::move(gain));
    before = jobs;
  }
  return gains;
}

void HistoryCollector::pass(HistorySlot& slot, TimePoint minute, const Metrics& metrics, TimePoint from,
                            TimePoint to) {
  if (to <= from) return;
  HistorySlot time;
  time.begin = from - minute;
  time.covered = to - from;
  time.running_time = time.covered * static_cast<std::int64_t>(metrics.running);
  time.slot_time = time.covered * static_cast<std::int64_t>(metrics.slots);
  slot.add_beside(time);
}

void HistoryCollector::collect(const Metrics& metrics, TimePoint now) {
  constexpr Duration length = std::chrono::minutes(1);
  HistorySlot gained;
  gained.tallies = take_gains(metrics);
  if (closed_) {  // nobody was at it since
    last_ = now;
    minute_ = minute_of(now);
    closed_ = false;
  }
  const TimePoint now_in = minute_of(now);
  if (now_in > minute_) {
    const TimePoint whole = now_in - length;  // the last whole minute
    if (minute_ < whole) {
      end_minute(whole);
      last_ = whole;
    }
    open_.add_counts(gained);
    pass(open_, minute_, metrics, last_, now_in);
    end_minute(now_in);
    last_ = now_in;
  } else if (now_in < minute_) {  // somebody has set the clock back
    open_.add_counts(gained);
    end_minute(now_in);
    last_ = now;
  } else {
    open_.add_counts(gained);
  }
  pass(open_, minute_, metrics, last_, now);
  last_ = now;
  take_sample(metrics);
}

void HistoryCollector::take_sample(const Metrics& metrics) {
  if (metrics.sampled_at == sampled_at_ || metrics.sampled_at == TimePoint::min()) return;
  sampled_at_ = metrics.sampled_at;
  const TimePoint minute = minute_of(sampled_at_);
  // Of a minute that may have been written: too late, and there are other samples and nodes.
  if (minute + length_of(HistoryResolution::minute) < minute_) return;
  gauges_[minute].add_after(sample_of(metrics));
  if (gauges_.size() > most_shares_) gauges_.erase(gauges_.begin());
}

void HistoryCollector::end_minute(TimePoint next) {
  // A minute of which nothing is known, since this began at its very end or was closed, is nobody's share.
  if (open_.covered > Duration::zero() || !open_.tallies.empty()) {
    shares_.push_back({minute_, ++numbers_, std::move(open_), false});
    if (shares_.size() > most_shares_) {
      const std::size_t oldest = shares_.front().tried ? 1 : 0;
      shares_[oldest + 1].slot.add_counts(shares_[oldest].slot);
      shares_.erase(shares_.begin() + static_cast<std::ptrdiff_t>(oldest));
    }
  }
  open_ = {};
  minute_ = next;
}

void HistoryCollector::postpone_first() {
  HistorySlot& next = shares_.size() > 1 ? shares_[1].slot : open_;
  next.add_counts(shares_.front().slot);
  shares_.pop_front();
}

void HistoryCollector::close(TimePoint now) {
  end_minute(minute_of(now));
  closed_ = true;
}

}  // namespace quern::inline v1::detail
