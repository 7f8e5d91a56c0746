// Processor time and memory of runs, as a monitor tells them.
#include <time.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "quern/job_monitor.hpp"
#include "support/catch.hpp"
#include "support/engine.hpp"

using namespace std::chrono_literals;
using quern::Duration;
using quern::JobContext;
using quern::Payload;
using quern_test::Engine;
using Monitor = quern::JobMonitor<quern::testing::StorageProxy>;

namespace {

Duration own_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::duration_cast<Duration>(std::chrono::seconds(time.tv_sec) +
                                              std::chrono::nanoseconds(time.tv_nsec));
}

/// Keeps the processor busy for so long, however busy it is with others.
void work_for(Duration time) {
  const Duration end = own_time() + time;
  while (own_time() < end) continue;
}

quern::JobMetrics of(const Monitor& monitor, std::string_view kind) {
  for (const auto& jobs : monitor.metrics().jobs)
    if (jobs.kind == kind) return jobs;
  return {};
}

struct Watcher final : quern::QueueObserver {
  void on_ended(std::span<const quern::RunReport> runs) noexcept override {
    reports.insert(reports.end(), runs.begin(), runs.end());
  }
  std::vector<quern::RunReport> reports;
};

}  // namespace

TEST_CASE("the processor time of runs adds up by kind, and is not what they waited", "[monitor][cpu]") {
  Engine engine;
  Monitor monitor(engine.queue);
  engine.handlers.on("busy", [](JobContext&) { work_for(30ms); });
  engine.handlers.on("waits", [&](JobContext&) { engine.clock.advance(10min); }, {.timeout = 1h});
  const auto processor = engine.processor();
  for (const char* const kind : {"busy", "waits", "busy"}) engine.queue.enqueue(kind, Payload());
  engine.settle(*processor);

  CHECK(of(monitor, "busy").completed == 2);
  CHECK(of(monitor, "busy").cpu >= 60ms - 2us);
  CHECK(of(monitor, "waits").completed == 1);
  CHECK(of(monitor, "waits").cpu < 30ms);
  const std::string page = monitor.prometheus();
  CHECK(page.find("# TYPE quern_job_cpu_seconds_total counter") != std::string::npos);
  CHECK(page.find(R"(quern_job_cpu_seconds_total{queue="default",kind="busy"} 0.)") != std::string::npos);
  CHECK(page.find("quern_job_peak_memory_bytes{") == std::string::npos);  // none ran in a process of its own
  const auto json = nlohmann::json::parse(monitor.json());
  CHECK(json.at("jobs").at(0).at("cpu_s").get<double>() >= 0.059);
  CHECK(json.at("jobs").at(0).at("peak_bytes") == 0);
}

TEST_CASE("failed runs have used their processor time, too", "[monitor][cpu]") {
  Engine engine;
  Monitor monitor(engine.queue);
  engine.handlers.on("fails", [](JobContext&) {
    work_for(20ms);
    throw std::runtime_error("no");
  });
  const auto processor = engine.processor();
  engine.queue.enqueue("fails", Payload());
  engine.settle(*processor);
  CHECK(of(monitor, "fails").failed == 1);
  CHECK(of(monitor, "fails").cpu >= 20ms - 1us);
}

TEST_CASE("threads that a handler starts itself are not in its processor time", "[monitor][cpu]") {
  Engine engine;
  Monitor monitor(engine.queue);
  engine.handlers.on("starts", [](JobContext&) { std::jthread([] { work_for(50ms); }).join(); });
  const auto processor = engine.processor();
  engine.queue.enqueue("starts", Payload());
  engine.settle(*processor);
  CHECK(of(monitor, "starts").completed == 1);
  CHECK(of(monitor, "starts").cpu < 50ms);
}

TEST_CASE("of a run that began while nobody watched no processor time is told", "[monitor][cpu]") {
  Engine engine;
  const auto watcher = std::make_shared<Watcher>();
  engine.handlers.on("busy", [&](JobContext&) {
    work_for(5ms);
    if (watcher->reports.empty()) engine.queue.core().observers().add(watcher);
  });
  const auto processor = engine.processor();
  engine.queue.enqueue("busy", Payload());
  engine.settle(*processor);
  engine.queue.enqueue("busy", Payload());
  engine.settle(*processor);
  REQUIRE(watcher->reports.size() == 2);
  CHECK(watcher->reports[0].cpu == 0ms);
  CHECK(watcher->reports[1].cpu >= 5ms - 1us);
  CHECK(watcher->reports[1].peak_memory == 0);
}

TEST_CASE("the largest of all peaks stays, and processor time of isolated runs adds up", "[monitor][cpu]") {
  Engine engine;
  Monitor monitor(engine.queue);
  quern::RunReport run;
  run.queue = "default";
  run.kind = "isolated";
  run.began = true;
  for (const std::uint64_t bytes : {1'000U, 5'000U, 2'000U}) {
    run.cpu = 250ms;
    run.peak_memory = bytes;
    engine.queue.core().observers().tell([&](quern::QueueObserver& o) { o.on_ended({&run, 1}); });
  }
  CHECK(of(monitor, "isolated").cpu == 750ms);
  CHECK(of(monitor, "isolated").peak_memory == 5'000);
  const std::string page = monitor.prometheus();
  CHECK(page.find(R"(quern_job_cpu_seconds_total{queue="default",kind="isolated"} 0.75)") !=
        std::string::npos);
  CHECK(page.find(R"(quern_job_peak_memory_bytes{queue="default",kind="isolated"} 5000)") !=
        std::string::npos);
}
