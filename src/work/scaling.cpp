#include "quern/work/scaling.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "quern/core/error.hpp"
#include "work/worker_check.hpp"

namespace quern::inline v1 {

void ScalingOptions::validate() const {
  std::vector<std::string> faults;
  const auto in_range = [&](std::string_view name, auto value, auto least, auto most) {
    if (value < least || value > most)
      faults.push_back(fmt::format("scaling.{}: is {}; allowed is {} to {}", name, value, least, most));
  };
  const auto duration = [&](std::string_view name, Duration value, Duration least) {
    if (value < least || value > std::chrono::days(1))
      faults.push_back(
          fmt::format("scaling.{}: is {}; allowed is {} to 1d", name, to_text(value), to_text(least)));
  };
  in_range("min_workers", min_workers, std::size_t{0}, std::size_t{10'000});
  in_range("max_workers", max_workers, std::size_t{1}, std::size_t{10'000});
  if (max_workers < min_workers)
    faults.push_back(fmt::format("scaling.max_workers: is {}; allowed is min_workers ({}) or more",
                                 max_workers, min_workers));
  in_range("up_depth", up_depth, 0.0, 1e12);
  in_range("up_utilization", up_utilization, 0.0, 1.0);
  in_range("down_utilization", down_utilization, 0.0, 1.0);
  if (up_utilization > 0 && down_utilization >= up_utilization)
    faults.push_back(fmt::format("scaling.down_utilization: is {}; allowed is less than up_utilization ({})",
                                 down_utilization, up_utilization));
  in_range("up_step", up_step, std::size_t{1}, std::size_t{1000});
  in_range("down_step", down_step, std::size_t{1}, std::size_t{1000});
  in_range("up_samples", up_samples, 1, 1000);
  in_range("down_samples", down_samples, 1, 1000);
  duration("up_wait", up_wait, Duration::zero());
  duration("interval", interval, std::chrono::milliseconds(10));
  duration("up_cooldown", up_cooldown, Duration::zero());
  duration("down_cooldown", down_cooldown, Duration::zero());
  try {
    detail::check_worker(worker, "scaling.worker");
  } catch (const InvalidArgument& e) {
    faults.emplace_back(e.what());
  }
  if (!faults.empty()) throw ConfigError(std::move(faults));
}

Autoscaler::Autoscaler(ScalingOptions options) : options_(std::move(options)) { options_.validate(); }

std::string Autoscaler::why_up(const ScalingSample& sample) const {
  if (sample.ready == 0) return {};
  if (sample.workers == 0) return fmt::format("{} jobs are ready, and no worker takes them", sample.ready);
  const double depth = static_cast<double>(sample.ready) / static_cast<double>(sample.workers);
  if (options_.up_depth > 0 && depth > options_.up_depth)
    return fmt::format("{:.1f} jobs are ready for each worker; {:.1f} may be", depth, options_.up_depth);
  if (options_.up_wait > Duration::zero() && sample.oldest_wait > options_.up_wait)
    return fmt::format("the oldest job waits for {}; {} may be", to_text(sample.oldest_wait),
                       to_text(options_.up_wait));
  if (options_.up_utilization > 0 && sample.utilization > options_.up_utilization)
    return fmt::format("{:.0f} % of the slots are taken; {:.0f} % may be", sample.utilization * 100,
                       options_.up_utilization * 100);
  return {};
}

bool Autoscaler::may_shrink(const ScalingSample& sample) const {
  if (sample.workers <= options_.min_workers || sample.utilization >= options_.down_utilization) return false;
  const std::size_t left =
      std::max(options_.min_workers, sample.workers - std::min(sample.workers, options_.down_step));
  if (left == 0) return sample.ready == 0 && sample.utilization == 0;
  const double after = sample.utilization * static_cast<double>(sample.workers) / static_cast<double>(left);
  const double most = options_.up_utilization > 0 ? options_.up_utilization : 1;
  const bool deep = options_.up_depth > 0 &&
                    static_cast<double>(sample.ready) / static_cast<double>(left) > options_.up_depth;
  return after < most && !deep;
}

Autoscaler::Decision Autoscaler::decide(const ScalingSample& sample, SteadyTime now) {
  // What lies outside the range is put right at once: that is no question of load.
  if (sample.workers < options_.min_workers) {
    changed_ = now;
    return {static_cast<int>(options_.min_workers - sample.workers),
            fmt::format("there are {} workers; at least {} shall be", sample.workers, options_.min_workers)};
  }
  std::string why = why_up(sample);
  ups_ = why.empty() ? 0 : std::min(ups_ + 1, options_.up_samples);
  const bool enough = why.empty() && may_shrink(sample);
  downs_ = enough ? std::min(downs_ + 1, options_.down_samples) : 0;
  if (!enough)
    enough_since_.reset();
  else if (!enough_since_)
    enough_since_ = now;
  const auto cool = [&](Duration cooldown) { return !changed_ || now - *changed_ >= cooldown; };
  if (ups_ == options_.up_samples && sample.workers < options_.max_workers && cool(options_.up_cooldown)) {
    ups_ = 0;
    changed_ = now;
    const std::size_t step = std::min(options_.up_step, options_.max_workers - sample.workers);
    return {static_cast<int>(step), std::move(why)};
  }
  if (downs_ == options_.down_samples && now - *enough_since_ >= options_.down_cooldown &&
      cool(options_.down_cooldown)) {
    downs_ = 0;
    changed_ = now;
    const std::size_t step = std::min(options_.down_step, sample.workers - options_.min_workers);
    return {-static_cast<int>(step),
            fmt::format("{:.0f} % of the slots are taken, and fewer workers are enough",
                        sample.utilization * 100)};
  }
  return {};
}

}  // namespace quern::inline v1
