// What a handler in a process of its own can do, and what its host sees of it.
#include <algorithm>
#include <mutex>
#include <nlohmann/json.hpp>

#include "isolation_fixture.hpp"
#include "support/engine.hpp"

using namespace quern_test;
using Catch::Matchers::ContainsSubstring;
using quern::Isolation;
using quern::JobContext;
using quern::JobResult;
using quern::JobState;
using quern::Payload;

TEST_CASE("an isolated handler runs in another process and its result is the job's", "[isolation]") {
  IsolatedEngine engine;
  engine.on("who", [](JobContext& context) {
    return JobResult::completed({{"pid", ::getpid()}, {"id", to_string(context.id())}});
  });
  engine.start();
  const auto job = engine.run("who");
  REQUIRE(job.state == JobState::completed);
  const auto result = job.result->as<nlohmann::json>();
  CHECK(result["pid"] != ::getpid());
  CHECK(result["id"] == to_string(job.id));
}

namespace {
struct Addition {
  static constexpr std::string_view kind = "add";
  int left = 0;
  int right = 0;
};
QUERN_FIELDS(Addition, left, right)
struct Sum {
  int sum = 0;
};
QUERN_FIELDS(Sum, sum)
}  // namespace

TEST_CASE("a typed isolated handler gets its job and returns its result as any other", "[isolation]") {
  IsolatedEngine engine;
  engine.handlers.on<Addition>(
      [](const Addition& job) { return JobResult::completed(Sum{job.left + job.right}); },
      IsolatedEngine::isolated());
  engine.start();
  const auto id = engine.queue->enqueue(Addition{17, 25}).id;
  engine.drain();
  CHECK(engine.job(id).result->as<Sum>().sum == 42);
}

TEST_CASE("all that a job carries reaches an isolated handler", "[isolation]") {
  IsolatedEngine engine;
  engine.on("look", [](JobContext& context) {
    const quern::Claim& job = context.job();
    return JobResult::completed({{"payload", nlohmann::json::parse(job.payload.text())},
                                 {"tenant", job.tenant},
                                 {"tags", job.tags},
                                 {"queue", job.queue},
                                 {"by", job.created_by},
                                 {"attempt", job.attempt},
                                 {"most", job.max_attempts},
                                 {"fence", context.fence()},
                                 {"priority", job.priority.level}});
  });
  engine.start();
  const auto id = engine.queue
                      ->enqueue("look", Payload::json(R"({"text":"a \"quoted\" \\ text, é"})"),
                                {.queue = "side",
                                 .priority = quern::Priority::high,
                                 .max_attempts = 7,
                                 .tenant = "acme",
                                 .tags = {"red", "blue"},
                                 .created_by = "ada"})
                      .id;
  engine.drain();
  const auto seen = engine.job(id).result->as<nlohmann::json>();
  CHECK(seen["payload"]["text"] == "a \"quoted\" \\ text, é");
  CHECK(seen["tenant"] == "acme");
  CHECK(seen["tags"] == nlohmann::json{"red", "blue"});
  CHECK(seen["queue"] == "side");
  CHECK(seen["by"] == "ada");
  CHECK(seen["attempt"] == 1);
  CHECK(seen["most"] == 7);
  CHECK(seen["fence"] == 1);
  CHECK(seen["priority"] == 1);
}

TEST_CASE("each outcome of an isolated handler is the job's", "[isolation]") {
  IsolatedEngine engine;
  engine.on("fails", [](JobContext&) { return JobResult::failed("no such file"); });
  engine.on("throws", [](JobContext&) { throw std::runtime_error("thrown \xFF in a child"); });
  engine.on("discards", [](JobContext&) { return JobResult::discarded("never"); });
  engine.on("cancels", [](JobContext&) { return JobResult::cancelled("by itself"); });
  engine.on("undecodable", [](JobContext&) { return JobResult::undecodable("not a number"); });
  engine.on("snoozes", [](JobContext& context) {
    return context.fence() < 3 ? JobResult::snoozed(1ms, "not yet") : JobResult::completed();
  });
  engine.start();
  CHECK(engine.failure("fails") == "no such file");
  CHECK(engine.failure("throws") == "thrown \xEF\xBF\xBD in a child");
  const auto discarded = engine.run("discards");
  CHECK(discarded.state == JobState::dead);
  CHECK(discarded.dead_reason == quern::DeadReason::discarded);
  CHECK(engine.run("cancels").state == JobState::cancelled);
  CHECK(engine.run("undecodable").dead_reason == quern::DeadReason::undecodable);
  const auto snoozed = engine.run("snoozes");
  CHECK(snoozed.state == JobState::completed);
  CHECK(snoozed.snoozes == 2);
}

