#include "quern/work/scaling.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "quern/core/error.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using quern::Autoscaler;
using quern::Duration;
using quern::ScalingOptions;
using quern::ScalingSample;
using quern::SteadyTime;

namespace {

/// A pool in simulated time: jobs come as `arrivals(second)` says, each takes a second, and each worker runs `slots`.
struct Simulation {
  Autoscaler scaler;
  std::size_t workers;
  std::size_t slots;
  std::size_t waiting = 0;
  std::vector<std::size_t> trace{};  // workers, second by second
  std::vector<int> changes{};

  template <class Arrivals>
  void run(int seconds, const Arrivals& arrivals) {
    const int from = static_cast<int>(trace.size());
    for (int second = from; second < from + seconds; ++second) {
      waiting += static_cast<std::size_t>(arrivals(second));
      const std::size_t all = workers * slots;
      const std::size_t running = std::min(all, waiting);
      waiting -= running;
      const int interval = static_cast<int>(scaler.options().interval / 1s);
      if (second % interval == 0) {
        const ScalingSample sample{
            .workers = workers,
            .ready = waiting,
            .oldest_wait = 1s * static_cast<int>(all == 0 ? 0 : waiting / all),
            .utilization = all == 0 ? 0 : static_cast<double>(running) / static_cast<double>(all)};
        const auto decision = scaler.decide(sample, SteadyTime(1h) + 1s * second);
        if (decision.change != 0) {
          CHECK_FALSE(decision.reason.empty());
          changes.push_back(decision.change);
          workers = static_cast<std::size_t>(static_cast<int>(workers) + decision.change);
        }
      }
      trace.push_back(workers);
    }
  }
  /// How often it turned from growing to shrinking or back.
  [[nodiscard]] int turns() const {
    int count = 0;
    for (std::size_t i = 1; i < changes.size(); ++i)
      if ((changes[i] > 0) != (changes[i - 1] > 0)) ++count;
    return count;
  }
};

ScalingOptions quick() {
  ScalingOptions options;
  options.min_workers = 1;
  options.max_workers = 8;
  options.interval = 5s;
  options.up_cooldown = 5s;
  options.down_cooldown = 60s;
  return options;
}

}  // namespace

TEST_CASE("a pool grows to its maximum under a wave and shrinks to its minimum after it", "[scaling]") {
  Simulation pool{Autoscaler(quick()), 1, 5};
  pool.run(120, [](int) { return 60; });
  CHECK(pool.trace.back() == 8);
  CHECK(std::ranges::is_sorted(pool.trace));
  pool.waiting = 0;
  pool.run(1200, [](int) { return 0; });
  CHECK(pool.trace.back() == 1);
  CHECK(pool.turns() == 1);
  CHECK(*std::ranges::max_element(pool.trace) == 8);
  CHECK(*std::ranges::min_element(pool.trace) == 1);
}

TEST_CASE("a square wave shorter than the cool-down makes no worker come and go", "[scaling]") {
  // 40 s of full load and 40 s of none: the pool grows once, and stays.
  Simulation pool{Autoscaler(quick()), 1, 5};
  pool.run(3600, [](int second) { return (second / 40) % 2 == 0 ? 30 : 0; });
  INFO("changes: " << Catch::StringMaker<std::vector<int>>::convert(pool.changes));
  CHECK(pool.turns() == 0);
}

TEST_CASE("a square wave longer than the cool-down is followed once up and once down a period", "[scaling]") {
  Simulation pool{Autoscaler(quick()), 1, 5};
  constexpr int periods = 4;
  pool.run(periods * 2400, [](int second) { return (second / 1200) % 2 == 0 ? 35 : 0; });
  INFO("changes: " << Catch::StringMaker<std::vector<int>>::convert(pool.changes));
  CHECK(pool.turns() == 2 * periods - 1);
  // By the end of each half it has arrived.
  for (int half = 0; half < 2 * periods; ++half) {
    const std::size_t workers = pool.trace[static_cast<std::size_t>(half + 1) * 1200 - 1];
    if (half % 2 == 0)
      CHECK(workers >= 7);
    else
      CHECK(workers == 1);
  }
}

TEST_CASE("a steady load finds a number of workers that stays", "[scaling]") {
  for (const std::size_t load : {3U, 9U, 14U, 22U, 33U}) {
    Simulation pool{Autoscaler(quick()), 1, 5};
    pool.run(1800, [&](int) { return load; });
    const std::vector<std::size_t> last(pool.trace.end() - 900, pool.trace.end());
    INFO("load " << load << ", changes: " << Catch::StringMaker<std::vector<int>>::convert(pool.changes));
    CHECK(std::ranges::min(last) == std::ranges::max(last));
    CHECK(last.front() * 5 >= load);
    CHECK(pool.waiting < 50);
  }
}

