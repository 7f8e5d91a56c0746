// What the sink gets to hear.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "job_log_fixture.hpp"
#include "quern/worker_pool.hpp"
#include "support/catch.hpp"
#include "support/engine.hpp"
#include "support/temp_folder.hpp"

using namespace quern_test;
using Catch::Matchers::ContainsSubstring;
using quern::JobContext;
using quern::JobState;
using quern::LogLevel;
using quern::LogRecord;
using quern::Payload;

namespace {

/// An engine whose sink keeps whole records as JSON.
struct LoggedEngine : Engine {
  std::vector<std::string> json;

  quern::ProcessorOptions logging(LogLevel least = LogLevel::debug) {
    auto made = options();
    made.log = {[this](const LogRecord& record) { json.push_back(to_json(record)); }, least};
    return made;
  }
};

}  // namespace

TEST_CASE("what a handler logs reaches the sink with what is known of its job", "[log]") {
  LoggedEngine engine;
  engine.handlers.on("mail", [](JobContext& context) {
    context.warning("slow \"server\"", {{"host", "mx.example"}, {"ms", 1700}});
    if (context.attempt() == 1) throw std::runtime_error("try again");
  });
  const auto processor = engine.processor(engine.logging());
  const auto id = engine.queue.enqueue("mail", Payload(), {.queue = "out"}).id;
  engine.pass(*processor, 1h);
  REQUIRE(engine.state(id) == JobState::completed);
  REQUIRE(engine.json.size() == 2);
  const auto first = nlohmann::json::parse(engine.json[0]);
  const auto second = nlohmann::json::parse(engine.json[1]);
  CHECK(first["level"] == "warning");
  CHECK(first["message"] == "slow \"server\"");
  CHECK(first["job"] == to_string(id));
  CHECK(first["kind"] == "mail");
  CHECK(first["queue"] == "out");
  CHECK(first["run"] == 1);
  CHECK(first["attempt"] == 1);
  CHECK(first["worker"] == "test");
  CHECK(first["node"] == processor->node().value);
  CHECK(first["fields"] == nlohmann::json{{"host", "mx.example"}, {"ms", 1700}});
  CHECK(second["attempt"] == 2);
}

TEST_CASE("in a pool the sink is told which worker it was", "[log]") {
  LoggedEngine engine;
  engine.handlers.on("work", [](JobContext& context) { context.info("here"); });
  quern::PoolOptions options;
  options.processor = engine.logging();
  options.workers = {{.id = "left", .max_jobs = 1}, {.id = "right", .max_jobs = 1}};
  quern::WorkerPool<quern::testing::StorageProxy, HeldExecutor> pool(engine.queue, engine.handlers,
                                                                     std::move(options));
  engine.queue.enqueue("work", Payload());
  engine.queue.enqueue("work", Payload());
  engine.settle(pool);
  pool.processor().executor().run_all();
  engine.settle(pool);
  std::vector<std::string> workers;
  for (const auto& line : engine.json) workers.push_back(nlohmann::json::parse(line)["worker"]);
  std::ranges::sort(workers);
  CHECK(workers == std::vector<std::string>{"left", "right"});
}

TEST_CASE("what quern itself says of a job has the job's fields", "[log]") {
  LoggedEngine engine;
  engine.handlers.on("deaf", [](JobContext&) {}, {.timeout = 1min, .max_attempts = 1});
  const auto processor = engine.processor<HeldExecutor>(engine.logging());
  const auto id = engine.queue.enqueue("deaf", Payload()).id;
  engine.settle(*processor);
  engine.pass(*processor, 5min);
  REQUIRE(engine.json.size() == 1);
  const auto said = nlohmann::json::parse(engine.json[0]);
  CHECK_THAT(said["message"].get<std::string>(), ContainsSubstring("ignores its stop"));
  CHECK(said["job"] == to_string(id));
  CHECK(said["kind"] == "deaf");
  CHECK(said["attempt"] == 1);
}

TEST_CASE("a sink gets nothing below its level, and the lines are kept all the same", "[log]") {
  LoggedEngine engine;
  engine.handlers.on("work", [](JobContext& context) {
    context.debug("a");
    context.info("b");
    context.warning("c");
    context.error("d");
  });
  const auto processor = engine.processor(engine.logging(LogLevel::warning));
  const auto id = engine.queue.enqueue("work", Payload()).id;
  engine.settle(*processor);
  CHECK(engine.json.size() == 2);
  CHECK(messages(engine.queue.log_lines(id)) == std::vector<std::string>{"a", "b", "c", "d"});
}

TEST_CASE("a sink that throws harms neither the handler nor the lines that are kept", "[log]") {
  Engine engine;
  engine.handlers.on("work", [](JobContext& context) { context.info("said"); });
  auto options = engine.options();
  options.log = [](const LogRecord&) { throw std::runtime_error("disk full"); };
  const auto processor = engine.processor(options);
  const auto id = engine.queue.enqueue("work", Payload()).id;
  engine.settle(*processor);
  CHECK(engine.state(id) == JobState::completed);
  CHECK(messages(engine.queue.log_lines(id)) == std::vector<std::string>{"said"});
}

TEST_CASE("nothing is printed by default", "[log]") {
  const TempFolder folder;
  const std::string file = (folder / "printed").string();
  HostEngine engine;
  engine.on("work", [](JobContext& context) {
    context.error("said");
    throw std::runtime_error("failed");
  });
  engine.queue().enqueue("work", Payload());
  std::fflush(nullptr);
  const int out = ::dup(STDOUT_FILENO);
  const int err = ::dup(STDERR_FILENO);
  const int to = ::open(file.c_str(), O_CREAT | O_WRONLY, 0600);
  ::dup2(to, STDOUT_FILENO);
  ::dup2(to, STDERR_FILENO);
  engine.advance(1h);
  std::fflush(nullptr);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  for (const int fd : {to, out, err}) ::close(fd);
  std::stringstream printed;
  printed << std::ifstream(file).rdbuf();
  CHECK(printed.str().empty());
}
