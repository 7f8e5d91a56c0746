// The probes for what every host has.
#include "quern/monitor/health_probes.hpp"

#include "support/catch.hpp"
#include "support/engine.hpp"
#include "support/temp_folder.hpp"

using namespace std::chrono_literals;
using quern::HealthProbe;
using quern::HealthStatus;
using quern::JobContext;
using quern::Payload;
using quern::ProbeResult;
using quern_test::Engine;

namespace {

double detail(const ProbeResult& result, const std::string& name) {
  for (const auto& [its_name, value] : result.details)
    if (its_name == name) return value;
  throw std::runtime_error("no detail " + name);
}

}  // namespace

TEST_CASE("a storage is up, slow, or away", "[health]") {
  Engine engine;
  const HealthProbe probe = quern::storage_probe(engine.queue, {.slow = 100ms});
  engine.storage.after = [&](std::string_view) { engine.clock.advance(100ms); };
  auto result = probe.check({});
  CHECK(result.status == HealthStatus::up);
  CHECK(detail(result, "latency_ms") == 100);
  engine.storage.after = [&](std::string_view) { engine.clock.advance(101ms); };
  result = probe.check({});
  CHECK(result.status == HealthStatus::degraded);
  CHECK(result.message == "answered after 101ms");
  engine.storage.before = [](std::string_view) { throw quern::StorageError("gone fishing", true); };
  quern::HealthChecks<quern::InlineExecutor> health({probe}, engine.clock);
  health.tick(engine.clock.now());
  CHECK(health.readiness().status == HealthStatus::down);
  CHECK(health.readiness().components.at(0).message == "gone fishing");
  CHECK(health.liveness().ok());
}

TEST_CASE("a queue is degraded where it is paused or too long", "[health]") {
  Engine engine;
  quern::JobMonitor monitor(engine.queue);
  const HealthProbe all = quern::queue_probe(monitor, {.most_ready = 2});
  const HealthProbe mail = quern::queue_probe(monitor, {.queue = "mail"});
  CHECK_FALSE(all.critical);
  CHECK(all.check({}).status == HealthStatus::unknown);
  const auto look = [&](const HealthProbe& probe) {
    engine.clock.advance(15s);
    monitor.tick(engine.clock.now());
    return probe.check({});
  };
  engine.queue.enqueue("work", Payload());
  engine.queue.enqueue("work", Payload());
  CHECK(look(all).status == HealthStatus::up);
  CHECK(detail(look(all), "ready") == 2);
  engine.queue.enqueue("work", Payload());
  CHECK(look(all).status == HealthStatus::degraded);
  engine.queue.pause("default");
  CHECK(look(mail).status == HealthStatus::up);
  engine.queue.pause("mail");
  CHECK(look(mail).message == "the queue mail is paused");
}

TEST_CASE("workers are down without slots, and degraded after a lease was lost", "[health]") {
  Engine engine;
  const HealthProbe probe = quern::worker_probe(engine.queue);
  CHECK(probe.check({}).status == HealthStatus::down);
  engine.handlers.on("work", [](JobContext&) {});
  const auto processor = engine.processor<quern_test::HeldExecutor>();
  engine.queue.enqueue("work", Payload());
  engine.settle(*processor);
  auto result = probe.check({});
  CHECK(result.status == HealthStatus::up);
  CHECK(detail(result, "slots") == 50);
  CHECK(detail(result, "running") == 1);

  engine.clock.advance(1h);
  engine.port.rescue(100, 3);
  engine.settle(*processor);
  CHECK(probe.check({}).status == HealthStatus::degraded);
  engine.pass(*processor, 5min);
  CHECK(probe.check({}).status == HealthStatus::up);
  processor->request_stop({.wait = 0s, .grace = 0s});
  for (int step = 0; step < 5; ++step) processor->tick(engine.clock.now());
  CHECK(probe.check({}).status == HealthStatus::down);
}

TEST_CASE(
    "an engine that does not come round is stuck, and one that has stopped or waits for its storage is not",
    "[health]") {
  Engine engine;
  const HealthProbe probe = quern::engine_probe(engine.queue, 1min);
  CHECK(probe.scope == quern::ProbeScope::liveness);
  CHECK(probe.check({}).status == HealthStatus::up);
  const auto processor = engine.processor();
  engine.pass(*processor, 5min);
  CHECK(probe.check({}).status == HealthStatus::up);
  engine.storage.before = [](std::string_view) { throw quern::StorageError("gone fishing", true); };
  engine.pass(*processor, 5min);
  CHECK(probe.check({}).status == HealthStatus::up);
  engine.storage.before = {};
  engine.clock.advance(1min);
  CHECK(probe.check({}).status == HealthStatus::up);
  engine.clock.advance(1min);
  const auto stuck = probe.check({});
  CHECK(stuck.status == HealthStatus::down);
  CHECK(detail(stuck, "idle_s") >= 60);
  processor->request_stop({.wait = 0s, .grace = 0s});
  for (int step = 0; step < 5; ++step) processor->tick(engine.clock.now());
  engine.clock.advance(1h);
  CHECK(probe.check({}).status == HealthStatus::up);
  CHECK_THROWS_AS(quern::engine_probe(engine.queue, 1s), quern::InvalidArgument);
}

TEST_CASE("memory and disk are measured against what is allowed", "[health]") {
  CHECK(quern::memory_probe(std::uint64_t{1} << 50U).check({}).status == HealthStatus::up);
  if (quern::process_usage().resident_bytes > 0) {
    CHECK(quern::memory_probe(1000).check({}).status == HealthStatus::down);
    const auto now = quern::process_usage().resident_bytes;
    CHECK(quern::memory_probe(now + now / 20).check({}).status != HealthStatus::up);
  }
  CHECK_THROWS_AS(quern::memory_probe(0), quern::InvalidArgument);

  const quern_test::TempFolder folder;
  CHECK(quern::disk_probe(folder.path(), 1).check({}).status == HealthStatus::up);
  CHECK(quern::disk_probe(folder.path(), std::uint64_t{1} << 62U).check({}).status == HealthStatus::down);
  CHECK_THROWS(quern::disk_probe(folder.path() / "none", 1).check({}));
}
