#include "quern/work/worker_pool.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "quern/worker_pool.hpp"
#include "support/catch.hpp"
#include "support/engine.hpp"

using quern::JobContext;
using quern::JobResult;
using quern::JobState;
using quern::Payload;
using quern::PoolOptions;
using quern::WorkerEvent;
using quern::WorkerEventType;
using quern::WorkerOptions;
using quern::WorkerState;
using quern::WorkerStatus;
using quern_test::Engine;
using quern_test::HeldExecutor;
using namespace std::chrono_literals;

namespace {

using Pool = quern::WorkerPool<quern::testing::StorageProxy, HeldExecutor>;

/// A pool whose handlers begin and end when the test says so.
struct Scene {
  Engine engine;
  std::vector<WorkerEvent> events;
  std::unique_ptr<Pool> pool;

  void make(PoolOptions options) {
    options.processor = engine.options();
    options.processor.stop_grace = 10s;
    options.processor.poll_interval = 1s;
    options.on_event = [this](const WorkerEvent& event) { events.push_back(event); };
    pool = std::make_unique<Pool>(engine.queue, engine.handlers, std::move(options));
  }
  void on(const std::string& kind, quern::HandlerOptions options = {}) {
    engine.handlers.on(kind, [](JobContext&) {}, std::move(options));
  }
  std::vector<quern::JobId> add(const std::string& kind, int count) {
    std::vector<quern::JobId> ids;
    for (const auto& result : engine.queue.enqueue_all(
             std::vector<quern::NewJob>(static_cast<std::size_t>(count), {.kind = kind})))
      ids.push_back(result.id);
    return ids;
  }
  void settle() { engine.settle(*pool); }
  [[nodiscard]] std::size_t held() { return pool->processor().executor().tasks.size(); }
  /// Lets all that runs end well.
  void finish() {
    pool->processor().executor().run_all();
    settle();
  }
  [[nodiscard]] WorkerStatus worker(const std::string& id) const {
    for (const WorkerStatus& status : pool->workers())
      if (status.options.id == id) return status;
    throw std::runtime_error("there is no worker " + id);
  }
  [[nodiscard]] std::vector<std::string> ids() const {
    std::vector<std::string> list;
    for (const WorkerStatus& status : pool->workers()) list.push_back(status.options.id);
    return list;
  }
  [[nodiscard]] std::size_t running(const std::string& id) const { return worker(id).jobs.size(); }
  [[nodiscard]] std::vector<std::string> told() const {
    std::vector<std::string> list;
    for (const WorkerEvent& event : events)
      list.push_back(std::string(to_string(event.type)) + " " + event.worker);
    return list;
  }
  [[nodiscard]] std::size_t count(JobState state) {
    std::size_t sum = 0;
    for (const auto& count : engine.queue.count())
      if (count.state == state) sum += count.count;
    return sum;
  }
};

using Ids = std::vector<std::string>;

}  // namespace

TEST_CASE("a pool runs as many jobs as its workers have slots, spread over them", "[pool]") {
  Scene scene;
  scene.on("work");
  scene.make({.workers = {{.id = "a"}, {.id = "b", .max_jobs = 10}}});
  scene.add("work", 100);
  scene.settle();
  CHECK(scene.held() == 15);
  CHECK(scene.running("a") == 5);
  CHECK(scene.running("b") == 10);
  for (int i = 0; i < 20; ++i) scene.finish();
  CHECK(scene.count(JobState::completed) == 100);
  const auto a = scene.worker("a");
  const auto b = scene.worker("b");
  CHECK(a.started + b.started == 100);
  CHECK(a.completed + b.completed == 100);
  CHECK(a.jobs.empty());
}

