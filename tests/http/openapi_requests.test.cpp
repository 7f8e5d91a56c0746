#include <algorithm>
#include <set>

#include "http/support/openapi_scene.hpp"
#include "quern/core/error.hpp"
#include "quern/http/problem.hpp"
#include "quern/http/server.hpp"
#include "support/raw_http.hpp"

using nlohmann::json;
using quern::http::Method;
using quern::http::Response;
using quern_test::JsonSchema;
using quern_test::OpenApiScene;
using quern_test::Operation;
using quern_test::RawAnswer;
using quern_test::RawHttp;
using namespace std::chrono_literals;

namespace {

/// A body that is an example but for one thing.
struct Variant {
  std::string what;
  json body;
};
struct Variants {
  std::vector<Variant> good{};
  std::vector<Variant> bad{};
};

json changed(const json& body, const std::string& at, const json& value) {
  json other = body;
  other[json::json_pointer(at)] = value;
  return other;
}

/// Walks over an example with its schema, and changes one value of it at a time.
void vary(JsonSchema& schemas, const std::string& schema_at, const json& body, const std::string& at,
          Variants& to) {
  const std::string place = schemas.resolved(schema_at);
  const json& schema = schemas.at(place);
  const json& value = body.at(json::json_pointer(at));
  if (schema.contains("oneOf")) {
    for (std::size_t i = 0; i < schema["oneOf"].size(); ++i) {
      const std::string branch = place + "/oneOf/" + std::to_string(i);
      if (schemas.check(branch, value).empty()) vary(schemas, branch, body, at, to);
    }
    return;
  }
  const auto bad = [&](const std::string& what, const json& other) {
    to.bad.push_back({at + " " + what, changed(body, at, other)});
  };
  if (schema.contains("enum")) {
    for (const json& one : schema["enum"]) to.good.push_back({at + " " + one.dump(), changed(body, at, one)});
    bad("is none of those", "nonsense");
  }
  if (schema.contains("pattern") || schema.contains("format")) bad("is not of the form", "no such thing");
  if (schema.contains("maximum")) bad("is too large", schema["maximum"].get<std::uint64_t>() + 1);
  if (schema.contains("minimum")) bad("is too small", schema["minimum"].get<std::int64_t>() - 1);
  if (schema.contains("minItems")) bad("is empty", json::array());
  if (schema.contains("type"))
    bad("is of another type", schema["type"] == "object" ? json("a text") : json({{"a", 1}}));
  if (value.is_array() && schema.contains("items"))
    for (std::size_t i = 0; i < value.size(); ++i)
      vary(schemas, place + "/items", body, at + "/" + std::to_string(i), to);
  if (!value.is_object() || !schema.contains("properties")) return;
  if (schema.contains("required")) {
    for (const json& name : schema["required"]) {
      json less = value;
      less.erase(name.get<std::string>());
      bad("has no " + name.dump(), less);
      bad("has null for " + name.dump(), changed(value, "/" + name.get<std::string>(), nullptr));
    }
  }
  bad("has a member that is not known", changed(value, "/nonsense", 1));
  for (const auto& [name, member] : value.items())
    if (schema["properties"].contains(name))
      vary(schemas, place + "/properties/" + name, body, at + "/" + name, to);
}

/// A target that there is, for each part of a path.
std::string target_of(OpenApiScene& scene, const Operation& of) {
  static const std::map<std::string, std::string> names{{"/api/queues/{name}/", "post"},
                                                        {"/api/limits/{name}", "of-mail"},
                                                        {"/api/jobs/schedules/{name}", "nightly"},
                                                        {"/api/failures/{fingerprint}/", "00c0ffee00c0ffee"},
                                                        {"/api/roles/{name}", "reader"}};
  std::string target = of.path;
  const std::size_t begin = target.find('{');
  if (begin == std::string::npos) return target;
  std::string name;
  for (const auto& [path, known] : names)
    if (of.path.starts_with(path)) name = known;
  if (of.path.starts_with("/api/jobs/{id}")) name = scene.add({{"kind", "mail"}, {"in", "1000h"}});
  if (of.path.starts_with("/api/keys/"))
    name = OpenApiScene::id_in(scene.post("/api/keys", {{"name", "k"}, {"role", "viewer"}}));
  if (of.path.starts_with("/api/jobs/workers/"))
    name = json::parse(scene.get("/api/jobs/workers").body)["workers"][0]["id"].get<std::string>();
  if (of.path.starts_with("/api/alerts/silences/"))
    name = OpenApiScene::id_in(scene.post("/api/alerts/silences", {{"for", "1h"}}));
  return target.replace(begin, target.find('}') - begin + 1, name);
}

void add_schedule(OpenApiScene& scene) {
  CHECK(scene.put("/api/jobs/schedules/nightly", {{"timing", {{"every", "1h"}}}, {"kind", "mail"}}).status ==
        201);
}

/// Notes an answer's type, once it is what problems are.
void note(std::set<std::string>& had, int status, const std::string& body) {
  const json problem = json::parse(body);
  const auto type = problem["type"].get<std::string>();
  INFO(type);
  CHECK(problem["status"] == status);
  CHECK(problem["title"] == quern::http::title_of(type.substr(type.rfind(':') + 1)));
  CHECK_FALSE(problem["title"].get<std::string>().empty());
  had.insert(type);
}

}  // namespace

