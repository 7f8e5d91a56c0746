// Several processes on one storage, some of which die: each instant is decided once.
#include <map>
#include <set>

#include "quern/core/error.hpp"
#include "quern/core/random.hpp"
#include "scheduler_fixture.hpp"

using namespace quern_test;
using namespace quern_test::scheduling;
using namespace std::chrono_literals;
using quern::MissedRuns;
using quern::WhenBusy;

TEST_CASE("an instant is decided once, by whichever process comes first", "[scheduler]") {
  Fleet fleet(3);
  for (int i = 0; i < 20; ++i) {
    ScheduleSpec one = every(1min, "s" + std::to_string(i));
    one.kind = "k" + std::to_string(i);
    fleet.scheduler().create(one);
  }
  for (int minute = 0; minute < 30; ++minute) {
    // Another one is first each time, while the others hear of nothing.
    std::ranges::rotate(fleet.processes, fleet.processes.begin() + 1);
    auto others = std::exchange(fleet.processes, {});
    fleet.processes.push_back(std::move(others.front()));
    fleet.pass(1min);
    std::swap(fleet.processes.front(), others.front());
    fleet.processes.swap(others);
  }
  fleet.pass(1s);  // the last one may stand back
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

TEST_CASE("who is not the first with an instant stands back, and reads one record for each", "[scheduler]") {
  Fleet fleet(4);
  fleet.scheduler().create(every(1s));
  fleet.pass(5s);
  std::vector<std::map<std::string, int>> calls(4);
  for (std::size_t i = 0; i < 4; ++i)
    fleet[i].storage.before = [&of = calls[i]](std::string_view call) { ++of[std::string(call)]; };
  fleet.pass(60s);
  for (auto& process : fleet.processes) process->storage.before = {};
  CHECK(fleet.due().size() == 65);
  CHECK(fleet[0].events.size() == 65);
  // A record each 2 s, whoever it is.
  CHECK(calls[0]["insert_if"] == 60);
  CHECK(calls[0]["get_record"] == 30);
  for (std::size_t i = 1; i < 4; ++i) CHECK(calls[i] == std::map<std::string, int>{{"get_record", 90}});
}

TEST_CASE("where the one that was first is gone another one takes over with the next instant",
          "[scheduler]") {
  Fleet fleet(3);
  fleet.scheduler().create(every(1s));
  fleet.pass(5s);
  fleet.processes.erase(fleet.processes.begin());
  fleet.pass(5s);
  CHECK(fleet.due().size() == 10);
  auto& next = fleet[0].events.empty() ? fleet[1] : fleet[0];
  REQUIRE(next.events.size() == 5);
  CHECK(next.events[0].lateness >= 30ms);
  CHECK(next.events[0].lateness < 90ms);
  for (std::size_t i = 1; i < 5; ++i) CHECK(next.events[i].lateness == 0s);
  // Each has a time of its own, so that only one of them tries.
  CHECK(fleet.processes[&next == &fleet[0] ? 1 : 0]->events.empty());
}

TEST_CASE("schedules that come together are read together by who stands back", "[scheduler]") {
  Fleet fleet(2);
  for (int i = 0; i < 200; ++i) fleet.scheduler().create(every(1h, "s" + std::to_string(i)));
  fleet.pass(1h);
  std::map<std::string, int> calls;
  fleet[1].storage.before = [&](std::string_view call) { ++calls[std::string(call)]; };
  fleet.pass(59min + 59s);
  calls.clear();
  fleet.pass(2s);
  CHECK(calls["list_records"] == 1);
  CHECK(calls["get_record"] <= 3);
  CHECK(calls["insert_if"] == 0);
  CHECK(fleet.jobs().size() == 400);
  CHECK(fleet[0].events.size() == 400);
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
