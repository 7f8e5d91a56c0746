#include <algorithm>

#include "quern/core/error.hpp"
#include "quern/job_service.hpp"
#include "support/catch.hpp"
#include "support/engine.hpp"

using quern::JobContext;
using quern::JobResult;
using quern::JobState;
using quern::ReloadResult;
using quern::ServiceConfig;
using Paths = std::vector<std::string>;
using namespace std::chrono_literals;

namespace {

struct Scene {
  using Service = quern::JobService<quern::AnyStorage, quern::InlineExecutor>;
  quern::ManualClock clock;
  quern_test::EngineStorage own{quern::ClockRef(clock)};
  std::unique_ptr<Service> service;

  explicit Scene(ServiceConfig config) {
    service = std::make_unique<Service>(own.storage, std::move(config));
    service->handlers().on("work", [](JobContext&) {});
    service->handlers().on("fails", [](JobContext&) { return JobResult::failed("no"); });
  }
  void settle() {
    for (int step = 0; step < 10'000; ++step)
      if (service->tick(clock.now()).at > clock.now()) return;
    throw std::runtime_error("the service does not come to rest");
  }
  void pass(quern::Duration time) {
    for (const auto end = clock.now() + time; clock.now() < end;
         clock.advance(std::min<quern::Duration>(1s, end - clock.now())))
      settle();
    settle();
  }
  /// "a 5, b 3 disabled"
  [[nodiscard]] std::string workers() const {
    std::string text;
    for (const auto& worker : service->pool()->workers())
      text += (text.empty() ? "" : ", ") + worker.options.id + ' ' + std::to_string(worker.options.max_jobs) +
              (worker.state == quern::WorkerState::active ? "" : " " + std::string(to_string(worker.state)));
    return text;
  }
};

ServiceConfig with_workers(std::vector<quern::WorkerOptions> workers) {
  ServiceConfig config;
  config.pool.workers = std::move(workers);
  return config;
}

}  // namespace

TEST_CASE("workers with ids are changed while jobs run", "[service]") {
  Scene scene(with_workers({{.id = "a"}, {.id = "b"}, {.id = "c"}}));
  scene.settle();
  REQUIRE(scene.workers() == "a 5, b 5, c 5");
  const ReloadResult result = scene.service->reload(
      with_workers({{.id = "a", .max_jobs = 9}, {.id = "c", .enabled = false}, {.id = "d", .max_jobs = 1}}));
  CHECK(result.applied == Paths{"pool.workers"});
  CHECK(result.at_next_start.empty());
  CHECK(result.refused.empty());
  scene.settle();
  CHECK(scene.workers() == "a 9, c 5 disabled, d 1");
  // One that changes more is replaced.
  scene.service->reload(with_workers({{.id = "a", .max_jobs = 9, .weight = 2}, {.id = "c"}}));
  scene.settle();
  CHECK(scene.workers() == "c 5, a 9");
  CHECK(scene.service->pool()->workers().at(1).options.weight == 2);
}

TEST_CASE("workers without ids wait for the next start", "[service]") {
  Scene scene(with_workers({{.max_jobs = 2}}));
  scene.settle();
  const auto result = scene.service->reload(with_workers({{.max_jobs = 3}}));
  CHECK(result.at_next_start == Paths{"pool.workers"});
  scene.settle();
  CHECK(scene.workers() == "worker-1 2");
  scene.service->stop();
  scene.settle();
  CHECK(scene.workers() == "worker-1 3");
}

TEST_CASE("scaling changes while jobs run, is switched on and off", "[service]") {
  Scene scene(with_workers({{.id = "a"}}));
  scene.settle();
  ServiceConfig next = with_workers({{.id = "a"}});
  next.pool.scaling = quern::ScalingOptions{.min_workers = 3, .max_workers = 4};
  CHECK(scene.service->reload(next).applied == Paths{"pool.scaling"});
  scene.settle();
  CHECK(scene.service->pool()->workers().size() == 3);
  next.pool.scaling->min_workers = 1;
  next.pool.scaling->max_workers = 2;
  CHECK(scene.service->reload(next).applied == Paths{"pool.scaling.maxWorkers", "pool.scaling.minWorkers"});
  scene.settle();
  CHECK(scene.service->pool()->workers().size() == 2);
  next.pool.scaling.reset();
  scene.service->reload(next);
  scene.pass(10min);
  CHECK(scene.service->pool()->workers().size() == 2);
}

TEST_CASE("retries go by the new configuration at once", "[service]") {
  ServiceConfig config;
  config.queue.default_max_retries = 0;
  Scene scene(config);
  auto& queue = scene.service->queue();
  const auto first = queue.enqueue("fails", {});
  scene.settle();
  CHECK(queue.find(first)->state == JobState::dead);
  ServiceConfig next = config;
  next.queue.default_max_retries = 5;
  next.queue.max_concurrent_jobs = 3;
  next.queue.enable_metrics = false;
  const auto result = scene.service->reload(next);
  CHECK(result.applied == Paths{"queue.defaultMaxRetries"});
  CHECK(result.at_next_start == Paths{"queue.maxConcurrentJobs"});
  CHECK(result.refused == Paths{"queue.enableMetrics"});
  CHECK(scene.service->config().queue.enable_metrics);
  const auto second = queue.enqueue("fails", {});
  scene.settle();
  CHECK(queue.find(second)->state == JobState::scheduled);
  CHECK(scene.workers() == "worker-1 50");
  scene.service->stop();
  scene.settle();
  CHECK(scene.workers() == "worker-1 3");
}

TEST_CASE("limits over all nodes are set at the start and change while jobs run", "[service]") {
  const auto names = [](Scene& scene) {
    Paths list;
    for (const auto& limit : scene.service->queue().limits())
      list.push_back(limit.rule.name + ' ' + std::to_string(limit.rule.max_running));
    std::ranges::sort(list);
    return list;
  };
  ServiceConfig config = ServiceConfig::from_json(
      "{\"limits\": [{\"name\": \"a\", \"kind\": \"work\", \"maxRunning\": 1}, {\"name\": \"b\", \"rate\":"
      " {\"count\": 5, \"per\": \"1m\", \"algorithm\": \"sliding_window\"}}]}");
  Scene scene(config);
  scene.service->queue().limit({.name = "of another", .max_running = 9});
  scene.settle();
  CHECK(names(scene) == Paths{"a 1", "b 0", "of another 9"});
  config.limits = {{.name = "a", .kind = "work", .max_running = 3}};
  CHECK(scene.service->reload(config).applied == Paths{"limits"});
  CHECK(names(scene) == Paths{"a 3", "of another 9"});
  CHECK_THROWS_WITH(ServiceConfig::from_json("{\"limits\": [{\"name\": \"a\"}]}"),
                    Catch::Contains("limits[0]."));
}

TEST_CASE("alert rules change while they are watched, and those that are functions stay", "[service]") {
  double value = 0;
  ServiceConfig config;
  quern::AlertRule own;
  own.name = "own";
  own.metric = quern::AlertMetric::custom([&](const quern::Metrics&) { return std::optional(value); });
  own.threshold = 10;
  config.alerts.rules = {own};
  Scene scene(config);
  for (int i = 0; i < 5; ++i) scene.service->queue().enqueue("unknown", {});
  scene.pass(60s);
  CHECK(scene.service->alerts().alerts().empty());
  CHECK(
      scene.service
          ->reload(ServiceConfig::from_json(
              "{\"alerts\": {\"rules\": [{\"name\": \"waiting\", \"metric\": \"jobs\", \"threshold\": 4}]}}"))
          .applied == Paths{"alerts.rules"});
  value = 11;
  scene.pass(60s);
  Paths firing;
  for (const auto& alert : scene.service->alerts().alerts()) firing.push_back(alert.rule);
  CHECK(firing == Paths{"own", "waiting"});
}

TEST_CASE("what only a new service can have is named and not taken over", "[service]") {
  ServiceConfig config;
  config.storage = "postgres:password=old";
  Scene scene(config);
  scene.settle();
  ServiceConfig next = config;
  next.storage = "postgres:password=new";
  next.monitor.sample_interval = 1s;
  next.alerts.interval = 1s;
  next.pool.processor.lease = 5s;
  next.stop.wait = 1s;
  const auto result = scene.service->reload(next);
  CHECK(result.applied == Paths{"stop.wait"});
  CHECK(result.at_next_start == Paths{"processor.lease"});
  CHECK(result.refused == Paths{"alerts.interval", "monitor.sampleInterval", "storage"});
  CHECK(scene.service->config().storage == "postgres:password=old");
  CHECK(scene.service->config().stop.wait == 1s);
}

TEST_CASE("a worker is replaced while it is busy, beside the one that goes", "[service]") {
  quern::ManualClock clock;
  quern_test::EngineStorage own{quern::ClockRef(clock)};
  quern::JobService<quern::AnyStorage, quern_test::HeldExecutor> service(own.storage,
                                                                         with_workers({{.id = "a"}}));
  service.handlers().on("work", [](JobContext&) {});
  service.queue().enqueue("work", {});
  const auto settle = [&] {
    while (service.tick(clock.now()).at <= clock.now()) {
    }
  };
  settle();
  auto& held = service.pool()->processor().executor();
  REQUIRE(held.tasks.size() == 1);
  service.reload(with_workers({{.id = "a", .weight = 2}}));
  settle();
  const auto workers = service.pool()->workers();
  REQUIRE(workers.size() == 2);
  CHECK(workers[0].state == quern::WorkerState::leaving);
  CHECK(workers[0].jobs.size() == 1);
  CHECK(workers[1].state == quern::WorkerState::active);
  held.run_all();
  settle();
  CHECK(service.pool()->workers().size() == 1);
  CHECK(service.pool()->workers().at(0).options.weight == 2);
}

TEST_CASE("a faulty configuration changes nothing", "[service]") {
  Scene scene(with_workers({{.id = "a"}}));
  scene.settle();
  CHECK_THROWS_AS(scene.service->reload(with_workers({{.id = "a", .max_jobs = 0}})), quern::ConfigError);
  CHECK(scene.workers() == "a 5");
  CHECK(scene.service->config().pool.workers.at(0).max_jobs == 5);
  CHECK_THROWS_WITH(
      scene.service->reload(with_workers({{.id = "b"}, {.id = "a", .supported_kinds = {"who"}}})),
      Catch::Contains("pool.workers[1].supportedJobTypes[0]: is 'who', which has no handler"));
  CHECK(scene.workers() == "a 5");
}

TEST_CASE("a reload is told of, with what it has changed", "[service]") {
  Scene scene(with_workers({{.id = "a"}}));
  scene.settle();
  std::string told;
  auto listening = scene.service->events().subscribe<quern::SystemEvent>(
      [&](const quern::SystemEvent& event) { told = event.message; }, {.own_thread = false});
  scene.service->reload(with_workers({{.id = "b"}}));
  listening.pump();
  CHECK(told == "in force: pool.workers");
  scene.service->reload(with_workers({{.id = "b"}}));
  listening.pump();
  CHECK(told == "nothing has changed");
}

TEST_CASE("a stopped service takes over all but what it was opened with", "[service]") {
  Scene scene(with_workers({{.max_jobs = 2}}));
  scene.service->open();
  const auto result = scene.service->reload(with_workers({{.max_jobs = 3}}));
  CHECK(result.applied == Paths{"pool.workers"});
  scene.settle();
  CHECK(scene.workers() == "worker-1 3");
}
