#include <set>

#include "http/api_scene.hpp"
#include "quern/core/secret.hpp"

using nlohmann::json;
using quern::JobContext;
using quern::JobResult;
using quern::http::Method;
using quern::http::Scope;
using quern_test::ApiScene;
using namespace std::chrono_literals;

namespace {

struct Login {
  static constexpr std::string_view kind = "login";
  std::string user;
  quern::Secret pass;
};
QUERN_FIELDS(Login, user, pass)

}  // namespace

TEST_CASE("a job that is added by the API runs, and shows all that is known of it", "[api]") {
  ApiScene scene;
  scene.service.handlers().on("mail", [](JobContext& context) {
    context.info("sent", {{"bytes", 17}});
    return JobResult::completed(quern::Payload::json(R"({"sent":1})"));
  });
  const auto added = scene.post("/api/jobs", {{"kind", "mail"},
                                              {"payload", {{"to", "a@example.org"}}},
                                              {"queue", "post"},
                                              {"priority", 2},
                                              {"tenant", "acme"},
                                              {"tags", {"x", "y"}},
                                              {"timeout", "30s"}});
  CHECK(added.status == 201);
  const std::string id = added.body()["id"];
  CHECK(added.header("Location") == "/api/jobs/" + id);
  json job = scene.job(id);
  CHECK(job["state"] == "ready");
  CHECK(job["queue"] == "post");
  CHECK(job["priority"] == 2);
  CHECK(job["tenant"] == "acme");
  CHECK(job["tags"] == json{"x", "y"});
  CHECK(job["timeout"] == "30s");
  CHECK(job["max_attempts"] == scene.service.queue().config().default_max_retries + 1);
  CHECK(job["payload"] == json{{"to", "a@example.org"}});
  CHECK_FALSE(job.contains("result"));
  CHECK(job["why_not_running"]["reason"] == "no_node");
  scene.settle();
  job = scene.job(id);
  CHECK(job["state"] == "completed");
  CHECK(job["result"] == json{{"sent", 1}});
  CHECK(job["log"]["lines"][0]["message"] == "sent");
  CHECK(job["log"]["lines"][0]["fields"] == json{{"bytes", "17"}});
  CHECK(scene.errors.empty());
}

TEST_CASE("a batch is added as a whole or not at all, and every fault is named", "[api]") {
  ApiScene scene;
  const auto added = scene.post("/api/jobs", {{"jobs", {{{"kind", "a"}}, {{"kind", "b"}, {"in", "10m"}}}}});
  CHECK(added.status == 201);
  REQUIRE(added.body()["jobs"].size() == 2);
  CHECK(scene.job(added.body()["jobs"][1]["id"])["state"] == "scheduled");

  const auto refused = scene.post("/api/jobs", {{"jobs",
                                                 {{{"kind", "a"}},
                                                  {{"kind", 7}, {"priority", 12}, {"colour", "red"}},
                                                  {{"kind", "quern.bulk"}, {"queue", "quern.alerts"}},
                                                  {{"kind", "c"}, {"run_at", "soon"}, {"in", "1 day"}},
                                                  {{"kind", "d"}, {"parents", {"17", "x"}}}}}});
  CHECK(refused.status == 422);
  CHECK(refused.faults() == std::vector<std::string>{"/jobs/1/kind", "/jobs/1/priority", "/jobs/1/colour",
                                                     "/jobs/2/kind", "/jobs/2/queue", "/jobs/3/run_at",
                                                     "/jobs/3/in", "/jobs/4/parents/1"});
  CHECK(scene.get("/api/jobs").body()["jobs"].size() == 2);
  CHECK(scene.post("/api/jobs", {{"kind", "a"}, {"parents", {"4711"}}}).faults() ==
        std::vector<std::string>{"/parents/0"});
  CHECK(scene.post("/api/jobs", {{"kind", ""}}).faults() == std::vector<std::string>{"/kind"});
  CHECK(scene.post("/api/jobs", {{"kind", "a"}, {"tags", {std::string(300, 'x')}}}).faults() ==
        std::vector<std::string>{"/tags/0"});
  CHECK(scene.post("/api/jobs", {{"jobs", json::array()}}).faults() == std::vector<std::string>{"/jobs"});
  CHECK(scene.post("/api/jobs", json::object()).faults() == std::vector<std::string>{"/kind"});
  CHECK(scene.post("/api/jobs", json::array()).status == 422);
}