TEST_CASE("each threshold alone makes a pool grow, and says so", "[scaling]") {
  const SteadyTime now(1h);
  const ScalingSample calm{.workers = 2, .ready = 0, .utilization = 0.7};
  SECTION("depth") {
    Autoscaler scaler(quick());
    auto sample = calm;
    sample.ready = 20;
    CHECK(scaler.decide(sample, now).change == 0);
    sample.ready = 21;
    const auto decision = scaler.decide(sample, now);
    CHECK(decision.change == 1);
    CHECK(decision.reason == "10.5 jobs are ready for each worker; 10.0 may be");
  }
  SECTION("wait") {
    Autoscaler scaler(quick());
    auto sample = calm;
    sample.ready = 1;
    sample.oldest_wait = 10s;
    CHECK(scaler.decide(sample, now).change == 0);
    sample.oldest_wait = 11s;
    CHECK(scaler.decide(sample, now).reason == "the oldest job waits for 11s; 10s may be");
  }
  SECTION("utilization, where jobs wait") {
    Autoscaler scaler(quick());
    auto sample = calm;
    sample.utilization = 1;
    CHECK(scaler.decide(sample, now).change == 0);
    sample.ready = 1;
    CHECK(scaler.decide(sample, now).change == 1);
  }
  SECTION("what is 0 is not looked at") {
    auto options = quick();
    options.up_depth = 0;
    options.up_wait = 0s;
    options.up_utilization = 0;
    Autoscaler scaler(options);
    CHECK(scaler.decide({.workers = 2, .ready = 100'000, .oldest_wait = 1h, .utilization = 1}, now).change ==
          0);
  }
}

TEST_CASE("steps, samples in a row and cool-downs are as asked for", "[scaling]") {
  auto options = quick();
  options.up_step = 5;
  options.down_step = 4;
  options.up_samples = 3;
  options.down_samples = 2;
  options.up_cooldown = 30s;
  options.down_cooldown = 60s;
  Autoscaler scaler(options);
  SteadyTime now(1h);
  const auto after = [&](Duration time, const ScalingSample& sample) {
    now += time;
    return scaler.decide(sample, now).change;
  };
  const ScalingSample loaded{.workers = 2, .ready = 1000, .utilization = 1};
  CHECK(after(5s, loaded) == 0);
  CHECK(after(5s, loaded) == 0);
  CHECK(after(5s, {.workers = 2, .ready = 0, .utilization = 0.7}) == 0);  // not in a row
  CHECK(after(5s, loaded) == 0);
  CHECK(after(5s, loaded) == 0);
  CHECK(after(5s, loaded) == 5);
  auto more = loaded;
  more.workers = 7;
  CHECK(after(10s, more) == 0);
  CHECK(after(10s, more) == 0);
  CHECK(after(5s, more) == 0);   // cool-down
  CHECK(after(10s, more) == 1);  // up to the maximum
  const ScalingSample idle{.workers = 8, .ready = 0, .utilization = 0};
  CHECK(after(50s, idle) == 0);
  CHECK(after(30s, idle) == 0);
  CHECK(after(5s, {.workers = 8, .ready = 0, .oldest_wait = {}, .utilization = 0.7}) ==
        0);  // not all the while
  CHECK(after(5s, idle) == 0);
  CHECK(after(55s, idle) == 0);
  CHECK(after(5s, idle) == -4);
  auto less = idle;
  less.workers = 4;
  CHECK(after(59s, less) == 0);  // cool-down
  CHECK(after(1s, less) == -3);  // down to the minimum
}

TEST_CASE("a pool without workers grows as soon as a job waits, and one below its minimum at once",
          "[scaling]") {
  auto options = quick();
  options.min_workers = 0;
  Autoscaler scaler(options);
  CHECK(scaler.decide({.workers = 0, .ready = 0}, SteadyTime(1h)).change == 0);
  CHECK(scaler.decide({.workers = 0, .ready = 1}, SteadyTime(2h)).change == 1);
  options.min_workers = 3;
  Autoscaler other(options);
  CHECK(other.decide({.workers = 1, .ready = 0}, SteadyTime(1h)).change == 2);
}

TEST_CASE("scaling options that make no sense are all named at once", "[scaling]") {
  ScalingOptions options;
  options.min_workers = 9;
  options.max_workers = 8;
  options.up_utilization = 0.5;
  options.down_utilization = 0.5;
  options.up_step = 0;
  options.interval = 1ms;
  options.worker.max_jobs = 0;
  try {
    const Autoscaler scaler(options);
    FAIL("accepted");
  } catch (const quern::ConfigError& e) {
    CHECK(e.faults() == std::vector<std::string>{
                            "scaling.max_workers: is 8; allowed is min_workers (9) or more",
                            "scaling.down_utilization: is 0.5; allowed is less than up_utilization (0.5)",
                            "scaling.up_step: is 0; allowed is 1 to 1000",
                            "scaling.interval: is 1ms; allowed is 10ms to 1d",
                            "scaling.worker.max_jobs: is 0; allowed is 1 to 100000"});
  }
}
