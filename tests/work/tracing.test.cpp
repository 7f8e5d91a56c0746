// Traces, from an enqueue through runs to the jobs that those add.
#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/engine.hpp"
#include "support/test_tracer.hpp"

using namespace quern_test;
using quern::JobContext;
using quern::JobId;
using quern::JobResult;
using quern::JobState;
using quern::Payload;
using quern::SpanKind;
using quern::TraceContext;
using quern::TraceScope;

namespace {

const std::string request = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

std::string trace_id(const std::string& trace) { return trace.substr(3, 32); }

struct TracedEngine : Engine {
  std::shared_ptr<TestTracer> tracer = std::make_shared<TestTracer>();
  TracedEngine() { queue.set_tracer(tracer); }
};

}  // namespace

TEST_CASE("without a tracer a trace goes along from a request to runs and the jobs that those add",
          "[trace]") {
  Engine engine;
  std::vector<JobId> added;
  std::string seen;
  engine.handlers.on("first", [&](JobContext& context) {
    seen = context.trace();
    CHECK(quern::current_trace() == context.trace());
    added.push_back(context.then({.kind = "then"}));
    added.push_back(engine.queue.enqueue("here", Payload()).id);
    added.push_back(engine.queue.enqueue_all({{.kind = "here"}, {.kind = "here"}}).back().id);
    const TraceScope other(TraceContext::parse(request)->child(*std::make_unique<quern::Random>(1)));
    added.push_back(engine.queue.enqueue("apart", Payload()).id);
  });
  JobId first;
  {
    const TraceScope scope(request, "vendor=1");
    first = engine.queue.enqueue("first", Payload()).id;
  }
  const auto alone = engine.queue.enqueue("alone", Payload()).id;
  const auto processor = engine.processor();
  engine.settle(*processor);
  CHECK(engine.job(first).trace == request + " vendor=1");
  CHECK(seen == request + " vendor=1");
  REQUIRE(added.size() == 4);
  for (std::size_t i = 0; i < 3; ++i) CHECK(engine.job(added[i]).trace == seen);
  CHECK(engine.job(added[3]).trace != seen);
  CHECK(trace_id(engine.job(added[3]).trace) == trace_id(seen));
  CHECK(engine.job(alone).trace.empty());
}

TEST_CASE("a job's own trace goes before the thread's", "[trace]") {
  Engine engine;
  const TraceScope scope(request);
  quern::Random random(3);
  const std::string own = TraceContext::root(random).text();
  CHECK(engine.job(engine.queue.enqueue("a", Payload(), {.trace = own}).id).trace == own);
  CHECK_THROWS_AS(engine.queue.enqueue("a", Payload(), {.trace = "mine"}), quern::InvalidArgument);
}

TEST_CASE("an enqueue and each attempt are spans, one the parent of the other", "[trace]") {
  TracedEngine engine;
  engine.handlers.on("work", [&](JobContext& context) {
    engine.clock.advance(3s);
    if (context.attempt() == 1) throw std::runtime_error("the server is away");
    return JobResult::completed();
  });
  const TraceScope scope(request);
  const auto id = engine.queue.enqueue("work", Payload(), {.queue = "q"}).id;
  const auto processor = engine.processor();
  engine.pass(*processor, 1h);
  REQUIRE(engine.state(id) == JobState::completed);

  const auto producers = engine.tracer->spans(SpanKind::producer);
  REQUIRE(producers.size() == 1);
  CHECK(producers[0].parent == request);
  CHECK(producers[0].job == id);
  CHECK(producers[0].job_kind == "work");
  CHECK(producers[0].queue == "q");
  CHECK(producers[0].outcome == "added");
  CHECK_FALSE(producers[0].failed);
  CHECK(producers[0].ends == 1);
  CHECK(engine.job(id).trace == producers[0].trace);

  const auto runs = engine.tracer->spans(SpanKind::consumer);
  REQUIRE(runs.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(runs[i].parent == producers[0].trace);
    CHECK(runs[i].job == id);
    CHECK(runs[i].attempt == static_cast<int>(i) + 1);
    CHECK(runs[i].ended - runs[i].began == 3s);
    CHECK(runs[i].entered == 1);
    CHECK(runs[i].left == 1);
    CHECK(runs[i].ends == 1);
  }
  CHECK(runs[0].failed);
  CHECK(runs[0].outcome == "failed");
  CHECK(runs[0].message == "the server is away");
  CHECK_FALSE(runs[1].failed);
  CHECK(runs[1].outcome == "completed");
}

