// What handlers log is kept with their jobs.
#include <algorithm>

#include "job_log_fixture.hpp"
#include "quern/sqlite.hpp"
#include "quern/storage/copy_jobs.hpp"
#include "support/catch.hpp"
#include "support/engine.hpp"
#include "support/temp_folder.hpp"

using namespace quern_test;
using Catch::Matchers::ContainsSubstring;
using quern::JobContext;
using quern::JobResult;
using quern::JobState;
using quern::LogLevel;
using quern::Payload;

namespace {

std::size_t count_calls(std::vector<std::string>& calls, std::string_view name) {
  return static_cast<std::size_t>(std::ranges::count(calls, name));
}

}  // namespace

TEST_CASE("the lines of all attempts can be read back, with when and by whom they were said", "[log]") {
  Engine engine;
  engine.handlers.on("work", [&](JobContext& context) {
    context.info("begun", {{"n", context.attempt()}, {"who", "ada"}});
    if (context.fence() == 1) throw std::runtime_error("again");
    if (context.fence() == 2) return JobResult::snoozed(1min);
    context.error("done");
    return JobResult::completed();
  });
  const auto began = engine.clock.now();
  const auto processor = engine.processor();
  const auto id = engine.queue.enqueue("work", Payload()).id;
  engine.pass(*processor, 1h);
  REQUIRE(engine.state(id) == JobState::completed);
  const quern::JobLog log = engine.queue.log_lines(id);
  CHECK(messages(log) == std::vector<std::string>{"begun", "begun", "begun", "done"});
  CHECK(log.dropped == 0);
  CHECK(log.lines[0].time == began);
  CHECK(log.lines[0].level == LogLevel::info);
  CHECK(log.lines[0].run == 1);
  CHECK(log.lines[0].attempt == 1);
  CHECK(log.lines[0].fields == std::vector<quern::LoggedField>{{"n", "1"}, {"who", "ada"}});
  CHECK(log.lines[1].attempt == 2);
  CHECK(log.lines[1].time > began);
  CHECK(log.lines[2].attempt == 2);  // a snooze costs no attempt
  CHECK(log.lines[3].level == LogLevel::error);
}

TEST_CASE("lines are gone with their job, and where it is retried by hand", "[log]") {
  Engine engine;
  int runs = 0;
  engine.handlers.on("work", [&](JobContext& context) { context.info("run " + std::to_string(++runs)); });
  const auto processor = engine.processor();
  const auto id = engine.queue.enqueue("work", Payload()).id;
  engine.settle(*processor);
  REQUIRE(engine.queue.log_lines(id).lines.size() == 1);
  CHECK(engine.queue.retry(id) == quern::RetryResult::retried);
  CHECK(engine.queue.log_lines(id).lines.empty());
  engine.settle(*processor);
  const auto log = engine.queue.log_lines(id);
  CHECK(messages(log) == std::vector<std::string>{"run 2"});
  CHECK(log.lines.at(0).run == 2);
  CHECK(engine.queue.erase(id) == quern::EraseResult::erased);
  CHECK(engine.queue.log_lines(id).lines.empty());
}

TEST_CASE("a job that does not log costs the storage nothing, and many lines cost one write", "[log]") {
  Engine engine;
  std::vector<std::string> calls;
  engine.handlers.on("silent", [](JobContext&) {});
  engine.handlers.on("chatty", [](JobContext& context) {
    for (int i = 0; i < 300; ++i) context.info("line");
  });
  const auto processor = engine.processor();
  engine.storage.before = [&](std::string_view call) { calls.emplace_back(call); };
  engine.queue.enqueue("silent", Payload());
  engine.settle(*processor);
  CHECK(count_calls(calls, "save_step") == 0);
  CHECK(count_calls(calls, "steps") == 0);
  const auto id = engine.queue.enqueue("chatty", Payload()).id;
  engine.settle(*processor);
  CHECK(count_calls(calls, "save_step") == 1);
  CHECK(count_calls(calls, "steps") == 0);
  engine.storage.before = nullptr;
  CHECK(engine.queue.log_lines(id).lines.size() == 300);
}