TEST_CASE("a worker takes only the kinds that it supports, and every kind finds its worker", "[pool]") {
  Scene scene;
  for (const char* kind : {"x", "y", "z"}) scene.on(kind);
  scene.make({.workers = {{.id = "xy", .max_jobs = 2, .supported_kinds = {"x", "y"}},
                          {.id = "z", .max_jobs = 2, .supported_kinds = {"z"}},
                          {.id = "all", .max_jobs = 2}}});
  scene.add("x", 20);
  scene.add("y", 20);
  scene.add("z", 20);
  for (int i = 0; i < 60; ++i) {
    scene.settle();
    CHECK(scene.held() <= 6);
    for (const auto& job : scene.worker("xy").jobs) CHECK(job.kind != "z");
    for (const auto& job : scene.worker("z").jobs) CHECK(job.kind == "z");
    CHECK(scene.running("all") <= 2);
    scene.pool->processor().executor().run_one();
  }
  scene.settle();
  CHECK(scene.count(JobState::completed) == 60);
}

TEST_CASE("workers' slots are full while there are jobs that they support", "[pool]") {
  Scene scene;
  scene.on("x");
  scene.on("y");
  scene.make(
      {.workers = {{.id = "all", .max_jobs = 3}, {.id = "x", .max_jobs = 3, .supported_kinds = {"x"}}}});
  scene.add("x", 50);
  scene.settle();
  CHECK(scene.running("all") == 3);
  CHECK(scene.running("x") == 3);
  scene.add("y", 50);
  scene.finish();
  CHECK(scene.held() == 6);
}

TEST_CASE("workers are added, enabled, disabled and resized while jobs run", "[pool]") {
  Scene scene;
  scene.on("work");
  scene.make({.workers = {{.id = "a", .max_jobs = 2}, {.id = "b", .max_jobs = 2, .enabled = false}}});
  scene.add("work", 100);
  scene.settle();
  CHECK(scene.held() == 2);
  CHECK(scene.worker("b").state == WorkerState::disabled);

  CHECK(scene.pool->enable("b"));
  scene.settle();
  CHECK(scene.held() == 4);
  CHECK(scene.pool->resize("b", 5));
  CHECK(scene.pool->add({.max_jobs = 1}) == "worker-3");
  scene.settle();
  CHECK(scene.held() == 8);

  CHECK(scene.pool->disable("b"));
  CHECK(scene.pool->resize("a", 1));
  scene.settle();
  CHECK(scene.running("b") == 5);  // they go on
  scene.finish();
  CHECK(scene.running("a") == 1);
  CHECK(scene.running("b") == 0);
  CHECK(scene.running("worker-3") == 1);
  CHECK(scene.count(JobState::completed) == 8);

  CHECK_FALSE(scene.pool->enable("c"));
  CHECK_FALSE(scene.pool->remove("c"));
  CHECK_THROWS_WITH(scene.pool->add({.id = "a"}), "worker.id: is 'a', which another worker has");
  CHECK_THROWS_WITH(scene.pool->add({.id = "d", .supported_kinds = {"unknown"}}),
                    "worker.supported_kinds[0]: is 'unknown', which has no handler");
  CHECK_THROWS_WITH(scene.pool->resize("a", 0), "worker.max_jobs: is 0; allowed is 1 to 100000");
}

TEST_CASE("a removed worker's jobs may end, and then it is gone", "[pool]") {
  Scene scene;
  scene.on("work");
  scene.make({.workers = {{.id = "a", .max_jobs = 2}, {.id = "b", .max_jobs = 2}}});
  scene.add("work", 4);
  scene.settle();
  CHECK(scene.pool->remove("a"));
  CHECK_FALSE(scene.pool->remove("a"));
  scene.settle();
  CHECK(scene.worker("a").state == WorkerState::leaving);
  CHECK(scene.running("a") == 2);
  scene.finish();
  CHECK(scene.ids() == Ids{"b"});
  CHECK(scene.count(JobState::completed) == 4);
  CHECK(scene.told() == Ids{"worker_added a", "worker_added b", "worker_removed a"});
  // An idle one is gone at once.
  CHECK(scene.pool->remove("b"));
  CHECK(scene.ids().empty());
  scene.add("work", 1);
  scene.settle();
  CHECK(scene.held() == 0);
  CHECK(scene.count(JobState::ready) == 1);
}