TEST_CASE("a body that is not JSON, or means two things, is refused", "[api]") {
  ApiScene scene;
  for (const char* const body :
       {"", "{", "{\"kind\":\"a\",\"kind\":\"b\"}", "{\"kind\":\"a\"} x", "{\"kind\":\"\xFF\"}",
        "{\"kind\":\"a\",\"payload\":1e999}", "{\"kind\":\"a\\u0000\"}"}) {
    INFO(body);
    const auto answer = scene.ask(Method::post, "/api/jobs", body);
    CHECK(answer.status == 400);
    CHECK(answer.type() == "urn:quern:problem:malformed");
  }
  const std::string deep =
      "{\"kind\":\"a\",\"payload\":" + std::string(100, '[') + std::string(100, ']') + "}";
  CHECK(scene.ask(Method::post, "/api/jobs", deep).status == 400);
  CHECK(scene.get("/api/jobs").body()["jobs"].empty());
}

TEST_CASE("jobs are listed by filter and page by page", "[api]") {
  ApiScene scene;
  for (int i = 0; i < 7; ++i)
    scene.add({{"kind", i % 2 == 0 ? "even" : "odd"}, {"queue", "q"}, {"tags", {"t" + std::to_string(i)}}});
  scene.add({{"kind", "later"}, {"in", "1h"}});
  std::set<std::string> seen;
  std::string after;
  for (int pages = 0; pages < 10; ++pages) {
    const json page =
        scene.get("/api/jobs?queue=q&limit=3" + (after.empty() ? "" : "&after=" + after)).body();
    for (const json& job : page["jobs"]) CHECK(seen.insert(job["id"]).second);
    if (page["next"].is_null()) break;
    after = page["next"];
  }
  CHECK(seen.size() == 7);
  CHECK(scene.get("/api/jobs?kind=odd").body()["jobs"].size() == 3);
  CHECK(scene.get("/api/jobs?tag=t4").body()["jobs"].size() == 1);
  CHECK(scene.get("/api/jobs?state=scheduled,dead").body()["jobs"].size() == 1);
  CHECK(scene.get("/api/jobs?state=scheduled&state=ready").body()["jobs"].size() == 8);
  CHECK(scene.get("/api/jobs?order=oldest&limit=1").body()["jobs"][0]["kind"] == "even");
  CHECK(scene.get("/api/jobs?order=newest&limit=1").body()["jobs"][0]["kind"] == "later");
  CHECK(scene.get("/api/jobs?created_before=2000-01-01").body()["jobs"].empty());
  CHECK(scene.get("/api/jobs?stat=dead&limit=0&state=lost&after=x&created_from=now").faults() ==
        std::vector<std::string>{"query:state", "query:created_from", "query:after", "query:limit",
                                 "query:stat"});
  const json counts = scene.get("/api/jobs/counts").body()["counts"];
  CHECK(counts.size() == 3);
}

