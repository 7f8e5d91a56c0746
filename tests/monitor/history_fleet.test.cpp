// The history of a fleet: written once, added up once, whoever restarts, fails or dies.
#include <algorithm>
#include <set>

#include "support/catch.hpp"
#include "support/history_nodes.hpp"

using quern::Histogram;
using quern::HistoryResolution;
using quern::Outcome;
using quern::StorageError;
using quern::testing::CrashSide;
using quern_test::HistoryFleet;
using quern_test::HistoryNode;
using quern_test::HistorySum;
using namespace std::chrono_literals;

namespace {

/// What two hours of a small fleet left behind: ten jobs of 10 ms in every tenth minute, and one that failed.
std::uint64_t fill(HistoryFleet& fleet, std::size_t nodes = 2, quern::Duration time = 2h) {
  std::uint64_t completed = 0;
  while (fleet.nodes.size() < nodes) fleet.add({.keep_minutes = 3h});
  for (quern::Duration passed{0}; passed < time; passed += 10min) {
    for (const auto& node : fleet.nodes) {
      node->ran("send", 10ms, 10);
      node->ran("send", 90ms, 1, Outcome::failed);
      completed += 10;
    }
    fleet.pass(1min);
    fleet.pass(9min, 1min);
  }
  return completed;
}

}  // namespace

TEST_CASE("of two nodes a minute is the sum, and its quantiles are those of all runs", "[history]") {
  HistoryFleet fleet;
  HistoryNode& one = fleet.add();
  HistoryNode& other = fleet.add();
  Histogram all;
  for (int ms = 1; ms <= 100; ++ms) {
    (ms % 3 == 0 ? one : other).ran("send", ms * 1ms);
    all.record(ms * 1ms);
  }
  fleet.pass(1min + 20s);
  const auto minutes = fleet.minutes();
  REQUIRE(minutes.size() == 1);
  CHECK(minutes[0].counts.completed == 100);
  CHECK(minutes[0].ran == all);
  CHECK(minutes[0].ran.quantile(0.5) == all.quantile(0.5));
  CHECK(other.history.query({.from = fleet.start, .to = fleet.clock.now()})[0].counts.completed == 100);
}

TEST_CASE("ten nodes write a minute once: each its share, and one of them what the storage holds",
          "[history]") {
  HistoryFleet fleet;
  for (int i = 0; i < 10; ++i) fleet.add();
  for (int i = 0; i < 5; ++i) fleet.nodes[0]->queue.enqueue("send", quern::Payload());
  for (const auto& node : fleet.nodes)
    node->queue.core().observers().tell(
        [&](quern::QueueObserver& observer) { observer.on_load(&node, 2, 4); });
  for (const auto& node : fleet.nodes) node->ran("send", 10ms, 3);
  fleet.pass(10min + 20s);
  const auto minutes = fleet.minutes();
  REQUIRE(minutes.size() == 10);
  CHECK(minutes[0].counts.completed == 30);
  CHECK(minutes[0].counts.enqueued == 5);
  for (const auto& minute : minutes) {
    CHECK(minute.slots == Approx(40));
    CHECK(minute.running == Approx(20));
    CHECK(minute.covered == 1min);
    REQUIRE(minute.depth);
    CHECK(minute.depth->ready.mean == Approx(5));  // not 50
    CHECK(minute.depth->ready.max == 5);
  }
  CHECK(fleet.keys().size() == 10 * (10 + 1));
  std::size_t written = 0;
  for (const auto& node : fleet.nodes) written += node->written;
  CHECK(written == 10 * (10 + 1));
}

TEST_CASE("a restart within a minute adds to it", "[history]") {
  HistoryFleet fleet;
  fleet.add().ran("send", 10ms, 3);
  fleet.pass(20s);
  fleet.nodes.clear();
  fleet.add().ran("send", 10ms, 4);
  fleet.pass(20s);
  fleet.nodes.clear();
  fleet.add().ran("send", 10ms, 5);
  fleet.pass(40s);
  const auto minutes = fleet.minutes();
  REQUIRE(minutes.size() == 1);
  CHECK(minutes[0].counts.completed == 12);
  CHECK(minutes[0].covered == 1min);
}

TEST_CASE("what a storage that fails did not take is written later, in its own minutes", "[history]") {
  HistoryFleet fleet;
  HistoryNode& node = fleet.add();
  fleet.pass(1min + 20s);
  node.storage.before = [](std::string_view) { throw StorageError("gone fishing", true); };
  for (std::size_t minute = 1; minute <= 3; ++minute) {
    node.ran("send", 10ms, minute);
    fleet.pass(1min);
  }
  node.storage.before = {};
  CHECK(node.history.failed_ticks() > 3);
  fleet.pass(1min);
  CHECK(std::ranges::count_if(node.log,
                              [](const auto& line) { return line.find("gone fishing") != line.npos; }) == 1);
  CHECK(node.log.back() == "the history is written again");
  const auto minutes = fleet.minutes();
  REQUIRE(minutes.size() == 5);
  CHECK(minutes[0].counts.completed == 0);
  for (std::size_t minute = 1; minute <= 3; ++minute) CHECK(minutes[minute].counts.completed == minute);
}