TEST_CASE("what a traced run adds and logs belongs to its span", "[trace]") {
  TracedEngine engine;
  std::vector<JobId> added;
  std::string own;
  engine.handlers.on("work", [&](JobContext& context) {
    own = context.trace();
    context.info("here");
    added = {context.then({.kind = "then"}), engine.queue.enqueue("here", Payload()).id};
  });
  auto options = engine.options();
  std::vector<std::string> lines;
  options.log = [&](const quern::LogRecord& record) { lines.push_back(to_json(record)); };
  const auto processor = engine.processor(options);
  engine.queue.enqueue("work", Payload());
  engine.settle(*processor);
  const auto runs = engine.tracer->spans(SpanKind::consumer);
  REQUIRE(runs.size() == 1);
  CHECK(own == runs[0].trace);
  REQUIRE(added.size() == 2);
  CHECK(engine.job(added[0]).trace == own);
  CHECK(engine.tracer->spans(SpanKind::producer).at(1).parent == own);
  REQUIRE(lines.size() == 1);
  const auto line = nlohmann::json::parse(lines[0]);
  CHECK(line["trace_id"] == trace_id(own));
  CHECK(line["span_id"] == own.substr(36, 16));
}

TEST_CASE("the span of a job that was not added says so", "[trace]") {
  TracedEngine engine;
  const auto first = engine.queue.enqueue("a", Payload(), {.unique = {.key = "k"}});
  const auto second = engine.queue.enqueue("a", Payload(), {.unique = {.key = "k"}});
  CHECK(second.id == first.id);
  engine.queue.limit("small", 1);
  engine.queue.enqueue("a", Payload(), {.queue = "small"});
  CHECK(engine.queue.enqueue("a", Payload(), {.queue = "small"}).status == quern::InsertStatus::queue_full);
  engine.storage.before = [](std::string_view call) {
    if (call == "insert") throw quern::StorageError("the disk is full", true);
  };
  CHECK_THROWS_AS(engine.queue.enqueue("a", Payload()), quern::StorageError);
  const auto spans = engine.tracer->spans(SpanKind::producer);
  REQUIRE(spans.size() == 5);
  CHECK(spans[1].outcome == "duplicate");
  CHECK_FALSE(spans[1].failed);
  CHECK(spans[3].outcome == "queue_full");
  CHECK(spans[3].failed);
  CHECK(spans[4].outcome == "failed");
  CHECK(spans[4].failed);
  for (const auto& span : spans) CHECK(span.ends == 1);
}

TEST_CASE("a run's span ends when it is given up, and only once", "[trace]") {
  TracedEngine engine;
  engine.handlers.on("hang", [](JobContext&) {}, {.timeout = 10s});
  auto processor = engine.processor<HeldExecutor>();
  const auto id = engine.queue.enqueue("hang", Payload(), {.max_attempts = 1}).id;
  HeldExecutor* executor = &processor->executor();
  SECTION("before its handler began: then there is none") {
    engine.settle(*processor);
    engine.pass(*processor, 1min);
    CHECK(engine.state(id) == JobState::dead);
    executor->run_all();
    CHECK(engine.tracer->spans(SpanKind::consumer).empty());
  }
  SECTION("while its handler runs") {
    engine.handlers = {};
    engine.handlers.on("hang", [&](JobContext&) { engine.pass(*processor, 1min); }, {.timeout = 10s});
    processor = engine.processor<HeldExecutor>();
    engine.settle(*processor);
    REQUIRE(processor->executor().tasks.size() == 1);
    processor->executor().run_one();
    CHECK(engine.state(id) == JobState::dead);
    const auto spans = engine.tracer->spans(SpanKind::consumer);
    REQUIRE(spans.size() == 1);
    CHECK(spans[0].ends == 1);
    CHECK(spans[0].failed);
    CHECK(spans[0].outcome == "given_up");
  }
}

