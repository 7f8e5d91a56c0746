// What a configuration says of schedules.
#include <map>
#include <nlohmann/json.hpp>

#include "quern/core/error.hpp"
#include "quern/service/service_config.hpp"
#include "support/catch.hpp"

using quern::ConfigError;
using quern::ScheduleSpec;
using quern::ServiceConfig;
using Faults = std::vector<std::string>;
using namespace std::chrono_literals;

namespace {

Faults faults_of(const std::string& json) {
  try {
    (void)ServiceConfig::from_json(json);
  } catch (const ConfigError& e) {
    return e.faults();
  }
  return {};
}

/// Of one schedule that is fine but for this.
Faults faults_with(const std::string& settings) {
  const bool timed = settings.find("\"cron\"") != std::string::npos ||
                     settings.find("\"every\"") != std::string::npos ||
                     settings.find("\"at\"") != std::string::npos;
  return faults_of(R"({"schedules": [{"name": "s", "kind": "k", )" +
                   std::string(timed ? "" : R"("every": "1h", )") + settings + "}]}");
}

ServiceConfig from_variables(const std::map<std::string, std::string>& variables, ServiceConfig base = {}) {
  return ServiceConfig::from_environment(
      std::move(base), [&](const std::string& name) -> std::optional<std::string> {
        const auto found = variables.find(name);
        return found == variables.end() ? std::nullopt : std::optional(found->second);
      });
}

// As in docs/configuration.md.
const char* const everything = R"({
  "schedules": [
    {"name": "nightly", "cron": "30 2 * * *", "zone": "Europe/Berlin", "shifts": {"gap": "skip", "overlap": "second"},
     "except": ["2026-12-24"], "within": [{"days": "MON-FRI", "from": "01:00", "to": "05:00"}],
     "start": "2026-01-01T00:00:00Z", "until": "2030-01-01T00:00:00+01:00", "jitter": "10m",
     "kind": "report", "payload": {"to": ["ada", 7], "deep": {"a": null}}, "queue": "reports", "priority": 2, "tenant": "acme",
     "tags": ["x", "y"], "maxAttempts": 7, "timeout": "90s",
     "missed": "all", "missedLimit": 5, "missedWithin": "2h", "whenBusy": "queue_one", "skipIfQueueBusy": true,
     "maxRuns": 1000},
    {"name": "often", "every": "15m", "anchor": "2026-01-01T00:05:00Z", "kind": "tick"},
    {"name": "twice", "at": ["2026-05-01T08:00:00Z", "2026-06-01"], "kind": "tick"}],
  "scheduler": {"enabled": false, "refreshInterval": "5s", "missedAfter": "2m", "setBack": "3d", "retryInterval": "2s",
                "undeclared": "erase", "zoneData": "/opt/zoneinfo"}})";

}  // namespace

TEST_CASE("schedules are read from JSON, with all that a schedule has", "[service]") {
  const ServiceConfig config = ServiceConfig::from_json(everything);
  REQUIRE(config.schedules);
  REQUIRE(config.schedules->size() == 3);
  ScheduleSpec nightly;
  nightly.name = "nightly";
  nightly.timing = {.cron = "30 2 * * *",
                    .zone = "Europe/Berlin",
                    .shifts = {.gap = quern::GapPolicy::skip, .overlap = quern::OverlapPolicy::second},
                    .except = {"2026-12-24"},
                    .within = {{.days = "MON-FRI", .from = "01:00", .to = "05:00"}},
                    .start = quern::parse_rfc3339("2026-01-01T00:00:00Z"),
                    .until = quern::parse_rfc3339("2029-12-31T23:00:00Z"),
                    .jitter = 10min};
  nightly.kind = "report";
  nightly.payload = R"({"deep":{"a":null},"to":["ada",7]})";
  nightly.queue = "reports";
  nightly.priority = 2;
  nightly.tenant = "acme";
  nightly.tags = {"x", "y"};
  nightly.max_attempts = 7;
  nightly.timeout = 90s;
  nightly.missed = quern::MissedRuns::all;
  nightly.missed_limit = 5;
  nightly.missed_within = 2h;
  nightly.when_busy = quern::WhenBusy::queue_one;
  nightly.skip_if_queue_busy = true;
  nightly.max_runs = 1000;
  CHECK(config.schedules->at(0) == nightly);
  ScheduleSpec often;
  often.name = "often";
  often.timing = {.every = 15min, .anchor = quern::parse_rfc3339("2026-01-01T00:05:00Z")};
  often.kind = "tick";
  CHECK(config.schedules->at(1) == often);
  CHECK(config.schedules->at(2).timing.at ==
        std::vector{quern::parse_rfc3339("2026-05-01T08:00:00Z"), quern::parse_rfc3339("2026-06-01")});
  CHECK_FALSE(config.scheduling);
  CHECK(config.scheduler.refresh_interval == 5s);
  CHECK(config.scheduler.missed_after == 2min);
  CHECK(config.scheduler.set_back == 72h);
  CHECK(config.scheduler.retry_interval == 2s);
  CHECK(config.undeclared == quern::Undeclared::erase);
  CHECK(config.zones.folder == "/opt/zoneinfo");
}