TEST_CASE("a job is cancelled, retried, put off, made more urgent and deleted, and says when that can't be",
          "[api]") {
  ApiScene scene;
  scene.service.handlers().on("fail", [](JobContext&) { return JobResult::discarded("no such user"); });
  const std::string id = scene.add({{"kind", "fail"}, {"in", "1h"}});
  CHECK(scene.post("/api/jobs/" + id + "/priority", {{"priority", 1}}).body()["result"] == "changed");
  CHECK(scene.job(id)["priority"] == 1);
  CHECK(scene.post("/api/jobs/" + id + "/reschedule", {{"in", "2h"}}).status == 200);
  CHECK(
      scene.post("/api/jobs/" + id + "/reschedule", {{"in", "2h"}, {"at", "2030-01-01T00:00:00Z"}}).status ==
      422);
  CHECK(scene.post("/api/jobs/" + id + "/reschedule").faults() == std::vector<std::string>{"/at"});
  CHECK(scene.post("/api/jobs/" + id + "/priority", {{"priority", 10}}).faults() ==
        std::vector<std::string>{"/priority"});
  CHECK(scene.post("/api/jobs/" + id + "/retry").status == 409);
  CHECK(scene.post("/api/jobs/" + id + "/cancel").body()["result"] == "cancelled");
  CHECK(scene.post("/api/jobs/" + id + "/cancel").status == 409);
  CHECK(scene.post("/api/jobs/" + id + "/priority", {{"priority", 1}}).status == 409);
  CHECK(scene.post("/api/jobs/" + id + "/retry").body()["result"] == "retried");
  scene.settle();
  const json dead = scene.job(id);
  CHECK(dead["state"] == "dead");
  CHECK(dead["run"] == 2);
  CHECK(dead["last_error"]["message"] == "no such user");
  CHECK(scene.get("/api/dead").body()["jobs"].size() == 1);
  CHECK(scene.del("/api/jobs/" + id).status == 204);
  for (const auto& missing :
       {scene.get("/api/jobs/" + id), scene.del("/api/jobs/" + id), scene.post("/api/jobs/" + id + "/cancel"),
        scene.get("/api/jobs/0"), scene.get("/api/jobs/-1"), scene.get("/api/jobs/abc")})
    CHECK(missing.status == 404);
  CHECK(scene.errors.empty());
}

TEST_CASE("a job that is read again and has not changed is not sent again", "[api]") {
  ApiScene scene;
  const std::string id = scene.add({{"kind", "a"}, {"in", "1h"}});
  const auto first = scene.get("/api/jobs/" + id);
  const std::string tag = first.header("ETag");
  REQUIRE(tag.size() > 10);
  scene.more = {{"If-None-Match", tag}};
  const auto again = scene.get("/api/jobs/" + id);
  CHECK(again.status == 304);
  CHECK(again.text.empty());
  scene.post("/api/jobs/" + id + "/priority", {{"priority", 0}});
  scene.more = {{"If-None-Match", tag}};
  const auto changed = scene.get("/api/jobs/" + id);
  CHECK(changed.status == 200);
  CHECK(changed.header("ETag") != tag);
}

TEST_CASE("a request with an idempotency key adds its jobs once", "[api]") {
  ApiScene scene;
  const json job{{"kind", "pay"}};
  scene.more = {{"Idempotency-Key", "order-17"}};
  const auto first = scene.post("/api/jobs", job);
  CHECK(first.status == 201);
  CHECK(first.header("Idempotency-Replayed").empty());
  scene.more = {{"Idempotency-Key", "order-17"}};
  const auto again = scene.post("/api/jobs", job);
  CHECK(again.status == 201);
  CHECK(again.text == first.text);
  CHECK(again.header("Idempotency-Replayed") == "true");
  scene.more = {{"Idempotency-Key", "order-17"}};
  const auto other = scene.post("/api/jobs", {{"kind", "refund"}});
  CHECK(other.status == 422);
  CHECK(other.type() == "urn:quern:problem:key-reused");
  CHECK(scene.get("/api/jobs").body()["jobs"].size() == 1);

  SECTION("somebody else's key of the same text is another one") {
    scene.as("bob", {.permissions = {"*"}});
    scene.more = {{"Idempotency-Key", "order-17"}};
    CHECK(scene.post("/api/jobs", job).body()["id"] != first.body()["id"]);
  }
  SECTION("after a day it is forgotten") {
    scene.clock.advance(24h);
    scene.more = {{"Idempotency-Key", "order-17"}};
    CHECK(scene.post("/api/jobs", {{"kind", "refund"}}).status == 201);
    CHECK(scene.get("/api/jobs").body()["jobs"].size() == 2);
  }
  SECTION("a faulty request takes no key") {
    scene.more = {{"Idempotency-Key", "order-18"}};
    CHECK(scene.post("/api/jobs", {{"kind", ""}}).status == 422);
    scene.more = {{"Idempotency-Key", "order-18"}};
    CHECK(scene.post("/api/jobs", job).status == 201);
  }
  SECTION("keys that are too long or stand twice are refused") {
    scene.more = {{"Idempotency-Key", std::string(256, 'k')}};
    CHECK(scene.post("/api/jobs", job).faults() == std::vector<std::string>{"header:Idempotency-Key"});
    scene.more = {{"Idempotency-Key", "a"}, {"Idempotency-Key", "b"}};
    CHECK(scene.post("/api/jobs", job).status == 422);
  }
  SECTION("a job whose unique key is held is told alike, now and again") {
    scene.add({{"kind", "one"}, {"unique_key", "u"}});
    const json second{{"kind", "one"}, {"unique_key", "u"}};
    scene.more = {{"Idempotency-Key", "order-19"}};
    const auto held = scene.post("/api/jobs", second);
    CHECK(held.status == 200);
    CHECK(held.body()["status"] == "duplicate");
    scene.more = {{"Idempotency-Key", "order-19"}};
    CHECK(scene.post("/api/jobs", second).text == held.text);
  }
  SECTION("keys that are over are erased as others come") {
    for (int i = 0; i < 40; ++i) {
      scene.more = {{"Idempotency-Key", "k" + std::to_string(i)}};
      scene.add(job);
    }
    scene.clock.advance(25h);
    for (int i = 0; i < 100; ++i) {
      scene.more = {{"Idempotency-Key", "n" + std::to_string(i)}};
      scene.add(job);
    }
    CHECK(scene.own.storage.port().list_records("quern.idempotency", "", 1000).size() < 110);
  }
}

