// After a crash of the host: which jobs were running, and what becomes of those that were not.
#include "quern/work/flight_record.hpp"

#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/engine.hpp"
#include "support/temp_folder.hpp"
#if defined(QUERN_TEST_SQLITE)
#include "quern/sqlite.hpp"
#endif

using namespace quern_test;
using Catch::Matchers::ContainsSubstring;
using quern::JobContext;
using quern::JobState;
using quern::Payload;
using quern::RunRef;
using quern::detail::FlightRecord;

namespace {

constexpr quern::TaskToken token(std::uint32_t place, std::uint64_t generation = 1) {
  return generation << 32U | (place + 1);
}
RunRef run(std::uint64_t id) { return {.id = {id}, .epoch = 7, .node = {3}, .claim = 11}; }

}  // namespace

TEST_CASE("a flight record names the runs of a process that has died and which of them had begun",
          "[flight]") {
  const TempFolder folder;
  const std::string path = (folder / "flight").string();
  {
    FlightRecord record(path, 4);
    CHECK(record.take_left().empty());
    record.claimed(token(0), run(100));
    record.claimed(token(1), run(101));
    record.claimed(token(3), run(103));
    record.begin(token(1));
    record.begin(token(3));
    record.end(token(3));
  }
  FlightRecord record(path, 2);
  CHECK(record.left_by() == static_cast<std::uint64_t>(::getpid()));
  const auto left = record.take_left();
  REQUIRE(left.size() == 3);
  CHECK(left[0].ref == run(100));
  CHECK_FALSE(left[0].running);
  CHECK(left[1].ref == run(101));
  CHECK(left[1].running);
  CHECK_FALSE(left[1].crashed);
  CHECK(left[2].ref == run(103));
  CHECK_FALSE(left[2].running);
}

TEST_CASE("a flight record names nothing after an end in good order", "[flight]") {
  const TempFolder folder;
  const std::string path = (folder / "flight").string();
  {
    FlightRecord record(path, 4);
    record.claimed(token(0), run(100));
    record.begin(token(0));
    record.clear();
  }
  CHECK(FlightRecord(path, 4).take_left().empty());
}

TEST_CASE("a run that was given up does not speak for the one that has its place", "[flight]") {
  const TempFolder folder;
  const std::string path = (folder / "flight").string();
  {
    FlightRecord record(path, 1);
    record.claimed(token(0, 1), run(100));
    record.claimed(token(0, 2), run(200));
    record.begin(token(0, 1));
    quern::note_crash();
    record.end(token(0, 1));
  }
  const auto left = FlightRecord(path, 1).take_left();
  REQUIRE(left.size() == 1);
  CHECK(left[0].ref == run(200));
  CHECK_FALSE(left[0].running);
}

TEST_CASE("only the run of the thread that crashes is noted", "[flight]") {
  const TempFolder folder;
  const std::string path = (folder / "flight").string();
  {
    FlightRecord record(path, 2);
    record.claimed(token(0), run(100));
    record.claimed(token(1), run(101));
    std::thread([&] { record.begin(token(0)); }).join();
    record.begin(token(1));
    quern::note_crash();
    record.end(token(1));  // what is noted stays
    quern::note_crash();   // no job runs here now
  }
  const auto left = FlightRecord(path, 2).take_left();
  REQUIRE(left.size() == 2);
  CHECK(left[0].running);
  CHECK_FALSE(left[0].crashed);
  CHECK(left[1].crashed);
}

TEST_CASE("a file that is no flight record, or somebody's already, is refused and left as it is",
          "[flight]") {
  const TempFolder folder;
  write_text(folder / "letter",
             "Dear Ada, a text that is much longer than the beginning of a flight record would be.");
  const std::string before = read_text(folder / "letter");
  CHECK_THROWS_WITH(FlightRecord((folder / "letter").string(), 4), ContainsSubstring("is no flight record"));
  CHECK(read_text(folder / "letter") == before);
  CHECK_THROWS_WITH(FlightRecord((folder / "no folder/flight").string(), 4),
                    ContainsSubstring("can't be opened"));
  const std::string path = (folder / "flight").string();
  const FlightRecord record(path, 4);
  CHECK_THROWS_WITH(FlightRecord(path, 4), ContainsSubstring("belongs to another processor"));
}