TEST_CASE("a secret stands in no span", "[trace]") {
  TracedEngine engine;
  engine.handlers.on("work", [](JobContext& context) {
    context.secret("hunter2");
    throw std::runtime_error("can't log in with hunter2");
  });
  engine.queue.enqueue("work", Payload(), {.max_attempts = 1});
  const auto processor = engine.processor();
  engine.settle(*processor);
  CHECK(engine.tracer->spans(SpanKind::consumer).at(0).message == "can't log in with ***");
}

TEST_CASE("a tracer that fails or does not want a span changes nothing", "[trace]") {
  TracedEngine engine;
  std::string seen;
  engine.handlers.on("work", [&](JobContext& context) { seen = context.trace(); });
  const auto processor = engine.processor();
  const TraceScope scope(request);
  SECTION("fails") { engine.tracer->broken = true; }
  SECTION("does not want it") { engine.tracer->drops = true; }
  const auto id = engine.queue.enqueue("work", Payload()).id;
  engine.settle(*processor);
  CHECK(engine.state(id) == JobState::completed);
  CHECK(seen == request);
}

TEST_CASE("what the tracing library has as the thread's trace goes before a scope's", "[trace]") {
  TracedEngine engine;
  const TraceScope scope(request);
  quern::Random random(5);
  engine.tracer->here = TraceContext::root(random).text();
  engine.queue.enqueue("work", Payload());
  engine.tracer->here = "nonsense";
  engine.queue.enqueue("work", Payload());
  const auto spans = engine.tracer->spans(SpanKind::producer);
  CHECK(trace_id(spans.at(0).parent) != trace_id(request));
  CHECK(spans.at(1).parent == request);
}

TEST_CASE("a queue can lose its tracer", "[trace]") {
  TracedEngine engine;
  engine.queue.set_tracer(nullptr);
  engine.queue.enqueue("work", Payload());
  CHECK(engine.tracer->spans(SpanKind::producer).empty());
}

TEST_CASE("the log tracer tells sampled spans as records", "[trace]") {
  Engine engine;
  std::vector<std::string> lines;
  engine.queue.set_tracer(
      quern::make_log_tracer([&](const quern::LogRecord& record) { lines.push_back(to_json(record)); }, 9));
  engine.handlers.on("work", [&](JobContext&) {
    engine.clock.advance(1500us);
    throw std::runtime_error("no");
  });
  const auto processor = engine.processor();
  {
    const TraceScope scope(request);
    engine.queue.enqueue("work", Payload(), {.max_attempts = 1});
  }
  engine.settle(*processor);
  REQUIRE(lines.size() == 2);
  const auto producer = nlohmann::json::parse(lines[0]);
  const auto consumer = nlohmann::json::parse(lines[1]);
  CHECK(producer["fields"]["span"] == "enqueue work");
  CHECK(producer["fields"]["trace_id"] == trace_id(request));
  CHECK(producer["fields"]["parent_span_id"] == "b7ad6b7169203331");
  CHECK(producer["fields"]["outcome"] == "added");
  CHECK(consumer["level"] == "warning");
  CHECK(consumer["fields"]["span"] == "run work");
  CHECK(consumer["fields"]["parent_span_id"] == producer["fields"]["span_id"]);
  CHECK(consumer["fields"]["duration_us"] == 1500);
  CHECK(consumer["fields"]["error"] == "no");

  const TraceScope unsampled(request.substr(0, 53) + "00");
  engine.queue.enqueue("work", Payload(), {.max_attempts = 1});
  engine.settle(*processor);
  CHECK(lines.size() == 2);
}
