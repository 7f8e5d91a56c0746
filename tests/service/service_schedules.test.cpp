// Schedules of a service: declared by its configuration, made at run time, and changed while it runs.
#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>

#include "quern/core/error.hpp"
#include "quern/job_service.hpp"
#include "quern/testing/storage_proxy.hpp"
#include "support/catch.hpp"
#include "support/engine_storage.hpp"

using quern::JobContext;
using quern::ScheduleSpec;
using quern::ServiceConfig;
using quern::SystemEvent;
using quern::SystemEventType;
using quern::Undeclared;
using Texts = std::vector<std::string>;
using namespace std::chrono_literals;

namespace {

ScheduleSpec every(quern::Duration interval, std::string name = "s") {
  ScheduleSpec spec;
  spec.name = std::move(name);
  spec.timing = {.every = interval};
  spec.kind = "work";
  return spec;
}

ServiceConfig with(std::vector<ScheduleSpec> schedules) {
  ServiceConfig config;
  config.schedules = std::move(schedules);
  return config;
}

/// A service on the test's own thread and clock; several of them on one storage are a fleet.
struct Scene {
  using Proxy = quern::testing::StorageProxy;
  using Service = quern::JobService<Proxy, quern::InlineExecutor>;

  quern::ManualClock clock;
  quern_test::EngineStorage own{quern::ClockRef(clock)};
  Proxy storage{own.storage.port()};
  std::vector<std::string> log;
  std::vector<std::string> ran;  ///< When those were due that ran.
  std::unique_ptr<Service> service;