TEST_CASE("what a removed worker still runs after its timeout is handed back and runs elsewhere", "[pool]") {
  Scene scene;
  scene.engine.handlers.on("work", [](JobContext& context) {
    return context.stop_requested() ? JobResult::cancelled() : JobResult::completed();
  });
  scene.make({.workers = {{.id = "a", .max_jobs = 1, .graceful_shutdown_timeout = 30s}}});
  const auto id = scene.add("work", 1).front();
  scene.settle();
  scene.pool->remove("a");
  scene.engine.pass(*scene.pool, 29s);
  CHECK_FALSE(scene.worker("a").jobs.at(0).stopping);
  scene.engine.pass(*scene.pool, 1s);
  CHECK(scene.worker("a").jobs.at(0).stopping);
  scene.pool->add({.id = "b"});
  scene.pool->processor().executor().run_one();
  scene.settle();
  CHECK(scene.ids() == Ids{"b"});
  scene.finish();
  CHECK(scene.engine.job(id).state == JobState::completed);
  CHECK(scene.engine.job(id).attempt == 1);  // at no cost
  CHECK(scene.worker("b").completed == 1);
}

TEST_CASE("a drained worker hands back as well, stays, and can be enabled again", "[pool]") {
  Scene scene;
  scene.on("work");
  scene.make({.workers = {{.id = "a", .max_jobs = 1, .graceful_shutdown_timeout = 5s}}});
  const auto id = scene.add("work", 1).front();
  scene.settle();
  scene.pool->drain("a");
  scene.engine.pass(*scene.pool, 5s);
  CHECK(scene.worker("a").jobs.at(0).stopping);
  // Its job ignores that: its thread is given up, and the job handed back. Who takes its place waits as it did.
  scene.engine.pass(*scene.pool, 10s);
  CHECK(scene.engine.state(id) == JobState::ready);
  CHECK(scene.pool->processor().executor().abandoned.size() == 1);
  CHECK(scene.ids() == Ids{"a.2"});
  CHECK(scene.worker("a.2").state == WorkerState::disabled);
  scene.pool->enable("a.2");
  scene.settle();
  CHECK(scene.running("a.2") == 1);
  CHECK(scene.engine.job(id).attempt == 1);
}

TEST_CASE("a worker whose job ignores its stop is replaced, and the late result changes nothing", "[pool]") {
  Scene scene;
  scene.on("hang", {.timeout = 60s, .max_attempts = 1});
  scene.on("work");
  scene.make({.workers = {{.id = "a", .max_jobs = 2}}});
  const auto hang = scene.add("hang", 1).front();
  const auto work = scene.add("work", 1).front();
  scene.settle();
  scene.engine.pass(*scene.pool, 70s);
  CHECK(scene.ids() == Ids{"a", "a.2"});
  const auto old = scene.worker("a");
  CHECK(old.state == WorkerState::leaving);
  CHECK_FALSE(old.healthy);
  CHECK(old.reason == "job " + to_string(hang) + " (hang) ignored its stop");
  CHECK(old.jobs.size() == 1);  // the other one may end
  CHECK(scene.worker("a.2").healthy);
  CHECK(scene.worker("a.2").options.max_jobs == 2);
  CHECK(scene.pool->healthy_workers() == 1);
  CHECK(scene.engine.state(hang) == JobState::dead);
  scene.add("work", 5);
  scene.settle();
  CHECK(scene.running("a.2") == 2);
  CHECK(scene.running("a") == 1);
  // All of them end, the one that hung as well.
  scene.finish();
  CHECK(scene.engine.state(work) == JobState::completed);
  CHECK(scene.engine.state(hang) == JobState::dead);
  CHECK(scene.ids() == Ids{"a.2"});
  CHECK(scene.told() ==
        Ids{"worker_added a", "worker_health_changed a", "worker_added a.2", "worker_removed a"});
  // The next one has a number of its own.
  while (scene.held() > 0) scene.finish();
  scene.add("hang", 1);
  scene.settle();
  scene.engine.pass(*scene.pool, 70s);
  CHECK(scene.ids() == Ids{"a.3"});
}

