// What follows for one alert, step by step, without storage and threads.
#include "quern/monitor/alert_state.hpp"

#include "support/catch.hpp"

using namespace std::chrono_literals;
using quern::AlertChange;
using quern::AlertRule;
using quern::AlertSight;
using quern::AlertState;
using quern::AlertStatus;
using quern::Duration;
using quern::TimePoint;

namespace {

const TimePoint start = quern::from_us(1'767'225'600'000'000);

AlertRule plain() {
  AlertRule rule;
  rule.name = "rule";
  rule.cool_down = 0s;
  return rule;
}

/// One alert that a test looks at every second.
struct Alert {
  AlertRule rule = plain();
  AlertState state{};
  std::optional<TimePoint> since{};
  std::optional<TimePoint> last{};
  bool silenced = false;
  TimePoint now = start;
  int triggered = 0;
  int resolved = 0;
  AlertStatus status = AlertStatus::inactive;

  AlertChange look(bool beyond) {
    if (beyond) {
      if (!since) since = now;
      last = now;
    } else {
      since.reset();
    }
    const auto step = next_alert_step(rule, state, {since, last}, silenced, now);
    status = step.status;
    if (step.change == AlertChange::none)
      CHECK(step.next == state);
    else
      CHECK(step.next.number == state.number + 1);
    state = step.next;
    CHECK((status == AlertStatus::firing) == state.firing);
    if (step.notify) ++(step.change == AlertChange::resolved ? resolved : triggered);
    return step.change;
  }
  void pass(Duration time, bool beyond) {
    for (Duration passed{0}; passed < time; passed += 1s) {
      now += 1s;
      look(beyond);
    }
  }
};

}  // namespace

TEST_CASE("an alert without a time to hold fires at once, and is resolved at once", "[alerts]") {
  Alert alert;
  CHECK(alert.look(false) == AlertChange::none);
  CHECK(alert.status == AlertStatus::inactive);
  CHECK(alert.look(true) == AlertChange::fires);
  CHECK(alert.look(true) == AlertChange::none);
  CHECK(alert.status == AlertStatus::firing);
  CHECK(alert.look(false) == AlertChange::resolved);
  CHECK(alert.status == AlertStatus::inactive);
  CHECK(alert.triggered == 1);
  CHECK(alert.resolved == 1);
}

TEST_CASE("an alert is pending until it has held for long enough, and begins anew when it has not",
          "[alerts]") {
  Alert alert;
  alert.rule.hold_for = 10s;
  CHECK(alert.look(true) == AlertChange::none);
  CHECK(alert.status == AlertStatus::pending);
  alert.pass(9s, true);
  CHECK(alert.status == AlertStatus::pending);
  alert.pass(1s, false);
  CHECK(alert.status == AlertStatus::inactive);
  alert.pass(10s, true);
  CHECK(alert.status == AlertStatus::pending);
  const TimePoint since = *alert.since;
  alert.pass(1s, true);
  CHECK(alert.status == AlertStatus::firing);
  CHECK(alert.state.since == since);
  CHECK(alert.state.changed_at == alert.now);
  CHECK(alert.triggered == 1);
  CHECK(alert.resolved == 0);
}

TEST_CASE("an alert keeps firing for a while after the value is back", "[alerts]") {
  Alert alert;
  alert.rule.keep_firing_for = 5s;
  alert.look(true);
  alert.pass(4s, false);
  CHECK(alert.status == AlertStatus::firing);
  alert.pass(1s, true);
  alert.pass(4s, false);
  CHECK(alert.status == AlertStatus::firing);
  alert.pass(1s, false);
  CHECK(alert.status == AlertStatus::inactive);
  CHECK(alert.triggered == 1);
  CHECK(alert.resolved == 1);
}

TEST_CASE("within its cool-down an alert fires without another notice, and gives it afterwards", "[alerts]") {
  Alert alert;
  alert.rule.cool_down = 60s;
  alert.look(true);
  alert.pass(5s, false);
  CHECK(alert.triggered == 1);
  CHECK(alert.resolved == 1);

  SECTION("where it is resolved before, nobody hears of either") {
    alert.pass(10s, true);
    CHECK(alert.status == AlertStatus::firing);
    CHECK_FALSE(alert.state.notified);
    alert.pass(10s, false);
    CHECK(alert.status == AlertStatus::inactive);
    alert.pass(100s, false);
    CHECK(alert.triggered == 1);
    CHECK(alert.resolved == 1);
  }
  SECTION("where it still fires then, there is one") {
    alert.pass(54s, true);
    CHECK(alert.triggered == 1);
    alert.pass(1s, true);
    CHECK(alert.triggered == 2);
    alert.pass(200s, true);
    CHECK(alert.triggered == 2);
    alert.pass(1s, false);
    CHECK(alert.resolved == 2);
  }
  SECTION("after it, a new alert is told at once") {
    alert.pass(60s, false);
    alert.pass(1s, true);
    CHECK(alert.triggered == 2);
  }
}

TEST_CASE("a rule that repeats tells again for as long as it fires", "[alerts]") {
  Alert alert;
  alert.rule.repeat = 30s;
  alert.look(true);
  alert.pass(29s, true);
  CHECK(alert.triggered == 1);
  alert.pass(1s, true);
  CHECK(alert.triggered == 2);
  alert.pass(60s, true);
  CHECK(alert.triggered == 4);
  alert.pass(100s, false);
  CHECK(alert.triggered == 4);
  CHECK(alert.resolved == 1);
}

TEST_CASE("a rule may keep quiet about being resolved", "[alerts]") {
  Alert alert;
  alert.rule.notify_resolved = false;
  alert.look(true);
  CHECK(alert.look(false) == AlertChange::resolved);
  CHECK(alert.triggered == 1);
  CHECK(alert.resolved == 0);
}

TEST_CASE("a silenced alert fires without notice, and gives one after the silence where it still fires",
          "[alerts]") {
  Alert alert;
  alert.silenced = true;
  CHECK(alert.look(true) == AlertChange::fires);
  alert.pass(10s, true);
  CHECK(alert.status == AlertStatus::firing);
  CHECK(alert.triggered == 0);

  SECTION("still firing") {
    alert.silenced = false;
    alert.pass(10s, true);
    CHECK(alert.triggered == 1);
    alert.pass(1s, false);
    CHECK(alert.resolved == 1);
  }
  SECTION("resolved meanwhile, nobody hears of it") {
    alert.pass(1s, false);
    alert.silenced = false;
    alert.pass(10s, false);
    CHECK(alert.triggered == 0);
    CHECK(alert.resolved == 0);
  }
}

TEST_CASE("who was told before a silence is told again after it, once, where the alert still fires",
          "[alerts]") {
  Alert alert;
  alert.rule.repeat = 5s;
  alert.look(true);
  CHECK(alert.triggered == 1);
  alert.silenced = true;
  alert.pass(60s, true);
  CHECK(alert.triggered == 1);
  CHECK(alert.status == AlertStatus::firing);
  alert.silenced = false;
  alert.pass(1s, true);
  CHECK(alert.triggered == 2);
  alert.pass(3s, true);
  CHECK(alert.triggered == 2);
}

TEST_CASE("a clock that is set back makes nothing fire, and nobody is told twice", "[alerts]") {
  Alert alert;
  alert.rule.hold_for = 10s;
  alert.rule.cool_down = 60s;
  alert.look(true);
  alert.now -= 1h;
  alert.look(true);
  CHECK(alert.status == AlertStatus::pending);
  alert.now += 1h;
  alert.pass(10s, true);
  CHECK(alert.triggered == 1);
  alert.now -= 1h;
  alert.pass(10s, true);
  CHECK(alert.triggered == 1);
  CHECK(alert.status == AlertStatus::firing);
}

TEST_CASE("whatever is seen, notices alternate and no two of them are within the cool-down", "[alerts]") {
  std::mt19937_64 random(4);
  for (int round = 0; round < 200; ++round) {
    Alert alert;
    alert.rule.hold_for = std::chrono::seconds(random() % 4);
    alert.rule.keep_firing_for = std::chrono::seconds(random() % 4);
    alert.rule.cool_down = std::chrono::seconds(random() % 20);
    std::optional<TimePoint> told;
    bool open = false;  // somebody believes that it fires
    for (int step = 0; step < 200; ++step) {
      alert.now += 1s;
      if (random() % 15 == 0) alert.silenced = !alert.silenced;
      const int triggered = alert.triggered;
      const int resolved = alert.resolved;
      alert.look(random() % 3 != 0);
      if (alert.triggered > triggered) {
        CHECK_FALSE(alert.silenced);
        if (told) CHECK(alert.now - *told >= alert.rule.cool_down);
        told = alert.now;
        open = true;
      }
      if (alert.resolved > resolved) {
        CHECK(open);
        CHECK_FALSE(alert.silenced);
        open = false;
      }
    }
  }
}
