// What becomes of instants that were missed, and of those that come while a schedule or its queue is busy.
#include "scheduler_fixture.hpp"

using namespace quern_test;
using namespace quern_test::scheduling;
using namespace std::chrono_literals;
using quern::JobState;
using quern::MissedRuns;
using quern::SkipReason;
using quern::WhenBusy;

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
