// What a monitor says of an engine that is driven step by step.
#include "quern/job_monitor.hpp"

#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/engine.hpp"
#include "support/temp_folder.hpp"

using quern::Duration;
using quern::JobContext;
using quern::JobMetrics;
using quern::JobResult;
using quern::Payload;
using quern_test::Engine;
using quern_test::HeldExecutor;
using namespace std::chrono_literals;
using Monitor = quern::JobMonitor<quern::testing::StorageProxy>;

namespace {

JobMetrics of(const Monitor& monitor, const std::string& kind, const std::string& queue = "default") {
  for (const JobMetrics& jobs : monitor.metrics().jobs)
    if (jobs.queue == queue && jobs.kind == kind) return jobs;
  return {};
}

/// Lines "name{labels} value", by what stands before the value.
std::map<std::string, std::string> values(const std::string& page) {
  std::map<std::string, std::string> values;
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#')) continue;
    const auto blank = line.rfind(' ');
    values[line.substr(0, blank)] = line.substr(blank + 1);
  }
  return values;
}

}  // namespace

TEST_CASE("a run's wait, duration and age are told to the microsecond", "[monitor]") {
  Engine engine;
  Monitor monitor(engine.queue);
  engine.handlers.on("work", [&](JobContext&) { engine.clock.advance(250ms); });
  const auto processor = engine.processor<HeldExecutor>();
  engine.settle(*processor);
  engine.queue.enqueue("work", Payload());
  engine.queue.enqueue("work", Payload(), {.run_at = quern::When::after(10s)});
  engine.settle(*processor);
  engine.clock.advance(40ms);  // until a thread begins with it
  processor->executor().run_all();
  engine.settle(*processor);

  auto work = of(monitor, "work");
  CHECK(work.enqueued == 2);
  CHECK(work.started == 1);
  CHECK(work.completed == 1);
  CHECK(work.waited.max() == 40ms);
  CHECK(work.ran.max() == 250ms);
  CHECK(work.age.max() == 290ms);

  engine.pass(*processor, 10s);  // due after 9.71 s of these, and there was nobody to run it since
  processor->executor().run_all();
  engine.settle(*processor);
  work = of(monitor, "work");
  CHECK(work.completed == 2);
  CHECK(work.waited.count() == 2);
  CHECK(work.waited.max() == 290ms);
  CHECK(work.age.max() == 10s + 290ms + 250ms);
}

TEST_CASE("each run that has started ends as one thing", "[monitor]") {
  quern::JobQueueConfig config;
  config.default_max_retries = 1;
  Engine engine(config);
  Monitor monitor(engine.queue);
  const quern::HandlerOptions later{.retry = quern::RetryPolicy::fixed(1h)};
  engine.handlers.on("ok", [](JobContext&) {});
  engine.handlers.on("fail", [](JobContext&) { throw std::runtime_error("no"); }, later);
  engine.handlers.on("discard", [](JobContext&) { return JobResult::discarded("useless"); });
  engine.handlers.on("snooze", [](JobContext&) { return JobResult::snoozed(1h); });
  engine.handlers.on("cancel", [](JobContext&) { return JobResult::cancelled(); });
  const auto processor = engine.processor();
  for (const char* const kind : {"ok", "ok", "fail", "discard", "snooze", "cancel"})
    engine.queue.enqueue(kind, Payload());
  engine.settle(*processor);

  CHECK(of(monitor, "ok").completed == 2);
  auto failed = of(monitor, "fail");
  CHECK(failed.failed == 1);
  CHECK(failed.retried == 1);
  CHECK(failed.dead == 0);
  CHECK(of(monitor, "discard").failed == 1);
  CHECK(of(monitor, "discard").dead == 1);
  CHECK(of(monitor, "snooze").snoozed == 1);
  CHECK(of(monitor, "cancel").cancelled == 1);
  engine.pass(*processor, 1h);
  failed = of(monitor, "fail");
  CHECK(failed.failed == 2);
  CHECK(failed.dead == 1);
  for (const JobMetrics& jobs : monitor.metrics().jobs) {
    CAPTURE(jobs.kind);
    CHECK(jobs.started ==
          jobs.completed + jobs.failed + jobs.snoozed + jobs.cancelled + jobs.released + jobs.lost);
    CHECK(jobs.failed == jobs.retried + jobs.dead);
    CHECK(jobs.age.count() == jobs.completed);
  }
}

