#include "quern/service/job_service.hpp"

#include <algorithm>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "quern/job_service.hpp"
#include "quern/testing/storage_proxy.hpp"
#include "support/catch.hpp"
#include "support/engine_storage.hpp"

using quern::JobContext;
using quern::JobResult;
using quern::JobService;
using quern::JobState;
using quern::ServiceConfig;
using quern::ServiceEvent;
using quern::SystemEvent;
using quern::SystemEventType;
using namespace std::chrono_literals;

namespace {

/// A service on the test's own thread and clock.
struct Scene {
  using Proxy = quern::testing::StorageProxy;
  using Service = JobService<Proxy, quern::InlineExecutor>;

  quern::ManualClock clock;
  quern_test::EngineStorage own{quern::ClockRef(clock)};
  Proxy storage{own.storage.port()};
  std::vector<std::string> log;
  std::unique_ptr<Service> service;

  explicit Scene(ServiceConfig config = {}) {
    config.log = [this](const quern::LogRecord& record) { log.emplace_back(record.message); };
    service = std::make_unique<Service>(storage, std::move(config));
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
  [[nodiscard]] JobState state(quern::JobId id) { return service->queue().find(id).value().state; }
  [[nodiscard]] quern::Subscription record(std::vector<std::string>& types) {
    return service->events().subscribe(
        [&types](const ServiceEvent& event) {
          types.push_back(nlohmann::json::parse(to_json(event)).at("type").get<std::string>());
        },
        {.own_thread = false});
  }
};

std::size_t count(const std::vector<std::string>& list, std::string_view one) {
  return static_cast<std::size_t>(std::ranges::count(list, one));
}

ServiceConfig with_workers(std::vector<quern::WorkerOptions> workers) {
  ServiceConfig config;
  config.pool.workers = std::move(workers);
  return config;
}

}  // namespace

TEST_CASE("a service runs the jobs that its handlers are for", "[service]") {
  Scene scene;
  std::vector<std::string> ran;
  scene.service->handlers().on("work", [&](JobContext& context) { ran.push_back(to_string(context.id())); });
  const auto before = scene.service->queue().enqueue("work", {});
  CHECK(scene.service->pool() == nullptr);
  scene.settle();
  REQUIRE(scene.service->pool() != nullptr);
  const auto after = scene.service->queue().enqueue("work", {});
  scene.settle();
  CHECK(ran == std::vector<std::string>{to_string(before.id), to_string(after.id)});
  CHECK(scene.state(after) == JobState::completed);
  CHECK(scene.service->monitor().metrics().jobs.at(0).completed == 2);
}

TEST_CASE("a service keeps a history, also of the minute in which it stops", "[service]") {
  Scene scene;
  scene.service->handlers().on("work", [](JobContext&) {});
  const auto begun = scene.clock.now();
  for (int i = 0; i < 3; ++i) scene.service->queue().enqueue("work", {});
  scene.pass(90s);
  scene.service->queue().enqueue("work", {});
  scene.settle();
  scene.service->stop();
  std::uint64_t completed = 0;
  for (const auto& point : scene.service->history().query({.from = begun, .to = scene.clock.now() + 60s}))
    completed += point.counts.completed;
  CHECK(completed == 4);
}

TEST_CASE("a service whose history is switched off keeps none", "[service]") {
  ServiceConfig config;
  config.recording = false;
  Scene scene(config);
  scene.service->handlers().on("work", [](JobContext&) {});
  scene.service->queue().enqueue("work", {});
  scene.pass(90s);
  scene.service->stop();
  config.recording = true;
  CHECK(scene.service->reload(config).applied == std::vector<std::string>{"history.enabled"});
  config.recording = false;
  scene.service->reload(config);
  scene.service.reset();
  CHECK(scene.storage.list_records("quern.history", "", 10).empty());
}

TEST_CASE("without workers a service has one with the slots of the configuration", "[service]") {
  ServiceConfig config;
  config.queue.max_concurrent_jobs = 7;
  Scene scene(config);
  scene.service->handlers().on("work", [](JobContext&) {});
  scene.settle();
  const auto workers = scene.service->pool()->workers();
  REQUIRE(workers.size() == 1);
  CHECK(workers[0].options.max_jobs == 7);
}

TEST_CASE("a service can be stopped and started many times, and loses no job", "[service]") {
  Scene scene;
  int ran = 0;
  scene.service->handlers().on("work", [&](JobContext&) { ++ran; });
  auto& queue = scene.service->queue();
  for (int round = 1; round <= 5; ++round) {
    queue.enqueue("work", {});
    scene.settle();
    CHECK(ran == 2 * round - 1);
    scene.service->stop();
    CHECK(scene.service->pool() == nullptr);
    queue.enqueue("work", {});
    CHECK(ran == 2 * round - 1);
    scene.settle();
    CHECK(ran == 2 * round);
  }
  // What is registered while it is stopped counts from the next start on.
  scene.service->stop();
  bool other = false;
  scene.service->handlers().on("other", [&](JobContext&) { other = true; });
  queue.enqueue("other", {});
  scene.settle();
  CHECK(other);
}

TEST_CASE("a started service works on threads of its own, until it is stopped", "[service][threads]") {
  ServiceConfig config;
  config.storage = "memory:";
  JobService service{config};
  std::promise<void> ran;
  std::promise<void> again;
  service.handlers().on("work", [&](JobContext&) { ran.set_value(); });
  service.handlers().on("again", [&](JobContext&) { again.set_value(); });
  service.start();
  service.start();
  CHECK(service.started());
  service.queue().enqueue("work", {});
  REQUIRE(ran.get_future().wait_for(60s) == std::future_status::ready);
  service.stop();
  service.stop();
  CHECK_FALSE(service.started());
  service.queue().enqueue("again", {});
  service.start();
  CHECK(again.get_future().wait_for(60s) == std::future_status::ready);
}

TEST_CASE("a handler that stops the service only begins to", "[service][threads]") {
  ServiceConfig config;
  config.storage = "memory:";
  JobService service{config};
  std::promise<void> asked;
  service.handlers().on("last", [&](JobContext&) {
    service.stop();
    asked.set_value();
  });
  service.start();
  const auto job = service.queue().enqueue("last", {});
  REQUIRE(asked.get_future().wait_for(60s) == std::future_status::ready);
  service.stop();
  CHECK_FALSE(service.started());
  CHECK(service.queue().find(job)->state == JobState::completed);
}

TEST_CASE("a service that runs no jobs enqueues and watches", "[service]") {
  ServiceConfig config;
  config.run_jobs = false;
  Scene scene(config);
  bool ran = false;
  scene.service->handlers().on("work", [&](JobContext&) { ran = true; });
  const auto job = scene.service->queue().enqueue("work", {});
  scene.pass(20s);
  CHECK_FALSE(ran);
  CHECK(scene.state(job) == JobState::ready);
  CHECK(scene.service->pool() == nullptr);
  CHECK(scene.service->monitor().metrics().counts.size() == 1);
  CHECK(scene.service->readiness().ok());
}

TEST_CASE("kinds that wait and that nobody can run are told of at the start", "[service]") {
  Scene scene;
  scene.service->handlers().on("known", [](JobContext&) {});
  auto& queue = scene.service->queue();
  queue.enqueue("known", {});
  queue.enqueue("orphan", {}, {.run_at = quern::When::after(1h)});
  queue.enqueue("elsewhere", {});
  // Another node that is alive runs it.
  const auto node = scene.storage.register_node({.name = "other", .kinds = {{"elsewhere", 5}}});
  std::vector<SystemEvent> told;
  auto subscription = scene.service->events().subscribe<SystemEvent>(
      [&](const SystemEvent& event) { told.push_back(event); }, {.own_thread = false});
  scene.settle();
  subscription.pump();
  REQUIRE(told.size() == 2);
  CHECK(told[0].type == SystemEventType::kind_without_handler);
  CHECK(told[0].kind == "orphan");
  CHECK(told[0].message ==
        "1 jobs of the kind \"orphan\" wait, and no node that is alive has a handler for it");
  CHECK(told[1].type == SystemEventType::service_started);
  CHECK(count(scene.log, told[0].message) == 1);

  scene.service->stop();
  scene.storage.retire(node);
  told.clear();
  scene.settle();
  subscription.pump();
  CHECK(std::ranges::any_of(told, [](const SystemEvent& event) { return event.kind == "elsewhere"; }));
}

TEST_CASE("all that happens is one stream of events, in order and as JSON", "[service]") {
  ServiceConfig config = with_workers({{.id = "one"}});
  quern::AlertRule rule;
  rule.name = "dead_jobs";
  rule.metric = quern::AlertMetric::jobs(JobState::dead);
  config.alerts.rules = {rule};
  Scene scene(config);
  scene.service->handlers().on("fails", [](JobContext&) { return JobResult::discarded("it is broken"); });
  std::vector<std::string> types;
  auto all = scene.record(types);
  std::vector<std::string> workers;
  auto only_workers = scene.service->events().subscribe<quern::WorkerEvent>(
      [&](const quern::WorkerEvent& event) { workers.push_back(event.worker); }, {.own_thread = false});
  std::vector<quern::AlertEvent> alerts;
  auto only_alerts = scene.service->events().subscribe<quern::AlertEvent>(
      [&](const quern::AlertEvent& event) { alerts.push_back(event); }, {.own_thread = false});
  scene.service->queue().enqueue("fails", {});
  scene.pass(60s);
  scene.service->pool()->remove("one");
  scene.settle();
  scene.service->stop();
  all.pump();
  only_workers.pump();
  only_alerts.pump();

  std::vector<std::string> of_the_job;
  std::ranges::copy_if(types, std::back_inserter(of_the_job), [](const std::string& type) {
    return type.starts_with("job.") && type != "job.erased";
  });
  // The alert's own decision is a job, too.
  REQUIRE(of_the_job.size() >= 4);
  of_the_job.resize(4);
  CHECK(of_the_job == std::vector<std::string>{"job.created", "job.started", "job.failed", "job.dead"});
  CHECK(types.at(1) == "service_started");
  CHECK(types.back() == "service_stopped");
  CHECK(count(types, "worker_added") == 1);
  CHECK(count(types, "worker_removed") == 1);
  CHECK(count(types, "alert_triggered") == 1);
  CHECK(workers == std::vector<std::string>{"one", "one"});
  REQUIRE(alerts.size() == 1);
  CHECK(alerts[0].rule == "dead_jobs");
  CHECK(all.dropped() == 0);
}

TEST_CASE("an event as JSON says what happened to whom", "[service]") {
  quern::JobEvent event;
  event.type = quern::JobEventType::dead;
  event.id = quern::JobId{12};
  event.kind = "mail";
  event.queue = "default";
  event.attempt = 3;
  event.at = quern::from_us(1'767'225'600'000'000);
  event.dead_reason = quern::DeadReason::out_of_attempts;
  event.message = "a \"quoted\" \xff line\n";
  const auto json = nlohmann::json::parse(to_json(ServiceEvent(event)));
  CHECK(json.at("type") == "job.dead");
  CHECK(json.at("at") == "2026-01-01T00:00:00Z");
  CHECK(json.at("job") == to_string(event.id));
  CHECK(json.at("kind") == "mail");
  CHECK(json.at("attempt") == 3);
  CHECK(json.at("reason") == "out_of_attempts");
  CHECK_THAT(json.at("message").get<std::string>(), Catch::StartsWith("a \"quoted\" "));
}

TEST_CASE("a subscriber that is slow loses the oldest events, and is told how many", "[service]") {
  Scene scene;
  std::vector<std::string> types;
  auto slow =
      scene.service->events().subscribe([&](const ServiceEvent& event) { types.push_back(to_json(event)); },
                                        {.capacity = 3, .own_thread = false});
  for (int i = 0; i < 10; ++i) scene.service->queue().enqueue("work", {});
  CHECK(slow.dropped() == 7);
  CHECK(slow.pump() == 3);
  CHECK(types.size() == 3);
}

TEST_CASE("what cannot start leaves all as it was, and starts when it can", "[service]") {
  Scene scene(with_workers({{.id = "one", .supported_kinds = {"work"}}}));
  CHECK_THROWS_AS(scene.service->tick(scene.clock.now()),
                  quern::InvalidArgument);  // there is no such handler
  CHECK(scene.service->pool() == nullptr);
  CHECK_THROWS_AS(scene.service->start(), quern::InvalidArgument);
  CHECK_FALSE(scene.service->started());
  bool ran = false;
  scene.service->handlers().on("work", [&](JobContext&) { ran = true; });
  scene.service->queue().enqueue("work", {});
  scene.settle();
  CHECK(ran);
}

TEST_CASE("a storage that can't be opened is a clear error, and is tried again", "[service]") {
  ServiceConfig config;
  config.storage = "nosql:somewhere";
  JobService service{config};
  CHECK_THROWS_WITH(service.start(), Catch::Contains("the scheme \"nosql:\" is not known"));
  CHECK_THROWS_AS(service.queue(), quern::InvalidArgument);
  CHECK_FALSE(service.started());
  CHECK_FALSE(service.readiness().ok());
}

TEST_CASE("a stopped service is not ready, and one that runs is, with its components", "[service]") {
  ServiceConfig config;
  config.health.memory_limit = 1ULL << 50U;
  config.health.probes.push_back({.name = "mail server", .check = [](const std::stop_token&) {
                                    return quern::ProbeResult{.status = quern::HealthStatus::degraded};
                                  }});
  Scene scene(config);
  scene.service->handlers().on("work", [](JobContext&) {});
  CHECK_FALSE(scene.service->readiness().ok());
  CHECK(scene.service->readiness().components.at(0).message == "is stopped");
  scene.pass(30s);
  const auto ready = scene.service->readiness();
  CAPTURE(to_json(ready));
  CHECK(ready.ok());
  std::vector<std::string> names;
  for (const auto& component : ready.components) names.push_back(component.name);
  CHECK(names == std::vector<std::string>{"storage", "queue", "workers", "memory", "mail server"});
  CHECK(scene.service->liveness().ok());
  scene.service->stop();
  CHECK_FALSE(scene.service->readiness().ok());
}
