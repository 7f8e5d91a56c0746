#include <nlohmann/json.hpp>

#include "quern/testing/engine.hpp"
#include "support/catch.hpp"
#include "support/engine.hpp"

using namespace quern_test;
using quern::JobContext;
using quern::JobResult;
using quern::JobState;

// Named, so that a compiler doesn't complain of a struct's conversion that no test needs.
namespace handlers_test {

struct Greet {
  static constexpr std::string_view kind = "greet";
  std::string name;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Greet, name)

struct Resize {
  static constexpr std::string_view kind = "resize";
  static constexpr quern::JobDefaults defaults{.queue = "images",
                                               .priority = quern::Priority::low,
                                               .max_attempts = 9,
                                               .timeout = std::chrono::minutes(3)};
  int width = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Resize, width)

}  // namespace handlers_test
using handlers_test::Greet;
using handlers_test::Resize;

TEST_CASE("a typed job reaches its handler and its result is kept", "[handlers]") {
  quern_test::HostEngine engine;
  std::string greeted;
  engine.on<Greet>([&](const Greet& job, JobContext& context) {
    greeted = job.name;
    return JobResult::completed({{"attempt", context.attempt()}, {"name", job.name}});
  });
  const auto id = engine.queue().enqueue(Greet{"Ada"}).id;
  engine.drain();

  CHECK(greeted == "Ada");
  const quern::Job job = engine.job(id);
  CHECK(job.state == JobState::completed);
  CHECK(job.attempt == 1);
  CHECK(job.result.value().text() == R"({"attempt":1,"name":"Ada"})");
}

TEST_CASE("a struct's own defaults hold unless the call says otherwise", "[handlers]") {
  quern_test::HostEngine engine;
  const auto plain = engine.job(engine.queue().enqueue(Resize{100}).id);
  CHECK(plain.queue == "images");
  CHECK(plain.priority == quern::Priority::low);
  CHECK(plain.max_attempts == 9);
  CHECK(plain.timeout == 3min);
  const auto special = engine.job(
      engine.queue()
          .enqueue(Resize{100}, {.queue = "now", .priority = quern::Priority::critical, .max_attempts = 1})
          .id);
  CHECK(special.queue == "now");
  CHECK(special.priority == quern::Priority::critical);
  CHECK(special.max_attempts == 1);
}

TEST_CASE("a kind's queue and attempts can be set where its handler is registered", "[handlers]") {
  Engine engine;
  engine.handlers.on("report", [](JobContext&) {}, {.max_attempts = 7, .queue = "reports"});
  const auto processor = engine.processor();
  const auto job = engine.job(engine.queue.enqueue("report", quern::Payload::json("{}")).id);
  CHECK(job.queue == "reports");
  CHECK(job.max_attempts == 7);
}

TEST_CASE("a failing job is retried after its policy's waits until it is dead with every error kept",
          "[handlers]") {
  quern_test::HostEngine engine;
  int calls = 0;
  engine.on<Greet>([&](const Greet&) { throw std::runtime_error("no greeting " + std::to_string(++calls)); },
                   {.retry = quern::RetryPolicy::fixed(10s), .max_attempts = 3});
  const auto id = engine.queue().enqueue(Greet{"Bob"}).id;

  engine.drain();
  CHECK(engine.state(id) == JobState::scheduled);
  engine.advance(9s);
  CHECK(calls == 1);
  engine.advance(1s);
  CHECK(calls == 2);
  engine.advance(1h);
  CHECK(calls == 3);

  const quern::Job job = engine.job(id);
  CHECK(job.state == JobState::dead);
  CHECK(job.dead_reason == quern::DeadReason::out_of_attempts);
  REQUIRE(job.errors.size() == 3);
  CHECK(job.errors[0].message == "no greeting 1");
  CHECK(job.errors[2].message == "no greeting 3");
  CHECK(job.errors[1].attempt == 2);
}

TEST_CASE("whatever a handler throws is one failed attempt and not the end of the engine", "[handlers]") {
  quern_test::HostEngine engine;
  engine.on<Greet>([](const Greet&) { throw 42; }, {.max_attempts = 1});
  const auto id = engine.queue().enqueue(Greet{"x"}).id;
  engine.drain();
  CHECK(engine.state(id) == JobState::dead);
  CHECK(engine.job(id).errors.at(0).message.find("no std::exception") != std::string::npos);
}

TEST_CASE("a snooze puts a job off and costs no attempt", "[handlers]") {
  quern_test::HostEngine engine;
  int calls = 0;
  engine.on<Greet>([&](const Greet&) {
    return ++calls < 3 ? JobResult::snoozed(1h, "too early") : JobResult::completed();
  });
  const auto id = engine.queue().enqueue(Greet{"x"}).id;
  engine.drain();
  CHECK(engine.job(id).attempt == 0);
  CHECK(engine.job(id).snoozes == 1);
  engine.advance(59min);
  CHECK(calls == 1);
  engine.advance(2h);
  CHECK(engine.state(id) == JobState::completed);
  CHECK(engine.job(id).attempt == 1);
}

