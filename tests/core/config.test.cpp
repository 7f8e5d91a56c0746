#include "quern/core/config.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "quern/core/error.hpp"
#include "support/catch.hpp"

using namespace quern;
using namespace std::chrono_literals;

namespace {

template <class Call>
std::vector<std::string> faults(const Call& call) {
  try {
    static_cast<void>(call());
  } catch (const ConfigError& e) {
    return e.faults();
  }
  return {};
}

std::vector<std::string> json_faults(std::string_view text) {
  return faults([&] { return JobQueueConfig::from_json(text); });
}

using Variables = std::map<std::string, std::string>;

JobQueueConfig from_variables(const Variables& variables, JobQueueConfig base = {}) {
  return JobQueueConfig::from_environment(std::move(base), [&](const std::string& name) {
    const auto it = variables.find(name);
    return it == variables.end() ? std::nullopt : std::optional(it->second);
  });
}

std::vector<std::string> variable_faults(const Variables& variables) {
  return faults([&] { return from_variables(variables); });
}

bool any_starts_with(const std::vector<std::string>& lines, const std::string& start) {
  return std::ranges::any_of(lines, [&](const auto& line) { return line.starts_with(start); });
}

void check_defaults(const JobQueueConfig& config) {
  CHECK(config.max_concurrent_jobs == 50);
  CHECK(config.retry_delay == 2s);
  CHECK(config.max_retry_delay == 5min);
  CHECK(config.retry_backoff_factor == 2.0);
  CHECK(config.default_max_retries == 3);
  CHECK(config.job_timeout == 10min);
  CHECK(config.cleanup_interval == 5min);
  CHECK(config.persistence_interval == 10s);
  CHECK(config.enable_metrics);
  CHECK(config.retention.completed == 24h * 7);
  CHECK(config.retention.cancelled == 24h * 7);
  CHECK(config.retention.dead == 24h * 90);
  CHECK(config.limits.payload_bytes == 1U << 20U);
  CHECK(config.limits.json_depth == 64);
}

}  // namespace

TEST_CASE("a configuration without settings has the defaults", "[config]") {
  check_defaults({});
  check_defaults(JobQueueConfig::from_json("{}"));
  check_defaults(from_variables({}));
  CHECK(faults([] {
          JobQueueConfig().validate();
          return 0;
        }).empty());
}

TEST_CASE("every setting is read from JSON", "[config]") {
  const auto config = JobQueueConfig::from_json(R"({
    "maxConcurrentJobs": 20, "retryDelay": "5s", "maxRetryDelay": 60000, "retryBackoffFactor": 1.5,
    "defaultMaxRetries": 0, "jobTimeout": "1h30m", "cleanupInterval": "1m", "persistenceInterval": "250ms",
    "enableMetrics": false, "retention": {"completed": "1d", "cancelled": 0, "dead": "2w"},
    "limits": {"payloadBytes": 1000, "jsonDepth": 8}})");
  CHECK(config.max_concurrent_jobs == 20);
  CHECK(config.retry_delay == 5s);
  CHECK(config.max_retry_delay == 1min);
  CHECK(config.retry_backoff_factor == 1.5);
  CHECK(config.default_max_retries == 0);
  CHECK(config.job_timeout == 90min);
  CHECK(config.cleanup_interval == 1min);
  CHECK(config.persistence_interval == 250ms);
  CHECK_FALSE(config.enable_metrics);
  CHECK(config.retention.completed == 24h);
  CHECK(config.retention.cancelled == 0s);
  CHECK(config.retention.dead == 24h * 14);
  CHECK(config.limits.payload_bytes == 1000);
  CHECK(config.limits.json_depth == 8);
}

