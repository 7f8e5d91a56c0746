#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

#include "quern/core/clock.hpp"
#include "quern/core/time.hpp"
#include "quern/work/worker.hpp"

namespace quern::inline v1 {

/// When a WorkerPool adds workers and takes them away again.
///
/// Grows    when any of the three thresholds is exceeded in `up_samples` samples in a row, and the last change is
///          `up_cooldown` ago.
/// Shrinks  when in each sample of the last `down_cooldown`, and at least in `down_samples` of them, none was exceeded, less than
///          `down_utilization` of the slots was taken, and with fewer workers it would still be less than
///          `up_utilization`; and the last change is `down_cooldown` ago.
/// So a load that comes back within `down_cooldown` finds the workers that it had: nothing flaps.
struct ScalingOptions {
  std::size_t min_workers = 1;  ///< 0 to 10,000.
  std::size_t max_workers = 8;  ///< 1 to 10,000; not below `min_workers`.
  WorkerOptions worker{};       ///< What is added; its id, where there is one, is what their ids begin with.

  double up_depth = 10;  ///< Ready jobs for each worker. 0: not looked at.
  Duration up_wait =
      std::chrono::seconds(10);  ///< For how long the oldest ready job waits. 0: not looked at.
  double up_utilization =
      0.9;  ///< Part of the slots that is taken, while jobs are ready. 0: not looked at; up to 1.
  double down_utilization = 0.5;  ///< From 0 to below `up_utilization`, where that is looked at.

  std::size_t up_step = 1;                           ///< Workers that are added at once: 1 to 1000.
  std::size_t down_step = 1;                         ///< Workers that are taken away at once: 1 to 1000.
  int up_samples = 1;                                ///< 1 to 1000.
  int down_samples = 3;                              ///< 1 to 1000.
  Duration interval = std::chrono::seconds(5);       ///< From one sample to the next: 10 ms to 1 day.
  Duration up_cooldown = std::chrono::seconds(15);   ///< 0 to 1 day.
  Duration down_cooldown = std::chrono::minutes(2);  ///< 0 to 1 day.

  /// Throws ConfigError with every fault.
  void validate() const;
};

/// What scaling goes by.
struct ScalingSample {
  std::size_t workers = 0;  ///< That take jobs.
  std::size_t ready = 0;    ///< Jobs that could run here and don't.
  Duration oldest_wait{0};  ///< Of the oldest one of these.
  double utilization = 0;   ///< 0 to 1.
};

/// Decides how many workers there should be. No clock and no threads: the same samples give the same decisions.
class Autoscaler {
 public:
  /// Throws ConfigError, see ScalingOptions::validate.
  explicit Autoscaler(ScalingOptions options);

  struct Decision {
    int change = 0;  ///< Workers to add, or to take away where it is negative.
    std::string reason{};
  };
  /// To be called every `interval`; `now` must not go back.
  [[nodiscard]] Decision decide(const ScalingSample& sample, SteadyTime now);
  [[nodiscard]] const ScalingOptions& options() const noexcept { return options_; }

 private:
  [[nodiscard]] std::string why_up(const ScalingSample& sample) const;
  [[nodiscard]] bool may_shrink(const ScalingSample& sample) const;

  ScalingOptions options_;
  int ups_ = 0;                               // samples in a row
  int downs_ = 0;                             // the same
  std::optional<SteadyTime> enough_since_{};  // since when fewer workers would have been enough
  std::optional<SteadyTime> changed_{};
};

}  // namespace quern::inline v1
