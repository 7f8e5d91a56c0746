#include "quern/service/service_config.hpp"

#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "quern/core/error.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"

using quern::AlertMetric;
using quern::ConfigError;
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

ServiceConfig from_variables(const std::map<std::string, std::string>& variables, ServiceConfig base = {}) {
  return ServiceConfig::from_environment(
      std::move(base), [&](const std::string& name) -> std::optional<std::string> {
        const auto found = variables.find(name);
        return found == variables.end() ? std::nullopt : std::optional(found->second);
      });
}

Faults faults_of_variables(const std::map<std::string, std::string>& variables) {
  try {
    (void)from_variables(variables);
  } catch (const ConfigError& e) {
    return e.faults();
  }
  return {};
}

// As in docs/configuration.md.
const char* const everything =
    "{\"storage\": \"sqlite:jobs.db\","
    " \"runJobs\": true,"
    " \"queue\": {\"maxConcurrentJobs\": 20, \"retryDelay\": \"5s\", \"retention\": {\"kinds\": {\"mail\": "
    "{\"dead\": \"30d\"}}}},"
    " \"processor\": {\"name\": \"mailer\", \"queues\": [{\"name\": \"mail\", \"concurrency\": 3, "
    "\"weight\": 2}],"
    "               \"queueOrder\": \"weighted\", \"ageing\": \"10m\", \"lease\": \"15s\", \"flightRecord\": "
    "\"/tmp/flight\", \"jobLog\": {\"least\": \"info\"}},"
    " \"pool\": {\"workers\": [{\"id\": \"big\", \"maxJobs\": 20, \"supportedJobTypes\": [\"mail\"], "
    "\"budget\": {\"gpu\": 1}}],"
    "          \"balancing\": \"weighted\", \"budget\": {\"memory\": 1000000},"
    "          \"scaling\": {\"minWorkers\": 2, \"maxWorkers\": 6, \"worker\": {\"maxJobs\": 3}, \"upWait\": "
    "\"3s\"}, \"unhealthyFailures\": 9},"
    " \"monitor\": {\"sampleInterval\": \"5s\"},"
    " \"alerts\": {\"interval\": \"20s\", \"rules\": [{\"name\": \"long\", \"metric\": \"jobs\", \"state\": "
    "\"ready\", \"queue\": \"mail\", \"threshold\": 500,"
    "             \"clear\": 400, \"holdFor\": \"2m\", \"severity\": \"critical\"}]},"
    " \"health\": {\"memoryLimit\": 1000000000},"
    " \"stop\": {\"wait\": \"1m\", \"grace\": \"2s\"}}";

}  // namespace