TEST_CASE("a worker whose jobs fail too often in a row is replaced where the host asks for it", "[pool]") {
  Scene scene;
  bool works = false;
  scene.engine.handlers.on(
      "work", [&](JobContext&) { return works ? JobResult::completed() : JobResult::discarded("broken"); });
  scene.make({.workers = {{.id = "a", .max_jobs = 1}}, .unhealthy_failures = 3});
  scene.add("work", 2);
  scene.settle();
  scene.finish();
  scene.finish();
  CHECK(scene.worker("a").failures_in_row == 2);
  works = true;
  scene.add("work", 1);
  scene.settle();
  scene.finish();
  CHECK(scene.worker("a").failures_in_row == 0);
  works = false;
  scene.add("work", 3);
  scene.settle();
  for (int i = 0; i < 3; ++i) scene.finish();
  CHECK(scene.ids() == Ids{"a.2"});
  CHECK(scene.events.at(1).reason == "3 attempts failed in a row");
}

TEST_CASE("an engine that does not tick makes its workers unhealthy until it does", "[pool]") {
  Scene scene;
  scene.on("work");
  std::vector<std::string> told;
  quern::detail::PoolCore pool(
      scene.engine.queue.core(), scene.engine.handlers,
      {.workers = {{.id = "a", .health_check_interval = 10s}}, .on_event = [&](const WorkerEvent& event) {
         told.push_back(std::string(to_string(event.type)) + (event.healthy ? " up " : " down ") +
                        event.reason);
       }});
  const auto pass = [&](quern::Duration time, bool engine_ticks) {
    for (quern::Duration passed{0}; passed < time; passed += 1s) {
      scene.engine.clock.advance(1s);
      if (engine_ticks) pool.ticked(scene.engine.clock.steady());
      pool.tick(scene.engine.clock.now());
    }
  };
  pass(60s, false);  // not started yet: nothing to judge
  CHECK(pool.healthy_workers() == 1);
  pass(60s, true);
  CHECK(pool.healthy_workers() == 1);
  CHECK(pool.workers().at(0).heartbeat < 10s);
  told.clear();
  pass(60s, false);
  CHECK(pool.healthy_workers() == 0);
  CHECK(pool.workers().at(0).heartbeat > 40s);
  CHECK(pool.workers().size() == 1);
  pass(20s, true);
  CHECK(pool.healthy_workers() == 1);
  REQUIRE(told.size() == 2);
  CHECK(told[0].starts_with("worker_health_changed down the engine has not ticked for"));
  CHECK(told[1] == "worker_health_changed up the engine ticks again");
}