TEST_CASE("a full queue takes no job, and says so", "[api]") {
  ApiScene scene;
  CHECK(scene.put("/api/queues/small/limit", {{"max_waiting", 1}}).status == 204);
  scene.add({{"kind", "a"}, {"queue", "small"}});
  const auto full =
      scene.post("/api/jobs", {{"jobs", {{{"kind", "a"}}, {{"kind", "a"}, {"queue", "small"}}}}});
  CHECK(full.status == 409);
  CHECK(full.type() == "urn:quern:problem:queue-full");
  CHECK(scene.get("/api/jobs").body()["jobs"].size() == 1);
  scene.more = {{"Idempotency-Key", "k"}};
  CHECK(scene.post("/api/jobs", {{"kind", "a"}, {"queue", "small"}}).status == 409);
  CHECK(scene.put("/api/queues/small/limit", {{"max_waiting", 0}}).status == 204);
  scene.more = {{"Idempotency-Key", "k"}};
  CHECK(scene.post("/api/jobs", {{"kind", "a"}, {"queue", "small"}}).status == 201);
}

TEST_CASE("what is secret in a payload is shown only to who may see it", "[api]") {
  ApiScene scene;
  scene.service.handlers().on<Login>([](const Login&) {});
  const std::string typed =
      scene.add({{"kind", "login"}, {"payload", {{"user", "ann"}, {"pass", "hunter22"}}}});
  const std::string named = scene.add(
      {{"kind", "call"},
       {"payload", {{"url", "x"}, {"headers", {{{"Api_Key", "k-123"}, {"n", 12345678901234567ULL}}}}}}});
  CHECK(scene.job(typed)["payload"]["pass"] == "hunter22");
  scene.as("viewer", {.permissions = {"jobs.read"}});
  CHECK(scene.job(typed)["payload"] == json{{"user", "ann"}, {"pass", "***"}});
  CHECK(scene.job(named)["payload"] ==
        json{{"url", "x"}, {"headers", {{{"Api_Key", "***"}, {"n", 12345678901234567ULL}}}}});
  scene.as("auditor", {.permissions = {"jobs.read", "jobs.read_secret"}});
  CHECK(scene.job(named)["payload"]["headers"][0]["Api_Key"] == "k-123");
}