TEST_CASE("every setting is read from its variable, over a base", "[config]") {
  JobQueueConfig base;
  base.max_concurrent_jobs = 7;
  base.job_timeout = 1min;
  const auto config = from_variables({{"QUERN_MAX_CONCURRENT_JOBS", "20"},
                                      {"QUERN_RETRY_DELAY", "5s"},
                                      {"QUERN_MAX_RETRY_DELAY", "60000"},
                                      {"QUERN_RETRY_BACKOFF_FACTOR", "3"},
                                      {"QUERN_DEFAULT_MAX_RETRIES", "9"},
                                      {"QUERN_CLEANUP_INTERVAL", "1m"},
                                      {"QUERN_PERSISTENCE_INTERVAL", "1s"},
                                      {"QUERN_ENABLE_METRICS", "false"},
                                      {"QUERN_RETENTION_COMPLETED", "1d"},
                                      {"QUERN_RETENTION_CANCELLED", "2d"},
                                      {"QUERN_RETENTION_DEAD", "3d"},
                                      {"QUERN_LIMITS_PAYLOAD_BYTES", "1000"},
                                      {"QUERN_LIMITS_JSON_DEPTH", "8"},
                                      {"QUERN_SOMETHING_ELSE", "is not ours"}},
                                     base);
  CHECK(config.max_concurrent_jobs == 20);
  CHECK(config.retry_delay == 5s);
  CHECK(config.max_retry_delay == 1min);
  CHECK(config.retry_backoff_factor == 3.0);
  CHECK(config.default_max_retries == 9);
  CHECK(config.job_timeout == 1min);
  CHECK(config.cleanup_interval == 1min);
  CHECK(config.persistence_interval == 1s);
  CHECK_FALSE(config.enable_metrics);
  CHECK(config.retention.completed == 24h);
  CHECK(config.retention.cancelled == 48h);
  CHECK(config.retention.dead == 72h);
  CHECK(config.limits.payload_bytes == 1000);
  CHECK(config.limits.json_depth == 8);
  CHECK(from_variables({{"QUERN_RETRY_DELAY", ""}}).retry_delay == 2s);  // empty is as if it were not there
}

TEST_CASE("the process's environment is read", "[config]") {
  ::setenv("QUERN_DEFAULT_MAX_RETRIES", "11", 1);
  const auto config = JobQueueConfig::from_environment({});
  ::unsetenv("QUERN_DEFAULT_MAX_RETRIES");
  CHECK(config.default_max_retries == 11);
  CHECK(JobQueueConfig::from_environment({}).default_max_retries == 3);
}

TEST_CASE("all faults of a JSON configuration are reported together, each with its path", "[config]") {
  const auto found = json_faults(R"({
    "maxConcurrentJobs": 0, "retryDelay": "soon", "retryBackoffFactor": "2", "defaultMaxRetries": 1.5,
    "jobTimeout": -5, "enableMetrics": 1, "retention": {"dead": true, "completd": "1d"},
    "limits": 5, "maxConcurentJobs": 3, "cleanupInterval": 99999999999999999, "persistenceInterval": {}})");
  CHECK(found.size() == 12);
  for (const char* path :
       {"maxConcurrentJobs: is 0, allowed are 1 to 100000",
        "retryDelay: ", "retryBackoffFactor: must be a number", "defaultMaxRetries: must be a whole number",
        "jobTimeout: is -5ms, allowed are 1ms to 365d", "enableMetrics: must be true or false",
        "retention.dead: must be a duration",
        "retention.completd: is not known; did you mean retention.completed?", "limits: must be an object",
        "maxConcurentJobs: is not known; did you mean maxConcurrentJobs?",
        "cleanupInterval: is 99999999999999999 ms, which is out of range",
        "persistenceInterval: must be a duration"}) {
    INFO(path);
    CHECK(any_starts_with(found, path));
  }
}

