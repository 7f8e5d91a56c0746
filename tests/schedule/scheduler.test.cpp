// A scheduler by itself: jobs at the instants of schedules, what that costs, and clocks that are set back.
#include <condition_variable>
#include <map>
#include <mutex>

#include "quern/service/schedule_events.hpp"
#include "quern/storage/memory_storage.hpp"
#include "scheduler_fixture.hpp"

using namespace quern_test;
using namespace quern_test::scheduling;
using namespace std::chrono_literals;
using quern::JobState;
using quern::SkipReason;
using quern::WhenBusy;

TEST_CASE("a schedule adds its job at each of its instants, and not before", "[scheduler]") {
  Fleet fleet;
  ScheduleSpec daily = spec({.cron = "30 2 * * *", .zone = "America/New_York"});
  daily.payload = R"({"a":1})";
  daily.queue = "reports";
  daily.priority = 1;
  daily.tenant = "acme";
  daily.tags = {"x"};
  daily.max_attempts = 7;
  daily.timeout = 90s;
  CHECK(fleet.scheduler().create(daily));
  fleet.pass(21h + 30min - 1us);
  CHECK(fleet.jobs().empty());
  fleet.pass(1us);
  REQUIRE(fleet.jobs().size() == 1);
  const quern::Job job = fleet.jobs()[0];
  CHECK(job.state == JobState::ready);
  CHECK(job.payload.text() == R"({"a":1})");
  CHECK(job.queue == "reports");
  CHECK(job.priority.level == 1);
  CHECK(job.tenant == "acme");
  CHECK(job.tags == Texts{"x", "schedule:s"});
  CHECK(job.created_by == "schedule:s");
  CHECK(job.max_attempts == 7);
  CHECK(job.timeout == 90s);
  // Over the night in which the clocks jump over half past two.
  fleet.pass(24h * 6);
  CHECK(fleet.due().back() == "2026-03-09T06:30:00Z");
  CHECK(fleet.due()[5] == "2026-03-08T07:00:00Z");
  const auto status = fleet.status();
  CHECK(status.state.runs == 7);
  CHECK(status.state.skipped == 0);
  CHECK(status.next == at("2026-03-10T06:30:00Z"));
  CHECK(status.description == "at 02:30 every day, in New York");
  CHECK(status.state.recent.back().job == fleet.jobs().back().id.value);
}

TEST_CASE("a clock that is set back a little reads no schedule anew", "[scheduler]") {
  Fleet fleet;
  fleet.scheduler().create(every(1h));
  fleet.settle();
  std::map<std::string, int> calls;
  fleet[0].storage.before = [&](std::string_view call) { ++calls[std::string(call)]; };
  fleet.clock.set_wall(fleet.clock.now() - 1s);
  fleet[0].scheduler.tick(fleet.clock.now());
  CHECK(calls.empty());
}

TEST_CASE("a schedule ends with its runs, or with its timing", "[scheduler]") {
  Fleet fleet;
  ScheduleSpec three = every(1h);
  three.max_runs = 3;
  fleet.scheduler().create(three);
  fleet.scheduler().create(spec({.at = {at("2026-03-02T10:30:00Z")}}, "once"));
  fleet.pass(24h);
  CHECK(fleet.due() == Texts{"2026-03-02T10:30:00Z", "2026-03-02T11:00:00Z", "2026-03-02T12:00:00Z",
                             "2026-03-02T13:00:00Z"});
  CHECK_FALSE(fleet.status().next);
  CHECK_FALSE(fleet.status("once").next);
}

TEST_CASE(
    "a clock that is set back repeats nothing, and one that had been far ahead does not silence a schedule",
    "[scheduler]") {
  Fleet fleet;
  fleet.scheduler().create(every(1h));
  fleet.pass(3h);
  fleet.clock.set_wall(at("2026-03-02T11:30:00Z"));
  fleet.pass(90min);
  CHECK(fleet.due().size() == 3);
  fleet.pass(1h);
  CHECK(fleet.due() == Texts{"2026-03-02T11:00:00Z", "2026-03-02T12:00:00Z", "2026-03-02T13:00:00Z",
                             "2026-03-02T14:00:00Z"});
  fleet.clock.set_wall(at("2036-03-02T14:30:00Z"));
  fleet.settle();
  fleet.clock.set_wall(at("2026-03-02T14:30:00Z"));
  fleet.settle();
  CHECK(fleet.status().state.recent.back().reason == SkipReason::clock_set_back);
  fleet.pass(30min);
  CHECK(std::ranges::count(fleet.due(), "2026-03-02T15:00:00Z") == 1);
}

TEST_CASE("a queue that is full keeps an instant waiting, and keeps no other schedule from its own",
          "[scheduler]") {
  Fleet fleet;
  ScheduleSpec small = every(1h, "small");
  small.queue = "small";
  fleet.scheduler().create(small);
  fleet.scheduler().create(every(1h, "other"));
  fleet[0].queue.limit("small", 1);
  fleet[0].queue.enqueue("filler", quern::Payload(), {.queue = "small"});
  fleet.pass(1h + 10s);
  CHECK(fleet.due() == Texts{"2026-03-02T11:00:00Z"});
  CHECK(fleet.status("small").state.runs == 0);
  fleet[0].queue.limit("small", 0);
  fleet.pass(5s);
  CHECK(fleet.due() == Texts{"2026-03-02T11:00:00Z", "2026-03-02T11:00:00Z"});
}

