// What isolated handlers log, and what must not be seen of them.
#include <algorithm>
#include <mutex>
#include <nlohmann/json.hpp>

#include "isolation_fixture.hpp"
#include "support/test_tracer.hpp"

using namespace quern_test;
using Catch::Matchers::ContainsSubstring;
using quern::JobContext;
using quern::JobState;
using quern::LogLevel;
using quern::LogRecord;

namespace {

struct Sync {
  static constexpr std::string_view kind = "sync";
  std::string host;
  quern::Secret password;
};
QUERN_FIELDS(Sync, host, password)

struct Lines {
  std::mutex mutex;
  std::vector<std::string> all;

  quern::Logger sink(LogLevel least = LogLevel::debug) {
    return {[this](const LogRecord& record) {
              const std::lock_guard lock(mutex);
              all.push_back(to_json(record));
            },
            least};
  }
  [[nodiscard]] bool contains(std::string_view text) const {
    return std::ranges::any_of(all, [&](const auto& line) { return line.find(text) != std::string::npos; });
  }
};

}  // namespace

TEST_CASE("an isolated handler logs as any other", "[isolation][log]") {
  IsolatedEngine engine;
  Lines lines;
  engine.on("work", [](JobContext& context) {
    context.debug("a");
    context.warning("b \"q\"", {{"text", "x"}, {"whole", -3}, {"natural", 7U}, {"real", 0.5}, {"yes", true}});
  });
  engine.start();
  const auto id = engine.add("work");
  engine.drain({.log = lines.sink()});
  REQUIRE(engine.job(id).state == JobState::completed);
  REQUIRE(lines.all.size() == 2);
  const auto said = nlohmann::json::parse(lines.all[1]);
  CHECK(said["level"] == "warning");
  CHECK(said["message"] == "b \"q\"");
  CHECK(said["job"] == to_string(id));
  CHECK(said["kind"] == "work");
  CHECK(said["attempt"] == 1);
  CHECK(said["fields"] ==
        nlohmann::json{{"text", "x"}, {"whole", -3}, {"natural", 7}, {"real", 0.5}, {"yes", true}});
  const auto log = engine.queue->log_lines(id);
  REQUIRE(log.lines.size() == 2);
  CHECK(log.lines[0].level == LogLevel::debug);
  CHECK(log.lines[1].fields[1] == quern::LoggedField{"whole", "-3"});
}

TEST_CASE("an isolated handler may log much and from its own threads", "[isolation][log]") {
  IsolatedEngine engine;
  engine.on("work", [](JobContext& context) {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 3; ++t)
      threads.emplace_back([&context] {
        for (int i = 0; i < 1000; ++i) context.info(std::string(1000, 'x'), {{"i", i}});
      });
    threads.clear();
    context.error("the last one");
  });
  engine.start();
  const auto id = engine.add("work");
  engine.drain();
  REQUIRE(engine.job(id).state == JobState::completed);
  const auto log = engine.queue->log_lines(id);
  CHECK(log.lines.back().message == "the last one");
  CHECK(log.lines.size() + log.dropped == 3001);
}

TEST_CASE("where nobody wants its lines an isolated handler says none", "[isolation][log]") {
  IsolatedEngine engine;
  Lines lines;
  engine.on("work", [](JobContext& context) {
    context.info("low");
    context.error("high");
  });
  engine.start();
  const auto id = engine.add("work");
  quern::ProcessorOptions options;
  options.log = lines.sink(LogLevel::error);
  options.job_log.lines = 0;
  engine.drain(options);
  CHECK(lines.all.size() == 1);
  CHECK(engine.queue->log_lines(id).lines.empty());
}

TEST_CASE("the error of a process that dies shows what it has logged last, and its lines are kept",
          "[isolation][log]") {
  IsolatedEngine engine;
  engine.on("work", [](JobContext& context) {
    for (int i = 1; i <= 7; ++i) context.info("step", {{"n", i}});
    ::raise(SIGKILL);
  });
  engine.start();
  const auto id = engine.add("work", {.max_attempts = 1});
  engine.drain();
  const auto job = engine.job(id);
  REQUIRE(job.state == JobState::dead);
  CHECK_THAT(job.errors.back().message,
             ContainsSubstring("it has logged last:\nstep n=3\nstep n=4\nstep n=5\nstep n=6\nstep n=7"));
  CHECK(engine.queue->log_lines(id).lines.size() == 7);
}