TEST_CASE("a run that was given up has timed out, and one that is handed back was released", "[monitor]") {
  Engine engine;
  Monitor monitor(engine.queue);
  engine.handlers.on("hangs", [](JobContext&) {}, {.timeout = 1min, .retry = quern::RetryPolicy::fixed(24h)});
  const auto processor = engine.processor<HeldExecutor>();
  engine.queue.enqueue("hangs", Payload());
  engine.settle(*processor);
  CHECK(monitor.metrics().running == 1);
  CHECK(monitor.metrics().slots == 50);
  CHECK(monitor.metrics().utilization() == 0.02);
  engine.pass(*processor, 1min);
  engine.pass(*processor, 10s);
  auto hangs = of(monitor, "hangs");
  CHECK(hangs.failed == 1);
  CHECK(hangs.timed_out == 1);
  CHECK(hangs.retried == 1);
  CHECK(hangs.ran.empty());  // its thread never began
  engine.queue.enqueue("hangs", Payload());
  engine.settle(*processor);
  processor->request_stop({.wait = 0s, .grace = 0s});
  for (int step = 0; step < 5; ++step) processor->tick(engine.clock.now());
  CHECK(of(monitor, "hangs").released == 1);
  CHECK(monitor.metrics().running == 0);
}

TEST_CASE("runs of a node that was declared dead are lost, and counted so", "[monitor]") {
  Engine engine;
  Monitor monitor(engine.queue);
  engine.handlers.on("work", [](JobContext&) {});
  const auto processor = engine.processor<HeldExecutor>();
  engine.queue.enqueue("work", Payload());
  engine.settle(*processor);
  engine.clock.advance(1h);
  engine.port.rescue(100, 3);  // by somebody else
  engine.settle(*processor);
  CHECK(of(monitor, "work").lost == 1);
  CHECK(of(monitor, "work").started == 2);  // it came back as a new node
  CHECK(monitor.metrics().leases_lost == 1);
}

TEST_CASE("jobs that were not added are told apart from those that were", "[monitor]") {
  Engine engine;
  Monitor monitor(engine.queue);
  engine.queue.limit("small", 1);
  engine.queue.enqueue("work", Payload(), {.unique = {.key = "a"}});
  engine.queue.enqueue("work", Payload(), {.unique = {.key = "a"}});
  engine.queue.enqueue("work", Payload(), {.queue = "small"});
  engine.queue.enqueue("work", Payload(), {.queue = "small"});
  CHECK(of(monitor, "work").enqueued == 1);
  CHECK(of(monitor, "work").duplicates == 1);
  CHECK(of(monitor, "work", "small").enqueued == 1);
  CHECK(of(monitor, "work", "small").refused == 1);
}