TEST_CASE(
    "a body is accepted with every value that is described, and refused without what is required or with "
    "what is not known",
    "[openapi]") {
  OpenApiScene scene;
  scene.settle();
  add_schedule(scene);
  for (const Operation& one : scene.watch->operations()) {
    if (!one.has_body()) continue;
    const std::string target = target_of(scene, one);
    const json& media = one.node->at(json::json_pointer("/requestBody/content/application~1json"));
    const std::string schema = one.pointer + "/requestBody/content/application~1json/schema";
    const auto status = [&](const json& body) { return scene.ask(one.how(), target, body.dump()).status; };
    if (one.node->at("requestBody")["required"] == true) CHECK(scene.ask(one.how(), target).status == 400);
    for (const auto& [name, example] : media["examples"].items()) {
      INFO(one.id() << ", " << name);
      Variants variants;
      vary(scene.watch->schemas(), schema, example["value"], "", variants);
      const int as_it_is = status(example["value"]);
      CHECK((as_it_is < 300 || as_it_is == 409));
      for (const Variant& variant : variants.good) {
        INFO(variant.what);
        CHECK(scene.watch->schemas().check(schema, variant.body).empty());
        const int answered = status(variant.body);
        CHECK((answered < 300 || answered == 409));
      }
      for (const Variant& variant : variants.bad) {
        INFO(variant.what << " " << variant.body.dump());
        CHECK_FALSE(scene.watch->schemas().check(schema, variant.body).empty());
        CHECK(status(variant.body) == 422);
      }
    }
  }
}

TEST_CASE("what a request says is refused rather than ignored", "[openapi]") {
  OpenApiScene scene;
  CHECK(scene.ask(Method::post, "/api/jobs", R"({"jobs":null})").status == 422);
  CHECK(scene.get("/api/dead?state=dead").status == 200);
  CHECK(scene.get("/api/dead?state=dead,ready").status == 422);
  for (const char* const action : {"redrive", "purge"})
    CHECK(scene.post(std::string("/api/dead/") + action, {{"filter", {{"states", {"dead", "ready"}}}}})
              .status == 422);
  const std::string id = scene.add({{"kind", "mail"}, {"in", "1h"}});
  CHECK(scene.post("/api/jobs/" + id + "/cancel", {{"in", "1h"}}).status == 422);
  CHECK(scene.get("/api/jobs/" + id + "?fields=state").status == 422);
  CHECK(scene.post("/api/queues/post/pause", {{"for", "1h"}}).status == 422);
  CHECK(scene.get("/api/queues").body.find("\"paused\":true") == std::string::npos);
}

