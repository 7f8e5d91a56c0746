#include "quern/http/api_server.hpp"

#include <fstream>
#include <nlohmann/json.hpp>

#include "http/support/token_signer.hpp"
#include "quern/core/error.hpp"
#include "quern/job_service.hpp"
#include "support/catch.hpp"
#include "support/engine_storage.hpp"
#include "support/raw_http.hpp"
#include "support/temp_folder.hpp"

using nlohmann::json;
using quern::http::ApiServer;
using quern::http::HttpConfig;
using quern_test::get_request;
using quern_test::post_request;
using quern_test::RawAnswer;
using quern_test::RawHttp;
using namespace std::chrono_literals;

namespace {

constexpr const char* root_key = "a-key-of-the-configuration-of-32-characters";

/// A service that runs, behind a server, with one key for everything in its configuration.
struct Scene {
  static HttpConfig with_key() {
    HttpConfig config;
    config.keys.push_back({.key = {.name = "root", .role = "admin"}, .secret = quern::Secret(root_key)});
    return config;
  }

  quern_test::EngineStorage own;
  quern::JobService<quern::AnyStorage> service{own.storage};
  ApiServer server;

  explicit Scene(HttpConfig config = with_key()) : server(service, std::move(config)) {}
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;
  ~Scene() {
    server.stop();
    service.stop();
  }
  void start() {
    service.start();
    server.start();
  }
  static std::string bearer(std::string_view key) {
    return "Authorization: Bearer " + std::string(key) + "\r\n";
  }
  RawAnswer get(std::string_view target, std::string_view key = root_key) {
    return RawHttp(server.port()).ask(get_request(target, key.empty() ? std::string() : bearer(key)));
  }
  RawAnswer post(std::string_view target, const json& body, std::string_view key = root_key) {
    return RawHttp(server.port())
        .ask(post_request(target, body.dump(), bearer(key) + "Content-Type: application/json\r\n"));
  }
};

}  // namespace

TEST_CASE("a service is asked over the network, by who has a key", "[api_server]") {
  Scene scene;
  std::atomic<int> ran = 0;
  scene.service.handlers().on("count", [&](quern::JobContext&) { ++ran; });
  scene.start();
  CHECK(scene.get("/api/health/live", "").status != 401);
  for (const char* const path : {"/api/jobs", "/api/jobs/1", "/api/nothing", "/api/keys"}) {
    const RawAnswer refused = scene.get(path, "");
    INFO(path);
    CHECK(refused.status == 401);
    CHECK(refused.header("www-authenticate").starts_with("Bearer"));
  }
  CHECK(scene.get("/api/jobs", "quern_abcdefghijkl_wrong").status == 401);
  const RawAnswer added = scene.post("/api/jobs", {{"kind", "count"}});
  CHECK(added.status == 201);
  const std::string id = json::parse(added.body)["id"];

  // Its end is told as an event.
  RawHttp events(scene.server.port());
  events.send(get_request("/api/events?types=job", Scene::bearer(root_key)));
  CHECK(events.read_until("\r\n\r\n").find("text/event-stream") != std::string::npos);
  const std::string second = json::parse(scene.post("/api/jobs", {{"kind", "count"}}).body)["id"];
  // Perhaps after the first job's end.
  const auto is_of_second = [&](const std::string& event, const std::string& type) {
    return event.find("event: " + type + "\n") != std::string::npos &&
           event.find("\"job\":\"" + second + "\"") != std::string::npos;
  };
  bool created = false;
  for (std::string event = events.read_until("\n\n"); !is_of_second(event, "job.completed");
       event = events.read_until("\n\n"))
    created = created || is_of_second(event, "job.created");
  CHECK(created);
  const json job = json::parse(scene.get("/api/jobs/" + id).body);
  CHECK(job["created_by"] == "root");
  CHECK(ran >= 1);
}

