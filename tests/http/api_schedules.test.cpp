#include "http/api_scene.hpp"

using nlohmann::json;
using quern::JobContext;
using quern::http::Scope;
using quern_test::ApiScene;
using namespace std::chrono_literals;

namespace {

json hourly(const std::string& name) {
  return {{"name", name},
          {"timing", {{"cron", "0 * * * *"}, {"zone", "Europe/Berlin"}}},
          {"kind", "report"},
          {"payload", {{"to", "sales"}}}};
}

}  // namespace

TEST_CASE("a schedule is created, seen, changed, paused and deleted, and its jobs come", "[api][schedules]") {
  ApiScene scene;
  int ran = 0;
  scene.service.handlers().on("report", [&](JobContext&) { ++ran; });
  const auto made = scene.post("/api/jobs/schedules", hourly("hourly report"));
  CHECK(made.status == 201);
  CHECK(made.header("Location") == "/api/jobs/schedules/hourly%20report");
  CHECK(made.body()["next"] == "2026-01-01T01:00:00Z");
  CHECK(made.body()["description"].get<std::string>().find("Berlin") != std::string::npos);
  CHECK(scene.post("/api/jobs/schedules", hourly("hourly report")).status == 409);
  const std::string path = made.header("Location");

  scene.pass(2h + 1min);
  CHECK(ran == 2);
  json seen = scene.get(path).body();
  CHECK(seen["runs"] == 2);
  CHECK(seen["payload"] == json{{"to", "sales"}});
  CHECK(seen["lateness_max_s"].get<double>() < 2);
  const json runs = scene.get(path + "/runs").body()["runs"];
  REQUIRE(runs.size() == 2);
  CHECK(runs[0]["instant"] == "2026-01-01T02:00:00Z");
  CHECK(scene.job(runs[0]["job"])["tags"] == json{"schedule:hourly report"});

  CHECK(scene.post(path + "/pause").status == 204);
  CHECK(scene.get(path).body()["paused"] == true);
  CHECK(scene.get(path).body()["next"].is_null());
  CHECK(scene.post(path + "/resume").status == 204);

  json daily = hourly("hourly report");
  daily["timing"] = {{"every", "24h"}, {"anchor", "2026-01-01T12:00:00Z"}};
  daily["when_busy"] = "queue_one";
  const auto changed = scene.put(path, daily);
  CHECK(changed.status == 200);
  CHECK(changed.body()["next"] == "2026-01-01T12:00:00Z");
  CHECK(changed.body()["when_busy"] == "queue_one");
  CHECK(changed.body()["runs"] == 2);
  CHECK(scene.get("/api/jobs/schedules").body()["schedules"].size() == 1);
  CHECK(scene.del(path).status == 204);
  CHECK(scene.del(path).status == 404);
  CHECK(scene.get(path).status == 404);
  CHECK(scene
            .put("/api/jobs/schedules/new",
                 {{"timing", {{"at", {"2026-02-01T00:00:00Z"}}}}, {"kind", "report"}})
            .status == 201);
  CHECK(scene.errors.empty());
}

TEST_CASE("a schedule is triggered by hand, once for each key", "[api][schedules]") {
  ApiScene scene;
  scene.post("/api/jobs/schedules", hourly("h"));
  const auto first =
      scene.post("/api/jobs/schedules/h/trigger", {{"key", "k"}, {"payload", {{"to", "ann"}}}});
  CHECK(first.status == 201);
  CHECK(scene.job(first.body()["id"])["payload"] == json{{"to", "ann"}});
  const auto again = scene.post("/api/jobs/schedules/h/trigger", {{"key", "k"}});
  CHECK(again.status == 200);
  CHECK(again.body() == json{{"id", first.body()["id"]}, {"status", "duplicate"}});
  CHECK(scene.post("/api/jobs/schedules/h/trigger").status == 201);
  CHECK(scene.post("/api/jobs/schedules/nothing/trigger").status == 404);
}

TEST_CASE("what a schedule would do is shown before it exists, with the zone's shifts marked",
          "[api][schedules]") {
  ApiScene scene;
  const auto preview = scene.post("/api/jobs/schedules/preview?count=3&from=2026-03-28T00:00:00Z",
                                  {{"timing", {{"cron", "30 2 * * *"}, {"zone", "Europe/Berlin"}}}});
  CHECK(preview.status == 200);
  const json times = preview.body()["times"];
  REQUIRE(times.size() == 3);
  CHECK(times[0]["local"] == "2026-03-28T02:30:00+01:00");
  CHECK(times[0]["shifted"] == false);
  CHECK(times[1]["shifted"] == true);
  CHECK(times[2]["instant"] == "2026-03-30T00:30:00Z");
  CHECK(scene.get("/api/jobs/schedules").body()["schedules"].empty());
}