TEST_CASE("the steps of an isolated handler can't take the names of kept lines", "[isolation][log]") {
  IsolatedEngine engine;
  engine.on("work", [](JobContext& context) { context.step("quern.log.1.1", [] {}); });
  engine.start();
  CHECK_THAT(engine.failure("work"), ContainsSubstring("which quern keeps for itself"));
}

TEST_CASE("no secret of an isolated job is in what it logs, reports, prints or fails with",
          "[isolation][secret]") {
  IsolatedEngine engine;
  Lines lines;
  Lines printed;
  const bool dies = GENERATE(false, true);
  engine.handlers.on<Sync>(
      [dies](const Sync& sync, JobContext& context) {
        context.secret("fetched-key");
        const std::string secret = sync.password.reveal();
        context.info("as " + secret + " with fetched-key", {{"plain", secret}});
        context.progress(50, "using " + secret);
        std::fprintf(stderr, "trying %s\n", secret.c_str());
        if (dies) ::raise(SIGKILL);
        throw std::runtime_error("login failed for " + secret + ", key fetched-key");
      },
      IsolatedEngine::isolated({.max_attempts = 1}));
  engine.start({.on_line = [&](const quern::Claim&, std::string_view line) {
    const std::lock_guard lock(printed.mutex);
    printed.all.emplace_back(line);
  }});
  const auto id = engine.queue->enqueue(Sync{"mx.example", "hunter2"}).id;
  engine.drain({.log = lines.sink()});
  const auto job = engine.job(id);
  REQUIRE(job.state == JobState::dead);
  const std::string error = job.errors.back().message;
  if (dies)
    CHECK_THAT(error, ContainsSubstring("as *** with *** plain=***") && ContainsSubstring("trying ***"));
  else
    CHECK(error == "login failed for ***, key ***");
  CHECK(printed.all == std::vector<std::string>{"trying ***"});
  CHECK(job.progress.message == "using ***");
  const auto log = engine.queue->log_lines(id);
  REQUIRE(log.lines.size() == 1);
  CHECK(log.lines[0].message == "as *** with ***");
  CHECK(log.lines[0].fields[0].value == "***");
  for (const Lines* seen : {&lines, &printed}) {
    CHECK_FALSE(seen->contains("hunter2"));
    CHECK_FALSE(seen->contains("fetched-key"));
  }
  CHECK(error.find("hunter2") == std::string::npos);
}

TEST_CASE("an isolated run has its trace, and so have the jobs that it adds", "[isolation][trace]") {
  IsolatedEngine engine;
  Lines lines;
  engine.on("work", [](JobContext& context) {
    context.info(context.trace());
    context.info(quern::current_trace());
    context.then({.kind = "then"});
  });
  engine.on("then", [](JobContext&) {});
  engine.start();
  const auto tracer = std::make_shared<TestTracer>();
  engine.queue->set_tracer(tracer);
  const auto id = engine.add("work");
  engine.drain({.log = lines.sink()});
  REQUIRE(engine.job(id).state == JobState::completed);
  const auto runs = tracer->spans(quern::SpanKind::consumer);
  REQUIRE(runs.size() == 2);
  CHECK(runs[1].parent == runs[0].trace);
  CHECK(runs[0].parent == engine.job(id).trace);
  REQUIRE(lines.all.size() == 2);
  CHECK(nlohmann::json::parse(lines.all[0])["message"] == runs[0].trace);
  CHECK(nlohmann::json::parse(lines.all[1])["message"] == runs[0].trace);
  const auto added = engine.queue->list({.kind = "then"}).jobs;
  REQUIRE(added.size() == 1);
  CHECK(added[0].trace == runs[0].trace);
}
