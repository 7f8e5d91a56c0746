#include "quern/testing/engine.hpp"

#include <sstream>

#include "quern/quern.hpp"
#include "quern/testing/storage_proxy.hpp"
#include "support/catch.hpp"
#include "testing/jobs.hpp"

using namespace quern_test;
using Catch::Matchers::ContainsSubstring;
using quern::JobContext;
using quern::JobResult;
using quern::JobState;
using quern::Payload;
using quern::When;
using quern::testing::Drained;
using quern::testing::DrainLimit;
using quern::testing::Engine;

TEST_CASE("drain runs what is ready and what that adds while time stands still", "[drain]") {
  Engine engine;
  std::vector<int> sent;
  engine.on<Mail>([&](const Mail& mail) { sent.push_back(mail.to); });
  engine.on<Batch>([&](const Batch& batch, JobContext& context) {
    for (const int to : batch.readers) context.then(Mail{to});
    engine.queue().enqueue(Mail{99});
  });
  const auto start = engine.clock().now();
  engine.queue().enqueue(Batch{{1, 2}});
  const auto later = engine.queue().enqueue(Mail{5}, {.run_at = When::after(1s)}).id;

  const Drained drained = engine.drain();
  CHECK(drained.runs == 4);
  CHECK(drained.completed == 4);
  CHECK(drained.problems.empty());
  CHECK(sent == std::vector<int>{1, 2, 99});
  CHECK(engine.clock().now() == start);
  CHECK(engine.state(later) == JobState::scheduled);
  CHECK(engine.drain().runs == 0);
}

TEST_CASE("drain counts each way to end and names what went wrong", "[drain]") {
  Engine engine;
  engine.on("good", [](JobContext&) {});
  engine.on("bad", [](JobContext&) { throw std::runtime_error("no route"); }, {.max_attempts = 2});
  engine.on("hopeless", [](JobContext&) { return JobResult::discarded("no such user"); });
  engine.on("early", [](JobContext&) { return JobResult::snoozed(1h); });
  engine.on("unwanted", [](JobContext&) { return JobResult::cancelled("not needed"); });
  for (const auto* kind : {"good", "bad", "hopeless", "early", "unwanted"})
    engine.queue().enqueue(kind, Payload());

  const Drained drained = engine.drain();
  CHECK(drained.runs == 5);
  CHECK(drained.completed == 1);
  CHECK(drained.failed == 2);
  CHECK(drained.snoozed == 1);
  CHECK(drained.cancelled == 1);
  CHECK(drained.dead == 1);
  std::ostringstream text;
  text << drained;
  CHECK_THAT(text.str(),
             ContainsSubstring("5 runs: 1 completed, 2 failed, 1 snoozed, 1 cancelled, 1 dead\n"));
  CHECK_THAT(text.str(), ContainsSubstring("\n  bad 2, attempt 1, failed: no route"));
  CHECK_THAT(text.str(), ContainsSubstring("\n  hopeless 3, attempt 1, dead (discarded): no such user"));
  CHECK_THAT(text.str(), ContainsSubstring("\n  unwanted 5, attempt 1, cancelled: not needed"));
}

TEST_CASE("a retry that is due at once runs in the same drain", "[drain]") {
  Engine engine;
  int runs = 0;
  engine.on("work", [&](JobContext&) {
    return ++runs < 3 ? JobResult::retry_at(When(), "not yet") : JobResult::completed();
  });
  engine.queue().enqueue("work", Payload());
  const Drained drained = engine.drain();
  CHECK(drained.failed == 2);
  CHECK(drained.completed == 1);
}

TEST_CASE("draining one queue leaves the other queues' jobs alone", "[drain]") {
  Engine engine;
  engine.on<Mail>([](const Mail&) {});
  const auto mail = engine.queue().enqueue(Mail{1}, {.queue = "mail"}).id;
  const auto other = engine.queue().enqueue(Mail{2}).id;
  const auto delayed = engine.queue().enqueue(Mail{3}, {.run_at = When::after(1h)}).id;
  CHECK(engine.drain({.queue = "mail"}).completed == 1);
  CHECK(engine.state(mail) == JobState::completed);
  CHECK(engine.state(other) == JobState::ready);

  const auto start = engine.clock().now();
  CHECK(engine.drain_all({.queue = "mail"}).runs == 0);
  CHECK(engine.clock().now() == start);
  CHECK(engine.drain_all().completed == 2);
  CHECK(engine.state(delayed) == JobState::completed);
}

TEST_CASE("a job that adds itself for ever ends the drain with its name", "[drain]") {
  Engine engine;
  engine.on<Mail>([](const Mail&) {});
  bool again = true;
  engine.on("loop", [&](JobContext& context) {
    if (again) context.then(quern::NewJob{.kind = "loop"});
    engine.queue().enqueue(Mail{1});
  });
  engine.queue().enqueue("loop", Payload());
  CHECK_THROWS_AS(engine.drain({.max_runs = 50}), DrainLimit);
  CHECK_THROWS_WITH(engine.drain({.max_runs = 50}),
                    ContainsSubstring("after 51 runs there is still work") && ContainsSubstring("\"loop\""));
  again = false;
  CHECK_NOTHROW(engine.drain());
  CHECK(engine.count(JobState::ready) + engine.count(JobState::running) == 0);
}

