#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "quern/core/clock.hpp"
#include "quern/monitor/metrics.hpp"
#include "quern/queue/queue_observer.hpp"

namespace quern::inline v1::detail {

/// When jobs of some kinds completed last: on this node, as its engine tells; on others, as the counts of completed jobs
/// show that have grown from one sample to the next. (What is pruned meanwhile hides as many; a fleet's other nodes write down
/// what they have heard themselves.) Thread-safe.
class CompletionWatch final : public QueueObserver {
 public:
  CompletionWatch(ClockRef clock, std::set<std::string, std::less<>> kinds)
      : clock_(clock), kinds_(std::move(kinds)) {
    for (const std::string& kind : kinds_) last_.emplace(kind, std::nullopt);
  }

  void on_ended(std::span<const RunReport> runs) noexcept override {
    for (const RunReport& run : runs) {
      if (run.outcome != Outcome::completed || run.status != FinishStatus::recorded) continue;
      if (const auto kind = kinds_.find(run.kind); kind != kinds_.end()) heard(*kind, clock_.now());
    }
  }

  [[nodiscard]] bool any() const noexcept { return !kinds_.empty(); }

  /// What another one has heard of the same kinds; it hears no more. By the ticking thread.
  void adopt(const CompletionWatch& other) {
    for (const std::string& kind : kinds_) {
      if (const auto at = other.last(kind)) heard(kind, *at);
      if (const auto count = other.counts_.find(kind); count != other.counts_.end())
        counts_.insert_or_assign(kind, count->second);
    }
  }

  void see(const Metrics& metrics) {
    if (metrics.sampled_at == TimePoint::min() || metrics.sampled_at == sampled_at_) return;
    for (const std::string& kind : kinds_) {
      std::uint64_t count = 0;
      for (const JobCount& one : metrics.counts)
        if (one.kind == kind && one.state == JobState::completed) count += one.count;
      const auto [known, first] = counts_.try_emplace(kind, count);
      if (!first && known->second < count) heard(kind, metrics.sampled_at);
      known->second = count;
    }
    sampled_at_ = metrics.sampled_at;
  }

  /// None: not since this was made.
  [[nodiscard]] std::optional<TimePoint> last(std::string_view kind) const {
    const std::lock_guard lock(mutex_);
    const auto found = last_.find(kind);
    return found == last_.end() ? std::nullopt : found->second;
  }

 private:
  void heard(const std::string& kind, TimePoint at) noexcept {
    const std::lock_guard lock(mutex_);
    auto& last = last_.find(kind)->second;
    last = std::max(last.value_or(at), at);
  }

  const ClockRef clock_;
  const std::set<std::string, std::less<>> kinds_;
  std::map<std::string, std::uint64_t> counts_;  // of the ticking thread
  TimePoint sampled_at_ = TimePoint::min();
  mutable std::mutex mutex_;
  std::map<std::string, std::optional<TimePoint>, std::less<>> last_;
};

}  // namespace quern::inline v1::detail