TEST_CASE("costs hold within the budgets of workers and of the node", "[pool]") {
  Scene scene;
  scene.on("small", {.cost = {{"memory", 1}}});
  scene.on("large", {.cost = {{"memory", 4}}});
  scene.on("gpu", {.cost = {{"gpu", 1}, {"memory", 1}}});
  scene.on("free");
  scene.make({.workers = {{.id = "a", .max_jobs = 20, .budget = {{"memory", 6}}},
                          {.id = "b", .max_jobs = 20, .budget = {{"memory", 10}, {"gpu", 1}}}},
              .budget = {{"memory", 12}, {"gpu", 2}}});
  for (const char* kind : {"small", "large", "gpu", "free"}) scene.add(kind, 60);
  std::set<std::string> seen;
  for (int i = 0; i < 240; ++i) {
    scene.settle();
    std::int64_t memory = 0;
    std::int64_t gpus = 0;
    for (const WorkerStatus& status : scene.pool->workers()) {
      std::int64_t mine = 0;
      for (const auto& job : status.jobs) {
        seen.insert(job.kind);
        mine += job.kind == "large" ? 4 : job.kind == "free" ? 0 : 1;
        if (job.kind == "gpu") ++gpus;
        if (job.kind == "gpu" && status.options.id == "b") CHECK(status.used.at("gpu") <= 1);
      }
      CHECK(mine <= status.options.budget.at("memory"));
      CHECK((status.used.contains("memory") ? status.used.at("memory") : 0) == mine);
      CHECK(status.jobs.size() <= 20);
      memory += mine;
    }
    CHECK(memory <= 12);
    CHECK(gpus <= 2);
    REQUIRE(scene.held() > 0);
    scene.pool->processor().executor().run_one();
  }
  scene.settle();
  CHECK(seen.size() == 4);
  CHECK(scene.count(JobState::completed) == 240);
  CHECK(scene.worker("a").used.empty());
  CHECK(scene.worker("b").used.empty());
}

TEST_CASE("no kind starves while others have jobs without end", "[pool]") {
  Scene scene;
  scene.on("costly", {.cost = {{"memory", 1}}});
  scene.on("other", {.cost = {{"memory", 1}}});
  scene.on("free");
  scene.make({.workers = {{.id = "a", .max_jobs = 2, .budget = {{"memory", 1}}}}});
  for (const char* kind : {"free", "costly", "other"}) scene.add(kind, 300);
  std::map<std::string, int> ran;
  for (int i = 0; i < 90; ++i) {
    scene.settle();
    for (const auto& job : scene.worker("a").jobs) ++ran[job.kind];
    scene.finish();
  }
  for (const char* kind : {"free", "costly", "other"}) CHECK(ran[kind] >= 10);
}

TEST_CASE("jobs that need more than any budget has wait, and nothing spins", "[pool]") {
  Scene scene;
  scene.on("huge", {.cost = {{"memory", 100}}});
  scene.make({.workers = {{.id = "a", .budget = {{"memory", 10}}}}});
  scene.add("huge", 3);
  scene.settle();
  CHECK(scene.held() == 0);
  CHECK(scene.count(JobState::ready) == 3);
  scene.pool->add({.id = "big", .budget = {{"memory", 250}}});
  scene.settle();
  CHECK(scene.running("big") == 2);
}

TEST_CASE("a host's own balancer decides, and one that fails costs no job", "[pool]") {
  Scene scene;
  scene.on("work");
  int calls = 0;
  scene.make({.workers = {{.id = "a", .max_jobs = 4}, {.id = "b", .max_jobs = 4}},
              .balancing = [&](const quern::PlacementRequest& job,
                               std::span<const quern::WorkerLoad> candidates) -> std::size_t {
                CHECK(job.kind == "work");
                if (++calls == 3) throw std::runtime_error("no idea");
                if (calls == 4) return 17;
                return candidates.size() - 1;
              }});
  scene.add("work", 5);
  scene.settle();
  CHECK(scene.running("a") == 2);
  CHECK(scene.running("b") == 3);
  CHECK(std::ranges::count_if(scene.engine.log, [](const std::string& line) {
          return line.find("balancer failed") != std::string::npos;
        }) == 1);
}

TEST_CASE("a pool scales up under load and down after it, and keeps what was added by hand", "[pool]") {
  Scene scene;
  scene.on("work");
  quern::ScalingOptions scaling;
  scaling.min_workers = 1;
  scaling.max_workers = 4;
  scaling.worker = {.id = "auto", .max_jobs = 2};
  scaling.interval = 5s;
  scaling.up_cooldown = 5s;
  scaling.down_cooldown = 30s;
  scene.make({.workers = {{.id = "mine", .max_jobs = 2}}, .scaling = scaling});
  scene.add("work", 200);
  scene.engine.pass(*scene.pool, 60s);
  CHECK(scene.pool->workers().size() == 4);
  CHECK(scene.held() == 8);
  CHECK(scene.ids() == Ids{"mine", "auto-2", "auto-3", "auto-4"});
  while (scene.held() > 0) scene.finish();
  CHECK(scene.count(JobState::completed) == 200);
  scene.engine.pass(*scene.pool, 10min);
  CHECK(scene.ids() == Ids{"mine"});
  for (const WorkerEvent& event : scene.events) CHECK_FALSE(event.reason.empty());
}

