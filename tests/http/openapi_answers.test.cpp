#include <atomic>
#include <map>
#include <set>
#include <sstream>

#include "http/support/openapi_scene.hpp"
#include "quern/core/error.hpp"
#include "quern/http/audit_log.hpp"
#include "support/gate.hpp"

using nlohmann::json;
using quern::http::ApiServer;
using quern::http::Method;
using quern::http::Response;
using quern_test::eventually;
using quern_test::OpenApiScene;
using quern_test::Operation;
using namespace std::chrono_literals;

namespace {

/// What a test on one thread can't let happen.
const std::set<std::string> never_met{
    // A check that hangs needs a thread of its own.
    "/components/schemas/Component/properties/timed_out",
    // A worker that is not healthy stays only while others of its jobs run, on other threads.
    "/components/schemas/Worker/properties/reason"};

/// Objects that there are while all operations are asked in a row.
struct Things {
  std::map<std::string, std::string> parts;

  [[nodiscard]] std::string target(const Operation& of) const {
    std::string target = of.path;
    for (std::size_t begin = target.find('{'); begin != std::string::npos; begin = target.find('{')) {
      const std::size_t end = target.find('}', begin);
      const std::string name = target.substr(begin + 1, end - begin - 1);
      // "/api/jobs/{id}": what the name stands for depends on what it follows.
      const std::size_t slash = target.rfind('/', begin - 2);
      target.replace(begin, end - begin + 1,
                     parts.at(target.substr(slash + 1, begin - slash - 2) + "/" + name));
    }
    return target;
  }
};

Things make_things(OpenApiScene& scene) {
  Things things;
  things.parts["jobs/id"] = scene.add({{"kind", "mail"}, {"in", "1000h"}});
  things.parts["queues/name"] = "post";
  things.parts["limits/name"] = "of-mail";
  CHECK(scene.put("/api/limits/of-mail", {{"kind", "mail"}, {"max_running", 100}}).status == 204);
  things.parts["schedules/name"] = "hourly";
  CHECK(scene.put("/api/jobs/schedules/hourly", {{"timing", {{"every", "1h"}}}, {"kind", "mail"}}).status ==
        201);
  things.parts["workers/id"] =
      json::parse(scene.get("/api/jobs/workers").body)["workers"][0]["id"].get<std::string>();
  things.parts["keys/id"] =
      OpenApiScene::id_in(scene.post("/api/keys", {{"name", "other"}, {"permissions", {"jobs.read"}}}));
  things.parts["roles/name"] = "reader";
  CHECK(scene.put("/api/roles/reader", {{"permissions", {"jobs.read"}}}).status == 204);
  things.parts["silences/id"] = OpenApiScene::id_in(scene.post("/api/alerts/silences", {{"for", "1h"}}));
  things.parts["digests/id"] = "17";
  things.parts["files/name"] = "digest.md";
  scene.own.storage.port().put_record(
      {"quern.digests", "17", quern::Payload::json(R"({"repository":"a/b","from":"2026-01-01T00:00:00Z",
       "to":"2026-01-08T00:00:00Z","created_at":"2026-01-08T09:00:00Z","title":"A week","summary":"Calm.",
       "files":["digest.json","digest.html","digest.md","digest.bin"],"recipients":["ann@example.org"]})")});
  things.parts["failures/fingerprint"] = "00c0ffee00c0ffee";
  return things;
}

/// A host whose service has no schedules.
struct WithoutSchedules final : quern::http::ApiHost {
  using Inner = quern::http::ServiceHost<quern::AnyStorage, quern::InlineExecutor>;
  explicit WithoutSchedules(OpenApiScene::Service& service) : inner(service) {}
  Inner inner;

  quern::detail::QueueCore& queue() override { return inner.queue(); }
  const quern::HandlerRegistry& handlers() override { return inner.handlers(); }
  quern::Metrics metrics() override { return inner.metrics(); }
  std::vector<quern::FailureGroup> failures() override { return inner.failures(); }
  std::vector<quern::HistoryPoint> history(const quern::HistoryQuery& query) override {
    return inner.history(query);
  }
  std::vector<quern::AlertView> alerts() override { return inner.alerts(); }
  std::vector<quern::AlertSilence> silences() override { return inner.silences(); }
  std::uint64_t silence(quern::AlertMatch match, quern::TimePoint until, std::string reason,
                        std::string who) override {
    return inner.silence(std::move(match), until, std::move(reason), std::move(who));
  }
  bool unsilence(std::uint64_t id) override { return inner.unsilence(id); }
  quern::HealthReport health(bool liveness) override { return inner.health(liveness); }
  std::optional<std::vector<quern::WorkerStatus>> workers() override { return inner.workers(); }
  std::optional<bool> change(std::string_view worker, quern::http::WorkerAction action) override {
    return inner.change(worker, action);
  }
  std::optional<bool> resize(std::string_view worker, int max_jobs) override {
    return inner.resize(worker, max_jobs);
  }
  bool scale(std::size_t least, std::size_t most) override { return inner.scale(least, most); }
  quern::Subscription subscribe(std::function<void(const quern::ServiceEvent&)> callback) override {
    return inner.subscribe(std::move(callback));
  }
  std::string config() override { return inner.config(); }
  quern::detail::SchedulerCore* scheduler() override { return nullptr; }
};

/// What the gate, the router and the storage answer to any operation.
void refuse_everything(OpenApiScene& scene) {
  const Things things = make_things(scene);
  const std::string stored =
      json::parse(scene.post("/api/keys", {{"name", "stored"}, {"role", "admin"}}).body)["secret"];
  auto strict = OpenApiScene::http_config();
  strict.gate.per_caller.quota = 1;
  ApiServer limited(
      std::make_unique<quern::http::ServiceHost<quern::AnyStorage, quern::InlineExecutor>>(scene.service),
      strict);
  (void)scene.plain(limited, Method::get, "/api/me");
  for (const Operation& one : scene.watch->operations()) {
    const std::string target = things.target(one);
    INFO(one.id());
    if (one.permission().empty()) continue;
    const auto status = [&](std::string body = {}) {
      return scene.ask(one.how(), target, std::move(body)).status;
    };
    scene.key.clear();
    CHECK(status() == 401);
    scene.key = OpenApiScene::root_key;
    scene.more = {{"Host", "elsewhere.example.org"}};
    CHECK(status() == 403);
    if (one.permission() != "any") {
      scene.key = OpenApiScene::powerless_key;
      CHECK(status() == 403);
      scene.key = OpenApiScene::root_key;
    }
    CHECK(scene.ask(one.how(), target + "?access_token=x").status == 400);
    CHECK(scene.seen(one.how(), target, scene.plain(limited, one.how(), target)).status == 429);
    if (one.has_body()) {
      CHECK(status("{") == 400);
      CHECK(status(R"({"nonsense":1})") == 422);
      CHECK(status("[]") == 422);
      scene.content_type = "text/plain";
      CHECK(status("{}") == 415);
      scene.content_type = "application/json";
    }
    if (one.how() == Method::get) CHECK(scene.ask(one.how(), target + "?nonsense=1").status == 422);
    scene.key = stored;
    for (const bool transient : {true, false}) {
      scene.faults->before = [transient](std::string_view) {
        throw quern::StorageError("it does not answer", transient);
      };
      CHECK(status() == (transient ? 503 : 500));
      scene.faults->before = nullptr;
    }
    scene.key = OpenApiScene::root_key;
  }
  CHECK(scene.del("/api/alerts/silences/" + things.parts.at("silences/id")).status == 204);
}

void ask_without_schedules(OpenApiScene& scene) {
  ApiServer server(std::make_unique<WithoutSchedules>(scene.service), OpenApiScene::http_config());
  const json spec{{"name", "n"}, {"timing", {{"every", "1h"}}}, {"kind", "mail"}};
  for (const Operation& one : scene.watch->operations()) {
    if (!one.path.starts_with("/api/jobs/schedules")) continue;
    std::string target = one.path;
    if (const auto at = target.find("{name}"); at != std::string::npos) target.replace(at, 6, "n");
    INFO(one.id());
    CHECK(scene
              .seen(one.how(), target,
                    scene.plain(server, one.how(), target, one.has_body() ? spec.dump() : ""))
              .status == 501);
  }
}

/// Everything that there is to be got, as it is at present.
void look_around(OpenApiScene& scene, const std::string& job) {
  for (const char* const target : {"/api/jobs",
                                   "/api/jobs/counts",
                                   "/api/dead",
                                   "/api/failures",
                                   "/api/queues",
                                   "/api/limits",
                                   "/api/jobs/schedules",
                                   "/api/jobs/workers",
                                   "/api/alerts",
                                   "/api/alerts/rules",
                                   "/api/jobs/metrics",
                                   "/metrics",
                                   "/api/jobs/performance",
                                   "/api/health",
                                   "/api/health/ready",
                                   "/api/health/live",
                                   "/api/me",
                                   "/api/info",
                                   "/api/config",
                                   "/api/keys",
                                   "/api/roles",
                                   "/api/audit",
                                   "/api/audit/verify",
                                   "/api/audit/export"})
    (void)scene.get(target);
  (void)scene.get("/api/jobs/" + job);
}

void live_through_jobs(OpenApiScene& scene) {
  json job = scene.watch->operation("addJobs").node->at(
      json::json_pointer("/requestBody/content/application~1json/examples/job/value"));
  job["in"] = "1s";
  const std::string first = scene.add(job);
  CHECK(scene.post("/api/jobs", job).status == 200);  // its unique key is held
  CHECK(scene.post("/api/jobs", {{"jobs", {job, {{"kind", "mail"}}}}}).status == 201);
  const std::string waiting = scene.add({{"kind", "mail"}, {"in", "1h"}});
  const std::string child = scene.add({{"kind", "mail"}, {"parents", {waiting}}});
  CHECK(scene.get("/api/jobs/" + waiting).status == 200);
  CHECK(scene.get("/api/jobs/" + child).status == 200);
  CHECK(scene.del("/api/jobs/" + waiting).status == 409);
  CHECK(scene.post("/api/jobs/" + waiting + "/retry").status == 409);
  CHECK(scene.post("/api/jobs/" + waiting + "/reschedule", {{"in", "2h"}}).status == 200);
  CHECK(scene.post("/api/jobs/" + waiting + "/priority", {{"priority", 1}}).status == 200);
  CHECK(scene.post("/api/jobs/" + child + "/cancel").status == 200);
  CHECK(scene.post("/api/jobs/" + child + "/cancel").status == 409);
  CHECK(scene.post("/api/jobs/" + child + "/priority", {{"priority", 1}}).status == 409);
  CHECK(scene.post("/api/jobs/" + child + "/reschedule", {{"in", "2h"}}).status == 409);
  CHECK(scene.get("/api/queues").status == 200);
  CHECK(scene.del("/api/jobs/" + child).status == 204);
  (void)scene.add({{"kind", "mail"}, {"in", "1h"}, {"parents", {waiting}}});

  for (const char* const what : {"", "/cancel", "/retry", "/reschedule", "/priority"}) {
    const std::string target = std::string("/api/jobs/4711") + what;
    CHECK((*what == '\0' ? scene.get(target) : scene.post(target, {{"in", "1h"}})).status == 404);
  }
  CHECK(scene.del("/api/jobs/4711").status == 404);

  // One of another program, with all that this API does not set.
  quern::NewJob other{.kind = "fail", .digest = "weekly"};
  other.trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const std::string failed = to_string(scene.service.queue().core().enqueue_one(other).id);
  const std::string chatty = scene.add({{"kind", "chatty"}});
  scene.pass(2s);
  const Response done = scene.get("/api/jobs/" + first);
  scene.more = {{"If-None-Match", std::string(done.headers.find("ETag").value_or(""))}};
  CHECK(scene.get("/api/jobs/" + first).status == 304);
  for (const std::string& id : {failed, chatty}) CHECK(scene.get("/api/jobs/" + id).status == 200);
  CHECK(scene.post("/api/jobs/" + first + "/retry").status == 200);
  CHECK(scene.get("/api/jobs?limit=1&state=dead,completed&order=oldest").status == 200);

  scene.more = {{"Idempotency-Key", "k"}};
  CHECK(scene.post("/api/jobs", {{"kind", "mail"}}).status == 201);
  scene.more = {{"Idempotency-Key", "k"}};
  CHECK(scene.post("/api/jobs", {{"kind", "mail"}}).headers.find("Idempotency-Replayed") == "true");
  scene.more = {{"Idempotency-Key", "k"}};
  CHECK(scene.post("/api/jobs", {{"kind", "mail"}, {"priority", 1}}).status == 422);

  // Everything while a job runs.
  std::string running;
  scene.during = [&](quern::JobContext& context) {
    running = to_string(context.id());
    look_around(scene, running);
    CHECK(scene.post("/api/jobs/" + running + "/priority", {{"priority", 1}}).status == 409);
    CHECK(scene.post("/api/jobs/" + running + "/cancel").status == 200);
    CHECK(scene.del("/api/jobs/" + running).status == 409);
  };
  (void)scene.add({{"kind", "hook"}});
  scene.pass(2s);
  scene.during = nullptr;
  CHECK_FALSE(running.empty());
}

void live_through_bulk(OpenApiScene& scene) {
  const std::string group =
      json::parse(scene.get("/api/failures").body)["failures"][0]["fingerprint"].get<std::string>();
  const auto all = [&](int status) {
    CHECK(
        scene.post("/api/jobs/bulk", {{"action", "priority"}, {"priority", 3}, {"filter", {{"tag", "none"}}}})
            .status == status);
    for (const char* const action : {"retry", "delete"})
      CHECK(scene.post("/api/failures/" + group + "/" + action).status == status);
    for (const char* const action : {"redrive", "purge"})
      CHECK(scene.post(std::string("/api/dead/") + action, {{"filter", {{"tag", "none"}}}}).status == status);
  };
  all(202);
  scene.settle();
  for (const char* const action : {"retry", "delete"})
    CHECK(scene.post(std::string("/api/failures/coffee/") + action).status == 404);

  CHECK(scene.put("/api/queues/default/limit", {{"max_waiting", 1}}).status == 204);
  CHECK(scene.post("/api/queues/default/pause").status == 204);
  (void)scene.plain(Method::post, "/api/jobs", R"({"kind":"mail"})");
  (void)scene.plain(Method::post, "/api/jobs", R"({"kind":"mail"})");
  all(409);
  CHECK(scene.post("/api/jobs", {{"kind", "mail"}}).status == 409);
  CHECK(scene.put("/api/jobs/schedules/full", {{"timing", {{"every", "1h"}}}, {"kind", "mail"}}).status ==
        201);
  CHECK(scene.post("/api/jobs/schedules/full/trigger").status == 409);
  CHECK(scene.del("/api/jobs/schedules/full").status == 204);
  scene.pass(40s);  // a sample of the storage, in which a job is ready
  look_around(scene, "1");
  CHECK(scene.put("/api/queues/default/limit", {{"max_waiting", 0}}).status == 204);
  CHECK(scene.post("/api/queues/default/resume").status == 204);
  scene.settle();
}

void live_through_limits(OpenApiScene& scene) {
  CHECK(scene
            .put("/api/limits/both", {{"queue", "narrow"},
                                      {"kind", "mail"},
                                      {"max_running", 2},
                                      {"rate", {{"count", 1}, {"per", "1h"}, {"burst", 1}}}})
            .status == 204);
  const std::string first = scene.add({{"kind", "mail"}, {"queue", "narrow"}});
  const std::string second = scene.add({{"kind", "mail"}, {"queue", "narrow"}});
  // One that runs for long, on another node.
  auto& port = scene.own.storage.port();
  const quern::NodeId node = port.register_node({.name = "other", .host = "elsewhere", .lease = 1h});
  (void)scene.add({{"kind", "elsewhere"}});
  quern::ClaimRequest claim{.node = node, .limit = 1};
  claim.kinds.push_back({.name = "elsewhere", .limit = 1, .max_attempts = 1});
  CHECK(port.claim(claim).size() == 1);
  scene.pass(40s);
  for (const std::string& id : {first, second}) CHECK(scene.get("/api/jobs/" + id).status == 200);
  look_around(scene, second);
  CHECK(scene.del("/api/limits/both").status == 204);
  CHECK(scene.del("/api/limits/both").status == 404);
  scene.settle();

  // Those of who has but some queues.
  const json made = json::parse(
      scene.post("/api/keys", {{"name", "narrow"}, {"role", "admin"}, {"queues", {"narrow"}}}).body);
  scene.key = made["secret"].get<std::string>();
  CHECK(scene.get("/api/queues").status == 200);
  CHECK(scene.get("/api/me").status == 200);
  for (const char* const what : {"pause", "resume"})
    CHECK(scene.post(std::string("/api/queues/other/") + what).status == 404);
  CHECK(scene.put("/api/queues/other/limit", {{"max_waiting", 1}}).status == 404);
  scene.key = OpenApiScene::root_key;
}

void live_through_schedules(OpenApiScene& scene) {
  const std::string all = "/api/jobs/schedules";
  const json examples = scene.watch->operation("createSchedule")
                            .node->at(json::json_pointer("/requestBody/content/application~1json/examples"));
  for (const auto& [name, example] : examples.items()) {
    json spec = example["value"];
    spec["name"] = name;
    CHECK(scene.post(all, spec).status == 201);
    CHECK(scene.post(all, spec).status == 409);
    CHECK(scene.post(all + "/preview?count=3", spec).status == 200);
    CHECK(scene.get(all + "/" + quern::http::encode(name)).status == 200);
  }
  const json often{{"timing", {{"every", "5s"}, {"gap", "skip"}, {"overlap", "first"}}},
                   {"kind", "mail"},
                   {"skip_if_queue_busy", true},
                   {"queue", "often"}};
  CHECK(scene.put(all + "/often", often).status == 201);
  CHECK(scene.put(all + "/often", often).status == 200);
  scene.pass(30s);
  CHECK(scene.get(all + "/often").status == 200);
  CHECK(scene.post(all + "/often/trigger", {{"key", "k"}}).status == 201);
  CHECK(scene.post(all + "/often/trigger", {{"key", "k"}}).status == 200);
  CHECK(scene.post(all + "/often/pause").status == 204);
  scene.pass(30s);
  CHECK(scene.post(all + "/often/resume").status == 204);
  scene.pass(10s);
  CHECK(scene.get(all + "/often/runs").status == 200);
  CHECK(scene.get(all + "?limit=1").status == 200);

  // One whose zone is not known here any more.
  auto& port = scene.own.storage.port();
  const auto kept = port.get_record("quern.schedules", "hourly");
  if (kept) {
    std::string text(kept->text());
    const auto zone = text.find("\"UTC\"");
    REQUIRE(zone != std::string::npos);
    text.replace(zone, 5, "\"No/Where\"");
    port.put_record({"quern.schedules", "hourly", quern::Payload::json(text)});
  }
  CHECK(scene.get(all + "/hourly").status == 200);

  // What is another's looks as if it were not there.
  scene.key =
      json::parse(scene.post("/api/keys", {{"name", "acme"}, {"role", "admin"}, {"tenants", {"other"}}})
                      .body)["secret"]
          .get<std::string>();
  CHECK(scene.put(all + "/often", often).status == 409);
  for (const Operation& one : scene.watch->operations()) {
    if (!one.path.starts_with(all + "/{name}") || one.how() == Method::put) continue;
    std::string target = one.path;
    target.replace(target.find("{name}"), 6, "often");
    CHECK(scene.ask(one.how(), target).status == 404);
  }
  scene.key = OpenApiScene::root_key;
  CHECK(scene.del(all + "/often").status == 204);
}

void live_through_workers(OpenApiScene& scene) {
  const std::string id =
      json::parse(scene.get("/api/jobs/workers").body)["workers"][0]["id"].get<std::string>();
  for (const char* const what : {"/disable", "/enable", "/drain", "/resize", "/enable"}) {
    const json body = std::string(what) == "/resize" ? json{{"max_jobs", 3}} : json::object();
    CHECK(scene.post("/api/jobs/workers/" + id + what, body).status == 204);
    CHECK(scene.post(std::string("/api/jobs/workers/nobody") + what, body).status == 404);
  }
  CHECK(scene.post("/api/jobs/workers/scale", {{"min_workers", 2}, {"max_workers", 3}}).status == 204);
}

void live_through_digests(OpenApiScene& scene) {
  CHECK(scene.get("/api/digests").status == 200);
  CHECK(scene.get("/api/digests/17").status == 200);
  CHECK(scene.get("/api/digests/18").status == 404);
  for (const char* const name : {"digest.html", "digest.md", "digest.bin"})
    CHECK(scene.get(std::string("/api/digests/17/files/") + name).status == 200);
  CHECK(scene.get("/api/digests/17/files/other.md").status == 404);
}

void live_through_keys(OpenApiScene& scene) {
  const Response description = scene.get("/api/openapi.json");
  scene.more = {{"If-None-Match", std::string(description.headers.find("ETag").value_or(""))}};
  CHECK(scene.get("/api/openapi.json").status == 304);

  const json made = json::parse(scene
                                    .post("/api/keys", {{"name", "ci"},
                                                        {"role", "operator"},
                                                        {"tenants", {"acme"}},
                                                        {"expires_at", "2100-01-01T00:00:00Z"}})
                                    .body);
  const std::string at = "/api/keys/" + made["id"].get<std::string>();
  scene.key = made["secret"].get<std::string>();
  CHECK(scene.get("/api/me").status == 200);
  scene.key = OpenApiScene::root_key;
  (void)scene.server.tick(scene.clock.now());
  CHECK(scene.post(at + "/rotate", {{"grace", "1h"}}).status == 200);
  CHECK(scene.get("/api/keys?limit=1").status == 200);
  CHECK(scene.get("/api/keys").status == 200);
  CHECK(scene.del(at).status == 204);
  CHECK(scene.get("/api/keys").status == 200);
  CHECK(scene.post(at + "/rotate").status == 409);
  CHECK(scene.del(at).status == 204);
  CHECK(scene.del(at).status == 404);
  CHECK(scene.post(at + "/rotate").status == 404);
  CHECK(scene.del("/api/roles/reader").status == 204);
  CHECK(scene.del("/api/roles/reader").status == 404);
}

void live_through_alerts(OpenApiScene& scene) {
  for (int i = 0; i < 30; ++i) (void)scene.add({{"kind", "fail"}, {"queue", "loud"}});
  scene.settle();
  CHECK(scene.post("/api/queues/loud/pause").status == 204);
  (void)scene.add({{"kind", "mail"}, {"queue", "loud"}});
  scene.pass(2min);
  const std::string id =
      OpenApiScene::id_in(scene.post("/api/alerts/silences", {{"rule", "queue_*"}, {"for", "1h"}}));
  CHECK(scene.get("/api/alerts").status == 200);
  CHECK(scene.del("/api/alerts/silences/" + id).status == 204);
  CHECK(scene.del("/api/alerts/silences/" + id).status == 404);
  CHECK(scene.post("/api/queues/loud/resume").status == 204);
  scene.pass(2min);
}

void live_through_the_audit_log(OpenApiScene& scene) {
  quern::http::AuditLog& audit = *scene.server.audit();
  audit.add({.who = "host",
             .action = "host.act",
             .type = "host",
             .queue = "q",
             .tenant = "t",
             .status = 204,
             .reason = "as the host says",
             .request_id = "r-1"});
  audit.flush();
  const Operation& exported = scene.watch->operation("exportAudit");
  const Response lines = scene.get("/api/audit/export");
  std::istringstream text(lines.body);
  for (std::string line; std::getline(text, line);)
    CHECK(scene.watch->see_part(exported, "application/x-ndjson", "x-line", json::parse(line)) ==
          std::vector<std::string>{});
  CHECK(scene.get("/api/audit?limit=1").status == 200);
  CHECK(scene.get("/api/audit").status == 200);
  CHECK(scene.get("/api/audit/verify").status == 200);
  // Somebody writes over the first entry.
  scene.own.storage.port().put_record({"quern.audit", "00000000000000000001", quern::Payload::json("{}")});
  CHECK(json::parse(scene.get("/api/audit/verify").body)["fault"]["number"] == 1);
  CHECK(scene.get("/api/audit?before=3").status == 200);
}

}  // namespace

TEST_CASE("all that a server answers is as described, and all that is described is answered", "[openapi]") {
  auto config = OpenApiScene::service_config();
  OpenApiScene* asking = nullptr;
  auto custom = quern::HealthStatus::degraded;
  config.health.probes.push_back({.name = "custom",
                                  .check =
                                      [&](std::stop_token) {
                                        if (asking != nullptr) (void)asking->get("/api/health/details");
                                        return quern::ProbeResult{custom, "slow", {{"latency_ms", 1.5}}};
                                      },
                                  .scope = quern::ProbeScope::both});
  OpenApiScene scene(std::move(config));
  const auto events = scene.get("/api/events").stream;
  REQUIRE(events);
  std::atomic<bool> woken = true;
  events->start([&] { woken = true; });
  std::string told;
  const auto listen = [&] {
    for (auto more = events->read(1 << 20); more && !more->empty(); more = events->read(1 << 20))
      told += *more;
  };

  // Before it runs.
  for (const char* const target :
       {"/api/health", "/api/health/ready", "/api/health/live", "/api/health/details"})
    (void)scene.get(target);
  for (const char* const what : {"/enable", "/disable", "/drain"})
    CHECK(scene.post(std::string("/api/jobs/workers/w") + what).status == 409);
  CHECK(scene.post("/api/jobs/workers/w/resize", {{"max_jobs", 3}}).status == 409);
  CHECK(scene.post("/api/jobs/workers/scale", {{"min_workers", 2}, {"max_workers", 3}}).status == 409);

  (void)scene.add({{"kind", "nobody-runs-this"}});
  scene.settle();
  asking = &scene;
  scene.pass(15s);
  asking = nullptr;
  live_through_jobs(scene);
  listen();
  refuse_everything(scene);
  ask_without_schedules(scene);
  live_through_schedules(scene);
  listen();
  live_through_bulk(scene);
  listen();
  live_through_limits(scene);
  listen();
  live_through_workers(scene);
  listen();
  live_through_digests(scene);
  live_through_keys(scene);
  live_through_alerts(scene);
  listen();
  look_around(scene, "1");
  live_through_the_audit_log(scene);
  const std::string last = scene.add({{"kind", "mail"}});
  scene.pass(2s);
  REQUIRE(eventually([&] {
    listen();
    return told.find("\"job\":\"" + last + "\"") != std::string::npos;
  }));
  scene.more = {{"Last-Event-ID", "1"}};
  const auto late = scene.get("/api/events").stream;
  REQUIRE(late);
  late->start([] {});
  told += late->read(1 << 20).value_or("");
  std::istringstream lines(told);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("data: ")) continue;
    INFO(line);
    CHECK(scene.watch->see_part(scene.watch->operation("streamEvents"), "text/event-stream", "x-event-data",
                                json::parse(line.substr(6))) == std::vector<std::string>{});
  }
  events->stop();
  late->stop();
  custom = quern::HealthStatus::down;
  scene.pass(15s);
  CHECK(scene.get("/api/health/live").status == 503);

  CHECK(scene.watch->unmet_answers() == std::vector<std::string>{});
  std::vector<std::string> unmet = scene.watch->unmet_properties();
  std::erase_if(unmet, [](const std::string& one) { return never_met.contains(one); });
  CHECK(unmet == std::vector<std::string>{});
}