  explicit Scene(const ServiceConfig& config) {
    // A round moment, so that the tests read well.
    clock.set_wall(quern::parse_rfc3339("2026-03-02T10:00:00Z"));
    service = make(config);
  }
  std::unique_ptr<Service> make(ServiceConfig config) {
    config.log = [this](const quern::LogRecord& record) { log.emplace_back(record.message); };
    auto made = std::make_unique<Service>(storage, std::move(config));
    made->handlers().on("work", [this](JobContext& context) {
      ran.push_back(quern::to_rfc3339(context.job().run_at).substr(11, 5));
    });
    return made;
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
  [[nodiscard]] quern::ScheduleState state(std::string_view name = "s") {
    return service->scheduler().find(name).value().state;
  }
};

}  // namespace

TEST_CASE("a service has a job for each instant of the schedules that its configuration declares",
          "[service]") {
  Scene scene(with({every(10min)}));
  scene.pass(30min);
  CHECK(scene.ran == Texts{"10:10", "10:20", "10:30"});
  CHECK(scene.state().declared);
  CHECK(scene.state().lateness_max == 0s);
}

TEST_CASE("what schedules do is among the events of a service", "[service]") {
  ServiceConfig config = with({every(1h)});
  config.schedules->at(0).missed = quern::MissedRuns::skip;
  Texts own;
  config.scheduler.on_event = [&](const quern::ScheduleEvent& event) { own.push_back(event.schedule); };
  Scene scene(config);
  std::vector<SystemEvent> told;
  auto listening = scene.service->events().subscribe<SystemEvent>(
      [&](const SystemEvent& event) { told.push_back(event); }, {.own_thread = false});
  scene.pass(1h);
  scene.clock.advance(90min);
  scene.settle();
  listening.pump();
  REQUIRE(told.size() == 3);
  CHECK(told[0].type == SystemEventType::service_started);
  CHECK(told[1].type == SystemEventType::schedule_executed);
  CHECK(told[1].schedule == "s");
  CHECK(told[1].instant == quern::parse_rfc3339("2026-03-02T11:00:00Z"));
  CHECK(scene.service->queue().find(told[1].job)->state == quern::JobState::completed);
  CHECK(told[2].type == SystemEventType::schedule_skipped);
  CHECK(told[2].message == "1 instant left out: missed");
  CHECK(own == Texts{"s", "s"});
}

TEST_CASE("schedules go on where they were when a service is stopped and started", "[service]") {
  Scene scene(with({every(1h)}));
  scene.pass(1h);
  scene.service->stop();
  // While it is stopped nobody looks, and they can be asked for.
  scene.clock.advance(1h + 30min);
  CHECK(scene.ran == Texts{"11:00"});
  CHECK(scene.state().runs == 1);
  scene.pass(30min);
  CHECK(scene.ran == Texts{"11:00", "12:00", "13:00"});
}

TEST_CASE("schedules can be made while a service runs, beside those of its configuration", "[service]") {
  Scene scene(with({every(1h)}));
  scene.settle();
  CHECK(scene.service->scheduler().create(every(20min, "own")));
  scene.pass(40min);
  CHECK(scene.ran == Texts{"10:20", "10:40"});
  scene.service->stop();
  scene.settle();
  CHECK_FALSE(scene.state("own").paused);
}

TEST_CASE("what becomes of schedules that are declared no more is for the configuration to say",
          "[service]") {
  Scene scene(with({every(1h, "a"), every(1h, "b")}));
  scene.settle();
  scene.service->stop();
  // One that only enqueues, say, and whose configuration says nothing of schedules.
  scene.service = scene.make({});
  scene.settle();
  CHECK_FALSE(scene.state("a").paused);
  scene.service->stop();

  ServiceConfig config = with({every(1h, "a")});
  config.undeclared = Undeclared::keep;
  scene.service = scene.make(config);
  scene.settle();
  CHECK_FALSE(scene.state("b").paused);
  scene.service->stop();
  config.undeclared = Undeclared::pause;
  scene.service = scene.make(config);
  scene.settle();
  CHECK(scene.state("b").undeclared);
  CHECK_FALSE(scene.state("a").paused);
  scene.service->stop();
  config.undeclared = Undeclared::erase;
  config.schedules->clear();
  scene.service = scene.make(config);
  scene.settle();
  CHECK(scene.service->scheduler().list().empty());
}

TEST_CASE("schedules are changed while a service runs", "[service]") {
  Scene scene(with({every(1h, "a"), every(1h, "b")}));
  scene.settle();
  auto result = scene.service->reload(with({every(30min, "a"), every(20min, "c")}));
  CHECK(result.applied == Texts{"schedules"});
  CHECK(result.at_next_start.empty());
  scene.pass(1h);
  CHECK(scene.ran == Texts{"10:20", "10:30", "10:40", "11:00", "11:00"});
  CHECK(scene.state("b").paused);
  // Nothing has changed, so nothing counts anew.
  CHECK(scene.service->reload(with({every(30min, "a"), every(20min, "c")})).applied.empty());

  ServiceConfig next = with({every(30min, "a"), every(20min, "c")});
  next.undeclared = Undeclared::erase;
  next.scheduler.missed_after = 5s;
  next.zones.folder = "/opt/zoneinfo";
  result = scene.service->reload(next);
  CHECK(result.applied == Texts{"scheduler.undeclared"});
  CHECK(result.refused == Texts{"scheduler.missedAfter", "scheduler.zoneData"});
  CHECK_FALSE(scene.service->scheduler().find("b"));
}

TEST_CASE("a service can be told to look after no schedules, and to do so again", "[service]") {
  ServiceConfig config = with({every(10min)});
  config.scheduling = false;
  Scene scene(config);
  scene.pass(30min);
  CHECK(scene.ran.empty());
  CHECK(scene.service->scheduler().list().empty());
  config.scheduling = true;
  CHECK(scene.service->reload(config).applied == Texts{"scheduler.enabled"});
  scene.pass(10min);
  CHECK(scene.ran == Texts{"10:40"});
  config.scheduling = false;
  scene.service->reload(config);
  scene.pass(10min);
  CHECK(scene.ran == Texts{"10:40"});
}

TEST_CASE("a zone that is unknown here keeps a service from starting, and names its schedule", "[service]") {
  ServiceConfig config = with({every(1h, "a"), every(1h, "b")});
  config.schedules->at(1).timing.zone = "Europe/Berln";
  Scene scene(config);
  const std::string because = "did you mean Europe/Berlin";
  CHECK_THROWS_WITH(scene.service->tick(scene.clock.now()),
                    Catch::Contains("schedules[1].zone: ") && Catch::Contains(because));
  CHECK_THROWS_WITH(scene.service->start(), Catch::Contains(because));
  CHECK_FALSE(scene.service->started());
  CHECK(scene.service->scheduler().list().empty());

  scene.service = scene.make(with({every(1h, "a")}));
  scene.settle();
  CHECK_THROWS_WITH(scene.service->reload(config), Catch::Contains(because));
  CHECK(scene.service->config().schedules->size() == 1);
  CHECK(scene.service->scheduler().list().size() == 1);

  config.schedules->at(1).timing = {.at = {quern::parse_rfc3339("2026-12-24T12:00:00Z")},
                                    .zone = "Europe/Berlin",
                                    .except = {"2026-12-24"}};
  CHECK_THROWS_WITH(scene.service->reload(config), Catch::Contains("schedules[1]: never comes"));
}

TEST_CASE(
    "a storage that fails while schedules are declared leaves a service stopped, and it can start later",
    "[service]") {
  Scene scene(with({every(1h)}));
  scene.service->open();
  scene.storage.before = [](std::string_view call) {
    if (call == "insert_if") throw quern::StorageError("down", true);
  };
  CHECK_THROWS_AS(scene.service->tick(scene.clock.now()), quern::StorageError);
  CHECK(scene.service->pool() == nullptr);
  scene.storage.before = {};
  scene.pass(1h);
  CHECK(scene.ran == Texts{"11:00"});
}

TEST_CASE("a service is degraded while a schedule can't run, and names it", "[service]") {
  Scene scene(with({every(1h)}));
  scene.pass(30s);
  const auto component = [&] {
    for (const auto& one : scene.service->readiness().components)
      if (one.name == "schedules") return one;
    throw std::runtime_error("there is no such component");
  };
  CHECK(component().status == quern::HealthStatus::up);
  scene.storage.put_record({"quern.schedules", "bad", quern::Payload::json("[1]")});
  scene.service->scheduler().pause("s");  // so that it is noticed
  scene.pass(30s);
  CHECK(component().status == quern::HealthStatus::degraded);
  CHECK_THAT(component().message, Catch::Contains("\"bad\": its record can't be read"));
  CHECK(scene.service->readiness().ok());
  scene.service->scheduler().upsert(every(1h, "bad"));
  scene.pass(30s);
  CHECK(component().status == quern::HealthStatus::up);
}

TEST_CASE("a service without schedules asks for them twice a minute", "[service]") {
  const auto calls = [](bool scheduling) {
    ServiceConfig config;
    config.scheduling = scheduling;
    Scene scene(config);
    scene.pass(1min);
    std::map<std::string, int> counted;
    scene.storage.before = [&](std::string_view call) { ++counted[std::string(call)]; };
    scene.pass(10min);
    scene.storage.before = {};
    return counted;
  };
  auto with_none = calls(true);
  auto switched_off = calls(false);
  CHECK(with_none["get_record"] - switched_off["get_record"] == 20);
  CHECK(with_none["list_records"] == switched_off["list_records"]);
}

TEST_CASE("services on one storage have one job for each instant, whichever of them goes", "[service]") {
  Scene scene(with({every(1min)}));
  auto other = scene.make(with({every(1min)}));
  const auto both = [&](quern::Duration time) {
    for (const auto end = scene.clock.now() + time; scene.clock.now() < end; scene.clock.advance(1s)) {
      scene.settle();
      scene.service.swap(other);
      scene.settle();
      scene.service.swap(other);
    }
  };
  both(5min);
  scene.service->stop();
  scene.service.swap(other);
  scene.pass(5min);
  CHECK(scene.ran.size() == 10);
  CHECK(std::set(scene.ran.begin(), scene.ran.end()).size() == 10);
  CHECK(scene.state().runs == 10);
}

TEST_CASE("a started service runs its schedules on a thread of its own, until it is stopped",
          "[service][threads]") {
  ServiceConfig config = with({every(1s)});
  config.storage = "memory:";
  quern::JobService service{config};
  std::mutex mutex;
  std::condition_variable changed;
  int ran = 0;
  service.handlers().on("work", [&](JobContext&) {
    const std::lock_guard lock(mutex);
    ++ran;
    changed.notify_all();
  });
  service.start();
  {
    std::unique_lock lock(mutex);
    REQUIRE(changed.wait_for(lock, 60s, [&] { return ran >= 2; }));
  }
  config.scheduling = false;
  service.reload(config);
  config.scheduling = true;
  service.reload(config);
  {
    std::unique_lock lock(mutex);
    const int before = ran;
    REQUIRE(changed.wait_for(lock, 60s, [&] { return ran > before; }));
  }
  service.stop();
  const auto runs = service.scheduler().find("s").value().state.runs;
  service.start();
  {
    std::unique_lock lock(mutex);
    const int before = ran;
    REQUIRE(changed.wait_for(lock, 60s, [&] { return ran > before; }));
  }
  service.stop();
  CHECK(service.scheduler().find("s").value().state.runs > runs);
}

TEST_CASE("a handler of a schedule's job may stop the service", "[service][threads]") {
  ServiceConfig config = with({every(1s)});
  config.storage = "memory:";
  quern::JobService service{config};
  std::mutex mutex;
  std::condition_variable changed;
  bool asked = false;
  service.handlers().on("work", [&](JobContext&) {
    service.stop();
    const std::lock_guard lock(mutex);
    asked = true;
    changed.notify_all();
  });
  service.start();
  {
    std::unique_lock lock(mutex);
    REQUIRE(changed.wait_for(lock, 60s, [&] { return asked; }));
  }
  service.stop();
  CHECK_FALSE(service.started());
}