TEST_CASE("a query is accepted with every value that is described, and refused with one that is not",
          "[openapi]") {
  OpenApiScene scene;
  scene.settle();
  add_schedule(scene);
  auto& schemas = scene.watch->schemas();
  for (const Operation& one : scene.watch->operations()) {
    if (!one.node->contains("parameters")) continue;
    const std::string target = target_of(scene, one);
    std::string body;
    if (one.has_body())
      body = one.node->at(json::json_pointer("/requestBody/content/application~1json/examples"))
                 .begin()
                 ->at("value")
                 .dump();
    const auto& parameters = one.node->at("parameters");
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (parameters[i]["in"] != "query") continue;
      std::string place = schemas.resolved(one.pointer + "/parameters/" + std::to_string(i) + "/schema");
      if (schemas.at(place)["type"] == "array") place = schemas.resolved(place + "/items");
      const json& schema = schemas.at(place);
      const auto status = [&](const std::string& value) {
        const auto name = parameters[i]["name"].get<std::string>();
        return scene.ask(one.how(), target + "?" + name + "=" + value, body).status;
      };
      INFO(one.id() << " " << parameters[i]["name"]);
      if (schema.contains("enum"))
        for (const json& value : schema["enum"]) CHECK(status(value.get<std::string>()) == 200);
      if (schema.contains("default"))
        CHECK(status(schema["default"].is_string() ? schema["default"].get<std::string>()
                                                   : schema["default"].dump()) == 200);
      if (schema.contains("maximum"))
        CHECK(status(std::to_string(schema["maximum"].get<std::uint64_t>() + 1)) == 422);
      if (schema.contains("minimum"))
        CHECK(status(std::to_string(schema["minimum"].get<std::int64_t>() - 1)) == 422);
      if (schema.size() > 1 && schema["type"] != "null") CHECK(status("no-such-thing") == 422);
    }
  }
}

TEST_CASE("every kind of problem that is described can be had, under its title", "[openapi]") {
  OpenApiScene scene;
  std::set<std::string> had;
  const auto ask = [&](Method method, const std::string& target, const std::string& body = {}) {
    const Response answer = scene.plain(method, target, body);
    note(had, answer.status, answer.body);
  };
  ask(Method::post, "/api/jobs", "{");
  ask(Method::post, "/api/jobs", "{}");
  ask(Method::get, "/api/nothing");
  ask(Method::patch, "/api/jobs");
  scene.key = OpenApiScene::powerless_key;
  ask(Method::get, "/api/jobs");
  scene.key.clear();
  ask(Method::get, "/api/jobs");
  for (int i = 0; i < 100; ++i) {  // wrong ones, until their address has to wait
    scene.key = "wrong" + std::to_string(i);
    ask(Method::get, "/api/jobs");
  }
  scene.key = OpenApiScene::root_key;
  scene.peer = "192.0.2.2";
  const std::string waiting = scene.add({{"kind", "mail"}, {"in", "1h"}});
  ask(Method::post, "/api/jobs/" + waiting + "/retry");
  scene.content_type = "text/plain";
  ask(Method::post, "/api/jobs", "{}");
  scene.content_type = "application/json";
  for (const int priority : {1, 1, 2}) {
    scene.more = {{"Idempotency-Key", "k"}};
    const Response answer = scene.plain(Method::post, "/api/jobs",
                                        R"({"kind":"mail","priority":)" + std::to_string(priority) + "}");
    if (priority == 2) note(had, answer.status, answer.body);
  }
  CHECK(scene.put("/api/queues/default/limit", {{"max_waiting", 1}}).status == 204);
  ask(Method::post, "/api/jobs", R"({"kind":"mail"})");
  for (const bool transient : {true, false}) {
    scene.faults->before = [transient](std::string_view) {
      throw quern::StorageError("it does not answer", transient);
    };
    ask(Method::get, "/api/jobs");
    scene.faults->before = nullptr;
  }
  {
    std::vector<Response> streams;
    do streams.push_back(scene.plain(Method::get, "/api/events"));
    while (streams.back().status == 200 && streams.size() < 10'000);
    note(had, streams.back().status, streams.back().body);
  }

  // What a server says before it asks anybody.
  quern::http::ServerOptions options;
  options.limits.body_bytes = 1000;
  options.timeouts.body = 100ms;
  options.timeouts.body_rate = 1'000'000;
  quern::http::Server server([&](quern::http::Request& request) { return scene.server.handle(request); },
                             options);
  server.start();
  const std::string host = " HTTP/1.1\r\nHost: localhost\r\n";
  for (const std::string& request :
       {"GET /" + std::string(9000, 'a') + host + "\r\n",
        "GET /" + host + "X: " + std::string(20'000, 'a') + "\r\n\r\n", "BREW /" + host + "\r\n",
        "POST /" + host + "Content-Length: 1001\r\n\r\n", "POST /" + host + "Content-Length: 100\r\n\r\n"}) {
    const RawAnswer answer = RawHttp(server.port()).ask(request);
    note(had, answer.status, answer.body);
  }
  server.stop();

  std::set<std::string> all;
  for (const json& type : scene.watch->schemas().at("/components/schemas/Problem/properties/type/enum"))
    all.insert(type.get<std::string>());
  CHECK(had == all);
}