TEST_CASE("keys are made, used, changed and revoked by the API, and nobody hands on more than they have",
          "[api_server]") {
  Scene scene;
  scene.start();
  const json made = json::parse(
      scene.post("/api/keys", {{"name", "ci"}, {"role", "operator"}, {"tenants", {"acme"}}}).body);
  const std::string secret = made["secret"];
  const std::string id = made["id"];
  const json me = json::parse(scene.get("/api/me", secret).body);
  CHECK(me["name"] == "ci");
  CHECK(me["tenants"] == json{"acme"});
  CHECK(scene.post("/api/jobs", {{"kind", "a"}}, secret).status == 201);
  CHECK(scene.get("/api/keys", secret).status == 403);
  CHECK(scene.get("/api/config", secret).status == 403);

  const json keys = json::parse(scene.get("/api/keys").body)["keys"];
  REQUIRE(keys.size() == 1);
  CHECK(keys[0]["name"] == "ci");
  CHECK(keys[0]["created_by"] == "root");
  CHECK(keys[0].dump().find(secret) == std::string::npos);

  const json faults = json::parse(scene.post("/api/keys", {{"name", ""}, {"roll", "x"}}).body)["errors"];
  CHECK(faults.size() == 2);
  CHECK(scene.post("/api/keys", {{"name", "x"}, {"role", "nobody"}}).status == 422);

  const json rotated = json::parse(scene.post("/api/keys/" + id + "/rotate", {{"grace", "1h"}}).body);
  CHECK(scene.get("/api/me", rotated["secret"].get<std::string>()).status == 200);
  CHECK(scene.get("/api/me", secret).status == 200);  // within its grace

  const auto del = [&](const std::string& path) {
    return RawHttp(scene.server.port())
        .ask("DELETE " + path + " HTTP/1.1\r\nHost: localhost\r\n" + Scene::bearer(root_key) + "\r\n");
  };
  CHECK(del("/api/keys/" + id).status == 204);
  CHECK(scene.get("/api/me", secret).status == 401);
  CHECK(scene.get("/api/me", rotated["secret"].get<std::string>()).status == 401);
  CHECK(del("/api/keys/" + id).status == 204);  // forgotten
  CHECK(del("/api/keys/" + id).status == 404);

  // Who may make keys, and no more than that, makes none that may do more.
  const std::string role = R"({"permissions":["keys.manage","jobs.read"]})";
  const auto put =
      RawHttp(scene.server.port())
          .ask("PUT /api/roles/keeper HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
               Scene::bearer(root_key) + "Content-Length: " + std::to_string(role.size()) + "\r\n\r\n" +
               role);
  CHECK(put.status == 204);
  const std::string keeper =
      json::parse(scene.post("/api/keys", {{"name", "keeper"}, {"role", "keeper"}}).body)["secret"];
  CHECK(scene.post("/api/keys", {{"name", "more"}, {"role", "admin"}}, keeper).status == 403);
  CHECK(scene.post("/api/keys", {{"name", "same"}, {"permissions", {"jobs.read"}}}, keeper).status == 201);
  CHECK(json::parse(scene.get("/api/roles").body)["roles"].size() == 4);
}

TEST_CASE("who changes something, or is refused, stands in the audit log, which proves itself",
          "[api_server]") {
  Scene scene;
  scene.start();
  const std::string id = json::parse(scene.post("/api/jobs", {{"kind", "a"}, {"in", "1h"}}).body)["id"];
  CHECK(scene.post("/api/jobs/" + id + "/cancel", json::object()).status == 200);
  CHECK(scene.get("/api/jobs", "wrong").status == 401);
  CHECK(scene.get("/api/jobs").status == 200);  // changes nothing
  CHECK(scene.get("/api/jobs/" + id).status == 200);
  REQUIRE(scene.server.audit() != nullptr);
  scene.server.audit()->flush();
  const json log = json::parse(scene.get("/api/audit").body);
  REQUIRE(log["entries"].size() == 3);
  CHECK(log["entries"][0]["outcome"] == 401);
  CHECK(log["entries"][1]["who"] == "root");
  CHECK(log["entries"][1]["action"] == "jobs.manage");
  CHECK(log["entries"][1]["object"] == "jobs/" + id);
  CHECK(log["entries"][2]["action"] == "jobs.create");
  CHECK(log["entries"][2]["object"] == "jobs/" + id);
  CHECK(log["entries"][2]["from"] == "127.0.0.1");
  const json verified = json::parse(scene.get("/api/audit/verify").body);
  CHECK(verified["fault"].is_null());
  CHECK(verified["checkpoint"]["number"] == 3);
  const std::string secret = json::parse(
      scene.post("/api/jobs", {{"kind", "a"}, {"payload", {{"token", "t"}}}, {"in", "1h"}}).body)["id"];
  CHECK(scene.get("/api/jobs/" + secret).status == 200);  // and what was shown is secret
  scene.server.audit()->flush();
  CHECK(json::parse(scene.get("/api/audit").body)["entries"][0]["action"] == "jobs.read");
  CHECK(json::parse(scene.get("/api/audit").body)["entries"].size() == 5);
  CHECK(scene.get("/api/audit/export").body.find("\"hash\"") != std::string::npos);
}

TEST_CASE("a server that is open asks nobody, on a loopback address only", "[api_server]") {
  HttpConfig config;
  config.gate.open = true;
  config.gate.open_role = "viewer";
  Scene scene(config);
  scene.start();
  CHECK(scene.get("/api/jobs", "").status == 200);
  CHECK(RawHttp(scene.server.port())
            .ask(post_request("/api/jobs", R"({"kind":"a"})", "Content-Type: application/json\r\n"))
            .status == 403);
  config.server.address = "0.0.0.0";
  CHECK_THROWS_AS(ApiServer(scene.service, config), quern::ConfigError);
}