TEST_CASE("all faults of the environment are reported together, each with its variable", "[config]") {
  const auto found = variable_faults({{"QUERN_MAX_CONCURRENT_JOBS", "many"},
                                      {"QUERN_RETRY_DELAY", "10m"},
                                      {"QUERN_RETRY_BACKOFF_FACTOR", "1e3"},
                                      {"QUERN_ENABLE_METRICS", "yes"},
                                      {"QUERN_LIMITS_JSON_DEPTH", "99999999999999999999"},
                                      {"QUERN_JOB_TIMEOUT", "\xFF"}});
  CHECK(found.size() == 6);
  for (const char* line : {"QUERN_MAX_CONCURRENT_JOBS: must be a whole number",
                           "QUERN_RETRY_DELAY: is 10m, which is more than maxRetryDelay (5m)",
                           "QUERN_RETRY_BACKOFF_FACTOR: is 1000, allowed are 1 to 100",
                           "QUERN_ENABLE_METRICS: must be true or false",
                           "QUERN_LIMITS_JSON_DEPTH: must be a whole number", "QUERN_JOB_TIMEOUT: "}) {
    INFO(line);
    CHECK(any_starts_with(found, line));
  }
}

TEST_CASE("a name in another style is led to the right one", "[config]") {
  CHECK(json_faults(R"({"max_concurrent_jobs": 1})") ==
        std::vector<std::string>{"max_concurrent_jobs: is not known; did you mean maxConcurrentJobs?"});
  CHECK(json_faults(R"({"RetryDelay": "1s"})") ==
        std::vector<std::string>{"RetryDelay: is not known; did you mean retryDelay?"});
  CHECK(json_faults(R"({"retention": {"dead.": 1}, "retention.dead": "1d"})").size() == 2);
  const std::string odd = R"({")" + std::string(1000, 'x') + R"(": 1})";
  CHECK(json_faults(odd).at(0).size() < 200);
}

TEST_CASE("kinds have a retention of their own, which leaves the rest as it is", "[config]") {
  const auto config = JobQueueConfig::from_json(
      R"({"retention": {"completed": "7d", "kinds": {"digest.send": {"completed": "1h", "dead": 1000}, "x": {}}}})");
  CHECK(config.retention.completed == 24h * 7);
  REQUIRE(config.retention.kinds.size() == 2);
  const KindRetention& send = config.retention.kinds.at("digest.send");
  CHECK(send.completed == Duration(1h));
  CHECK(send.dead == Duration(1s));
  CHECK_FALSE(send.cancelled.has_value());
  CHECK_FALSE(config.retention.kinds.at("x").completed.has_value());

  SECTION("the variable is the same object, and replaces it") {
    const auto changed = from_variables({{"QUERN_RETENTION_KINDS", R"({"y": {"cancelled": "2h"}})"}}, config);
    REQUIRE(changed.retention.kinds.size() == 1);
    CHECK(changed.retention.kinds.at("y").cancelled == Duration(2h));
    CHECK(changed.retention.completed == 24h * 7);
  }
}

TEST_CASE("all faults of the retention of kinds are reported together", "[config]") {
  CHECK(
      json_faults(
          R"({"retention": {"dead": -1, "kinds": {"a.b": {"dead": true, "completed": "-1s", "alive": 1},
                        "c": 5, "": {"dead": "40000d"}}}})") ==
      std::vector<std::string>{
          R"(retention.kinds["a.b"].dead: must be a duration as "250ms", "2s" or "1h30m", or a whole number of milliseconds)",
          R"(retention.kinds["a.b"]["alive"]: is not known, there are completed, cancelled and dead)",
          R"(retention.kinds["c"]: must be an object)", "retention.dead: is -1ms, allowed are 0s to 36500d",
          R"(retention.kinds[""]: must not be empty)",
          R"(retention.kinds[""].dead: is 40000d, allowed are 0s to 36500d)",
          R"(retention.kinds["a.b"].completed: is -1s, allowed are 0s to 36500d)"});
  CHECK(json_faults(R"({"retention": {"kinds": []}})") ==
        std::vector<std::string>{"retention.kinds: must be an object, with the kinds as its names"});
  CHECK(json_faults(R"({"retention": {"kind": {}}})").at(0).starts_with("retention.kind: is not known"));
  CHECK(variable_faults({{"QUERN_RETENTION_KINDS", R"({"a": {"dead": "soon"}, "b": 1})"}}).size() == 2);
  CHECK(any_starts_with(variable_faults({{"QUERN_RETENTION_KINDS", "{"}}), "QUERN_RETENTION_KINDS: "));
  JobQueueConfig config;
  config.retention.kinds[std::string(200, 'k')].dead = -1s;
  const auto found = faults([&] {
    config.validate();
    return 0;
  });
  REQUIRE(found.size() == 2);
  CHECK(found[0].size() < 200);
}