TEST_CASE("a configuration is read from JSON", "[service]") {
  const ServiceConfig config = ServiceConfig::from_json(everything);
  CHECK(config.storage == "sqlite:jobs.db");
  CHECK(config.queue.max_concurrent_jobs == 20);
  CHECK(config.queue.retry_delay == 5s);
  CHECK(config.queue.retention.kinds.at("mail").dead == 30 * 24h);
  const auto& processor = config.pool.processor;
  CHECK(processor.name == "mailer");
  REQUIRE(processor.queues.size() == 1);
  CHECK(processor.queues[0].name == "mail");
  CHECK(processor.queues[0].concurrency == 3);
  CHECK(processor.queues[0].weight == 2);
  CHECK(processor.queue_order == quern::QueueOrder::weighted);
  CHECK(processor.ageing == 10min);
  CHECK(processor.lease == 15s);
  CHECK(processor.flight_record == "/tmp/flight");
  CHECK(processor.job_log.least == quern::LogLevel::info);
  CHECK(processor.job_log.lines == 1000);
  REQUIRE(config.pool.workers.size() == 1);
  CHECK(config.pool.workers[0].id == "big");
  CHECK(config.pool.workers[0].max_jobs == 20);
  CHECK(config.pool.workers[0].supported_kinds == std::vector<std::string>{"mail"});
  CHECK(config.pool.workers[0].budget.at("gpu") == 1);
  CHECK(config.balancing == quern::Balancing::weighted);
  CHECK(config.pool.budget.at("memory") == 1'000'000);
  REQUIRE(config.pool.scaling);
  CHECK(config.pool.scaling->min_workers == 2);
  CHECK(config.pool.scaling->max_workers == 6);
  CHECK(config.pool.scaling->worker.max_jobs == 3);
  CHECK(config.pool.scaling->up_wait == 3s);
  CHECK(config.pool.unhealthy_failures == 9);
  CHECK(config.monitor.sample_interval == 5s);
  CHECK(config.alerts.interval == 20s);
  REQUIRE(config.alerts.rules.size() == 1);
  const auto& rule = config.alerts.rules[0];
  CHECK(rule.name == "long");
  CHECK(rule.metric.source() == AlertMetric::Source::jobs);
  CHECK(rule.metric.queue() == "mail");
  CHECK(rule.threshold == 500);
  CHECK(rule.clear == 400);
  CHECK(rule.hold_for == 2min);
  CHECK(rule.severity == quern::AlertSeverity::critical);
  CHECK(config.health.memory_limit == 1'000'000'000);
  CHECK(config.stop.wait == 1min);
  CHECK(config.stop.grace == 2s);
}

TEST_CASE("what a configuration does not name has its default", "[service]") {
  const ServiceConfig config = ServiceConfig::from_json("{}");
  CHECK(config.storage == "sqlite:quern.db");
  CHECK(config.alerts.rules.size() == quern::default_alert_rules().size());
  CHECK_FALSE(config.pool.scaling);
  CHECK(to_json(config) == to_json(ServiceConfig{}));
}

TEST_CASE("what is written is read back as it was", "[service]") {
  for (const std::string text : {everything, "{}"}) {
    const std::string written = to_json(ServiceConfig::from_json(text));
    CHECK(to_json(ServiceConfig::from_json(written)) == written);
  }
  ServiceConfig config;
  config.queue.cleanup_interval = 1500ms;
  config.pool.workers = {{.id = "a", .weight = 0.25}};
  CHECK(ServiceConfig::from_json(to_json(config)).queue.cleanup_interval == 1500ms);
  CHECK(ServiceConfig::from_json(to_json(config)).pool.workers.at(0).weight == 0.25);
}

TEST_CASE("every fault of a configuration is told at once, with its path and what is allowed", "[service]") {
  std::string queue_fault;
  try {
    (void)quern::JobQueueConfig::from_json("{\"retryDelay\": \"soon\"}");
  } catch (const ConfigError& e) {
    queue_fault = "queue." + e.faults().at(0);
  }
  CHECK(faults_of("{\"storag\": \"x\", \"runJobs\": 1, \"queue\": {\"retryDelay\": \"soon\"},"
                  " \"pool\": {\"workers\": [{\"maxJobs\": 0, \"supportedJobTypes\": [1]}, 7], "
                  "\"balancing\": \"best\","
                  " \"budget\": {\"gpu\": \"one\"}}, \"stop\": {\"wait\": \"2d\"}}") ==
        Faults{"runJobs: must be true or false", "pool.workers[0].maxJobs: is 0, allowed are 1 to 100000",
               "pool.workers[0].supportedJobTypes[0]: must be a text", "pool.workers[1]: must be an object",
               "pool.balancing: must be one of \"least_loaded\", \"round_robin\", \"weighted\", "
               "\"kind_affinity\", "
               "\"resource_fit\"",
               "pool.budget.gpu: must be a whole number", "stop.wait: is 2d, allowed are 0s to 1d",
               queue_fault, "storag: is not known; did you mean storage?"});
}

TEST_CASE("what values are only wrong together is told, too", "[service]") {
  CHECK(faults_of("{\"processor\": {\"queueOrder\": \"strict\"}}") ==
        Faults{"processor.queues: is empty; a weighted or strict order needs the queues' names"});
  CHECK(faults_of("{\"pool\": {\"scaling\": {\"minWorkers\": 5, \"maxWorkers\": 2}}}") ==
        Faults{"pool.scaling.max_workers: is 2; allowed is min_workers (5) or more"});
  CHECK(faults_of("{\"pool\": {\"workers\": [{\"id\": \"a\"}, {\"id\": \"b\"}, {\"id\": \"a\"}]}}") ==
        Faults{"pool.workers[2].id: is 'a', as that of worker 0"});
  CHECK(faults_of("{\"alerts\": {\"rules\": [{\"name\": \"\", \"threshold\": 1}]}}") ==
        Faults{"alerts.rules[0].name: is empty"});
  CHECK(faults_of("{\"history\": {\"keepMinutes\": \"30d\", \"keepHours\": \"3d\"}}") ==
        Faults{"history.keepHours: is 3d, which is less than keepMinutes (30d)"});
  CHECK(faults_of("{\"storage\": \"\"}").size() == 1);
  CHECK(faults_of("[]") == Faults{"configuration: must be an object"});
  CHECK(faults_of("{").size() == 1);
}

TEST_CASE("each metric of alerts can be named", "[service]") {
  for (const char* const rule :
       {"\"metric\": \"jobs\", \"state\": \"dead\", \"by\": \"kind\"",
        "\"metric\": \"longest_run\", \"kind\": \"mail\"",
        "\"metric\": \"oldest_ready\", \"queue\": \"mail\"", "\"metric\": \"nodes\", \"when\": \"below\"",
        "\"metric\": \"paused\", \"by\": \"queue\"", "\"metric\": \"since_completed\", \"kind\": \"mail\"",
        "\"metric\": \"since_event\", \"event\": \"backup\"",
        "\"metric\": \"healthy_workers\", \"when\": \"below\"",
        "\"metric\": \"failed_share\", \"window\": \"1m\", \"least\": 5",
        "\"metric\": \"ended_per_second\", \"window\": \"15m\"", "\"metric\": \"utilization\"",
        "\"metric\": \"resident_bytes\""}) {
    CAPTURE(rule);
    const std::string text =
        std::string("{\"alerts\": {\"rules\": [{\"name\": \"r\", \"threshold\": 1, ") + rule + "}]}}";
    CHECK(faults_of(text).empty());
    const auto config = ServiceConfig::from_json(text);
    CHECK(std::string(rule).starts_with(
        "\"metric\": \"" + std::string(to_string(config.alerts.rules.at(0).metric.source())) + "\""));
    CHECK(to_json(ServiceConfig::from_json(to_json(config))) == to_json(config));
  }
  CHECK(
      ServiceConfig::from_json("{\"alerts\": {\"rules\": [{\"name\": \"r\", \"metric\": \"since_completed\","
                               " \"kind\": \"mail\", \"threshold\": 60}]}}")
          .alerts.rules.at(0)
          .metric.event() == "mail");
}

TEST_CASE("variables of the environment go over a configuration", "[service]") {
  const ServiceConfig base = ServiceConfig::from_json(everything);
  const ServiceConfig config =
      from_variables({{"QUERN_STORAGE", "sqlite:other.db"},
                      {"QUERN_RUN_JOBS", "false"},
                      {"QUERN_MAX_CONCURRENT_JOBS", "7"},
                      {"QUERN_PROCESSOR_NAME", "12"},
                      {"QUERN_PROCESSOR_QUEUE_ORDER", "strict"},
                      {"QUERN_PROCESSOR_LEASE", ""},
                      {"QUERN_POOL_SCALING_MAX_WORKERS", "9"},
                      {"QUERN_POOL_WORKERS", "[{\"id\": \"one\"}, {\"id\": \"two\", \"enabled\": false}]"},
                      {"QUERN_POOL_BUDGET", "{\"gpu\": 2}"},
                      {"QUERN_ALERTS_ENABLED", "false"},
                      {"QUERN_STOP_WAIT", "5s"}},
                     base);
  CHECK(config.storage == "sqlite:other.db");
  CHECK_FALSE(config.run_jobs);
  CHECK(config.queue.max_concurrent_jobs == 7);
  CHECK(config.queue.retry_delay == 5s);
  CHECK(config.pool.processor.name == "12");
  CHECK(config.pool.processor.queue_order == quern::QueueOrder::strict);
  CHECK(config.pool.processor.lease == 15s);
  REQUIRE(config.pool.scaling);
  CHECK(config.pool.scaling->max_workers == 9);
  CHECK(config.pool.scaling->min_workers == 2);
  REQUIRE(config.pool.workers.size() == 2);
  CHECK(config.pool.workers[0].max_jobs == 5);
  CHECK_FALSE(config.pool.workers[1].enabled);
  CHECK(config.pool.budget == quern::Resources{{"gpu", 2}});
  CHECK_FALSE(config.alerting);
  CHECK(config.stop.wait == 5s);

  CHECK_FALSE(from_variables({}).pool.scaling);
  CHECK(from_variables({{"QUERN_POOL_SCALING_MIN_WORKERS", "3"}}).pool.scaling->min_workers == 3);
}

TEST_CASE("a fault of a variable names the variable", "[service]") {
  CHECK(
      faults_of_variables({{"QUERN_POOL_UNHEALTHY_FAILURES", "many"}, {"QUERN_RETRY_BACKOFF_FACTOR", "0"}}) ==
      Faults{"QUERN_POOL_UNHEALTHY_FAILURES: must be a whole number",
             "QUERN_RETRY_BACKOFF_FACTOR: is 0, allowed are 1 to 100"});
  CHECK(faults_of_variables({{"QUERN_POOL_WORKERS", "[{\"maxJobs\": \"x\"}]"}}) ==
        Faults{"QUERN_POOL_WORKERS[0].maxJobs: must be a whole number"});
  CHECK(faults_of_variables({{"QUERN_POOL_WORKERS", "[{"}}).at(0).starts_with("QUERN_POOL_WORKERS: "));
}

TEST_CASE("a configuration is read from a file, whose name faults begin with", "[service]") {
  const quern_test::TempFolder folder;
  const std::string path = (folder.path() / "jobs.json").string();
  std::ofstream(path) << everything;
  CHECK(ServiceConfig::from_file(path).pool.processor.name == "mailer");
  std::ofstream(path) << "{\"runJobs\": 3}";
  CHECK_THROWS_WITH(ServiceConfig::from_file(path),
                    Catch::Contains(path + ": runJobs: must be true or false"));
  std::ofstream(path) << std::string((1U << 20U) + 1, ' ');
  CHECK_THROWS_WITH(ServiceConfig::from_file(path), Catch::Contains(path + ": is longer than 1 MiB"));
  CHECK_THROWS_WITH(ServiceConfig::from_file(path + "no"), Catch::Contains(path + "no: can't be read"));
  CHECK_THROWS_AS(ServiceConfig::from_file(folder.path().string()), ConfigError);
}

TEST_CASE("a configuration made in code is checked as one that is read", "[service]") {
  ServiceConfig config;
  CHECK_NOTHROW(config.validate());
  config.pool.workers = {{.max_jobs = 0}};
  config.stop.grace = -1s;
  config.pool.processor.max_concurrent_jobs = 3;
  config.alerts.rules[0].threshold = std::numeric_limits<double>::quiet_NaN();
  std::string all;
  try {
    config.validate();
  } catch (const ConfigError& e) {
    all = e.what();
  }
  CHECK_THAT(all, Catch::Contains("pool.workers[0].maxJobs: is 0") && Catch::Contains("stop.grace: is -1s") &&
                      Catch::Contains("alerts.rules[0].threshold") &&
                      Catch::Contains("processor: has max_concurrent_jobs set"));
}

TEST_CASE("a rule that is a function is fine, and not written", "[service]") {
  ServiceConfig config;
  quern::AlertRule rule;
  rule.name = "own";
  rule.metric = AlertMetric::custom([](const quern::Metrics&) { return std::optional<double>(1); });
  config.alerts.rules = {rule};
  CHECK_NOTHROW(config.validate());
  CHECK(nlohmann::json::parse(to_json(config)).at("alerts").at("rules").empty());
}

TEST_CASE("what is written shows no password", "[service]") {
  ServiceConfig config;
  config.storage = "postgres:postgresql://user:hunter2@host/db";
  CHECK_THAT(to_json(config), !Catch::Contains("hunter2") && Catch::Contains("\"storage\":\"postgres:...\""));
  config.storage = "write-behind:postgres:postgresql://user:hunter2@host/db";
  CHECK_THAT(to_json(config), !Catch::Contains("hunter2"));
  config.storage = "write-behind:sqlite:jobs.db";
  CHECK_THAT(to_json(config), Catch::Contains("\"write-behind:sqlite:jobs.db\""));
}