TEST_CASE("jitter makes a job due later, and not its schedule", "[scheduler]") {
  Fleet fleet;
  fleet.scheduler().create(spec({.every = 1h, .jitter = 10min}));
  fleet.pass(1h);
  REQUIRE(fleet.jobs().size() == 1);
  CHECK(fleet.jobs()[0].state == JobState::scheduled);
  CHECK(fleet.jobs()[0].run_at > at("2026-03-02T11:00:00Z"));
  CHECK(fleet.jobs()[0].run_at <= at("2026-03-02T11:10:00Z"));
}

TEST_CASE("what schedules do is told among the events of a service", "[scheduler]") {
  Fleet fleet;
  quern::ServiceEvents events(fleet.port);
  std::vector<std::string> told;
  std::mutex mutex;
  std::condition_variable changed;
  const auto subscription = events.subscribe<quern::SystemEvent>([&](const quern::SystemEvent& event) {
    const std::lock_guard lock(mutex);
    told.push_back(to_json(event));
    changed.notify_all();
  });
  quern::SchedulerOptions options;
  options.on_event = quern::publish_to(events);
  quern::Scheduler scheduler(fleet[0].queue, zones(), options);
  ScheduleSpec hourly = every(1h);
  hourly.when_busy = WhenBusy::skip;
  scheduler.create(hourly);
  fleet.clock.advance(1h + 2s);
  scheduler.tick(fleet.clock.now());
  fleet.clock.advance(1h);
  scheduler.tick(fleet.clock.now());
  std::unique_lock lock(mutex);
  REQUIRE(changed.wait_for(lock, 30s, [&] { return told.size() == 2; }));
  const std::string id = to_string(fleet.jobs()[0].id);
  CHECK(told[0] == R"({"type":"schedule_executed","at":"2026-03-02T11:00:02Z","schedule":"s",)"
                   R"("instant":"2026-03-02T11:00:00Z","job":")" +
                       id + R"(","message":"added its job 2s after its instant"})");
  CHECK(told[1] == R"({"type":"schedule_skipped","at":"2026-03-02T12:00:02Z","schedule":"s",)"
                   R"("instant":"2026-03-02T12:00:00Z","message":"1 instant left out: busy"})");
}

TEST_CASE("a schedule that can't be read or run says so, and the others go on", "[scheduler]") {
  Fleet fleet;
  fleet.scheduler().create(every(1h, "good"));
  fleet.port.put_record({"quern.schedules", "bad", quern::Payload::json("[1]")});
  fleet.pass(1h);
  CHECK(fleet.due().size() == 1);
  CHECK(fleet.status("bad").fault.find("can't be read") != std::string::npos);
  CHECK(fleet.scheduler().list().size() == 2);
  CHECK(fleet[0].log.size() == 1);
  fleet.scheduler().upsert(every(1h, "bad"));
  fleet.pass(1h);
  CHECK(fleet.due().size() == 3);
}

TEST_CASE("an idle scheduler asks the storage for one record each refresh interval", "[scheduler]") {
  Fleet fleet;
  for (int i = 0; i < 200; ++i) fleet.scheduler().create(spec({.cron = "@yearly"}, "s" + std::to_string(i)));
  fleet.settle();
  std::map<std::string, int> calls;
  fleet[0].storage.before = [&](std::string_view call) { ++calls[std::string(call)]; };
  fleet.pass(60s);
  CHECK(calls == std::map<std::string, int>{{"get_record", 30}});
}

TEST_CASE("schedules that come together share a transaction", "[scheduler]") {
  Fleet fleet;
  for (int i = 0; i < 300; ++i) fleet.scheduler().create(every(1h, "s" + std::to_string(i)));
  fleet.settle();
  int commits = 0;
  fleet[0].storage.before = [&](std::string_view call) { commits += call == "insert_if" ? 1 : 0; };
  fleet.pass(1h);
  CHECK(fleet.jobs().size() == 300);
  CHECK(commits == 2);
}

TEST_CASE("started without zone data a scheduler says so", "[scheduler][threads]") {
  quern::MemoryStorage storage;
  quern::JobQueue queue(storage);
  const quern::ZoneDatabase none({.folder = "/nowhere", .honour_tzdir = false});
  std::vector<std::string> log;
  quern::SchedulerOptions options;
  options.log = {[&](const quern::LogRecord& record) { log.emplace_back(record.message); },
                 quern::LogLevel::warning};
  quern::Scheduler scheduler(queue, none, options);
  scheduler.start();
  scheduler.stop();
  REQUIRE(log.size() == 1);
  CHECK(log[0].find("/nowhere") != std::string::npos);
}

TEST_CASE("started, a scheduler adds jobs on its own thread", "[scheduler][threads]") {
  quern::MemoryStorage storage;
  quern::JobQueue queue(storage);
  std::mutex mutex;
  std::condition_variable told;
  int runs = 0;
  quern::SchedulerOptions options;
  options.on_event = [&](const quern::ScheduleEvent&) {
    const std::lock_guard lock(mutex);
    ++runs;
    told.notify_all();
  };
  quern::Scheduler scheduler(queue, zones(), options);
  scheduler.start();
  scheduler.create(every(1s));
  std::unique_lock lock(mutex);
  CHECK(told.wait_for(lock, 30s, [&] { return runs >= 2; }));
  lock.unlock();
  scheduler.stop();
  CHECK(queue.count().at(0).count >= 2);
}