TEST_CASE("an empty list of schedules is something else than none", "[service]") {
  CHECK_FALSE(ServiceConfig::from_json("{}").schedules);
  CHECK_FALSE(ServiceConfig::from_json(R"({"schedules": null})").schedules);
  const auto empty = ServiceConfig::from_json(R"({"schedules": []})");
  REQUIRE(empty.schedules);
  CHECK(empty.schedules->empty());
  CHECK(ServiceConfig::from_json(to_json(empty)).schedules);
  CHECK_FALSE(ServiceConfig::from_json(to_json(ServiceConfig{})).schedules);
}

TEST_CASE("what is written of schedules is read back as it was", "[service]") {
  const ServiceConfig config = ServiceConfig::from_json(everything);
  const ServiceConfig again = ServiceConfig::from_json(to_json(config));
  CHECK(again.schedules == config.schedules);
  CHECK(to_json(again) == to_json(config));
  CHECK(again.zones.folder == "/opt/zoneinfo");
}

TEST_CASE("a fault of a schedule names the path of the value that is at fault", "[service]") {
  CHECK(faults_with(R"("cron": "61 * * * *")").at(0).starts_with("schedules[0].cron: "));
  CHECK(faults_with(R"("every": "1ms")") == Faults{"schedules[0].every: is 1ms; allowed is 1s to 3660d"});
  CHECK(faults_with(R"("every": "1h", "cron": "@daily")") ==
        Faults{"schedules[0]: has more than one of cron, every and at; allowed is one"});
  CHECK(faults_of(R"({"schedules": [{"name": "s", "kind": "k"}]})") ==
        Faults{"schedules[0]: has none of cron, every and at; one of them is needed"});
  CHECK(faults_with(R"("at": ["2026-01-01", "soon"])") ==
        Faults{R"(schedules[0].at[1]: must be a time such as "2026-01-31T08:30:00Z")"});
  CHECK(faults_with(R"("start": 7)") ==
        Faults{R"(schedules[0].start: must be a time such as "2026-01-31T08:30:00Z")"});
  CHECK(faults_with(R"("except": ["2026-02-30"])").at(0).starts_with("schedules[0].except[0]: "));
  CHECK(faults_with(R"("within": [{}, {"days": "WORKDAYS"}])")
            .at(0)
            .starts_with("schedules[0].within[1].days: "));
  CHECK(faults_with(R"("within": [{"day": "MON"}])") ==
        Faults{"schedules[0].within[0].day: is not known; did you mean days?"});
  CHECK(faults_with(R"("missedLimit": 0)") == Faults{"schedules[0].missedLimit: is 0; allowed is 1 to 1000"});
  CHECK(faults_with(R"("missedWithin": "-1s")").at(0).starts_with("schedules[0].missedWithin: "));
  CHECK(
      faults_with(R"("whenBusy": "wait")") ==
      Faults{R"(schedules[0].whenBusy: must be one of "allow", "skip", "queue_one", "queue_all", "cancel")"});
  CHECK(faults_with(R"("shifts": {"gap": "vixy"})")
            .at(0)
            .starts_with("schedules[0].shifts.gap: must be one of "));
  CHECK(faults_with(R"("priority": 10)").at(0).starts_with("schedules[0].priority: "));
  CHECK(faults_with(R"("maxAttempts": -1)").at(0).starts_with("schedules[0].maxAttempts: "));
  CHECK(faults_with(R"("tags": ["a", "b\u0007"])").at(0).starts_with("schedules[0].tags[1]: "));
  CHECK(faults_with(R"("maxRuns": "many")") == Faults{"schedules[0].maxRuns: must be a whole number"});
  CHECK(faults_with(R"("jiter": "1m")") == Faults{"schedules[0].jiter: is not known; did you mean jitter?"});
  CHECK(faults_of(R"({"scheduler": {"missedAfter": "0s"}})") ==
        Faults{"scheduler.missedAfter: is 0s, allowed are 1s to 1h"});
  CHECK(faults_of(R"({"schedule": []})") == Faults{"schedule: is not known; did you mean schedules?"});
  // Each schedule has its own.
  CHECK(faults_of(R"({"schedules": [{"name": "a", "every": "1h"}, {"name": "b", "kind": "k", "every": "1h"},
                                    {"name": "b", "kind": "k", "cron": "@never"}]})")
            .size() == 3);
  CHECK(faults_of(R"({"schedules": [{"name": "a", "kind": "k", "every": "1h"},
                                    {"name": "a", "kind": "k", "every": "1h"}]})") ==
        Faults{"schedules[1].name: is 'a', as that of schedule 0"});
}