TEST_CASE("the first wait must not be longer than the longest", "[config]") {
  CHECK(json_faults(R"({"retryDelay": "10m"})") ==
        std::vector<std::string>{"retryDelay: is 10m, which is more than maxRetryDelay (5m)"});
  CHECK(json_faults(R"({"retryDelay": "10m", "maxRetryDelay": "10m"})").empty());
  CHECK(json_faults(R"({"retryDelay": "10m", "maxRetryDelay": "x"})").size() ==
        1);  // no second fault of the first
}

TEST_CASE("what is no JSON object is refused as a whole", "[config]") {
  for (const char* wrong : {"", "{", "[]", "null", "5", R"({"retryDelay": 1, "retryDelay": 2})", "\xFF"}) {
    const auto found = json_faults(wrong);
    INFO(wrong);
    REQUIRE(found.size() == 1);
    CHECK(found[0].starts_with("configuration: "));
  }
}

TEST_CASE("values at the edges are accepted, beyond them refused", "[config]") {
  CHECK(json_faults(R"({"maxConcurrentJobs": 100000, "defaultMaxRetries": 999999, "retryBackoffFactor": 1,
                       "jobTimeout": "365d", "retryDelay": 1, "limits": {"payloadBytes": 1, "jsonDepth": 1000}})")
            .empty());
  for (const char* wrong :
       {R"({"maxConcurrentJobs": 100001})", R"({"defaultMaxRetries": 1000000})",
        R"({"defaultMaxRetries": -1})", R"({"retryBackoffFactor": 0.999})",
        R"({"retryBackoffFactor": 100.5})", R"({"jobTimeout": "365d1us"})", R"({"jobTimeout": 0})",
        R"({"retryDelay": "999us"})", R"({"limits": {"payloadBytes": 0}})",
        R"({"limits": {"payloadBytes": -1}})", R"({"limits": {"jsonDepth": 0}})",
        R"({"retention": {"dead": -1}})", R"({"maxConcurrentJobs": 18446744073709551615})",
        R"({"maxConcurrentJobs": null})"}) {
    INFO(wrong);
    CHECK(json_faults(wrong).size() == 1);
  }
}

TEST_CASE("a configuration made in code is validated the same way", "[config]") {
  JobQueueConfig config;
  config.max_concurrent_jobs = -1;
  config.retry_backoff_factor = std::numeric_limits<double>::quiet_NaN();
  config.retention.dead = -1s;
  const auto found = faults([&] {
    config.validate();
    return 0;
  });
  CHECK(found.size() == 3);
  CHECK(any_starts_with(found, "retryBackoffFactor: is nan"));
}

TEST_CASE("the settings describe the default retry policy", "[config]") {
  JobQueueConfig config;
  config.retry_delay = 3s;
  config.max_retry_delay = 20s;
  config.retry_backoff_factor = 3.0;
  const auto policy = config.retry_policy();
  const auto same = RetryPolicy::exponential(3s, 20s, 3.0);
  for (int attempt = 1; attempt < 6; ++attempt)
    CHECK(policy.delay(attempt, 12'345) == same.delay(attempt, 12'345));
}
