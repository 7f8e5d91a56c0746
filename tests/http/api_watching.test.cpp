#include "http/api_scene.hpp"
#include "quern/monitor/metrics.hpp"

using nlohmann::json;
using quern::JobContext;
using quern::JobResult;
using quern::http::Method;
using quern::http::Scope;
using quern_test::ApiScene;
using namespace std::chrono_literals;

TEST_CASE("metrics come as JSON and for Prometheus, and history by range", "[api]") {
  ApiScene scene;
  scene.service.handlers().on("a", [](JobContext&) {});
  scene.add({{"kind", "a"}});
  scene.pass(12min);
  const json metrics = scene.get("/api/jobs/metrics").body();
  CHECK(metrics["jobs"][0]["completed"] == 1);
  const auto text = scene.get("/metrics");
  CHECK(text.header("Content-Type") == quern::prometheus_content_type);
  CHECK(text.text.find("quern_") != std::string::npos);

  const json points = scene.get("/api/jobs/performance?range=10m").body()["points"];
  CHECK(points.size() >= 8);
  CHECK(points[0]["from"] < points[1]["from"]);
  CHECK(scene.get("/api/jobs/performance?range=30d").body()["points"].size() == 1);
  CHECK(scene.get("/api/jobs/performance?range=10m&from=2026-01-01").status == 422);
  CHECK(scene.get("/api/jobs/performance?from=2026-01-01T00:00:00Z&to=2025-01-01T00:00:00Z").faults() ==
        std::vector<std::string>{"query:from"});
  CHECK(scene.get("/api/jobs/performance?range=3660d&resolution=minute").faults() ==
        std::vector<std::string>{"query:resolution"});
  CHECK(scene.get("/api/jobs/performance?range=now").status == 422);
}

TEST_CASE("health is told to everybody, and details to who may see them", "[api]") {
  ApiScene scene;
  CHECK(scene.get("/api/health").status == 503);  // it is not started
  CHECK(scene.get("/api/health").body() == json{{"status", "down"}});
  scene.settle();
  scene.pass(1min);
  CHECK(scene.get("/api/health/ready").status == 200);
  CHECK(scene.get("/api/health/live").body() == json{{"status", "up"}});
  CHECK(scene.get("/api/health/details").body()["components"]["storage"]["status"] == "up");
}

TEST_CASE("a caller is told who it is and what it may do", "[api]") {
  ApiScene scene;
  CHECK(scene.get("/api/me").body()["permissions"].size() == quern::http::all_permissions().size());
  scene.as("ann", Scope{.permissions = {"jobs.*"}, .tenants = {{"acme"}}});
  const json me = scene.get("/api/me").body();
  CHECK(me["name"] == "ann");
  CHECK(me["via"] == "key");
  CHECK(me["permissions"] ==
        json{"jobs.create", "jobs.delete", "jobs.manage", "jobs.read", "jobs.read_secret"});
  CHECK(me["tenants"] == json{"acme"});
  CHECK(me["queues"].is_null());
  CHECK(scene.get("/api/info").body()["api"] == 1);
}

TEST_CASE("what concerns all tenants is not for who may see some", "[api]") {
  ApiScene scene;
  scene.as("ann", Scope{.permissions = {"*"}, .tenants = {{"acme"}}});
  for (const char* const path :
       {"/api/jobs/metrics", "/metrics", "/api/jobs/performance", "/api/failures", "/api/jobs/workers",
        "/api/alerts", "/api/alerts/rules", "/api/queues", "/api/limits", "/api/config"}) {
    INFO(path);
    CHECK(scene.get(path).status == 403);
  }
  scene.as("bob", Scope{.permissions = {"*"}, .queues = {{"q"}}});
  CHECK(scene.get("/api/queues").status == 200);
  CHECK(scene.post("/api/queues/other/pause").status == 404);
  CHECK(scene.post("/api/queues/q/pause").status == 204);
}