TEST_CASE("the next start hands back what was not running at a crash and counts the crash of what was",
          "[flight]") {
  const TempFolder folder;
  Engine engine;
  std::vector<quern::JobId> ran;
  engine.handlers.on("work", [&](JobContext& context) { ran.push_back(context.id()); });
  for (int i = 0; i < 3; ++i) engine.queue.enqueue("work", Payload());
  auto options = engine.options();
  options.flight_record = (folder / "flight").string();
  std::vector<quern::Claim> claims;
  {
    // A process that dies.
    const quern::NodeId node = engine.port.register_node({.name = "dead", .lease = 30s});
    claims = engine.port.claim(
        {.node = node, .limit = 3, .kinds = {{.name = "work", .limit = 3, .max_attempts = 4}}});
    REQUIRE(claims.size() == 3);
    FlightRecord record(options.flight_record, 50);
    for (std::uint32_t i = 0; i < 3; ++i) record.claimed(token(i), claims[i].ref);
    record.begin(token(1));
  }
  const auto processor = engine.processor(options);
  engine.settle(*processor);
  CHECK(ran == std::vector<quern::JobId>{claims[0].ref.id, claims[2].ref.id});
  for (const std::size_t i : {0U, 2U}) {
    const auto job = engine.job(claims[i].ref.id);
    CHECK(job.state == JobState::completed);
    CHECK(job.attempt == 1);
    CHECK(job.crashes == 0);
  }
  CHECK(engine.state(claims[1].ref.id) == JobState::running);
  REQUIRE_FALSE(engine.log.empty());
  CHECK_THAT(engine.log[0], ContainsSubstring("running was " + to_string(claims[1].ref.id) + " (work)") &&
                                ContainsSubstring("2 others are handed back"));
  engine.pass(*processor, 60s);
  const auto suspect = engine.job(claims[1].ref.id);
  CHECK(suspect.state == JobState::completed);
  CHECK(suspect.crashes == 1);
  CHECK(suspect.attempt == 2);
}

TEST_CASE("a processor that stops leaves nothing in its flight record", "[flight]") {
  const TempFolder folder;
  Engine engine;
  engine.handlers.on("work", [](JobContext&) {});
  auto options = engine.options();
  options.flight_record = (folder / "flight").string();
  engine.queue.enqueue("work", Payload());
  const auto processor = engine.processor(options);
  engine.settle(*processor);
  CHECK(engine.log.empty());
  CHECK_THROWS_AS(engine.processor(options), quern::InvalidArgument);
  processor->stop({.wait = 0s, .grace = 0s});
}

#if defined(QUERN_TEST_SQLITE)
TEST_CASE(
    "the job that has crashed its host is told from those that ran beside it when the host notes crashes",
    "[flight][sqlite]") {
  const TempFolder folder;
  const bool note = GENERATE(false, true);
  quern::JobId guilty;
  std::vector<quern::JobId> busy;
  {
    quern::SqliteStorage storage((folder / "jobs.db").string());
    quern::JobQueue queue(storage);
    guilty = queue.enqueue("guilty", Payload::of(2)).id;
    for (int i = 0; i < 2; ++i) busy.push_back(queue.enqueue("busy", Payload()).id);
  }
  std::vector<std::string> command{std::string(QUERN_TEST_PROGRAMS_DIR) + "/quern_flight_host",
                                   folder.path().string()};
  if (note) command.emplace_back("note");
  ChildProcess host(command);
  REQUIRE(host.wait_for(60s));
  REQUIRE(host.exit_code() == 42);

  quern::SqliteStorage storage((folder / "jobs.db").string());
  quern::JobQueue queue(storage);
  quern::HandlerRegistry handlers;
  handlers.on("busy", [](JobContext&) {});
  handlers.on("guilty", [](JobContext&) {});
  quern::Processor processor(queue, handlers, {.flight_record = (folder / "flight").string()});
  processor.run_until_idle();
  processor.stop();
  CHECK(queue.find(guilty)->state == JobState::running);  // until its node's lease has passed
  for (const auto id : busy) {
    CHECK(queue.find(id)->state == (note ? JobState::completed : JobState::running));
    CHECK(queue.find(id)->crashes == 0);
  }
}
#endif