TEST_CASE("a write whose answer gets lost counts once", "[history]") {
  int lost = 0;  // before the fleet, whose end writes once more
  HistoryFleet fleet;
  HistoryNode& node = fleet.add();
  node.ran("send", 10ms, 3);
  SECTION("for a moment") {
    node.storage.after = [&](std::string_view call) {
      if (call == "put_record" && ++lost <= 5) throw StorageError("no answer", true);
    };
    fleet.pass(10min);
  }
  SECTION("for longer than a minute may be late") {
    node.storage.after = [&](std::string_view call) {
      if (call == "put_record") throw StorageError("no answer", true);
    };
    fleet.pass(30min);
    node.storage.after = {};
    fleet.pass(1min);
  }
  CHECK(HistorySum(fleet.minutes()).completed == 3);
  CHECK(fleet.minutes()[0].counts.completed == 3);
  fleet.clock.advance(2h);
  fleet.pass(5min);
  CHECK(HistorySum(fleet.hours()).completed == 3);
}

TEST_CASE("what is too late for its minute counts in a later one, and in no hour that was added up before",
          "[history]") {
  HistoryFleet fleet;
  HistoryNode& cut_off = fleet.add({.late = 5min});
  HistoryNode& node = fleet.add({.late = 5min});
  cut_off.ran("send", 10ms, 3);
  fleet.pass(30s, 10s);
  cut_off.storage.before = [](std::string_view) { throw StorageError("gone fishing", true); };
  for (int minute = 0; minute < 90; ++minute) {
    cut_off.ran("send", 10ms, 2);
    node.ran("send", 10ms, 1);
    fleet.pass(1min);
  }
  REQUIRE(fleet.keys("hour/").size() == 1);
  cut_off.storage.before = {};
  fleet.pass(1min);
  CHECK(HistorySum(fleet.minutes()).completed == 3 + 2 * 90 + 90);
  const auto hours = fleet.hours();
  REQUIRE(hours.size() == 2);
  CHECK(hours[0].counts.completed == 60);
  CHECK(hours[1].counts.completed == 3 + 2 * 90 + 30);
}