namespace {
/// A JSON text of so many letters.
Payload quoted(std::size_t letters) {
  std::string text(letters + 2, 'x');
  text.front() = text.back() = '"';
  return Payload::json(std::move(text));
}
}  // namespace

TEST_CASE("a result of several hundred kilobytes comes over whole and one beyond the limit is a failure",
          "[isolation]") {
  IsolatedEngine engine;
  engine.on("large", [](JobContext&) { return JobResult::completed(quoted(900'000)); });
  engine.on("too large", [](JobContext&) { return JobResult::completed(quoted(2'000'000)); });
  engine.start();
  CHECK(engine.run("large").result->text().size() == 900'002);
  CHECK_THAT(engine.failure("too large"), ContainsSubstring("result"));
}

TEST_CASE("progress of an isolated handler is the job's while it runs", "[isolation]") {
  Whisper whisper;
  IsolatedEngine engine;
  engine.on("work", [&](JobContext& context) {
    context.progress(40, "nearly half");
    std::mutex mutex;
    std::condition_variable_any bell;
    std::unique_lock lock(mutex);
    (void)bell.wait_for(lock, context.stop_token(), 60s, [] { return false; });
    return JobResult::cancelled();
  });
  engine.start();
  const auto id = engine.add("work");
  quern::Processor processor(*engine.queue, engine.handlers, {.progress_interval = 1ms});
  processor.start();
  CHECK(eventually([&] { return engine.job(id).progress == quern::Progress{40, "nearly half"}; }));
  engine.queue->cancel(id, "seen enough");
  CHECK(eventually([&] { return engine.job(id).state == JobState::cancelled; }));
  processor.stop();
}

TEST_CASE("a step of an isolated handler is kept over the crash that follows it", "[isolation]") {
  Whisper whisper;
  IsolatedEngine engine;
  engine.on("steps", [&](JobContext& context) {
    const int first = context.step("first", [&] {
      whisper.say("first");
      return 17;
    });
    context.step("second", [&] { whisper.say("second"); });
    if (context.attempt() == 1) std::abort();
    return JobResult::completed({{"first", first}, {"done", context.step_done("second")}});
  });
  engine.start();
  const auto id = engine.add("steps", {.max_attempts = 2});
  engine.drain();
  const auto job = engine.job(id);
  REQUIRE(job.state == JobState::completed);
  CHECK(job.result->as<nlohmann::json>() == nlohmann::json{{"first", 17}, {"done", true}});
  REQUIRE(job.errors.size() == 1);
  CHECK_THAT(job.errors[0].message, ContainsSubstring("SIGABRT"));
  CHECK(whisper.hear() == "first");
  CHECK(whisper.hear() == "second");
  CHECK(whisper.hear(0ms) == "nothing");
}

TEST_CASE("follow-ups of an isolated handler are added with its completion or not at all", "[isolation]") {
  IsolatedEngine engine;
  engine.on("parent", [](JobContext& context) {
    quern::NewJob job;
    job.kind = "child";
    job.payload = Payload::json("[1,2]");
    job.run_at = quern::When::after(1h);
    job.deadline = quern::When::after(2h);
    job.tags = {"made"};
    job.unique.key = "only one";
    const quern::JobId id = context.then(std::move(job));
    context.then(quern::Record{"marks", "last", Payload::json("7")});
    if (context.attempt() == 1) return JobResult::failed("not this time");
    return JobResult::completed({{"child", to_string(id)}});
  });
  engine.start();
  const auto id = engine.add("parent", {.max_attempts = 2, .tenant = "acme"});
  quern::Processor processor(*engine.queue, engine.handlers);
  processor.run_until([&] { return is_terminal(engine.job(id).state); });
  processor.stop();
  const auto children = engine.queue->list({.kind = "child"}).jobs;
  REQUIRE(children.size() == 1);
  const quern::Job& child = children[0];
  CHECK(engine.job(id).result->as<nlohmann::json>()["child"] == to_string(child.id));
  CHECK(child.created_by == "job:" + to_string(id));
  CHECK(child.tenant == "acme");
  CHECK(child.tags == std::vector<std::string>{"made"});
  CHECK(child.unique_key == "only one");
  CHECK(child.payload.text() == "[1,2]");
  CHECK(child.state == JobState::scheduled);
  CHECK(child.deadline.has_value());
  const auto record = engine.own->storage.port().get_record("marks", "last");
  REQUIRE(record);
  CHECK(record->text() == "7");
}

TEST_CASE("what the host refuses of an isolated handler comes back as the same exception", "[isolation]") {
  IsolatedEngine engine;
  engine.on("refused", [](JobContext& context) {
    std::vector<std::string> fields;
    const auto note = [&](const auto& call) {
      try {
        call();
        fields.emplace_back("nothing");
      } catch (const quern::InvalidArgument& e) {
        fields.push_back(e.field() + "|" + e.what());
      }
    };
    quern::NewJob unnamed;
    note([&] { context.then(std::move(unnamed)); });
    quern::NewJob broken;
    broken.kind = "child";
    broken.payload = Payload::json("{");
    note([&] { context.then(std::move(broken)); });
    note([&] { context.then(quern::Record{"marks", std::string(5000, 'k'), Payload()}); });
    note([&] { context.step("twice", [] {}); });
    note([&] { context.step("twice", [] {}); });
    note([&] { context.step(std::string(300, 's'), [] {}); });
    return JobResult::completed(nlohmann::json(fields));
  });
  engine.start();
  const auto fields = engine.run("refused").result->as<std::vector<std::string>>();
  REQUIRE(fields.size() == 6);
  CHECK_THAT(fields[0], ContainsSubstring("kind|kind: "));
  CHECK_THAT(fields[1], ContainsSubstring("payload|payload: "));
  CHECK_THAT(fields[2], ContainsSubstring("record.key|record.key: "));
  CHECK(fields[3] == "nothing");
  CHECK_THAT(fields[4], ContainsSubstring("step|step: "));
  CHECK_THAT(fields[5], ContainsSubstring("step|step: "));
}

TEST_CASE("a storage that fails within a step of an isolated handler is told to the handler", "[isolation]") {
  quern::HandlerRegistry handlers;
  handlers.on(
      "steps",
      [](JobContext& context) {
        try {
          context.step("one", [] {});
        } catch (const quern::StorageError& e) {
          return JobResult::discarded(std::string(e.what()) + (e.transient() ? ", for now" : ", for ever"));
        }
        return JobResult::completed();
      },
      IsolatedEngine::isolated());
  be_alone();
  handlers.start_isolation();
  Engine engine;
  engine.handlers = handlers;
  engine.storage.before = [](std::string_view call) {
    if (call == "save_step") throw quern::StorageError("the disk is full", true);
  };
  const auto id = engine.queue.enqueue("steps", Payload()).id;
  const auto processor = engine.processor();
  engine.settle(*processor);
  CHECK(engine.job(id).end_message == "the disk is full, for now");
}

TEST_CASE("a step of an isolated handler whose run is lost throws RunLost and another run does the job",
          "[isolation]") {
  Whisper whisper;
  quern::HandlerRegistry handlers;
  handlers.on(
      "steps",
      [&](JobContext& context) {
        try {
          context.step("one", [] {});
        } catch (const quern::RunLost&) {
          whisper.say("lost");
          throw;
        }
        return JobResult::completed(nlohmann::json(context.fence()));
      },
      IsolatedEngine::isolated());
  be_alone();
  handlers.start_isolation();
  Engine engine;
  engine.handlers = handlers;
  bool done = false;
  engine.storage.before = [&](std::string_view call) {
    if (call != "save_step" || std::exchange(done, true)) return;
    engine.clock.advance(1h);
    (void)engine.port.rescue(10, 3);
  };
  const auto id = engine.queue.enqueue("steps", Payload()).id;
  const auto processor = engine.processor();
  engine.pass(*processor, 1s);
  CHECK(whisper.hear(0ms) == "lost");
  CHECK(engine.job(id).result->text() == "2");
}

TEST_CASE("middleware runs around an isolated handler in its process", "[isolation]") {
  IsolatedEngine engine;
  engine.on("inner", [](JobContext&) { return JobResult::completed({{"pid", ::getpid()}}); });
  engine.handlers.use([](JobContext&, const std::function<JobResult()>& next) {
    const JobResult inner = next();
    return JobResult::completed(
        {{"inner", inner.result()->as<nlohmann::json>()["pid"]}, {"outer", ::getpid()}});
  });
  engine.start();
  const auto result = engine.run("inner").result->as<nlohmann::json>();
  CHECK(result["inner"] == result["outer"]);
  CHECK(result["outer"] != ::getpid());
}

TEST_CASE(
    "an isolated handler sees memory as it was at the start of isolation and what it changes is its own",
    "[isolation]") {
  int value = 1;
  IsolatedEngine engine;
  engine.on("change", [&](JobContext&) { return JobResult::completed(nlohmann::json(++value)); });
  value = 10;
  engine.start();
  value = 20;
  CHECK(engine.run("change").result->text() == "11");
  CHECK(engine.run("change").result->text() == "11");
  CHECK(value == 20);
}

TEST_CASE("each line that an isolated handler writes to standard error is handed over", "[isolation]") {
  std::mutex mutex;
  std::vector<std::string> lines;
  IsolatedEngine engine;
  engine.on("chatty", [](JobContext&) {
    std::fputs("one\ntwo ", stderr);
    std::fputs("parts\n\nno end", stderr);
  });
  engine.on("long", [](JobContext&) { std::fputs((std::string(10'000, 'x') + "\nnext\n").c_str(), stderr); });
  engine.start({.on_line = [&](const quern::Claim& job, std::string_view line) {
    const std::lock_guard lock(mutex);
    lines.push_back(job.kind + ": " + std::string(line));
    throw std::runtime_error("of no interest");
  }});
  CHECK(engine.run("chatty").state == JobState::completed);
  CHECK(lines == std::vector<std::string>{"chatty: one", "chatty: two parts", "chatty: ", "chatty: no end"});
  lines.clear();
  CHECK(engine.run("long").state == JobState::completed);
  CHECK(lines == std::vector<std::string>{"long: " + std::string(4096, 'x'), "long: next"});
}

TEST_CASE("whoever watches the queue is told what an isolated attempt has used", "[isolation]") {
  struct Watcher final : quern::QueueObserver {
    void on_ended(std::span<const quern::RunReport> runs) noexcept override {
      for (const auto& run : runs) reports.push_back(run);
    }
    std::vector<quern::RunReport> reports;
  };
  IsolatedEngine engine;
  engine.on("hungry", [](JobContext&) {
    std::vector<char> memory(32 << 20, 'x');
    volatile unsigned long long sum = 0;
    for (int round = 0; round < 20; ++round)
      for (const char c : memory) sum = sum + static_cast<unsigned char>(c);
  });
  engine.handlers.on("thread", [](JobContext&) {});
  engine.start();
  const auto watcher = std::make_shared<Watcher>();
  engine.queue->core().observers().add(watcher);
  engine.run("hungry");
  engine.run("thread");
  REQUIRE(watcher->reports.size() == 2);
  CHECK(watcher->reports[0].cpu > 10ms);
  CHECK(watcher->reports[0].peak_memory > (32U << 20U));
  CHECK(watcher->reports[1].cpu < watcher->reports[0].cpu);  // of its thread, which did next to nothing
  CHECK(watcher->reports[1].peak_memory == 0);
}

TEST_CASE("many isolated jobs run at once and leave nothing behind", "[isolation]") {
  IsolatedEngine engine;
  engine.on("work", [](JobContext& context) {
    if (context.id().value % 5 == 0 && context.attempt() == 1) std::abort();
    context.progress(50);
    return JobResult::completed();
  });
  engine.on("server", [](JobContext&) { return JobResult::completed(nlohmann::json(::getppid())); });
  engine.start({.ready = 3});
  const auto server = engine.run("server").result->as<pid_t>();
  REQUIRE(eventually([&] { return children_of(server).size() == 3; }));
  const auto own_before = open_pipes(::getpid());
  const auto servers_before = open_files(server);
  std::vector<quern::JobId> ids;
  for (int i = 0; i < 120; ++i) ids.push_back(engine.add("work", {.max_attempts = 2}));
  engine.drain({.max_concurrent_jobs = 24});
  for (const auto id : ids) REQUIRE(engine.job(id).state == JobState::completed);
  CHECK(open_pipes(::getpid()) == own_before);
  CHECK(eventually([&] { return open_files(server) == servers_before; }));
  // Those that are ready for the next jobs, and no other one, alive or not.
  CHECK(eventually([&] {
    const auto children = children_of(server);
    return children.size() == 3 && std::ranges::count(children, 'Z', &ProcessLine::state) == 0;
  }));
  const auto guard = process_line(server)->parent;
  CHECK(process_line(guard)->parent == ::getpid());
  const WatchedProcess server_process(server);
  engine.handlers = quern::HandlerRegistry();
  CHECK(server_process.ends());
  CHECK_FALSE(process_line(guard));
}

TEST_CASE("an isolated handler runs while none is forked ahead", "[isolation]") {
  IsolatedEngine engine;
  engine.on("work", [](JobContext&) {});
  engine.start({.ready = 0});
  CHECK(engine.run("work").state == JobState::completed);
  CHECK(engine.run("work").state == JobState::completed);
}

TEST_CASE("isolation is not started beside other threads, and the reason is said", "[isolation]") {
  IsolatedEngine engine;
  engine.on("work", [](JobContext&) {});
  be_alone();
  Whisper go;
  std::jthread other([&] { (void)go.hear(); });
  try {
    engine.handlers.start_isolation();
    FAIL("it was started");
  } catch (const quern::InvalidArgument& e) {
    CHECK(e.field() == "isolation");
    CHECK_THAT(e.what(), ContainsSubstring("one thread") && ContainsSubstring("main"));
  }
  CHECK_FALSE(engine.handlers.isolation_started());
  go.say("end");
  other.join();
  engine.start();
  CHECK(engine.run("work").state == JobState::completed);
}

TEST_CASE("a processor with isolated kinds needs isolation to be started", "[isolation]") {
  IsolatedEngine engine;
  engine.on("work", [](JobContext&) {});
  EngineStorage own;
  quern::JobQueue queue(own.storage);
  CHECK_THROWS_WITH(quern::Processor(queue, engine.handlers),
                    ContainsSubstring("handlers[work].isolation") && ContainsSubstring("start_isolation"));
}

TEST_CASE("what isolated handlers could not know of is refused once isolation is started", "[isolation]") {
  IsolatedEngine engine;
  engine.on("work", [](JobContext&) {});
  engine.start();
  CHECK_THROWS_AS(engine.on("late", [](JobContext&) {}), quern::InvalidArgument);
  CHECK_THROWS_AS(engine.handlers.use([](JobContext&, const auto& next) { return next(); }),
                  quern::InvalidArgument);
  CHECK_THROWS_AS(engine.handlers.start_isolation(), quern::InvalidArgument);
  engine.handlers.on("late thread", [](JobContext&) {});
  CHECK(engine.run("late thread").state == JobState::completed);
}

TEST_CASE("limits of isolated handlers that make no sense are refused", "[isolation]") {
  quern::HandlerRegistry handlers;
  const auto add = [&](quern::IsolationLimits limits) {
    handlers.on("work", [](JobContext&) {}, {.isolation = Isolation::process, .limits = limits});
  };
  CHECK_THROWS_WITH(add({.memory_bytes = 1000}), ContainsSubstring("handlers[work].limits.memory_bytes"));
  CHECK_THROWS_WITH(add({.cpu_time = -1s}), ContainsSubstring("handlers[work].limits.cpu_time"));
  CHECK_THROWS_WITH(add({.stop_grace = 2h}), ContainsSubstring("handlers[work].limits.stop_grace"));
  CHECK_THROWS_WITH(handlers.start_isolation({.ready = 65}), ContainsSubstring("isolation.ready"));
}
