// Schedules that add jobs: once, over nodes, restarts and clocks that are set back.
#include "quern/scheduler.hpp"

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>

#include "fixture.hpp"
#include "quern/core/random.hpp"
#include "quern/service/schedule_events.hpp"
#include "quern/storage/memory_storage.hpp"
#include "quern/testing/storage_proxy.hpp"
#include "support/catch.hpp"
#include "support/engine_storage.hpp"

using namespace quern_test;
using namespace std::chrono_literals;
using quern::Duration;
using quern::JobState;
using quern::MissedRuns;
using quern::ScheduleSpec;
using quern::SkipReason;
using quern::TimePoint;
using quern::Undeclared;
using quern::WhenBusy;

namespace {

/// One process: its own queue and scheduler over a storage that can be made to fail.
struct Process {
  quern::testing::StorageProxy storage;
  quern::JobQueue<quern::testing::StorageProxy> queue{storage};
  std::vector<quern::ScheduleEvent> events;
  std::vector<std::string> log;
  quern::Scheduler<quern::testing::StorageProxy> scheduler;

  explicit Process(quern::StoragePort& port, quern::SchedulerOptions options = {})
      : storage(port), scheduler(queue, zones(), told(std::move(options))) {}

  quern::SchedulerOptions told(quern::SchedulerOptions options) {
    options.on_event = [this](const quern::ScheduleEvent& event) { events.push_back(event); };
    options.log = [this](const quern::LogRecord& record) { log.emplace_back(record.message); };
    return options;
  }
};

struct Fleet {
  quern::ManualClock clock;
  EngineStorage own{quern::ClockRef(clock)};
  quern::StoragePort& port{own.storage.port()};
  std::vector<std::unique_ptr<Process>> processes;

  explicit Fleet(std::size_t size = 1, const quern::SchedulerOptions& options = {}) {
    // A round moment, so that the tests read well.
    clock.set_wall(at("2026-03-02T10:00:00Z"));
    for (std::size_t i = 0; i < size; ++i) processes.push_back(std::make_unique<Process>(port, options));
  }
  Process& operator[](std::size_t i) { return *processes[i]; }
  quern::Scheduler<quern::testing::StorageProxy>& scheduler() { return processes[0]->scheduler; }