TEST_CASE("a monitor samples its storage at its interval, and goes on where that fails", "[monitor]") {
  Engine engine;
  std::vector<std::string> log;
  Monitor monitor(engine.queue, {.sample_interval = 10s, .log = [&](const quern::LogRecord& record) {
                                   log.emplace_back(record.message);
                                 }});
  CHECK(monitor.metrics().sampled_at == quern::TimePoint::min());
  CHECK(monitor.prometheus().find("quern_jobs{") == std::string::npos);
  engine.queue.enqueue("work", Payload());
  engine.queue.pause("default");
  const auto first = engine.clock.now();
  CHECK(monitor.tick(first).at == first + 10s);
  engine.queue.enqueue("work", Payload());
  engine.clock.advance(9s);
  CHECK(monitor.tick(engine.clock.now()).at == first + 10s);
  auto metrics = monitor.metrics();
  REQUIRE(metrics.counts.size() == 1);
  CHECK(metrics.counts[0].count == 1);
  CHECK(metrics.sampled_at == first);
  REQUIRE(metrics.queues.size() == 1);
  CHECK(metrics.queues[0].paused);

  engine.clock.advance(1s);
  engine.storage.before = [](std::string_view) { throw quern::StorageError("gone fishing", true); };
  CHECK(monitor.tick(engine.clock.now()).at == first + 20s);
  metrics = monitor.metrics();
  CHECK(metrics.failed_samples == 1);
  CHECK(metrics.counts[0].count == 1);
  REQUIRE(log.size() == 1);
  CHECK(log[0].find("gone fishing") != std::string::npos);

  engine.storage.before = {};
  engine.clock.advance(10s);
  monitor.tick(engine.clock.now());
  CHECK(monitor.metrics().counts[0].count == 2);
}

TEST_CASE("a monitor shows how the rules over all nodes stand", "[monitor]") {
  Engine engine;
  Monitor monitor(engine.queue);
  engine.handlers.on("mail", [](JobContext&) {});
  engine.queue.limit({.name = "slots", .queue = "mail", .max_running = 2});
  quern::LimitRule rate{.name = "rate", .kind = "mail"};
  rate.rate = {.count = 10, .per = 1min};
  engine.queue.limit(rate);
  for (int i = 0; i < 3; ++i) engine.queue.enqueue("mail", Payload(), {.queue = "mail"});
  const auto processor = engine.processor<HeldExecutor>();
  engine.settle(*processor);
  monitor.tick(engine.clock.now());

  const auto metrics = monitor.metrics();
  REQUIRE(metrics.limits.size() == 2);
  CHECK(metrics.limits[1].running == 2);
  const std::string page = monitor.prometheus();
  CHECK(page.find("quern_limit_running{limit=\"slots\"} 2\n") != std::string::npos);
  CHECK(page.find("quern_limit_max_running{limit=\"slots\"} 2\n") != std::string::npos);
  CHECK(page.find("quern_limit_max_running{limit=\"rate\"}") == std::string::npos);
  CHECK(page.find("quern_limit_starts{limit=\"rate\"} 8\n") != std::string::npos);
  const auto json = nlohmann::json::parse(monitor.json());
  const auto& limits = json.at("all_nodes").at("limits");
  REQUIRE(limits.size() == 2);
  CHECK(limits[0] == nlohmann::json{{"name", "rate"},
                                    {"queue", ""},
                                    {"kind", "mail"},
                                    {"running", 2},
                                    {"starts", 8},
                                    {"rate", {{"count", 10}, {"per_s", 60.0}}},
                                    {"wait_s", 0.0}});
  CHECK(limits[1] == nlohmann::json{{"name", "slots"},
                                    {"queue", "mail"},
                                    {"kind", ""},
                                    {"running", 2},
                                    {"max_running", 2},
                                    {"free", 0}});
}

TEST_CASE("the longest run of each queue and kind is told, whoever runs it", "[monitor]") {
  Engine engine;
  Monitor monitor(engine.queue);
  engine.handlers.on("work", [](JobContext&) {}, {.timeout = 24h});
  engine.handlers.on("other", [](JobContext&) {}, {.timeout = 24h});
  const auto one = engine.processor<HeldExecutor>();
  const auto other = engine.processor<HeldExecutor>();
  const auto first = engine.queue.enqueue("work", Payload()).id;
  engine.settle(*one);
  const auto began = engine.clock.now();
  engine.clock.advance(10s);
  engine.queue.enqueue("work", Payload());
  engine.queue.enqueue("other", Payload());
  engine.settle(*other);
  engine.settle(*one);
  const auto sample = [&] {
    engine.clock.advance(15s);
    engine.settle(*one);
    engine.settle(*other);
    monitor.tick(engine.clock.now());
    return monitor.metrics().longest_runs;
  };
  CHECK(sample().empty());  // they were added a moment ago, and can't have run for long
  for (int i = 0; i < 4; ++i) sample();
  const auto runs = sample();
  REQUIRE(runs.size() == 2);
  CHECK(runs[0].kind == "other");
  CHECK(runs[1].kind == "work");
  CHECK(runs[1].job == first);
  CHECK(runs[1].started_at == began);
  CHECK(monitor.prometheus().find("quern_longest_run_start_seconds{queue=\"default\",kind=\"work\"} ") !=
        std::string::npos);
  const auto json = nlohmann::json::parse(monitor.json());
  CHECK(json.at("all_nodes").at("longest_runs").at(1).at("job") == to_string(first));
  one->executor().run_all();
  other->executor().run_all();
  engine.settle(*one);
  engine.settle(*other);
  CHECK(sample().empty());
}