TEST_CASE("a job that logs much keeps its last lines, and how many were dropped", "[log]") {
  Engine engine;
  engine.handlers.on("work", [](JobContext& context) {
    for (int i = 1; i <= 1000; ++i) context.info("line " + std::to_string(i));
  });
  auto options = engine.options();
  // A run may keep half of it.
  const bool by_bytes = GENERATE(false, true);
  if (by_bytes)
    options.job_log.bytes = 4096;
  else
    options.job_log.lines = 100;
  const auto processor = engine.processor(options);
  const auto id = engine.queue.enqueue("work", Payload()).id;
  engine.settle(*processor);
  const auto log = engine.queue.log_lines(id);
  REQUIRE_FALSE(log.lines.empty());
  std::size_t bytes = 0;
  for (const auto& line : log.lines) bytes += line.message.size() + 32;
  if (by_bytes)
    CHECK((bytes <= 2048 && bytes > 2000));
  else
    CHECK(log.lines.size() == 50);
  CHECK(log.lines.back().message == "line 1000");
  CHECK(log.dropped == 1000 - log.lines.size());
  CHECK(log.lines.front().dropped == log.dropped);
}

TEST_CASE("over all attempts a job keeps no more than the whole and a quarter", "[log]") {
  Engine engine;
  engine.handlers.on(
      "work",
      [](JobContext& context) {
        for (int i = 1; i <= 50; ++i)
          context.info("attempt " + std::to_string(context.attempt()) + " line " + std::to_string(i));
        throw std::runtime_error("again");
      },
      {.retry = quern::RetryPolicy::fixed(1min), .max_attempts = 30});
  auto options = engine.options();
  options.job_log.lines = 40;
  const auto processor = engine.processor(options);
  const auto id = engine.queue.enqueue("work", Payload()).id;
  engine.pass(*processor, 1h);
  REQUIRE(engine.state(id) == JobState::dead);
  const auto log = engine.queue.log_lines(id);
  CHECK(log.lines.size() <= 50);
  CHECK(log.lines.front().attempt == 1);
  CHECK(log.lines[0].dropped == 30);
  // The one that ended the job has its last lines, however much was said before.
  CHECK(log.lines.back().message == "attempt 30 line 50");
  CHECK(std::ranges::count(log.lines, 30, &quern::JobLogLine::attempt) == 10);
}