TEST_CASE("a faulty schedule is refused, and each fault says where it stands", "[api][schedules]") {
  ApiScene scene;
  const auto faults = [&](const json& body) { return scene.post("/api/jobs/schedules", body).faults(); };
  CHECK(faults(json::object()) == std::vector<std::string>{"/name", "/timing", "/kind"});
  json bad = hourly("h");
  bad["timing"] = {{"cron", 5},
                   {"every", "soon"},
                   {"gap", "jump"},
                   {"within", {{{"days", "MON"}, {"till", "5"}}}},
                   {"at", {"x"}}};
  bad["missed"] = "never";
  CHECK(faults(bad) == std::vector<std::string>{"/timing/cron", "/timing/every", "/timing/at/0",
                                                "/timing/gap", "/timing/within/0/till", "/missed"});
  bad = hourly("h");
  bad["timing"]["cron"] = "61 * * * *";
  CHECK(faults(bad) == std::vector<std::string>{"/timing/cron"});
  bad["timing"] = {{"cron", "0 * * * *"}, {"zone", "Europe/Atlantis"}};
  CHECK(scene.post("/api/jobs/schedules", bad).status == 422);
  bad = hourly("h");
  bad["kind"] = "quern.bulk";
  CHECK(faults(bad) == std::vector<std::string>{"/kind"});
  CHECK(scene.put("/api/jobs/schedules/other", hourly("h")).faults() == std::vector<std::string>{"/name"});
  CHECK(scene.errors.empty());
}

TEST_CASE("a schedule beyond a caller's tenants and queues looks as if it did not exist",
          "[api][schedules]") {
  ApiScene scene;
  json other = hourly("other");
  other["tenant"] = "evil";
  scene.post("/api/jobs/schedules", other);
  scene.as("ann", Scope{.permissions = {"*"}, .tenants = {{"acme"}}});
  const auto unknown = scene.get("/api/jobs/schedules/nothing");
  CHECK(scene.get("/api/jobs/schedules/other").text == unknown.text);
  CHECK(scene.get("/api/jobs/schedules/other/runs").text == unknown.text);
  CHECK(scene.post("/api/jobs/schedules/other/pause").text == unknown.text);
  CHECK(scene.post("/api/jobs/schedules/other/trigger").text == unknown.text);
  CHECK(scene.del("/api/jobs/schedules/other").text == unknown.text);
  CHECK(scene.put("/api/jobs/schedules/other", hourly("other")).status == 409);
  CHECK(scene.get("/api/jobs/schedules").body()["schedules"].empty());
  const auto mine = scene.post("/api/jobs/schedules", hourly("mine"));
  CHECK(mine.body()["tenant"] == "acme");
  json foreign = hourly("foreign");
  foreign["tenant"] = "evil";
  CHECK(scene.post("/api/jobs/schedules", foreign).faults() == std::vector<std::string>{"/tenant"});
}

TEST_CASE("what is secret in a schedule's payload is neither shown nor lost by who may not see it",
          "[api][schedules]") {
  quern::ServiceConfig config;
  quern::ScheduleSpec declared{
      .name = "declared", .timing = {.cron = "0 0 * * *"}, .kind = "report", .payload = R"({"token":"t-1"})"};
  config.schedules.emplace().push_back(declared);
  ApiScene scene(std::move(config));
  json spec = hourly("h");
  spec["payload"] = {{"api_key", "k-1"}, {"to", "a"}};
  scene.post("/api/jobs/schedules", spec);
  scene.as("ann", {.permissions = {"schedules.*", "config.read"}});
  json seen = scene.get("/api/jobs/schedules/h").body();
  CHECK(seen["payload"] == json{{"api_key", "***"}, {"to", "a"}});
  spec["payload"] = seen["payload"];
  spec["priority"] = 1;
  CHECK(scene.put("/api/jobs/schedules/h", spec).status == 200);
  spec["payload"]["to"] = "b";
  CHECK(scene.put("/api/jobs/schedules/h", spec).faults() == std::vector<std::string>{"/payload"});
  CHECK(scene.get("/api/config").text.find("t-1") == std::string::npos);
  scene.caller = nullptr;
  seen = scene.get("/api/jobs/schedules/h").body();
  CHECK(seen["payload"]["api_key"] == "k-1");
  CHECK(seen["priority"] == 1);
}