TEST_CASE("how long the storage takes is told by call, with its failures", "[monitor]") {
  Engine engine;
  Monitor monitor(engine.queue);
  engine.storage.after = [&](std::string_view) { engine.clock.advance(3ms); };
  engine.queue.enqueue("work", Payload());
  engine.storage.after = {};
  engine.storage.before = [&](std::string_view call) {
    if (call == "insert") throw quern::StorageError("no", true);
  };
  CHECK_THROWS_AS(engine.queue.enqueue("work", Payload()), quern::StorageError);
  const auto metrics = monitor.metrics();
  REQUIRE(metrics.storage.size() == 1);
  CHECK(metrics.storage[0].call == quern::StorageCall::insert);
  CHECK(metrics.storage[0].took.count() == 2);
  CHECK(metrics.storage[0].took.max() == 3ms);
  CHECK(metrics.storage[0].failed == 1);
}

TEST_CASE("names made at run time fill no memory", "[monitor]") {
  Engine engine;
  Monitor monitor(engine.queue, {.most_pairs = 3});
  for (int i = 0; i < 10; ++i) engine.queue.enqueue("kind-" + std::to_string(i), Payload());
  CHECK(monitor.metrics().jobs.size() == 4);
  CHECK(of(monitor, "(other)", "(other)").enqueued == 7);
}

TEST_CASE("several processors and monitors of a queue see the same, and a monitor that has gone sees nothing",
          "[monitor]") {
  Engine engine;
  auto first = std::make_unique<Monitor>(engine.queue);
  Monitor second(engine.queue);
  engine.handlers.on("work", [](JobContext&) {});
  const auto one = engine.processor();
  const auto other = engine.processor();
  engine.queue.enqueue("work", Payload());
  engine.settle(*one);
  engine.queue.enqueue("work", Payload());
  engine.settle(*other);
  CHECK(of(*first, "work").completed == 2);
  CHECK(of(second, "work").completed == 2);
  CHECK(second.metrics().slots == 100);
  first.reset();
  engine.queue.enqueue("work", Payload());
  engine.settle(*one);
  CHECK(of(second, "work").completed == 3);
  one->request_stop();
  for (int step = 0; step < 5; ++step) one->tick(engine.clock.now());
  CHECK(second.metrics().slots == 50);
}

TEST_CASE("options out of range are refused by name", "[monitor]") {
  Engine engine;
  const auto field = [&](quern::MonitorOptions options) -> std::string {
    try {
      const Monitor monitor(engine.queue, std::move(options));
      return "";
    } catch (const quern::InvalidArgument& e) {
      return e.field();
    }
  };
  CHECK(field({.sample_interval = 99ms}) == "sample_interval");
  CHECK(field({.sample_interval = 2h}) == "sample_interval");
  CHECK(field({.most_pairs = 0}) == "most_pairs");
  CHECK(field({.most_failure_groups = 0}) == "most_failure_groups");
  CHECK(field({.long_run = -1s}) == "long_run");
  CHECK(field({.long_run = 25h}) == "long_run");
  CHECK(field({}).empty());
}

