#include "http/api_scene.hpp"

using nlohmann::json;
using quern::JobContext;
using quern::JobResult;
using quern::http::Scope;
using quern_test::ApiScene;

namespace {

json finished(ApiScene& scene, const ApiScene::Answer& begun) {
  INFO(begun.text);
  REQUIRE(begun.status == 202);
  CHECK(begun.header("Location") == "/api/jobs/" + begun.body()["id"].get<std::string>());
  scene.settle();
  return scene.job(begun.body()["id"]);
}

std::size_t count(ApiScene& scene, const std::string& filter) {
  return scene.get("/api/jobs?limit=500&" + filter).body()["jobs"].size();
}

}  // namespace

TEST_CASE("an operation on many jobs is a job, whose result says how many it changed", "[api]") {
  ApiScene scene;
  for (int i = 0; i < 30; ++i) scene.add({{"kind", i % 3 == 0 ? "a" : "b"}, {"in", "1h"}});
  const json done =
      finished(scene, scene.post("/api/jobs/bulk", {{"action", "cancel"}, {"filter", {{"kind", "b"}}}}));
  CHECK(done["state"] == "completed");
  CHECK(done["result"] == json{{"matched", 20}, {"changed", 20}});
  CHECK(done["tags"] == json{"bulk:cancel"});
  CHECK(count(scene, "state=cancelled") == 20);
  CHECK(count(scene, "state=scheduled") == 10);

  finished(scene, scene.post("/api/jobs/bulk",
                             {{"action", "priority"}, {"filter", {{"kind", "a"}}}, {"priority", 0}}));
  CHECK(scene.get("/api/jobs?kind=a&limit=1").body()["jobs"][0]["priority"] == 0);
  finished(scene, scene.post("/api/jobs/bulk", {{"action", "reschedule"},
                                                {"filter", {{"kind", "a"}}},
                                                {"at", "2040-01-01T00:00:00Z"}}));
  CHECK(scene.get("/api/jobs?kind=a&limit=1").body()["jobs"][0]["run_at"] == "2040-01-01T00:00:00Z");
  finished(scene,
           scene.post("/api/jobs/bulk", {{"action", "retry"}, {"filter", {{"states", {"cancelled"}}}}}));
  CHECK(count(scene, "state=cancelled") == 0);
  const json gone =
      finished(scene, scene.post("/api/jobs/bulk", {{"action", "delete"}, {"filter", {{"kind", "a"}}}}));
  CHECK(gone["result"]["changed"] == 10);
  CHECK(count(scene, "kind=a") == 0);
  CHECK(scene.errors.empty());
}

TEST_CASE("an operation on many jobs leaves quern's own jobs, itself and later ones alone", "[api]") {
  ApiScene scene;
  scene.add({{"kind", "a"}, {"in", "1h"}});
  const auto begun = scene.post("/api/jobs/bulk", {{"action", "cancel"}, {"filter", json::object()}});
  const std::string later = scene.add({{"kind", "a"}, {"in", "1h"}});
  const json done = finished(scene, begun);
  CHECK(done["state"] == "completed");
  CHECK(done["result"] == json{{"matched", 1}, {"changed", 1}});
  CHECK(scene.job(later)["state"] == "scheduled");
  finished(scene, scene.post("/api/jobs/bulk",
                             {{"action", "delete"}, {"filter", {{"states", {"completed", "cancelled"}}}}}));
  CHECK(scene.get("/api/jobs?kind=quern.bulk").body()["jobs"].size() == 2);
}

TEST_CASE("a faulty order is refused before anything is done", "[api]") {
  ApiScene scene;
  const auto faults = [&](const json& body) { return scene.post("/api/jobs/bulk", body).faults(); };
  CHECK(faults(json::object()) == std::vector<std::string>{"/action", "/filter"});
  CHECK(faults({{"action", "explode"}, {"filter", {{"colour", 1}, {"states", {"lost"}}}}}) ==
        std::vector<std::string>{"/action", "/filter/states", "/filter/colour"});
  CHECK(faults({{"action", "reschedule"}, {"filter", json::object()}}) == std::vector<std::string>{"/at"});
  CHECK(faults({{"action", "priority"}, {"filter", json::object()}}) ==
        std::vector<std::string>{"/priority"});
  CHECK(faults({{"action", "retry"}, {"filter", {{"failed_like", "x"}}}}) ==
        std::vector<std::string>{"/filter/failed_like"});
  CHECK(scene.get("/api/jobs").body()["jobs"].empty());
}

TEST_CASE("an operation on many jobs reaches no further than who has ordered it", "[api]") {
  ApiScene scene;
  for (const char* const tenant : {"acme", "evil", ""})
    scene.add({{"kind", "a"}, {"tenant", tenant}, {"in", "1h"}});
  scene.as("ann", Scope{.permissions = {"jobs.read", "jobs.manage"}, .tenants = {{"acme"}}});
  const auto begun = scene.post("/api/jobs/bulk", {{"action", "cancel"}, {"filter", json::object()}});
  CHECK(finished(scene, begun)["result"] == json{{"matched", 1}, {"changed", 1}});
  CHECK(scene.post("/api/jobs/bulk", {{"action", "delete"}, {"filter", json::object()}}).status == 403);
  const auto none = scene.post("/api/jobs/bulk", {{"action", "cancel"}, {"filter", {{"tenant", "evil"}}}});
  CHECK(finished(scene, none)["result"] == json{{"matched", 0}, {"changed", 0}});
  scene.caller = nullptr;
  CHECK(count(scene, "state=scheduled") == 2);
}

TEST_CASE("dead jobs run again, or go, by what their failures have in common", "[api]") {
  ApiScene scene;
  bool works = false;
  scene.service.handlers().on("call", [&](JobContext& context) {
    if (works) return JobResult::completed();
    const bool odd = context.id().value % 2 == 1;
    return JobResult::discarded(odd ? "timeout after 17 ms" : "no such host");
  });
  for (int i = 0; i < 10; ++i) scene.add({{"kind", "call"}});
  scene.settle();
  const json failures = scene.get("/api/failures").body()["failures"];
  REQUIRE(failures.size() == 2);
  CHECK(failures[0]["count"] == 5);
  works = true;
  const std::string group = failures[0]["fingerprint"];
  CHECK(finished(scene, scene.post("/api/failures/" + group + "/retry"))["result"] ==
        json{{"matched", 5}, {"changed", 5}});
  CHECK(count(scene, "state=dead") == 5);
  CHECK(count(scene, "state=completed&kind=call") == 5);
  CHECK(scene.post("/api/failures/x/retry").status == 404);
  CHECK(finished(scene,
                 scene.post("/api/dead/purge", {{"filter", {{"kind", "call"}}}}))["result"]["changed"] == 5);
  CHECK(count(scene, "state=dead") == 0);
  CHECK(finished(scene, scene.post("/api/dead/redrive"))["result"] == json{{"matched", 0}, {"changed", 0}});
}