TEST_CASE("a handler can say when to try again", "[handlers]") {
  quern_test::HostEngine engine;
  int calls = 0;
  engine.on<Greet>([&](const Greet&) {
    return ++calls == 1 ? JobResult::retry_at(quern::When::after(90min), "closed until noon")
                        : JobResult::completed();
  });
  const auto id = engine.queue().enqueue(Greet{"x"}).id;
  engine.advance(89min);
  CHECK(calls == 1);
  engine.advance(2min);
  CHECK(engine.state(id) == JobState::completed);
  CHECK(engine.job(id).attempt == 2);
}

TEST_CASE("a discarded job is dead at once with its reason", "[handlers]") {
  quern_test::HostEngine engine;
  engine.on<Greet>([](const Greet&) { return JobResult::discarded("no such person"); });
  const auto id = engine.queue().enqueue(Greet{"x"}).id;
  engine.drain();
  CHECK(engine.state(id) == JobState::dead);
  CHECK(engine.job(id).dead_reason == quern::DeadReason::discarded);
  CHECK(engine.job(id).end_message == "no such person");
}

TEST_CASE("a payload that does not decode makes its job dead and others run", "[handlers]") {
  quern_test::HostEngine engine;
  int calls = 0;
  engine.on<Greet>([&](const Greet&) { ++calls; });
  const auto bad = engine.queue().enqueue("greet", quern::Payload::json(R"({"name": 7})")).id;
  const auto good = engine.queue().enqueue(Greet{"x"}).id;
  engine.drain();
  CHECK(engine.state(bad) == JobState::dead);
  CHECK(engine.job(bad).dead_reason == quern::DeadReason::undecodable);
  CHECK(engine.state(good) == JobState::completed);
  CHECK(calls == 1);
}

TEST_CASE("a kind without a handler is neither claimed nor discarded", "[handlers]") {
  quern_test::HostEngine engine;
  engine.on<Greet>([](const Greet&) {});
  const auto stranger = engine.queue().enqueue("stranger", quern::Payload()).id;
  {
    engine.advance(24h);
    CHECK(engine.state(stranger) == JobState::ready);
    CHECK(engine.job(stranger).attempt == 0);
  }
  engine.on("stranger", [](JobContext&) {});
  engine.drain();
  CHECK(engine.state(stranger) == JobState::completed);
}

TEST_CASE("a result that is too large or no JSON fails its attempt", "[handlers]") {
  quern_test::HostEngine engine;
  engine.on("big",
            [](JobContext&) {
              std::string text(std::size_t{2} << 20U, 'x');
              text.front() = text.back() = '"';
              return JobResult::completed(quern::Payload::json(std::move(text)));
            },
            {.max_attempts = 1});
  engine.on("nul", [](JobContext&) { return JobResult::completed(quern::Payload::json(R"("\u0000")")); },
            {.max_attempts = 1});
  const auto big = engine.queue().enqueue("big", quern::Payload()).id;
  const auto nul = engine.queue().enqueue("nul", quern::Payload()).id;
  engine.drain();
  CHECK(engine.state(big) == JobState::dead);
  CHECK(engine.job(big).end_message.find("result") != std::string::npos);
  CHECK(engine.state(nul) == JobState::dead);
}

TEST_CASE("middleware wraps every handler and the first one added is the outermost", "[handlers]") {
  quern_test::HostEngine engine;
  std::vector<std::string> trace;
  engine.use([&](JobContext&, const std::function<JobResult()>& next) {
    trace.emplace_back("outer in");
    auto result = next();
    trace.emplace_back("outer out");
    return result;
  });
  engine.use([&](JobContext& context, const std::function<JobResult()>& next) {
    trace.push_back("inner " + context.job().kind);
    return next();
  });
  engine.on<Greet>([&](const Greet&) { trace.emplace_back("handler"); });
  engine.queue().enqueue(Greet{"x"});
  engine.drain();
  CHECK(trace == std::vector<std::string>{"outer in", "inner greet", "handler", "outer out"});
}

TEST_CASE("a registry refuses a second handler and options that make no sense", "[handlers]") {
  quern::HandlerRegistry handlers;
  handlers.on<Greet>([](const Greet&) {});
  CHECK_THROWS_AS(handlers.on<Greet>([](const Greet&) {}), quern::InvalidArgument);
  CHECK_THROWS_AS(handlers.on("a", [](JobContext&) {}, {.timeout = -1s}), quern::InvalidArgument);
  CHECK_THROWS_AS(handlers.on("b", [](JobContext&) {}, {.max_attempts = -1}), quern::InvalidArgument);
  CHECK_THROWS_AS(handlers.on("c", [](JobContext&) {}, {.concurrency = -1}), quern::InvalidArgument);
  CHECK_THROWS_AS(handlers.on("", [](JobContext&) {}), quern::InvalidArgument);
}