TEST_CASE("Prometheus reads the page, and it says what has happened", "[monitor]") {
  Engine engine;
  Monitor monitor(engine.queue);
  engine.handlers.on("work", [&](JobContext&) { engine.clock.advance(30ms); });
  const auto processor = engine.processor();
  const std::string odd = "quote \" slash \\ end";
  for (const std::string& queue : {std::string("default"), odd})
    engine.queue.enqueue("work", Payload(), {.queue = queue});
  engine.settle(*processor);
  engine.queue.enqueue("nobody's", Payload());
  engine.clock.advance(10s);
  monitor.tick(engine.clock.now());
  quern::RunReport isolated;
  isolated.queue = "default";
  isolated.kind = "isolated";
  isolated.cpu = 1500ms;
  isolated.peak_memory = 1'000'000;
  engine.queue.core().observers().tell([&](quern::QueueObserver& o) { o.on_ended({&isolated, 1}); });
  const std::string page = monitor.prometheus();

  auto value = values(page);
  CHECK(value.at(R"(quern_job_cpu_seconds_total{queue="default",kind="isolated"})") == "1.5");
  CHECK(value.at(R"(quern_job_peak_memory_bytes{queue="default",kind="isolated"})") == "1000000");
  CHECK(value.contains("quern_job_cpu_seconds_total" + std::string(R"({queue="default",kind="work"})")));
  const std::string names = R"({queue="default",kind="work")";
  const std::string odd_names = R"({queue="quote \" slash \\ end",kind="work")";
  CHECK(value.at("quern_runs_completed_total" + names + "}") == "1");
  CHECK(value.at("quern_runs_completed_total" + odd_names + "}") == "1");
  CHECK(value.at("quern_jobs" + odd_names + R"(,state="completed"})") == "1");
  CHECK(value.at("quern_run_duration_seconds_bucket" + names + R"(,le="0.025"})") == "0");
  CHECK(value.at("quern_run_duration_seconds_bucket" + names + R"(,le="0.05"})") == "1");
  CHECK(value.at("quern_run_duration_seconds_bucket" + names + R"(,le="+Inf"})") == "1");
  CHECK(value.at("quern_run_duration_seconds_sum" + names + "}") == "0.03");
  CHECK(value.at("quern_run_duration_seconds_count" + names + "}") == "1");
  CHECK(value.at("quern_oldest_ready_seconds"
                 R"({queue="default",kind="nobody's"})") == "10");
  CHECK_FALSE(value.contains("quern_oldest_ready_seconds" + names + "}"));
  CHECK(value.at("quern_slots") == "50");
  CHECK(value.at("quern_nodes") == "1");
  CHECK(std::stod(value.at("process_cpu_seconds_total")) > 0);

  if (std::system("command -v promtool >/dev/null") != 0) {
    WARN("promtool is not installed (Debian: prometheus); the page is not checked with it");
    return;
  }
  const quern_test::TempFolder folder;
  std::ofstream(folder / "page") << page;
  const std::string check = "promtool check metrics < '" + (folder / "page").string() + "' > '" +
                            (folder / "said").string() + "' 2>&1";
  CHECK(std::system(check.c_str()) == 0);
  CHECK(quern_test::read_text(folder / "said") == "");
}

TEST_CASE("the metrics as JSON have quantiles and rates", "[monitor]") {
  Engine engine;
  Monitor monitor(engine.queue);
  int run = 0;
  engine.handlers.on("work", [&](JobContext&) { engine.clock.advance(++run * 1ms); });
  const auto processor = engine.processor();
  for (int i = 0; i < 100; ++i) engine.queue.enqueue("work", Payload());
  engine.settle(*processor);
  engine.queue.enqueue("yet unknown", Payload());
  engine.clock.advance(2s);
  monitor.tick(engine.clock.now());
  engine.clock.advance(5s);
  const auto json = nlohmann::json::parse(monitor.json());
  const auto& work = json.at("jobs").at(0);
  CHECK(work.at("kind") == "work");
  CHECK(work.at("completed") == 100);
  CHECK(work.at("run_s").at("p50").get<double>() == Approx(0.050).epsilon(1.0 / 64));
  CHECK(work.at("run_s").at("p99").get<double>() == Approx(0.099).epsilon(1.0 / 64));
  CHECK(work.at("run_s").at("max") == 0.1);
  CHECK(work.at("rates").at("1m").at("per_second").get<double>() > 1);
  CHECK(work.at("rates").at("1m").at("failed_share") == 0);
  CHECK(json.at("all_nodes").at("counts").at(0).at("count") == 100);
  CHECK(json.at("all_nodes").at("oldest_ready").size() == 1);
  CHECK(json.at("all_nodes").at("oldest_ready").at(0).at("age_s") == 2);
  CHECK(json.at("node").at("slots") == 50);
  CHECK(json.at("storage").at("insert").at("count") == 101);
}

TEST_CASE("a monitor on a thread of its own samples without anybody's help", "[monitor][threads]") {
  quern::MemoryStorage storage;
  quern::JobQueue queue(storage);
  quern::JobMonitor monitor(queue, {.sample_interval = 100ms});
  monitor.start();
  monitor.start();
  const auto until = std::chrono::steady_clock::now() + 30s;
  while (monitor.metrics().sampled_at == quern::TimePoint::min() && std::chrono::steady_clock::now() < until)
    std::this_thread::yield();
  CHECK(monitor.metrics().sampled_at != quern::TimePoint::min());
  monitor.stop();
  monitor.start();
}

TEST_CASE("I26 what a monitor counts of many threads adds up, whoever asks meanwhile", "[monitor][threads]") {
  constexpr std::size_t producers = 4;
  constexpr std::size_t each = 500;
  quern::MemoryStorage storage;
  quern::JobQueue queue(storage);
  quern::JobMonitor monitor(queue);
  std::atomic<std::size_t> runs{0};
  auto handlers =
      quern::HandlerRegistry().on("work",
                                  [&](JobContext&) {
                                    if (++runs % 7 == 0)
                                      throw std::runtime_error("every seventh " + std::to_string(runs));
                                  },
                                  {.max_attempts = 1});
  quern::Processor processor(queue, handlers, {.max_concurrent_jobs = 8});
  processor.start();
  std::atomic<bool> over{false};
  std::atomic<bool> sane{true};
  {
    std::jthread asks([&] {
      while (!over) {
        const auto metrics = monitor.metrics();
        for (const auto& jobs : metrics.jobs)
          if (jobs.completed + jobs.failed > jobs.started) sane = false;
        if (monitor.failures().size() > 1) sane = false;
      }
    });
    std::vector<std::jthread> all;
    for (std::size_t i = 0; i < producers; ++i)
      all.emplace_back([&] {
        for (std::size_t k = 0; k < each; ++k) queue.enqueue("work", Payload());
      });
    all.clear();
    const auto until = std::chrono::steady_clock::now() + 60s;
    const auto ended = [&] {
      std::uint64_t sum = 0;
      for (const auto& count : queue.count())
        if (is_terminal(count.state)) sum += count.count;
      return sum;
    };
    while (ended() < producers * each && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    over = true;
  }
  CHECK(sane);
  processor.stop();
  const auto metrics = monitor.metrics();
  REQUIRE(metrics.jobs.size() == 1);
  const auto& work = metrics.jobs[0];
  CHECK(work.enqueued == producers * each);
  CHECK(work.started == producers * each);
  CHECK(work.completed + work.dead == producers * each);
  CHECK(work.dead == producers * each / 7);
  CHECK(work.ran.count() == producers * each);
  for (const auto& count : queue.count())
    CHECK(count.count == (count.state == quern::JobState::completed ? work.completed : work.dead));
  const auto failures = monitor.failures();
  REQUIRE(failures.size() == 1);
  CHECK(failures[0].count == work.dead);
  CHECK(metrics.running == 0);
  CHECK(metrics.slots == 0);
}