TEST_CASE("a pool waits for jobs that began to shrink, and loses none", "[pool]") {
  Scene scene;
  scene.on("work");
  quern::ScalingOptions scaling;
  scaling.max_workers = 3;
  scaling.interval = 1s;
  scaling.up_cooldown = 0s;
  scaling.down_cooldown = 0s;
  scaling.down_samples = 1;
  scaling.worker.max_jobs = 1;
  scaling.worker.graceful_shutdown_timeout = 1h;
  scene.make({.scaling = scaling});
  const auto ids = scene.add("work", 60);
  int steps = 0;
  while (scene.count(JobState::completed) < 60 && ++steps < 1000) {
    scene.engine.pass(*scene.pool, 1s);
    if (scene.held() > 0 && steps % 2 == 0) scene.pool->processor().executor().run_one();
  }
  scene.settle();
  CHECK(scene.count(JobState::completed) == 60);
  for (const auto id : ids) CHECK(scene.engine.job(id).attempt == 1);
}

TEST_CASE("weighted queues work in a pool, with workers of several kinds too", "[pool]") {
  Scene scene;
  scene.on("x");
  scene.on("y");
  PoolOptions options;
  options.workers = {{.id = "x", .max_jobs = 2, .supported_kinds = {"x"}}, {.id = "all", .max_jobs = 2}};
  options.processor = scene.engine.options();
  options.processor.queues = {{"a", 0, 3}, {"b", 0, 1}};
  options.processor.queue_order = quern::QueueOrder::weighted;
  scene.pool = std::make_unique<Pool>(scene.engine.queue, scene.engine.handlers, std::move(options));
  for (const char* queue : {"a", "b"})
    for (const char* kind : {"x", "y"})
      scene.engine.queue.enqueue_all(std::vector<quern::NewJob>(20, {.kind = kind, .queue = queue}));
  for (int i = 0; i < 200 && scene.count(JobState::completed) < 80; ++i) {
    scene.settle();
    CHECK(scene.running("x") <= 2);
    CHECK(scene.running("all") <= 2);
    for (const auto& job : scene.worker("x").jobs) CHECK(job.kind == "x");
    scene.finish();
  }
  CHECK(scene.count(JobState::completed) == 80);
}

TEST_CASE("pool options out of range are refused with a clear error", "[pool]") {
  Scene scene;
  scene.on("work", {.cost = {{"memory", 1}}});
  CHECK_THROWS_WITH(scene.make({.workers = {{.id = "a"}, {.id = "a"}}}),
                    "workers[1].id: is 'a', which another worker has");
  CHECK_THROWS_WITH(scene.make({.workers = {{.weight = 0}}}),
                    "workers[0].weight: is 0; allowed is above 0, up to 1000");
  CHECK_THROWS_WITH(scene.make({.budget = {{"memory", -1}}}),
                    "budget.memory: is -1; allowed is 0 to 1000000000000000");
  CHECK_THROWS_WITH(scene.make({.unhealthy_failures = -1}),
                    "unhealthy_failures: is -1; allowed is 0 or more");
  PoolOptions options;
  options.processor.max_concurrent_jobs = 5;
  CHECK_THROWS_AS(Pool(scene.engine.queue, scene.engine.handlers, options), quern::InvalidArgument);
}