TEST_CASE("queues are paused, resumed and limited, and rules set and taken away", "[api]") {
  ApiScene scene;
  scene.service.handlers().on("a", [](JobContext&) {});
  CHECK(scene.post("/api/queues/q/pause").status == 204);
  const std::string id = scene.add({{"kind", "a"}, {"queue", "q"}});
  scene.settle();
  CHECK(scene.job(id)["why_not_running"]["reason"] == "queue_paused");
  json queues = scene.get("/api/queues").body()["queues"];
  REQUIRE(queues.size() == 1);
  CHECK(queues[0]["paused"] == true);
  CHECK(queues[0]["counts"] == json{{"ready", 1}});
  CHECK(queues[0].contains("oldest_ready_s"));
  CHECK(scene.post("/api/queues/q/resume").status == 204);
  scene.settle();
  CHECK(scene.job(id)["state"] == "completed");

  CHECK(scene
            .put("/api/limits/mail",
                 {{"queue", "q"},
                  {"max_running", 2},
                  {"rate", {{"count", 100}, {"per", "1m"}, {"algorithm", "sliding_window"}}}})
            .status == 204);
  const json limits = scene.get("/api/limits").body()["limits"];
  REQUIRE(limits.size() == 1);
  CHECK(limits[0]["max_running"] == 2);
  CHECK(limits[0]["rate"]["algorithm"] == "sliding_window");
  CHECK(limits[0]["starts"] == 100);
  CHECK(scene.put("/api/limits/mail", {{"queue", "q"}}).faults() == std::vector<std::string>{"/max_running"});
  CHECK(scene.put("/api/limits/mail", {{"rate", {{"count", 0}}}}).faults() ==
        std::vector<std::string>{"/rate/per", "/rate/count"});
  CHECK(scene.put("/api/limits/mail", {{"rate", {{"count", 1}, {"per", "1us"}}}}).faults() ==
        std::vector<std::string>{"/rate/per"});
  CHECK(scene.put("/api/queues/q/limit", {{"max_waiting", -1}}).faults() ==
        std::vector<std::string>{"/max_waiting"});
  CHECK(scene.del("/api/limits/mail").status == 204);
  CHECK(scene.del("/api/limits/mail").status == 404);
}

TEST_CASE("workers are seen and changed while they are there", "[api]") {
  quern::ServiceConfig config;
  config.pool.scaling = quern::ScalingOptions{.min_workers = 2, .max_workers = 3};
  ApiScene scene(std::move(config));
  CHECK(scene.get("/api/jobs/workers").body()["runs_jobs"] == false);
  CHECK(scene.post("/api/jobs/workers/w/disable").status == 409);
  scene.settle();
  json all = scene.get("/api/jobs/workers").body();
  REQUIRE(all["workers"].size() == 2);
  CHECK(all["nodes"].size() == 1);
  CHECK(all["nodes"][0]["state"] == "alive");
  const std::string id = all["workers"][0]["id"];
  CHECK(scene.post("/api/jobs/workers/" + id + "/disable").status == 204);
  CHECK(scene.post("/api/jobs/workers/" + id + "/resize", {{"max_jobs", 9}}).status == 204);
  all = scene.get("/api/jobs/workers").body();
  CHECK(all["workers"][0]["state"] == "disabled");
  CHECK(all["workers"][0]["max_jobs"] == 9);
  CHECK(scene.post("/api/jobs/workers/" + id + "/enable").status == 204);
  CHECK(scene.post("/api/jobs/workers/" + id + "/resize", {{"max_jobs", 0}}).faults() ==
        std::vector<std::string>{"/max_jobs"});
  CHECK(scene.post("/api/jobs/workers/nobody/enable").status == 404);
  CHECK(scene.post("/api/jobs/workers/scale", {{"min_workers", 3}, {"max_workers", 2}}).faults() ==
        std::vector<std::string>{"/max_workers"});
  CHECK(scene.post("/api/jobs/workers/scale", {{"min_workers", 1}, {"max_workers", 5}}).status == 204);
  CHECK(scene.service.config().pool.scaling->max_workers == 5);
}

TEST_CASE("an alert is silenced and heard again", "[api]") {
  ApiScene scene;
  scene.settle();
  CHECK(scene.get("/api/alerts/rules").body()["rules"].size() == 4);
  const auto silenced =
      scene.post("/api/alerts/silences", {{"rule", "queue_*"}, {"for", "1h"}, {"reason", "known"}});
  CHECK(silenced.status == 201);
  json alerts = scene.get("/api/alerts").body();
  REQUIRE(alerts["silences"].size() == 1);
  CHECK(alerts["silences"][0]["reason"] == "known");
  const std::string id = silenced.body()["id"];
  CHECK(scene.post("/api/alerts/silences", {{"rule", "x"}}).faults() == std::vector<std::string>{"/for"});
  CHECK(scene.post("/api/alerts/silences", {{"until", "2000-01-01T00:00:00Z"}}).status == 422);
  CHECK(scene.del("/api/alerts/silences/" + id).status == 204);
  CHECK(scene.del("/api/alerts/silences/" + id).status == 404);
  CHECK(scene.errors.empty());
}

TEST_CASE("the configuration is shown, and a password in it is not", "[api]") {
  ApiScene scene;
  CHECK(scene.get("/api/config").body().contains("queue"));
}

TEST_CASE("every route of the API has a permission, but health", "[api]") {
  ApiScene scene;
  const auto known = quern::http::all_permissions();
  for (const quern::http::Route& route : scene.router.routes()) {
    INFO(route.pattern);
    const bool is_health = route.pattern.starts_with("/api/health") && route.pattern != "/api/health/details";
    const bool is_known = std::ranges::find(known, route.permission) != known.end() ||
                          route.permission == quern::http::any_caller;
    CHECK((is_health ? route.permission.empty() : is_known));
    CHECK_FALSE(route.summary.empty());
  }
}
