// Whether a process is alive and ready, whatever its probes do.
#include "quern/monitor/health.hpp"

#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "quern/core/error.hpp"
#include "support/catch.hpp"
#include "support/engine.hpp"

using namespace std::chrono_literals;
using quern::ComponentHealth;
using quern::HealthChecks;
using quern::HealthProbe;
using quern::HealthReport;
using quern::HealthStatus;
using quern::InlineExecutor;
using quern::ManualClock;
using quern::ProbeResult;
using quern::ProbeScope;
using quern_test::HeldExecutor;

namespace {

HealthProbe probe(std::string name, std::function<ProbeResult(std::stop_token)> check) {
  HealthProbe made;
  made.name = std::move(name);
  made.check = std::move(check);
  return made;
}
HealthProbe says(std::string name, const HealthStatus& status) {
  return probe(std::move(name),
               [&status](const std::stop_token&) { return ProbeResult{status, "as told", {}}; });
}

const ComponentHealth& of(const HealthReport& report, const std::string& name) {
  for (const auto& component : report.components)
    if (component.name == name) return component;
  throw std::runtime_error("no component " + name);
}

}  // namespace

TEST_CASE("a process is ready once all its critical components were looked at and are up", "[health]") {
  ManualClock clock;
  HealthStatus status = HealthStatus::up;
  HealthChecks<InlineExecutor> health({says("database", status)}, clock);
  CHECK(health.readiness().status == HealthStatus::down);
  CHECK(of(health.readiness(), "database").status == HealthStatus::unknown);
  CHECK(health.liveness().status == HealthStatus::up);
  CHECK(health.tick(clock.now()).at == clock.now() + 10s);
  CHECK(health.readiness().status == HealthStatus::up);
  CHECK(health.readiness().ok());

  status = HealthStatus::down;
  clock.advance(9s);
  health.tick(clock.now());
  CHECK(health.readiness().status == HealthStatus::up);  // as of 9 s ago
  CHECK(of(health.readiness(), "database").age == 9s);
  clock.advance(1s);
  health.tick(clock.now());
  CHECK(health.readiness().status == HealthStatus::down);
  CHECK_FALSE(health.readiness().ok());
  CHECK(of(health.readiness(), "database").message == "as told");
}

TEST_CASE("the whole is as bad as its worst critical component, and degraded by others", "[health]") {
  ManualClock clock;
  HealthStatus critical = HealthStatus::up;
  HealthStatus other = HealthStatus::up;
  HealthProbe second = says("second", other);
  second.critical = false;
  HealthChecks<InlineExecutor> health({says("first", critical), second}, clock);
  const auto whole = [&](HealthStatus one, HealthStatus two) {
    critical = one;
    other = two;
    clock.advance(10s);
    health.tick(clock.now());
    return health.readiness().status;
  };
  using enum HealthStatus;
  CHECK(whole(up, up) == up);
  CHECK(whole(degraded, up) == degraded);
  CHECK(whole(down, up) == down);
  CHECK(whole(unknown, up) == down);
  CHECK(whole(up, degraded) == degraded);
  CHECK(whole(up, down) == degraded);
  CHECK(whole(up, unknown) == degraded);
  CHECK(whole(down, down) == down);
}

TEST_CASE("a probe answers the question that it is for", "[health]") {
  ManualClock clock;
  const HealthStatus up = HealthStatus::up;
  const HealthStatus down = HealthStatus::down;
  HealthProbe ready = says("ready", down);
  HealthProbe live = says("live", up);
  live.scope = ProbeScope::liveness;
  HealthProbe both = says("both", up);
  both.scope = ProbeScope::both;
  HealthChecks<InlineExecutor> health({ready, live, both}, clock);
  health.tick(clock.now());
  CHECK(health.readiness().status == HealthStatus::down);
  CHECK(health.liveness().status == HealthStatus::up);
  CHECK(health.readiness().components.size() == 2);
  CHECK(health.liveness().components.size() == 2);
}

