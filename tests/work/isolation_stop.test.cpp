// Stops reach isolated handlers, and end those that ignore them.
#include <mutex>
#include <nlohmann/json.hpp>

#include "isolation_fixture.hpp"

using namespace quern_test;
using Catch::Matchers::ContainsSubstring;
using quern::JobContext;
using quern::JobResult;
using quern::JobState;
using quern::Payload;
using quern::StopReason;

namespace {

[[gnu::noinline]] void ignore_everything() {
  volatile unsigned long long turns = 0;
  while (true) turns = turns + 1;
}

/// Waits for a stop; the answer is why.
StopReason wait_for_stop(JobContext& context) {
  std::mutex mutex;
  std::condition_variable_any bell;
  std::unique_lock lock(mutex);
  (void)bell.wait_for(lock, context.stop_token(), 60s, [] { return false; });
  return context.stop_reason();
}

}  // namespace

TEST_CASE("an isolated handler is told why it should stop", "[isolation]") {
  Whisper whisper;
  IsolatedEngine engine;
  engine.on("waits", [&](JobContext& context) {
    whisper.say("begun");
    const StopReason reason = wait_for_stop(context);
    whisper.say(reason == StopReason::cancel     ? "cancel"
                : reason == StopReason::timeout  ? "timeout"
                : reason == StopReason::shutdown ? "shutdown"
                                                 : "?");
    return JobResult::cancelled("as asked");
  });
  engine.start();
  SECTION("somebody cancels the job") {
    const auto id = engine.add("waits");
    quern::Processor processor(*engine.queue, engine.handlers);
    processor.start();
    REQUIRE(whisper.hear() == "begun");
    engine.queue->cancel(id, "test");
    CHECK(whisper.hear() == "cancel");
    CHECK(eventually([&] { return engine.job(id).state == JobState::cancelled; }));
  }
  SECTION("it takes too long") {
    const auto id = engine.add("waits", {.max_attempts = 1, .timeout = 50ms});
    engine.drain();
    CHECK(whisper.hear() == "begun");
    CHECK(whisper.hear() == "timeout");
    const auto job = engine.job(id);
    CHECK(job.state == JobState::dead);
    REQUIRE(job.errors.size() == 1);
    CHECK(job.errors[0].fault == quern::AttemptFault::timeout);
  }
  SECTION("the processor stops") {
    const auto id = engine.add("waits");
    quern::Processor processor(*engine.queue, engine.handlers);
    processor.start();
    REQUIRE(whisper.hear() == "begun");
    processor.stop({.wait = 0s});
    CHECK(whisper.hear() == "shutdown");
    CHECK(engine.job(id).state == JobState::ready);
    CHECK(engine.job(id).attempt == 0);
  }
}

TEST_CASE("an isolated handler that ignores its timeout is killed and its thread is there for the next job",
          "[isolation]") {
  Whisper whisper;
  IsolatedEngine engine;
  engine.on("deaf",
            [&](JobContext&) {
              whisper.say(std::to_string(::getpid()));
              ignore_everything();
            },
            {.timeout = 50ms, .limits = {.stop_grace = 50ms}});
  engine.on("fine", [](JobContext&) {});
  engine.start();
  const auto id = engine.add("deaf", {.max_attempts = 1});
  quern::Processor processor(*engine.queue, engine.handlers, {.max_concurrent_jobs = 1});
  processor.run_until([&] { return engine.all_ended(); });
  const auto job = engine.job(id);
  CHECK(job.state == JobState::dead);
  REQUIRE(job.errors.size() == 1);
  CHECK(job.errors[0].fault == quern::AttemptFault::timeout);
  CHECK_THAT(job.errors[0].message, ContainsSubstring("timed out after 50ms") &&
                                        ContainsSubstring("went on for 50ms after its stop and was killed"));
  CHECK_FALSE(process_line(std::stoi(whisper.hear())));
  CHECK(processor.executor().threads() == 1);
  engine.add("fine");
  processor.run_until([&] { return engine.all_ended(); });
  CHECK(processor.executor().threads() == 1);
}

TEST_CASE("a grace beyond the processor's own is cut so that the kill comes first", "[isolation]") {
  Whisper whisper;
  IsolatedEngine engine;
  engine.on("deaf", [](JobContext&) { ignore_everything(); },
            {.timeout = 50ms, .limits = {.stop_grace = 1h}});
  engine.start();
  const auto id = engine.add("deaf", {.max_attempts = 1});
  engine.drain({.stop_grace = 4s});
  CHECK_THAT(engine.job(id).errors.at(0).message,
             ContainsSubstring("went on for 3s after its stop and was killed"));
}

TEST_CASE("an isolated handler that ignores a cancel is killed and its job is cancelled", "[isolation]") {
  Whisper whisper;
  IsolatedEngine engine;
  engine.on("deaf",
            [&](JobContext&) {
              whisper.say("begun");
              ignore_everything();
            },
            {.limits = {.stop_grace = 50ms}});
  engine.start();
  const auto id = engine.add("deaf");
  quern::Processor processor(*engine.queue, engine.handlers);
  processor.start();
  REQUIRE(whisper.hear() == "begun");
  engine.queue->cancel(id, "test");
  CHECK(eventually([&] { return engine.job(id).state == JobState::cancelled; }));
}

TEST_CASE("an isolated handler that ignores a shutdown is killed and its job is handed back at no cost",
          "[isolation]") {
  Whisper whisper;
  IsolatedEngine engine;
  engine.on("deaf",
            [&](JobContext&) {
              whisper.say(std::to_string(::getpid()));
              ignore_everything();
            },
            {.limits = {.stop_grace = 50ms}});
  engine.start();
  const auto id = engine.add("deaf");
  pid_t runner = 0;
  SECTION("within the grace of the stop") {
    quern::Processor processor(*engine.queue, engine.handlers);
    processor.start();
    runner = std::stoi(whisper.hear());
    processor.stop({.wait = 0s, .grace = 30s});
  }
  SECTION("with no grace at all") {
    quern::Processor processor(*engine.queue, engine.handlers);
    processor.start();
    runner = std::stoi(whisper.hear());
    processor.stop({.wait = 0s, .grace = 0s});
  }
  CHECK(eventually([&] { return !process_line(runner); }));
  CHECK(engine.job(id).state == JobState::ready);
  CHECK(engine.job(id).attempt == 0);
  CHECK(engine.job(id).errors.empty());
}

TEST_CASE("a signal that is meant to stop the host does not end its isolated handlers", "[isolation]") {
  Whisper whisper;
  IsolatedEngine engine;
  engine.on("waits", [&](JobContext& context) {
    whisper.say(std::to_string(::getpid()) + ' ' + std::to_string(::getppid()));
    return wait_for_stop(context) == StopReason::cancel ? JobResult::completed({{"heard", "the cancel"}})
                                                        : JobResult::failed("?");
  });
  engine.start();
  const auto id = engine.add("waits");
  quern::Processor processor(*engine.queue, engine.handlers);
  processor.start();
  std::istringstream ids(whisper.hear());
  pid_t runner = 0;
  pid_t server = 0;
  ids >> runner >> server;
  for (const int signal : {SIGTERM, SIGINT, SIGHUP})
    for (const pid_t process : {runner, server, process_line(server)->parent})
      REQUIRE(::kill(process, signal) == 0);
  engine.queue->cancel(id, "test");
  CHECK(eventually([&] { return engine.job(id).state == JobState::completed; }));
}
