#include "quern/monitor/rate_window.hpp"

#include <algorithm>

namespace quern::inline v1 {

void RateWindow::add(SteadyTime now, std::uint32_t ended, std::uint32_t failed) {
  const std::int64_t at = std::max(number(now), latest_);
  const auto size = static_cast<std::int64_t>(steps);
  for (std::int64_t i = std::max(latest_ + 1, at - size + 1); i <= at; ++i)
    counted_[static_cast<std::size_t>(i % size)] = {};
  latest_ = at;
  Step& step_now = counted_[static_cast<std::size_t>(at % size)];
  step_now.ended += ended;
  step_now.failed += failed;
}

RateWindow::Rate RateWindow::over(Duration window, SteadyTime now) const {
  const std::int64_t at = std::max(number(now), latest_);
  const std::int64_t whole = std::clamp(window, step, longest) / step;
  const auto size = static_cast<std::int64_t>(steps);
  Rate rate;
  for (std::int64_t i = std::max<std::int64_t>({at - whole, latest_ - size + 1, 0}); i < at && i <= latest_;
       ++i) {
    rate.ended += counted_[static_cast<std::size_t>(i % size)].ended;
    rate.failed += counted_[static_cast<std::size_t>(i % size)].failed;
  }
  rate.per_second =
      static_cast<double>(rate.ended) /
      std::chrono::duration<double>(static_cast<double>(whole) * std::chrono::duration<double>(step)).count();
  if (rate.ended > 0) rate.failed_share = static_cast<double>(rate.failed) / static_cast<double>(rate.ended);
  return rate;
}

}  // namespace quern::inline v1