TEST_CASE("a probe that throws is down, with what it says", "[health]") {
  ManualClock clock;
  HealthChecks<InlineExecutor> health(
      {probe("a", [](const std::stop_token&) -> ProbeResult { throw std::runtime_error("refused\x01"); }),
       probe("b", [](const std::stop_token&) -> ProbeResult { throw 7; })},
      clock);
  health.tick(clock.now());
  CHECK(of(health.readiness(), "a").status == HealthStatus::down);
  CHECK(of(health.readiness(), "a").message == "refused ");
  CHECK(of(health.readiness(), "b").status == HealthStatus::down);
}

TEST_CASE("a probe that hangs is given up, keeps no other from its turn, and is not begun a second time",
          "[health]") {
  ManualClock clock;
  int runs = 0;
  int others = 0;
  bool asked = false;
  HealthProbe hangs = probe("hangs", [&](const std::stop_token& stop) {
    ++runs;
    asked = stop.stop_requested();
    return ProbeResult();
  });
  hangs.timeout = 3s;
  const HealthProbe other = probe("other", [&](const std::stop_token&) {
    ++others;
    return ProbeResult();
  });
  std::vector<std::string> log;
  HealthChecks<HeldExecutor> health(
      {hangs, other}, clock, [&](const quern::LogRecord& record) { log.emplace_back(record.message); });
  auto& executor = health.executor();
  CHECK(health.tick(clock.now()).at == clock.now() + 3s);
  REQUIRE(executor.tasks.size() == 2);
  auto held = std::move(executor.tasks.front());
  executor.tasks.erase(executor.tasks.begin());
  executor.run_all();
  CHECK(of(health.readiness(), "other").status == HealthStatus::up);
  CHECK(of(health.readiness(), "hangs").running == 0s);

  clock.advance(2s);
  health.tick(clock.now());
  CHECK(of(health.readiness(), "hangs").status == HealthStatus::unknown);
  clock.advance(1s);
  health.tick(clock.now());
  CHECK(of(health.readiness(), "hangs").status == HealthStatus::down);
  CHECK(of(health.readiness(), "hangs").timed_out);
  CHECK(of(health.readiness(), "hangs").message == "timed out after 3s");
  CHECK(executor.abandoned == std::vector{held.first});
  CHECK(log.size() == 1);

  for (int i = 0; i < 10; ++i) {
    clock.advance(10s);
    health.tick(clock.now());
    executor.run_all();
  }
  CHECK(others == 11);
  CHECK(runs == 0);
  CHECK(of(health.readiness(), "hangs").status == HealthStatus::down);
  CHECK(of(health.readiness(), "hangs").age == 100s);
  CHECK(log.size() == 1);

  held.second();  // its thread comes to it at last
  CHECK(of(health.readiness(), "hangs").status == HealthStatus::down);
  health.tick(clock.now());
  executor.run_all();
  CHECK(runs == 1);
  CHECK_FALSE(asked);
  CHECK(of(health.readiness(), "hangs").status == HealthStatus::up);
  CHECK_FALSE(of(health.readiness(), "hangs").timed_out);
}

TEST_CASE("a run is asked to stop at its timeout, and its late result is dropped", "[health][threads]") {
  ManualClock clock;
  std::atomic<bool> began{false};
  std::atomic<bool> returned{false};
  HealthProbe slow = probe("slow", [&](const std::stop_token& stop) {
    began = true;
    while (!stop.stop_requested()) std::this_thread::yield();
    returned = true;
    return ProbeResult{HealthStatus::up, "late", {}};
  });
  slow.timeout = 3s;
  HealthChecks health({slow}, clock);
  health.tick(clock.now());
  while (!began) std::this_thread::yield();
  clock.advance(3s);
  health.tick(clock.now());
  while (!returned || of(health.readiness(), "slow").running) std::this_thread::yield();
  CHECK(of(health.readiness(), "slow").timed_out);
  CHECK(of(health.readiness(), "slow").message == "timed out after 3s");
}

TEST_CASE("checks that nobody ticks any more are no good, but no reason for a restart", "[health]") {
  ManualClock clock;
  const HealthStatus up = HealthStatus::up;
  HealthProbe both = says("both", up);
  both.scope = ProbeScope::both;
  HealthChecks<InlineExecutor> health({both}, clock);
  health.tick(clock.now());
  clock.advance(35s);
  CHECK(health.readiness().status == HealthStatus::up);
  clock.advance(1s);
  CHECK(health.readiness().status == HealthStatus::down);
  CHECK(of(health.readiness(), "both").message == "not checked for 36s");
  CHECK(health.liveness().status == HealthStatus::up);
}