TEST_CASE("a job that plans itself anew for ever ends drain_all, and advance runs it as often as is due",
          "[drain]") {
  Engine engine;
  int runs = 0;
  engine.on("daily", [&](JobContext& context) {
    ++runs;
    quern::NewJob next{.kind = "daily"};
    next.run_at = When::after(24h);
    context.then(std::move(next));
  });
  engine.queue().enqueue("daily", Payload());
  CHECK_THROWS_AS(engine.drain_all({.max_runs = 5}), DrainLimit);
  runs = 0;
  engine.advance(24h * 30);
  CHECK((runs == 29 || runs == 30 || runs == 31));
}

TEST_CASE("drain_all lets time pass to each delayed job and retry", "[drain]") {
  Engine engine;
  std::vector<quern::Duration> at;
  const auto start = engine.clock().now();
  engine.on("flaky",
            [&](JobContext& context) {
              at.push_back(engine.clock().now() - start);
              if (!context.last_attempt()) throw std::runtime_error("down");
            },
            {.retry = quern::RetryPolicy::fixed(10min), .max_attempts = 3});
  engine.queue().enqueue("flaky", Payload(), {.run_at = When::after(1h)});
  const auto unknown =
      engine.queue().enqueue("nobody runs this", Payload(), {.run_at = When::after(24h * 365)}).id;
  const Drained drained = engine.drain_all();
  CHECK(drained.completed == 1);
  CHECK(at == std::vector<quern::Duration>{1h, 1h + 10min, 1h + 20min});
  CHECK(engine.clock().now() == start + 1h + 20min);
  CHECK(engine.state(unknown) == JobState::scheduled);
}

TEST_CASE("advance runs each job at its own time and in order", "[advance]") {
  Engine engine;
  std::vector<std::pair<int, quern::Duration>> ran;
  const auto start = engine.clock().now();
  engine.on<Mail>([&](const Mail& mail) { ran.emplace_back(mail.to, engine.clock().now() - start); });
  engine.queue().enqueue(Mail{3}, {.run_at = When::after(3h)});
  engine.queue().enqueue(Mail{1}, {.run_at = When::after(5min)});
  engine.queue().enqueue(Mail{2}, {.run_at = When::at(start + 90min)});
  engine.queue().enqueue(Mail{0});
  CHECK(engine.advance(3h - 1us).completed == 3);
  CHECK(engine.clock().now() == start + 3h - 1us);
  CHECK(engine.advance_to(start + 3h).completed == 1);
  using Ran = std::vector<std::pair<int, quern::Duration>>;
  CHECK(ran == Ran{{0, 0s}, {1, 5min}, {2, 90min}, {3, 3h}});
  CHECK_THROWS_WITH(engine.advance(-1s), ContainsSubstring("time only goes forward"));
}

TEST_CASE("a year passes in a moment, however long nothing is due", "[advance]") {
  Engine engine;
  int runs = 0;
  engine.on<Mail>([&](const Mail&) { ++runs; });
  engine.queue().enqueue(Mail{1}, {.run_at = When::after(24h * 364)});
  engine.advance(24h * 365);
  CHECK(runs == 1);
}

TEST_CASE("a handler that takes time moves the clock itself, and advance does not go back", "[advance]") {
  Engine engine;
  const auto start = engine.clock().now();
  engine.on<Mail>([&](const Mail&) { engine.clock().advance(2h); });
  engine.queue().enqueue(Mail{1}, {.run_at = When::after(30min)});
  engine.advance(1h);
  CHECK(engine.clock().now() == start + 2h + 30min);
}

TEST_CASE("the engine says how a job stands, why, and with what result", "[engine]") {
  Engine engine;
  engine.on("sum", [](JobContext&) { return JobResult::completed({{"sum", 42}}); });
  engine.on("bad", [](JobContext&) { throw std::runtime_error("no route"); }, {.max_attempts = 2});
  const auto sum = engine.queue().enqueue("sum", Payload()).id;
  const auto bad = engine.queue().enqueue("bad", Payload()).id;
  CHECK(engine.last_error(bad).empty());
  engine.drain();
  CHECK(engine.result<nlohmann::json>(sum).at("sum") == 42);
  CHECK(engine.last_error(bad) == "no route");
  CHECK(engine.job(bad).attempt == 1);
  CHECK_THROWS_WITH(engine.result<int>(bad), "job 2 (bad) has no result: it is scheduled: no route");
  engine.drain_all();
  CHECK(engine.state(bad) == JobState::dead);
  CHECK(engine.last_error(bad) == "no route");
  CHECK(engine.count(JobState::dead) == 1);
  CHECK(engine.count(JobState::dead, "sum") == 0);
  CHECK_THROWS_WITH(engine.job(quern::JobId{77}), ContainsSubstring("there is no job 77"));
}

