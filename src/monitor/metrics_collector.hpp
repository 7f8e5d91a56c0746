#pragma once

#include <array>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "quern/core/clock.hpp"
#include "quern/monitor/failures.hpp"
#include "quern/monitor/metrics.hpp"

namespace quern::inline v1::detail {

/// Adds up what a queue and its processors tell. Thread-safe: enqueues and runs are counted under two mutexes, so
/// that many callers who enqueue don't wait for the engine, nor it for them; failures under a third.
class MetricsCollector final : public QueueObserver {
 public:
  MetricsCollector(ClockRef clock, std::size_t most_pairs, std::size_t most_failure_groups)
      : clock_(clock), most_pairs_(most_pairs), most_failure_groups_(most_failure_groups) {}

  void on_enqueued(std::span<const NewJob> jobs, std::span<const InsertResult> results) noexcept override;
  void on_claimed(std::span<const Claim> claims) noexcept override;
  void on_ended(std::span<const RunReport> runs) noexcept override;
  void on_rescued(const RescueResult& result) noexcept override;
  void on_node_lost() noexcept override;
  void on_load(const void* processor, std::size_t running, std::size_t slots) noexcept override;
  void on_storage_call(StorageCall call, Duration took, bool failed) noexcept override;

  void set_sample(TimePoint at, std::vector<JobCount> counts, std::vector<QueueStatus> queues,
                  std::size_t nodes, std::vector<LongestRun> longest_runs);
  void sample_failed();
  /// All but `at` and `process`.
  [[nodiscard]] Metrics metrics() const;
  /// Those that were seen last come first.
  [[nodiscard]] std::vector<FailureGroup> failures() const;

 private:
  struct Door {
    std::uint64_t enqueued = 0;
    std::uint64_t duplicates = 0;
    std::uint64_t refused = 0;
  };
  struct Runs {
    JobMetrics counted{};
    RateWindow window{};
  };
  using Names = std::pair<std::string, std::string>;
  struct Less {
    using is_transparent = void;
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      const std::pair<std::string_view, std::string_view> x(a.first, a.second);
      const std::pair<std::string_view, std::string_view> y(b.first, b.second);
      return x < y;
    }
  };
  /// The entry of a pair, or that of all others once there are many.
  template <class Map>
  [[nodiscard]] typename Map::mapped_type& of(Map& map, std::string_view queue, std::string_view kind) const;
  static void count(JobMetrics& metrics, const RunReport& run);
  struct Failures {
    FailureGroup group{};
    RateWindow window{};
  };
  void note_failure(const RunReport& run, std::uint64_t fingerprint, TimePoint at, SteadyTime now);

  const ClockRef clock_;
  const std::size_t most_pairs_;
  const std::size_t most_failure_groups_;

  mutable std::mutex door_mutex_;  // guards what follows
  std::map<Names, Door, Less> door_;

  mutable std::mutex mutex_;  // guards what follows; never held together with the other one
  std::map<Names, Runs, Less> runs_;
  std::array<StorageCallMetrics, storage_calls> calls_{};
  std::map<const void*, std::pair<std::size_t, std::size_t>> load_;  // running, slots
  Metrics rest_;

  mutable std::mutex failures_mutex_;  // guards what follows; never held together with the others
  std::map<std::uint64_t, Failures> failures_;
};

}  // namespace quern::inline v1::detail