TEST_CASE("a wall clock that is set takes no part in timeouts and intervals", "[health]") {
  ManualClock clock;
  int runs = 0;
  HealthChecks<InlineExecutor> health({probe("a",
                                             [&](const std::stop_token&) {
                                               ++runs;
                                               return ProbeResult();
                                             })},
                                      clock);
  health.tick(clock.now());
  clock.set_wall(clock.now() + 1h);
  health.tick(clock.now());
  CHECK(runs == 1);
  clock.set_wall(clock.now() - 2h);
  clock.advance(10s);
  health.tick(clock.now());
  CHECK(runs == 2);
}

TEST_CASE("all faults of all probes are told at once", "[health]") {
  HealthProbe first;
  first.timeout = 0s;
  HealthProbe second = probe("second", [](const std::stop_token&) { return ProbeResult(); });
  second.interval = 1ms;
  try {
    const HealthChecks<InlineExecutor> health({first, second, second});
    FAIL("they were taken");
  } catch (const quern::ConfigError& e) {
    CHECK(e.faults() ==
          std::vector<std::string>{"probes[0].name: is empty", "probes[0].check: is empty",
                                   "probes[0].timeout: is 0s; allowed is 1ms to 1h",
                                   "probes[1].interval: is 1ms; allowed is 10ms to 1d (probe \"second\")",
                                   "probes[2].name: is that of another one (probe \"second\")",
                                   "probes[2].interval: is 1ms; allowed is 10ms to 1d (probe \"second\")"});
  }
}

TEST_CASE("a report as JSON has each component with its figures", "[health]") {
  ManualClock clock;
  HealthChecks<InlineExecutor> health({probe("api",
                                             [&](const std::stop_token&) {
                                               clock.advance(2s);
                                               return ProbeResult{
                                                   HealthStatus::degraded, "slow", {{"latency_ms", 2000}}};
                                             })},
                                      clock);
  health.tick(clock.now());
  clock.advance(1s);
  const auto json = nlohmann::json::parse(to_json(health.readiness()));
  CHECK(json.at("status") == "degraded");
  const auto& api = json.at("components").at("api");
  CHECK(api.at("status") == "degraded");
  CHECK(api.at("message") == "slow");
  CHECK(api.at("critical") == true);
  CHECK(api.at("age_s") == 1);
  CHECK(api.at("took_s") == 2);
  CHECK(api.at("details").at("latency_ms") == 2000);
}

TEST_CASE("checks on threads of their own answer while a probe hangs, and end with it hanging",
          "[health][threads]") {
  // What a hung run refers to outlives it.
  struct Gate {
    std::mutex mutex;
    std::condition_variable changed;
    int runs = 0;
    bool entered = false;
    bool open = false;
    bool left = false;
  };
  const auto gate = std::make_shared<Gate>();
  {
    HealthProbe hangs = probe("hangs", [gate](const std::stop_token&) {
      std::unique_lock lock(gate->mutex);
      gate->entered = true;
      gate->changed.wait(lock, [&] { return gate->open; });
      gate->left = true;
      gate->changed.notify_all();
      return ProbeResult();
    });
    hangs.timeout = 50ms;
    HealthProbe quick = probe("quick", [gate](const std::stop_token&) {
      const std::lock_guard lock(gate->mutex);
      ++gate->runs;
      gate->changed.notify_all();
      return ProbeResult();
    });
    quick.interval = 10ms;
    HealthChecks health({hangs, quick});
    health.start();
    health.start();
    std::unique_lock lock(gate->mutex);
    // Asked anew after each run of the quick one.
    CHECK(gate->changed.wait_for(
        lock, 60s, [&] { return gate->runs >= 10 && of(health.readiness(), "hangs").timed_out; }));
    CHECK(gate->entered);
    lock.unlock();
    CHECK(health.liveness().ok());
    health.stop();
  }
  std::unique_lock lock(gate->mutex);
  CHECK_FALSE(gate->left);
  gate->open = true;
  gate->changed.notify_all();
  CHECK(gate->changed.wait_for(lock, 60s, [&] { return gate->left; }));
}