TEST_CASE("handlers may be added at any time and what they say of their kind holds at once", "[engine]") {
  Engine engine;
  int middle = 0;
  engine.on<Mail>([](const Mail&) {}, {.queue = "mail"});
  CHECK(engine.job(engine.queue().enqueue(Mail{1}).id).queue == "mail");
  engine.drain();
  engine.use([&](JobContext&, const std::function<JobResult()>& next) {
    ++middle;
    return next();
  });
  const auto batch = engine.queue().enqueue(Batch{}).id;
  engine.queue().enqueue(Mail{2});
  engine.drain();
  CHECK(middle == 1);
  CHECK(engine.state(batch) == JobState::ready);
  engine.on<Batch>([](const Batch&) {});
  engine.drain();
  CHECK(engine.state(batch) == JobState::completed);
}

TEST_CASE("a drain or a change of handlers from within a handler fails that handler and nothing else",
          "[engine]") {
  Engine engine;
  engine.on<Mail>([&](const Mail&) { engine.drain(); }, {.max_attempts = 1});
  engine.on<Batch>([&](const Batch&) { engine.on("new", [](JobContext&) {}); }, {.max_attempts = 1});
  const auto mail = engine.queue().enqueue(Mail{1}).id;
  const auto batch = engine.queue().enqueue(Batch{}).id;
  CHECK(engine.drain().dead == 2);
  CHECK_THAT(engine.last_error(mail), ContainsSubstring("from within a handler"));
  CHECK_THAT(engine.last_error(batch), ContainsSubstring("from within a handler"));
}

TEST_CASE("a job that waits for its parents runs after them", "[engine]") {
  Engine engine;
  std::vector<int> order;
  engine.on<Mail>([&](const Mail& mail) { order.push_back(mail.to); });
  const auto parent = engine.queue().enqueue(Mail{1}, {.run_at = When::after(1h)}).id;
  engine.queue().enqueue(Mail{2}, {.parents = {parent}});
  engine.drain();
  CHECK(order.empty());
  engine.drain_all();
  CHECK(order == std::vector<int>{1, 2});
}

TEST_CASE("an engine on a storage of the host's leaves its jobs to the next one", "[engine]") {
  quern::ManualClock clock;
  quern::MemoryStorage storage(clock);
  {
    Engine engine(storage, clock);
    static_assert(std::is_same_v<decltype(engine.queue()), quern::JobQueue<quern::MemoryStorage>&>);
    engine.on<Mail>([](const Mail&) {});
    engine.queue().enqueue(Mail{1});
    engine.queue().enqueue(Batch{});
    CHECK(engine.drain().completed == 1);
  }
  quern::HandlerRegistry handlers;
  handlers.on<Batch>([](const Batch&) {});
  Engine next(storage, clock, handlers);
  CHECK(next.drain().completed == 1);
  CHECK(next.count(JobState::completed) == 2);
}

TEST_CASE("a drain that a failing storage cut short says so until the work is done", "[engine]") {
  quern::ManualClock clock;
  quern::StorageAdapter<quern::MemoryStorage> memory(clock);
  quern::testing::StorageProxy storage(memory);
  Engine engine(storage, clock);
  engine.on<Mail>([](const Mail&) {});
  engine.queue().enqueue(Mail{1});
  CHECK(Engine().drain().log.empty());
  storage.before = [](std::string_view call) {
    if (call == "finish") throw quern::StorageError("the disk is full", true);
  };
  const Drained first = engine.drain();
  CHECK(first.completed == 0);
  CHECK_THAT(to_string(first), ContainsSubstring("1 run\n") && ContainsSubstring("the disk is full") &&
                                   ContainsSubstring("work is left"));
  CHECK_THAT(to_string(engine.drain()), ContainsSubstring("0 runs\n  work is left"));
  storage.before = nullptr;
  const Drained last = engine.advance(1min);
  CHECK(last.completed == 1);
  CHECK(last.log.empty());
}

TEST_CASE("a storage on another clock is refused", "[engine]") {
  quern::ManualClock clock;
  quern::MemoryStorage storage;
  CHECK_THROWS_AS((Engine<quern::MemoryStorage>(storage, clock)), quern::InvalidArgument);
}

TEST_CASE("the configuration and the processor's options are the host's to choose", "[engine]") {
  quern::testing::EngineOptions options;
  options.config.default_max_retries = 0;
  Engine engine({}, options);
  engine.on("bad", [](JobContext&) { throw std::runtime_error("no"); });
  const auto id = engine.queue().enqueue("bad", Payload()).id;
  CHECK(engine.drain().dead == 1);
  CHECK(engine.state(id) == JobState::dead);
}
