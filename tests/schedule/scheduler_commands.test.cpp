// What others ask of a scheduler.
#include "quern/core/error.hpp"
#include "scheduler_fixture.hpp"

using namespace quern_test;
using namespace quern_test::scheduling;
using namespace std::chrono_literals;
using quern::SkipReason;
using quern::Undeclared;

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