  /// Each ticks until it has nothing to do at this moment; says when the first one wants to be called.
  TimePoint settle() {
    TimePoint next = TimePoint::max();
    for (auto& process : processes) {
      TimePoint mine = clock.now();
      for (int step = 0; mine <= clock.now(); ++step) {
        REQUIRE(step < 10'000);
        mine = process->scheduler.tick(clock.now()).at;
      }
      next = std::min(next, mine);
    }
    return next;
  }
  void pass(Duration time) {
    const TimePoint end = clock.now() + time;
    for (TimePoint next = settle(); next < end; next = settle()) clock.advance(next - clock.now());
    clock.advance(end - clock.now());
    settle();
  }
  /// The due times of all jobs of a kind, in order.
  std::vector<std::string> due(std::string_view kind = "work") {
    std::vector<std::string> times;
    for (const quern::Job& job : jobs(kind)) times.push_back(quern::to_rfc3339(job.run_at));
    std::ranges::sort(times);
    return times;
  }
  std::vector<quern::Job> jobs(std::string_view kind = "work") {
    auto found = port.list({.kind = std::string(kind), .limit = 10'000}).jobs;
    std::ranges::sort(found, {}, &quern::Job::id);
    return found;
  }
  quern::ScheduleStatus status(std::string_view name = "s") { return scheduler().find(name).value(); }
};

ScheduleSpec spec(quern::TimingSpec timing, std::string name = "s") {
  ScheduleSpec made;
  made.name = std::move(name);
  made.timing = std::move(timing);
  made.kind = "work";
  return made;
}

ScheduleSpec every(Duration interval, std::string name = "s") {
  return spec({.every = interval}, std::move(name));
}

using Texts = std::vector<std::string>;

}  // namespace

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

TEST_CASE("an instant is decided once, by whichever process comes first", "[scheduler]") {
  Fleet fleet(3);
  for (int i = 0; i < 20; ++i) {
    ScheduleSpec one = every(1min, "s" + std::to_string(i));
    one.kind = "k" + std::to_string(i);
    fleet.scheduler().create(one);
  }
  for (int minute = 0; minute < 30; ++minute) {
    // Another one is first each time.
    std::ranges::rotate(fleet.processes, fleet.processes.begin() + 1);
    fleet.pass(1min);
  }
  std::size_t told = 0;
  for (auto& process : fleet.processes) {
    CHECK(process->events.size() > 50);
    told += process->events.size();
  }
  CHECK(told == 600);
  for (int i = 0; i < 20; ++i) {
    const auto due = fleet.due("k" + std::to_string(i));
    CHECK(due.size() == 30);
    CHECK(std::set(due.begin(), due.end()).size() == 30);
    CHECK(fleet.status("s" + std::to_string(i)).state.runs == 30);
  }
}

TEST_CASE("a process that died after any call of the storage loses and doubles no instant",
          "[scheduler][crash]") {
  for (const bool after : {false, true}) {
    for (int call = 1; call < 12; ++call) {
      CAPTURE(after, call);
      Fleet fleet;
      fleet.scheduler().create(every(1min));
      fleet.scheduler().create(spec({.cron = "*/2 * * * *"}, "t"));
      fleet.settle();
      int calls = 0;
      const auto die = [&](std::string_view) {
        if (++calls == call) throw quern::StorageError("it died", true);
      };
      (after ? fleet[0].storage.after : fleet[0].storage.before) = die;
      fleet.clock.advance(1min);
      fleet[0].scheduler.tick(fleet.clock.now());
      // Another one takes over, and knows nothing.
      fleet.processes[0] = std::make_unique<Process>(fleet.port);
      fleet.pass(4min);
      CHECK(fleet.due() == Texts{"2026-03-02T10:01:00Z", "2026-03-02T10:02:00Z", "2026-03-02T10:02:00Z",
                                 "2026-03-02T10:03:00Z", "2026-03-02T10:04:00Z", "2026-03-02T10:04:00Z",
                                 "2026-03-02T10:05:00Z"});
    }
  }
}

TEST_CASE("an answer that was lost is not taken for a failure that needs a second job", "[scheduler]") {
  Fleet fleet;
  fleet.scheduler().create(every(1min));
  fleet.settle();
  bool lose = true;
  fleet[0].storage.after = [&](std::string_view call) {
    if (call == "insert_if" && std::exchange(lose, false)) throw quern::StorageError("no answer", true);
  };
  fleet.pass(90s);
  CHECK(fleet.due() == Texts{"2026-03-02T10:01:00Z"});
  CHECK(fleet[0].log.size() == 1);
}

TEST_CASE("while the storage is down instants wait, and that is told once", "[scheduler]") {
  Fleet fleet;
  fleet.scheduler().create(every(1min));
  fleet.settle();
  fleet[0].storage.before = [](std::string_view) { throw quern::StorageError("down", true); };
  for (int i = 0; i < 70; ++i) {
    fleet.clock.advance(1s);
    fleet[0].scheduler.tick(fleet.clock.now());
  }
  fleet[0].storage.before = {};
  fleet.pass(2s);
  CHECK(fleet.due() == Texts{"2026-03-02T10:01:00Z"});
  CHECK(fleet[0].log.size() == 1);
  CHECK(fleet.status().state.lateness_max >= 10s);
}

TEST_CASE("what was missed is made up for as the schedule says", "[scheduler]") {
  struct Way {
    const char* name;
    MissedRuns missed;
    std::size_t limit;
    Duration within;
    Texts made_up;
    std::uint64_t skipped;
  };
  const Way way = GENERATE(
      Way{"once", MissedRuns::once, 100, 0s, {"2026-03-02T15:00:00Z"}, 4},
      Way{"skip", MissedRuns::skip, 100, 0s, {}, 5},
      Way{"all",
          MissedRuns::all,
          100,
          0s,
          {"2026-03-02T11:00:00Z", "2026-03-02T12:00:00Z", "2026-03-02T13:00:00Z", "2026-03-02T14:00:00Z",
           "2026-03-02T15:00:00Z"},
          0},
      Way{"the last two", MissedRuns::all, 2, 0s, {"2026-03-02T14:00:00Z", "2026-03-02T15:00:00Z"}, 3},
      Way{"all of two hours", MissedRuns::all, 100, 2h, {"2026-03-02T14:00:00Z", "2026-03-02T15:00:00Z"}, 3},
      Way{"once if it is early enough", MissedRuns::once, 100, 20min, {}, 5});
  CAPTURE(way.name);
  Fleet fleet;
  ScheduleSpec hourly = every(1h);
  hourly.missed = way.missed;
  hourly.missed_limit = way.limit;
  hourly.missed_within = way.within;
  fleet.scheduler().create(hourly);
  fleet.settle();
  fleet.clock.advance(5h + 30min);
  fleet.settle();
  CHECK(fleet.due() == way.made_up);
  const auto state = fleet.status().state;
  CHECK(state.skipped == way.skipped);
  std::uint64_t remembered = 0;
  for (const quern::ScheduleRun& run : state.recent)
    if (run.reason == SkipReason::missed) remembered += run.count;
  CHECK(remembered == way.skipped);
  fleet.pass(30min);
  CHECK(fleet.due().back() == "2026-03-02T16:00:00Z");
  CHECK(fleet.due().size() == way.made_up.size() + 1);
}

TEST_CASE("where an instant has come on time nothing before it is made up for once", "[scheduler]") {
  Fleet fleet;
  fleet.scheduler().create(every(1min));
  fleet.settle();
  fleet.clock.advance(10min + 10s);
  fleet.settle();
  CHECK(fleet.due() == Texts{"2026-03-02T10:10:00Z"});
  const auto state = fleet.status().state;
  CHECK(state.skipped == 9);
  REQUIRE(state.recent.size() == 2);
  CHECK(state.recent[0].instant == at("2026-03-02T10:01:00Z"));
  CHECK(state.recent[0].last == at("2026-03-02T10:09:00Z"));
}

TEST_CASE("a year of missed seconds is decided in a moment", "[scheduler]") {
  Fleet fleet;
  fleet.scheduler().create(every(1s));
  fleet.settle();
  fleet.clock.advance(24h * 365);
  fleet.settle();
  CHECK(fleet.jobs().size() <= 60);
  CHECK(fleet.status().state.skipped == 10'000);  // as many or more
}

TEST_CASE("while the last job has not ended the next instant goes by the schedule", "[scheduler]") {
  struct Way {
    const char* name;
    WhenBusy busy;
    std::vector<JobState> waiting;  ///< After three instants, while the first one's job waits.
    std::uint64_t skipped_waiting;
  };
  const Way way = GENERATE(
      Way{"allow", WhenBusy::allow, {JobState::ready, JobState::ready, JobState::ready}, 0},
      Way{"skip", WhenBusy::skip, {JobState::ready}, 2},
      Way{"queue one", WhenBusy::queue_one, {JobState::ready}, 2},
      Way{"queue all", WhenBusy::queue_all, {JobState::ready, JobState::blocked, JobState::blocked}, 0},
      Way{"cancel", WhenBusy::cancel, {JobState::cancelled, JobState::cancelled, JobState::ready}, 0});
  CAPTURE(way.name);
  Fleet fleet;
  ScheduleSpec hourly = every(1h);
  hourly.when_busy = way.busy;
  fleet.scheduler().create(hourly);
  fleet.pass(3h);
  std::vector<JobState> states;
  for (const quern::Job& job : fleet.jobs()) states.push_back(job.state);
  CHECK(states == way.waiting);
  CHECK(fleet.status().state.skipped == way.skipped_waiting);
}

TEST_CASE("of a job that runs one waits for its end, where one is queued", "[scheduler]") {
  Fleet fleet;
  ScheduleSpec hourly = every(1h);
  hourly.when_busy = WhenBusy::queue_one;
  fleet.scheduler().create(hourly);
  fleet.pass(1h);
  const auto node = fleet.port.register_node({.name = "n", .host = "h", .lease = 24h});
  const quern::ClaimRequest one{.node = node, .limit = 1, .kinds = {{"work", 1, 3}}, .queues = {}};
  auto claims = fleet.port.claim(one);
  REQUIRE(claims.size() == 1);
  fleet.pass(3h);
  auto jobs = fleet.jobs();
  REQUIRE(jobs.size() == 2);
  CHECK(jobs[1].state == JobState::blocked);
  CHECK(fleet.status().state.skipped == 2);
  // Also where the first one fails: it is its end that counts.
  const quern::Finish finish{.ref = claims[0].ref, .outcome = quern::Outcome::discarded, .message = "no"};
  fleet.port.finish({&finish, 1});
  CHECK(fleet.jobs()[1].state == JobState::ready);
}

TEST_CASE("of missed instants that are made up for together the next one cancels the one before",
          "[scheduler]") {
  Fleet fleet;
  ScheduleSpec hourly = every(1h);
  hourly.missed = MissedRuns::all;
  hourly.when_busy = WhenBusy::cancel;
  fleet.scheduler().create(hourly);
  fleet.settle();
  fleet.clock.advance(3h + 30min);
  fleet.settle();
  std::vector<JobState> states;
  for (const quern::Job& job : fleet.jobs()) states.push_back(job.state);
  CHECK(states == std::vector{JobState::cancelled, JobState::cancelled, JobState::ready});
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

TEST_CASE("a running job that is cancelled by the next instant is asked to stop", "[scheduler]") {
  Fleet fleet;
  ScheduleSpec hourly = every(1h);
  hourly.when_busy = WhenBusy::cancel;
  fleet.scheduler().create(hourly);
  fleet.pass(1h);
  const auto node = fleet.port.register_node({.name = "n", .host = "h", .lease = 24h});
  fleet.port.claim({.node = node, .limit = 1, .kinds = {{"work", 1, 3}}, .queues = {}});
  fleet.pass(1h);
  const auto jobs = fleet.jobs();
  REQUIRE(jobs.size() == 2);
  CHECK(jobs[0].cancel_requested);
  CHECK(jobs[1].state == JobState::blocked);
}

TEST_CASE("of schedules that must not run beside each other the more urgent one has its job", "[scheduler]") {
  Fleet fleet;
  for (int i = 0; i < 3; ++i) {
    ScheduleSpec one = every(1h, "s" + std::to_string(i));
    one.queue = "alone";
    one.priority = 5 - i;
    one.skip_if_queue_busy = true;
    fleet.scheduler().create(one);
  }
  fleet.scheduler().create(every(1h, "other"));
  fleet.pass(1h);
  REQUIRE(fleet.jobs().size() == 2);
  CHECK(fleet.status("s2").state.runs == 1);
  CHECK(fleet.status("s0").state.recent.at(0).reason == SkipReason::conflict);
  CHECK(fleet.status("s1").state.skipped == 1);
  fleet.pass(1h);
  CHECK(fleet.status("s2").state.runs == 1);  // its own job still waits
  for (const quern::Job& job : fleet.jobs()) fleet.port.cancel(std::vector{job.id}, "test");
  fleet.pass(1h);
  CHECK(fleet.status("s2").state.runs == 2);
}

TEST_CASE("a paused schedule has no instants, and leaves out those that passed", "[scheduler]") {
  Fleet fleet;
  fleet.scheduler().create(every(1h));
  fleet.pass(1h);
  CHECK(fleet.scheduler().pause("s"));
  fleet.pass(5h);
  CHECK(fleet.jobs().size() == 1);
  CHECK_FALSE(fleet.status().next);
  CHECK(fleet.scheduler().resume("s"));
  CHECK(fleet.status().state.recent.back().reason == SkipReason::paused);
  CHECK(fleet.status().state.skipped == 5);
  fleet.pass(1h);
  CHECK(fleet.due() == Texts{"2026-03-02T11:00:00Z", "2026-03-02T17:00:00Z"});
  CHECK_FALSE(fleet.scheduler().pause("none"));
}

TEST_CASE("a change by one process is noticed by the others within the refresh interval", "[scheduler]") {
  Fleet fleet(2);
  fleet[1].scheduler.create(every(1h));
  fleet.pass(2s);
  const auto only_first = [&](Duration time) {
    const TimePoint end = fleet.clock.now() + time;
    for (TimePoint next = fleet.clock.now(); next <= end;) {
      fleet.clock.advance(std::max(next - fleet.clock.now(), Duration(0)));
      next = fleet[0].scheduler.tick(fleet.clock.now()).at;
    }
  };
  only_first(1h);
  CHECK(fleet.due() == Texts{"2026-03-02T11:00:00Z"});
  fleet[1].scheduler.upsert(every(10min));
  only_first(11min);
  CHECK(fleet.due().back() == "2026-03-02T11:10:00Z");
  fleet[1].scheduler.erase("s");
  only_first(1h);
  CHECK(fleet.due().back() == "2026-03-02T11:10:00Z");
  CHECK_FALSE(fleet.scheduler().find("s"));
}

TEST_CASE("an upsert keeps what has been, and counts a new timing from now on", "[scheduler]") {
  Fleet fleet;
  CHECK(fleet.scheduler().create(every(1h)));
  CHECK_FALSE(fleet.scheduler().create(every(2h)));
  fleet.pass(2h);
  ScheduleSpec other = every(1h);
  other.payload = "7";
  fleet.scheduler().upsert(other);
  fleet.pass(1h);
  CHECK(fleet.jobs().back().payload.text() == "7");
  CHECK(fleet.status().state.runs == 3);
  other.timing = {.every = 30min};
  fleet.scheduler().upsert(other);
  fleet.pass(30min);
  CHECK(fleet.due().back() == "2026-03-02T13:30:00Z");
  CHECK(fleet.status().state.runs == 4);
}

TEST_CASE("declared schedules that are no more are paused, erased or kept, and others stay", "[scheduler]") {
  Fleet fleet;
  fleet.scheduler().create(every(1h, "own"));
  const std::vector both{every(1h, "a"), every(1h, "b")};
  fleet.scheduler().declare(both);
  CHECK(fleet.status("a").state.declared);
  CHECK_FALSE(fleet.status("own").state.declared);
  const std::vector one{every(1h, "a")};
  fleet.scheduler().declare(one, Undeclared::keep);
  CHECK_FALSE(fleet.status("b").state.paused);
  fleet.scheduler().declare(one, Undeclared::pause);
  CHECK(fleet.status("b").state.paused);
  // Declared again it goes on; what somebody has paused stays so.
  fleet.scheduler().pause("a");
  fleet.pass(2h);
  fleet.scheduler().declare(both);
  CHECK_FALSE(fleet.status("b").state.paused);
  CHECK(fleet.status("b").state.skipped == 2);
  CHECK(fleet.status("b").next == at("2026-03-02T13:00:00Z"));
  CHECK(fleet.status("a").state.paused);
  fleet.scheduler().declare(one, Undeclared::erase);
  CHECK_FALSE(fleet.scheduler().find("b"));
  CHECK(fleet.scheduler().find("own"));
  const std::vector twice{every(1h, "c"), every(1h, "c")};
  CHECK_THROWS_AS(fleet.scheduler().declare(twice), quern::InvalidArgument);
  CHECK_FALSE(fleet.scheduler().find("c"));
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

TEST_CASE("a schedule is triggered now, once for each key", "[scheduler]") {
  Fleet fleet;
  ScheduleSpec yearly = spec({.cron = "@yearly"});
  yearly.payload = "1";
  fleet.scheduler().create(yearly);
  fleet.scheduler().pause("s");
  const auto first = fleet.scheduler().trigger("s", {.payload = "2", .key = "k", .who = "ada"});
  CHECK(first.added());
  CHECK(fleet.scheduler().trigger("s", {.key = "k"}).id == first.id);
  CHECK(fleet.scheduler().trigger("s").added());
  const auto jobs = fleet.jobs();
  REQUIRE(jobs.size() == 2);
  CHECK(jobs[0].payload.text() == "2");
  CHECK(jobs[0].created_by == "ada");
  CHECK(jobs[1].payload.text() == "1");
  CHECK_THROWS_AS(fleet.scheduler().trigger("none"), quern::InvalidArgument);
  CHECK_THROWS_AS(fleet.scheduler().trigger("s", {.payload = "{"}), quern::InvalidArgument);
}

TEST_CASE("a past range is filled once", "[scheduler]") {
  Fleet fleet;
  fleet.scheduler().create(every(1h));
  const TimePoint from = at("2026-01-01T00:00:00Z");
  CHECK(fleet.scheduler().backfill("s", from, from + 3h) == 4);
  CHECK(fleet.scheduler().backfill("s", from + 1h, from + 5h) == 2);
  CHECK(fleet.jobs().size() == 6);
  CHECK_THROWS_AS(fleet.scheduler().backfill("s", from, from + 24h * 365, 100), quern::InvalidArgument);
  CHECK_THROWS_AS(fleet.scheduler().backfill("none", from, from), quern::InvalidArgument);
}

TEST_CASE("a preview shows the next instants, and where clocks shift", "[scheduler]") {
  Fleet fleet;
  const auto times = fleet.scheduler().preview(spec({.cron = "0 12 * * *", .zone = "America/New_York"}),
                                               at("2026-03-06T18:00:00Z"), 3);
  REQUIRE(times.size() == 3);
  CHECK(times[0].instant == at("2026-03-07T17:00:00Z"));
  CHECK(times[0].offset == -5h);
  CHECK_FALSE(times[0].shifted);
  CHECK(times[1].instant == at("2026-03-08T16:00:00Z"));
  CHECK(times[1].shifted);
  CHECK_FALSE(times[2].shifted);
}

TEST_CASE("instants at which many schedules come are found, those with the most first", "[scheduler]") {
  Fleet fleet;
  for (int i = 0; i < 12; ++i)
    fleet.scheduler().create(spec({.cron = "0 9 * * *"}, "nine" + std::to_string(10 + i)));
  for (int i = 0; i < 3; ++i)
    fleet.scheduler().create(spec({.cron = "0 9 * * MON"}, "weekly" + std::to_string(i)));
  fleet.scheduler().create(every(1h, "hourly"));
  fleet.scheduler().create(spec({.cron = "0 9 * * *"}, "quiet"));
  fleet.scheduler().pause("quiet");
  // Monday to Wednesday.
  const auto found = fleet.scheduler().pile_ups(at("2026-03-09T00:00:00Z"), at("2026-03-11T09:00:00Z"));
  REQUIRE(found.size() == 3);
  CHECK(found[0].instant == at("2026-03-09T09:00:00Z"));
  CHECK(found[0].schedules == 16);
  CHECK(found[0].names.size() == 10);
  CHECK(found[0].names[0] == "hourly");
  CHECK(found[1].instant == at("2026-03-10T09:00:00Z"));
  CHECK(found[1].schedules == 13);
  CHECK(found[2].instant == at("2026-03-11T09:00:00Z"));
  CHECK(fleet.scheduler().pile_ups(at("2026-03-09T00:00:00Z"), at("2026-03-10T00:00:00Z"), 17).empty());
  CHECK_THROWS_AS(fleet.scheduler().pile_ups(at("2026-01-01T00:00:00Z"), at("2199-01-01T00:00:00Z")),
                  quern::InvalidArgument);
  CHECK_THROWS_AS(fleet.scheduler().pile_ups(at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z"), 1),
                  quern::InvalidArgument);
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

TEST_CASE("a faulty schedule is refused, with the field that is at fault", "[scheduler]") {
  Fleet fleet;
  const auto field_of = [&](const ScheduleSpec& faulty) -> std::string {
    try {
      fleet.scheduler().create(faulty);
    } catch (const quern::InvalidArgument& e) {
      return e.field();
    }
    return "none";
  };
  const auto with = [&](auto edit) {
    ScheduleSpec made = every(1h);
    edit(made);
    return field_of(made);
  };
  CHECK(with([](ScheduleSpec& s) { s.name.clear(); }) == "name");
  CHECK(with([](ScheduleSpec& s) { s.name = std::string(129, 'x'); }) == "name");
  CHECK(with([](ScheduleSpec& s) { s.kind.clear(); }) == "kind");
  CHECK(with([](ScheduleSpec& s) { s.payload = "{"; }) == "payload");
  CHECK(with([](ScheduleSpec& s) { s.priority = 10; }) == "priority");
  CHECK(with([](ScheduleSpec& s) { s.missed_limit = 0; }) == "missed_limit");
  CHECK(with([](ScheduleSpec& s) { s.missed_within = -1s; }) == "missed_within");
  CHECK(with([](ScheduleSpec& s) { s.timing.every = 1ms; }) == "timing.every");
  CHECK(with([](ScheduleSpec& s) { s.tags.assign(32, "t"); }) == "tags");
  CHECK_THROWS_AS(fleet.scheduler().create(spec({.every = 1h, .zone = "Mars/Base"})), quern::ZoneError);
  CHECK(fleet.scheduler().list().empty());
  CHECK_THROWS_AS(Fleet(1, {.refresh_interval = 1ms, .missed_after = 0s}), quern::ConfigError);
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

TEST_CASE("in a random life of a fleet each instant has one job or one reason", "[scheduler][crash]") {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    CAPTURE(seed);
    quern::Random random(seed);
    const auto chance = [&](std::uint64_t percent) { return random.below(100) < percent; };
    Fleet fleet(3);
    const std::vector<ScheduleSpec> specs = [&] {
      std::vector<ScheduleSpec> made{every(1min, "a"), every(7min, "b"), spec({.cron = "*/5 * * * *"}, "c"),
                                     spec({.cron = "0 * * * *", .zone = "Europe/Berlin"}, "d")};
      for (ScheduleSpec& one : made) {
        one.kind = "k." + one.name;
        one.missed = static_cast<MissedRuns>(random.below(3));
        one.when_busy = static_cast<WhenBusy>(random.below(5));
        one.missed_limit = 1 + random.below(20);
      }
      return made;
    }();
    for (const ScheduleSpec& one : specs) fleet.scheduler().create(one);
    const TimePoint begin = fleet.clock.now();
    // A call of the storage fails now and then, before or after it was done.
    const auto fail = [&](std::string_view) {
      if (chance(4)) throw quern::StorageError("now and then", true);
    };
    for (int step = 0; step < 300; ++step) {
      for (auto& process : fleet.processes) process->storage.before = process->storage.after = fail;
      const std::size_t who = random.below(fleet.processes.size());
      if (chance(5)) fleet.processes[who] = std::make_unique<Process>(fleet.port);
      try {
        const std::string& name = specs[random.below(specs.size())].name;
        if (chance(2)) fleet[who].scheduler.pause(name);
        if (chance(5)) fleet[who].scheduler.resume(name);
        if (chance(2)) fleet[who].scheduler.trigger(name, {.who = "hand"});
      } catch (const quern::StorageError&) {
      }
      if (chance(1)) {
        fleet.clock.set_wall(fleet.clock.now() - 1min * static_cast<int>(random.below(120)));
      } else {
        fleet.clock.advance(chance(3) ? 1min * static_cast<int>(random.below(300))
                                      : 1s * static_cast<int>(random.below(90)));
      }
      fleet[who].scheduler.tick(fleet.clock.now());
    }
    for (auto& process : fleet.processes) process->storage.before = process->storage.after = {};
    fleet.pass(3h);
    for (const ScheduleSpec& one : specs) {
      CAPTURE(one.name);
      fleet.scheduler().resume(one.name);
      const auto state = fleet.status(one.name).state;
      const quern::Timing timing(one.timing, one.name, zones());
      std::uint64_t instants = 0;
      for (auto at = timing.next(begin); at && *at <= state.handled; at = timing.next(*at)) ++instants;
      CHECK(state.runs + state.skipped == instants);
      std::set<TimePoint> seen;
      std::uint64_t jobs = 0;
      for (const quern::Job& job : fleet.jobs(one.kind)) {
        if (job.created_by == "hand") continue;
        CHECK(timing.matches(job.run_at));
        CHECK(seen.insert(job.run_at).second);
        ++jobs;
      }
      CHECK(jobs == state.runs);
    }
  }
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