TEST_CASE("worker events are told as JSON", "[pool]") {
  CHECK(
      to_json(WorkerEvent{.type = WorkerEventType::worker_health_changed,
                          .at = quern::parse_rfc3339("2026-01-02T03:04:05Z"),
                          .worker = "a\n",
                          .healthy = false,
                          .reason = "why"}) ==
      R"({"at":"2026-01-02T03:04:05Z","healthy":false,"reason":"why","type":"worker_health_changed","worker":"a\n"})");
}

TEST_CASE("workers come and go at random while jobs run on threads, and each job runs once",
          "[pool][threads]") {
  quern::MemoryStorage storage;
  quern::JobQueue queue(storage);
  constexpr int jobs = 4000;
  std::vector<std::atomic<int>> runs(jobs);
  std::atomic<int> done{0};
  quern::HandlerRegistry handlers;
  const auto count = [&](JobContext& context) {
    ++runs[context.job().payload.as<nlohmann::json>().get<std::size_t>()];
    ++done;
  };
  handlers.on("free", count);
  handlers.on("costly", count, {.cost = {{"memory", 1}}});
  PoolOptions options;
  options.workers = {{.id = "first", .max_jobs = 4, .budget = {{"memory", 2}}}};
  std::atomic<int> added{0};
  std::atomic<int> removed{0};
  options.on_event = [&](const WorkerEvent& event) {
    if (event.type == WorkerEventType::worker_added) ++added;
    if (event.type == WorkerEventType::worker_removed) ++removed;
  };
  quern::WorkerPool pool(queue, handlers, std::move(options));
  pool.start();
  std::jthread producer([&] {
    for (int i = 0; i < jobs; ++i)
      queue.enqueue(i % 3 == 0 ? "costly" : "free", Payload::json(std::to_string(i)));
  });
  quern::Random random(7);
  int mine = 0;
  while (done < jobs) {
    std::vector<std::string> ids;
    for (const WorkerStatus& status : pool.workers()) ids.push_back(status.options.id);
    const auto any = [&] { return ids.empty() ? std::string("none") : ids[random.below(ids.size())]; };
    switch (random.below(6)) {
      case 0:
        if (ids.size() < 6) {
          pool.add({.max_jobs = 1 + static_cast<int>(random.below(4)),
                    .supported_kinds = random.below(2) == 0 ? Ids{} : Ids{"free"},
                    .budget = {{"memory", 3}}});
          ++mine;
        }
        break;
      case 1:
        if (const std::string id = any(); id != "first") pool.remove(id);
        break;
      case 2:
        pool.resize(any(), 1 + static_cast<int>(random.below(8)));
        break;
      case 3:
        pool.drain(any());
        break;
      case 4:
        pool.disable(any());
        break;
      default:
        for (const std::string& id : ids) pool.enable(id);
    }
    pool.enable("first");  // whatever else goes, somebody can run the costly ones
    std::this_thread::yield();
  }
  pool.stop();
  for (const auto& count_of_one : runs) CHECK(count_of_one == 1);
  CHECK(storage.recount().empty());
  std::uint64_t completed = 0;
  for (const auto& one : queue.count()) completed += one.state == JobState::completed ? one.count : 0;
  CHECK(completed == jobs);
  for (const WorkerStatus& status : pool.workers()) {
    CHECK(status.jobs.empty());
    CHECK(status.used.empty());
  }
  CHECK(mine > 0);
  CHECK(added >= 1);
  CHECK(removed <= added);
}

TEST_CASE("an idle worker has no thread", "[pool][threads]") {
  quern::MemoryStorage storage;
  quern::JobQueue queue(storage);
  quern::HandlerRegistry handlers;
  handlers.on("work", [](JobContext&) {});
  PoolOptions options;
  options.workers.resize(1000);
  quern::WorkerPool pool(queue, handlers, std::move(options));
  pool.start();
  CHECK(pool.workers().size() == 1000);
  CHECK(pool.processor().executor().threads() <= 1);  // one that watches
  pool.stop();
}