TEST_CASE("an hour is the sum of its minutes, a day of its hours, before and after they are added up",
          "[history]") {
  HistoryFleet fleet;
  fill(fleet, 3, 26h);
  fleet.pass(20s);
  CHECK(fleet.keys("hour/").size() == 25);
  CHECK(fleet.keys("day/").size() == 1);
  const auto hours = fleet.hours();
  REQUIRE(hours.size() == 26);
  for (std::size_t i = 0; i < 26; ++i) {
    CAPTURE(i);
    CHECK(hours[i].from == fleet.start + i * 1h);
    CHECK(hours[i].counts.completed == 180);
    CHECK(hours[i].counts.failed == 18);
    CHECK(hours[i].ran.count() == 198);
    CHECK(static_cast<double>(hours[i].ran.min().count()) == Approx(10'000).epsilon(1.0 / 32));
    CHECK(static_cast<double>(hours[i].ran.max().count()) == Approx(90'000).epsilon(1.0 / 32));
    CHECK(hours[i].counts.cpu == 180 * 2500us + 18 * 22500us);
    CHECK(hours[i].covered == 1h);
    CHECK(hours[i].depth);
    CHECK(hours[i].open == (i >= 25));
  }
  const auto days = fleet.days();
  REQUIRE(days.size() == 2);
  CHECK(days[0].counts.completed == 24 * 180);
  CHECK(days[0].covered == 24h);
  CHECK(days[0].ran.count() == 24 * 198);
  CHECK_FALSE(days[0].open);
  CHECK(days[1].counts.completed == 2 * 180);
  CHECK(days[1].open);
  // Of the hour before the last two, which are not erased yet.
  const auto minutes = fleet.nodes[0]->history.query({.from = hours[24].from, .to = hours[25].from});
  REQUIRE(minutes.size() == 60);
  const HistorySum sum(minutes);
  CHECK(sum.completed == hours[24].counts.completed);
  CHECK(sum.failed == hours[24].counts.failed);
  CHECK(sum.ran == hours[24].ran);
}

TEST_CASE("one node adds up an hour for all of them", "[history]") {
  HistoryFleet fleet;
  fill(fleet, 5);
  std::size_t before = 0;
  for (const auto& node : fleet.nodes) before += node->written;
  fleet.pass(19min + 20s);  // the last hour is added up after 15 min, and up to 3 min more
  std::size_t written = 0;
  for (const auto& node : fleet.nodes) written += node->written;
  CHECK(written - before <= 20 * (5 + 1) + 1);
  CHECK(fleet.keys("hour/").size() == 2);
}

TEST_CASE("minutes, hours and days go when their time is over, and not before they are added up",
          "[history]") {
  HistoryFleet fleet;
  const quern::HistoryOptions options{.keep_minutes = 3h, .keep_hours = 48h, .keep_days = 24h * 7};
  fleet.add(options);
  fleet.add(options);
  std::uint64_t completed = 0;
  for (int hour = 0; hour < 24 * 9; ++hour) {
    fleet.nodes[0]->ran("send", 10ms);
    fleet.pass(20s);
    fleet.clock.advance(59min + 20s);
    fleet.pass(20s);
    ++completed;
    CHECK(fleet.keys("minute/").size() <= 2 * 3 * 5);
    CHECK(fleet.keys("hour/").size() <= 48 + 3);
    CHECK(fleet.keys("day/").size() <= 8);
  }
  CHECK(HistorySum(fleet.days()).completed < completed);
  CHECK(HistorySum(fleet.days()).completed >= 24 * 6);
  const auto days = fleet.days();
  REQUIRE(days.size() >= 7);
  for (std::size_t i = 0; i + 1 < days.size(); ++i) CHECK(days[i].counts.completed == 24);
}

TEST_CASE("minutes of before a long pause are added up before they go", "[history]") {
  HistoryFleet fleet;
  const std::uint64_t completed = fill(fleet);
  fleet.nodes.clear();
  fleet.clock.advance(24h * 20);
  fleet.add({.keep_minutes = 3h});
  fleet.pass(5min);
  CHECK(fleet.keys("minute/" + quern::to_rfc3339(fleet.start).substr(0, 10)).empty());
  CHECK(HistorySum(fleet.hours()).completed == completed);
  CHECK(HistorySum(fleet.days()).completed == completed);
}

TEST_CASE("a node that dies at any call of the storage while it adds up and erases loses and doubles nothing",
          "[history]") {
  for (const CrashSide side : {CrashSide::before, CrashSide::after}) {
    // The first some 20 calls add up, the next 40 erase.
    for (std::size_t call = 1; call <= 100; call += call < 20 ? 1 : 10) {
      CAPTURE(call, static_cast<int>(side));
      HistoryFleet fleet;
      const std::uint64_t completed = fill(fleet, 1, 20min);
      fleet.nodes.clear();
      fleet.clock.advance(24h);
      HistoryNode& dies = fleet.add({.keep_minutes = 3h});
      dies.storage.crash_at(call, side);
      fleet.pass(5min);
      fleet.nodes.clear();
      fleet.add({.keep_minutes = 3h});
      fleet.pass(5min);
      CHECK(fleet.keys("minute/" + quern::to_rfc3339(fleet.start).substr(0, 10)).empty());
      CHECK(fleet.keys("hour/").size() == 1);
      REQUIRE(HistorySum(fleet.hours()).completed == completed);
      REQUIRE(HistorySum(fleet.days()).completed == completed);
    }
  }
}

TEST_CASE("a node that stands still between any two calls while another adds up and erases spoils nothing",
          "[history]") {
  std::size_t calls = 1;
  for (std::size_t at = 1; at <= calls; at += at < 20 ? 1 : 10) {
    CAPTURE(at);
    HistoryFleet fleet;
    const std::uint64_t completed = fill(fleet, 1, 20min);
    fleet.nodes.clear();
    fleet.clock.advance(24h);
    HistoryNode& slow = fleet.add({.keep_minutes = 3h});
    HistoryNode& quick = fleet.add({.keep_minutes = 3h});
    std::size_t call = 0;
    slow.storage.before = [&](std::string_view) {
      if (++call != at) return;
      for (int tick = 0; tick < 10; ++tick) {
        fleet.clock.advance(20s);
        quick.tick(fleet.clock.now());
      }
    };
    for (int tick = 0; tick < 10; ++tick) {
      fleet.clock.advance(20s);
      slow.tick(fleet.clock.now());
    }
    slow.storage.before = {};  // refers to what ends before the node does
    calls = call;
    CHECK(fleet.keys("minute/" + quern::to_rfc3339(fleet.start).substr(0, 10)).empty());
    REQUIRE(HistorySum(fleet.hours()).completed == completed);
    REQUIRE(HistorySum(fleet.days()).completed == completed);
  }
  CHECK(calls > 10);
}

TEST_CASE("after a clock that was a day ahead minutes are added up as ever", "[history]") {
  HistoryFleet fleet;
  HistoryNode& node = fleet.add({.keep_minutes = 3h});
  std::uint64_t completed = 0;
  const auto live = [&](quern::Duration time) {
    for (quern::Duration passed{0}; passed < time; passed += 10min) {
      node.ran("send", 10ms);
      ++completed;
      fleet.pass(10min, 1min);
    }
  };
  fleet.clock.set_wall(fleet.start + 24h);
  live(100min);
  CHECK(fleet.keys("hour/").size() == 1);
  fleet.clock.set_wall(fleet.start);
  live(7h);
  fleet.pass(20s);
  CHECK(fleet.keys("minute/" + quern::to_rfc3339(fleet.start).substr(0, 13)).empty());
  const auto hours = node.history.query(
      {.from = fleet.start, .to = fleet.start + 48h, .resolution = HistoryResolution::hour});
  CHECK(HistorySum(hours).completed == completed);
}