TEST_CASE("a tenant that adds too many jobs has to wait, and the others do not", "[api_server]") {
  HttpConfig config = Scene::with_key();
  config.gate.jobs_per_tenant.quota = 3;
  config.gate.jobs_per_tenant.window = 24h;
  Scene scene(config);
  scene.start();
  const json two{{"jobs", {{{"kind", "a"}, {"tenant", "acme"}}, {{"kind", "a"}, {"tenant", "acme"}}}}};
  CHECK(scene.post("/api/jobs", two).status == 201);
  const RawAnswer many = scene.post("/api/jobs", two);
  CHECK(many.status == 429);
  CHECK_FALSE(many.header("retry-after").empty());
  CHECK(scene.post("/api/jobs", {{"kind", "a"}, {"tenant", "globex"}}).status == 201);
  CHECK(scene.post("/api/jobs", {{"kind", "a"}, {"tenant", "acme"}}).status == 201);
  CHECK(json::parse(scene.get("/api/jobs?tenant=acme").body)["jobs"].size() == 3);
}

TEST_CASE("the dashboard is served beside the API, unless it is not wanted", "[api_server]") {
  HttpConfig config = Scene::with_key();
  {
    Scene scene(config);
    scene.start();
    const RawAnswer page = scene.get("/", "");
    CHECK(page.status == 200);
    CHECK(page.header("content-security-policy").starts_with("default-src 'none'"));
    CHECK(scene.get("/nothing.js", "").status == 401);
  }
  config.dashboard = false;
  Scene scene(config);
  scene.start();
  CHECK(scene.get("/").status == 404);
}

TEST_CASE("a token of the configured issuer is let in, and its keys are exchanged while the server runs",
          "[api_server]") {
  quern_test::TempFolder folder;
  const auto keys = folder.path() / "keys.json";
  const auto write = [&](std::string_view kid) {
    std::ofstream(keys) << R"({"keys":[{"kty":"oct","alg":"HS256","kid":")" << kid
                        << R"(","k":"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"}]})";
  };
  write("one");
  HttpConfig config;
  config.tokens = quern::http::TokenOptions{.issuer = "me", .audience = "quern"};
  config.token_keys = {keys};
  Scene scene(config);
  scene.start();
  const std::string token =
      quern_test::TokenSigner("HS256", "01234567890123456789012345678901")
          .token({{"iss", "me"}, {"aud", "quern"}, {"sub", "ann"}, {"exp", 4102444800}, {"roles", "viewer"}},
                 {{"kid", "one"}});
  const RawAnswer me = scene.get("/api/me", token);
  CHECK(me.status == 200);
  CHECK(json::parse(me.body)["name"] == "ann");
  CHECK(scene.get("/api/keys", token).status == 403);
  write("two");
  scene.server.reload_tokens();
  CHECK(scene.get("/api/me", token).status == 401);
  CHECK_THROWS_AS(HttpConfig::from_json(R"({"tokens": {"issuer": "me", "audience": "quern"}})"),
                  quern::ConfigError);
}

TEST_CASE("a server stops, with streams open, and starts again", "[api_server]") {
  Scene scene;
  scene.start();
  RawHttp events(scene.server.port());
  events.send(get_request("/api/events", Scene::bearer(root_key)));
  events.read_until("\r\n\r\n");
  scene.server.stop();
  scene.server.stop();
  (void)events.read_to_end();
  CHECK(scene.server.port() == 0);
  scene.server.start();
  CHECK(scene.get("/api/jobs").status == 200);
}

TEST_CASE("the server's configuration comes from JSON and the environment, and every fault is named",
          "[api_server]") {
  const HttpConfig config = HttpConfig::from_json(
      R"({"port": 9000, "perCaller": {"quota": 5, "window": "10s"}, "audit": {"keep": "90d"},
    "roles": [{"name": "reader", "permissions": ["jobs.read"]}], "keys": [{"name": "ci", "role": "reader", "tenants": ["acme"],
    "secret": "0123456789012345678901234567890123456789"}]})");
  CHECK(config.server.port == 9000);
  CHECK(config.gate.per_caller.quota == 5);
  CHECK(config.audit.keep == std::chrono::hours(24 * 90));
  CHECK(config.keys.at(0).key.tenants == std::vector<std::string>{"acme"});
  CHECK(config.keys.at(0).secret.reveal().size() == 40);
  CHECK(to_json(config).find("0123456789") == std::string::npos);

  const auto faults_of = [](const char* text) {
    try {
      (void)HttpConfig::from_json(text);
    } catch (const quern::ConfigError& error) {
      return error.faults();
    }
    return std::vector<std::string>{};
  };
  const auto faults = faults_of(R"({"prot": 1, "port": 70000, "limits": {"bodyBytes": 5}})");
  CHECK(faults.size() == 3);
  CHECK(faults_of(R"({"address": "0.0.0.0", "open": true})").size() == 1);
  CHECK(faults_of(R"({"roles": [{"name": "x", "permissions": ["jobs.fly"]}]})").size() == 1);
  CHECK(faults_of("[]").size() == 1);

  const auto changed =
      HttpConfig::from_environment({}, [](const std::string& name) -> std::optional<std::string> {
        if (name == "QUERN_HTTP_PORT") return "81";
        if (name == "QUERN_HTTP_KEY") return "0123456789012345678901234567890123456789";
        return std::nullopt;
      });
  CHECK(changed.server.port == 81);
  CHECK(changed.keys.at(0).key.role == "admin");
}