TEST_CASE("schedules that are made in code are checked as those that are read", "[service]") {
  ServiceConfig config;
  ScheduleSpec spec;
  spec.name = "s";
  spec.kind = "k";
  spec.timing = {.every = 1h};
  spec.payload = R"({"b": 1, "a": 2})";
  config.schedules = std::vector{spec};
  CHECK_NOTHROW(config.validate());
  CHECK(nlohmann::ordered_json::parse(to_json(config)).at("schedules").at(0).at("payload").dump() ==
        R"({"b":1,"a":2})");
  config.schedules->at(0).payload = "{";
  CHECK_THROWS_WITH(config.validate(), Catch::Contains("schedules[0].payload: "));
  config.schedules->at(0) = spec;
  config.schedules->at(0).timing.zone = "\xff";
  CHECK_THROWS_WITH(config.validate(), Catch::Contains("schedules[0].zone: "));
}

TEST_CASE("schedules and what is said of all of them can be in variables", "[service]") {
  const auto config = from_variables(
      {{"QUERN_SCHEDULES", R"([{"name": "s", "cron": "@daily", "kind": "k", "payload": [1]}])"},
       {"QUERN_SCHEDULER_ENABLED", "true"},
       {"QUERN_SCHEDULER_REFRESH_INTERVAL", "10s"},
       {"QUERN_SCHEDULER_UNDECLARED", "keep"},
       {"QUERN_SCHEDULER_ZONE_DATA", "/opt/zoneinfo"}},
      ServiceConfig::from_json(everything));
  REQUIRE(config.schedules);
  REQUIRE(config.schedules->size() == 1);
  CHECK(config.schedules->at(0).payload == "[1]");
  CHECK(config.scheduling);
  CHECK(config.scheduler.refresh_interval == 10s);
  CHECK(config.scheduler.missed_after == 2min);
  CHECK(config.undeclared == quern::Undeclared::keep);
  CHECK(config.zones.folder == "/opt/zoneinfo");
  CHECK_THROWS_WITH(from_variables({{"QUERN_SCHEDULES", R"([{"name": "s", "kind": 3}])"}}),
                    Catch::Contains("QUERN_SCHEDULES[0].kind: must be a text"));
}