TEST_CASE("a job beyond a caller's tenants and queues looks as if it did not exist", "[api]") {
  ApiScene scene;
  const std::string mine = scene.add({{"kind", "a"}, {"tenant", "acme"}, {"queue", "q"}});
  const std::string other =
      scene.add({{"kind", "a"}, {"tenant", "evil"}, {"queue", "q"}, {"unique_key", "u"}});
  const std::string nobody = scene.add({{"kind", "a"}, {"queue", "q"}});
  const std::string elsewhere = scene.add({{"kind", "a"}, {"tenant", "acme"}, {"queue", "other"}});
  const auto unknown = scene.get("/api/jobs/99999");
  scene.as("ann", Scope{.permissions = {"*"}, .tenants = {{"acme", "acme2"}}, .queues = {{"q"}}});
  CHECK(scene.get("/api/jobs/" + mine).status == 200);
  for (const std::string& id : {other, nobody, elsewhere}) {
    CHECK(scene.get("/api/jobs/" + id).text == unknown.text);
    CHECK(scene.post("/api/jobs/" + id + "/cancel").text == unknown.text);
    CHECK(scene.post("/api/jobs/" + id + "/retry").text == unknown.text);
    CHECK(scene.post("/api/jobs/" + id + "/reschedule", {{"in", "1h"}}).text == unknown.text);
    CHECK(scene.post("/api/jobs/" + id + "/priority", {{"priority", 1}}).text == unknown.text);
    CHECK(scene.del("/api/jobs/" + id).text == unknown.text);
    CHECK(scene.post("/api/jobs", {{"kind", "a"}, {"tenant", "acme"}, {"queue", "q"}, {"parents", {id}}})
              .status == 422);
  }
  CHECK(scene.get("/api/jobs").body()["jobs"].size() == 1);
  CHECK(scene.get("/api/jobs?tenant=evil").body()["jobs"].empty());
  CHECK(scene.get("/api/jobs?queue=other").body()["jobs"].empty());
  CHECK(scene.get("/api/jobs/counts").status == 403);

  CHECK(scene.post("/api/jobs", {{"kind", "a"}, {"tenant", "evil"}, {"queue", "q"}}).faults() ==
        std::vector<std::string>{"/tenant"});
  CHECK(scene.post("/api/jobs", {{"kind", "a"}, {"tenant", "acme"}}).faults() ==
        std::vector<std::string>{"/queue"});
  CHECK(scene.post("/api/jobs", {{"kind", "a"}, {"queue", "q"}}).faults() ==
        std::vector<std::string>{"/tenant"});
  const auto held =
      scene.post("/api/jobs", {{"kind", "a"}, {"tenant", "acme"}, {"queue", "q"}, {"unique_key", "u"}});
  CHECK(held.body() == json{{"status", "duplicate"}});

  scene.as("bob", Scope{.permissions = {"*"}, .tenants = {{"acme"}}});
  CHECK(scene.job(scene.add({{"kind", "a"}}))["tenant"] == "acme");
  CHECK(scene.get("/api/jobs?limit=2").body()["jobs"].size() == 2);
  CHECK_FALSE(scene.get("/api/jobs?limit=2").body()["next"].is_null());
  CHECK(scene.errors.empty());
}

TEST_CASE("pages of a caller with several tenants are complete and in order", "[api]") {
  ApiScene scene;
  for (int i = 0; i < 30; ++i) scene.add({{"kind", "a"}, {"tenant", "t" + std::to_string(i % 3)}});
  scene.as("ann", Scope{.permissions = {"*"}, .tenants = {{"t0", "t2"}}});
  std::vector<long> ids;
  std::string after;
  do {
    const json page = scene.get("/api/jobs?limit=7" + (after.empty() ? "" : "&after=" + after)).body();
    for (const json& job : page["jobs"]) ids.push_back(std::stol(job["id"].get<std::string>()));
    after = page["next"].is_null() ? "" : page["next"].get<std::string>();
  } while (!after.empty());
  CHECK(ids.size() == 20);
  CHECK(std::is_sorted(ids.rbegin(), ids.rend()));
  CHECK(std::set<long>(ids.begin(), ids.end()).size() == 20);
}