TEST_CASE("a long line is cut and odd bytes are made fit to be stored", "[log]") {
  Engine engine;
  engine.handlers.on("work", [](JobContext& context) {
    context.info(std::string(10'000, 'x'), {{"not", "kept"}});
    context.info("a\xFF" + std::string(1, '\0') + "b\nc",
                 {{"k\x01", "v\xFF"}, {"long", std::string(10'000, 'y')}});
  });
  auto options = engine.options();
  options.job_log.line_bytes = 100;
  const auto processor = engine.processor(options);
  const auto id = engine.queue.enqueue("work", Payload()).id;
  engine.settle(*processor);
  const auto log = engine.queue.log_lines(id);
  REQUIRE(log.lines.size() == 2);
  CHECK(log.lines[0].message.size() <= 100);
  CHECK_THAT(log.lines[0].message, Catch::Matchers::EndsWith("…"));
  CHECK(log.lines[0].fields.empty());
  CHECK(log.lines[1].message == "a\xEF\xBF\xBD b\nc");
  REQUIRE(log.lines[1].fields.size() == 2);
  CHECK(log.lines[1].fields[0] == quern::LoggedField{"k ", "v\xEF\xBF\xBD"});
  CHECK(log.lines[1].fields[1].value.size() < 110);
}

TEST_CASE("what is kept has a level of its own, and can be nothing", "[log]") {
  Engine engine;
  std::vector<std::string> calls;
  engine.handlers.on("work", [](JobContext& context) {
    context.debug("low");
    context.warning("high");
  });
  auto options = engine.options();
  const bool nothing = GENERATE(false, true);
  options.job_log.least = LogLevel::warning;
  if (nothing) options.job_log.lines = 0;
  const auto processor = engine.processor(options);
  const auto id = engine.queue.enqueue("work", Payload()).id;
  engine.storage.before = [&](std::string_view call) { calls.emplace_back(call); };
  engine.settle(*processor);
  engine.storage.before = nullptr;
  CHECK(engine.queue.log_lines(id).lines.size() == (nothing ? 0 : 1));
  CHECK(count_calls(calls, "save_step") == (nothing ? 0 : 1));
  CHECK(engine.log == std::vector<std::string>{"low", "high"});
}

TEST_CASE("options for kept lines that make no sense are refused", "[log]") {
  Engine engine;
  const auto refused = [&](auto change) {
    auto options = engine.options();
    change(options.job_log);
    CHECK_THROWS_AS(engine.processor(options), quern::InvalidArgument);
  };
  refused([](auto& log) { log.lines = 10'001; });
  refused([](auto& log) { log.bytes = 300'000; });
  refused([](auto& log) { log.line_bytes = 63; });
  refused([](auto& log) { log.interval = 0ms; });
}

TEST_CASE("kept lines are no steps, and a handler's steps can't take their names", "[log]") {
  Engine engine;
  engine.handlers.on("work",
                     [](JobContext& context) {
                       context.info("said");
                       if (context.attempt() == 1) throw std::runtime_error("again");
                       CHECK_FALSE(context.step_done("quern.log.1.1"));
                       context.step("quern.log.1.1", [] {});
                     },
                     {.max_attempts = 2});
  const auto processor = engine.processor();
  const auto id = engine.queue.enqueue("work", Payload()).id;
  engine.pass(*processor, 1h);
  CHECK_THAT(engine.job(id).errors.back().message, ContainsSubstring("which quern keeps for itself"));
  CHECK(engine.queue.log_lines(id).lines.size() == 2);
}

TEST_CASE("a storage that can't keep the lines harms neither the job nor what comes later", "[log]") {
  Engine engine;
  engine.handlers.on("work", [](JobContext& context) { context.info("said"); });
  const auto processor = engine.processor();
  engine.storage.before = [](std::string_view call) {
    if (call == "save_step") throw quern::StorageError("disk full", true);
  };
  const auto id = engine.queue.enqueue("work", Payload()).id;
  engine.settle(*processor);
  CHECK(engine.state(id) == JobState::completed);
  CHECK(engine.queue.log_lines(id).lines.empty());
  REQUIRE(engine.log.size() == 2);
  CHECK_THAT(engine.log[1], ContainsSubstring("could not be kept: disk full"));
}

TEST_CASE("a run that lost its job keeps no lines", "[log]") {
  Engine engine;
  engine.handlers.on("work", [&](JobContext& context) {
    context.info("by " + std::to_string(context.fence()));
    if (context.fence() > 1) return;
    engine.clock.advance(2min);
    engine.port.rescue(100, 3);
  });
  const auto processor = engine.processor();
  const auto id = engine.queue.enqueue("work", Payload()).id;
  engine.settle(*processor);
  engine.pass(*processor, 1min);
  CHECK(engine.state(id) == JobState::completed);
  CHECK(messages(engine.queue.log_lines(id)) == std::vector<std::string>{"by 2"});
}

TEST_CASE("lines are there after a restart of the storage, and in a copy of it", "[log][sqlite]") {
  const TempFolder folder;
  const std::string file = (folder / "jobs.db").string();
  quern::JobId id;
  {
    quern::SqliteStorage storage(file);
    quern::JobQueue queue(storage);
    quern::HandlerRegistry handlers;
    handlers.on("work", [](JobContext& context) { context.info("said \"so\"", {{"n", 1}}); });
    id = queue.enqueue("work", Payload()).id;
    quern::Processor(queue, handlers).run_until_idle();
  }
  quern::SqliteStorage storage(file);
  quern::JobQueue queue(storage);
  const auto log = queue.log_lines(id);
  REQUIRE(log.lines.size() == 1);
  CHECK(log.lines[0].message == "said \"so\"");
  CHECK(log.lines[0].fields == std::vector<quern::LoggedField>{{"n", "1"}});
  quern::SqliteStorage second((folder / "copy.db").string());
  quern::copy_jobs(storage, second);
  CHECK(messages(quern::JobQueue(second).log_lines(id)) == std::vector<std::string>{"said \"so\""});
}
