#include <map>
#include <tuple>

#include "http/support/openapi_scene.hpp"
#include "quern/http/access.hpp"
#include "quern/http/problem.hpp"

using nlohmann::json;
using quern::http::Method;
using quern::http::Route;
using quern_test::OpenApiScene;
using quern_test::Operation;

namespace {

/// "/api/jobs/:id" as a description writes it.
std::string described(const std::string& pattern) {
  std::string path;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != ':') {
      path += pattern[i];
      continue;
    }
    const std::size_t end = std::min(pattern.find('/', i), pattern.size());
    path += '{' + pattern.substr(i + 1, end - i - 1) + '}';
    i = end - 1;
  }
  return path;
}

/// All that a document refers to, and of its schemas and responses all that there are.
void find_references(const json& node, std::set<std::string>& to) {
  if (node.is_object() && node.contains("$ref")) to.insert(node["$ref"].get<std::string>());
  if (!node.is_structured()) return;
  for (const json& one : node) find_references(one, to);
}

}  // namespace

TEST_CASE("the description has exactly the routes of the server, with their permissions and summaries",
          "[openapi]") {
  OpenApiScene scene;
  using Row = std::tuple<Method, std::string, std::string, std::string>;
  std::set<Row> described_ones;
  std::set<Row> served;
  for (const Operation& one : scene.watch->operations())
    described_ones.emplace(one.how(), one.path, one.permission(), one.node->at("summary"));
  for (const Route& route : scene.server.router().routes())
    served.emplace(route.method, described(route.pattern), route.permission, route.summary);
  CHECK(described_ones.size() == scene.watch->operations().size());
  for (const Row& row : served) {
    INFO(std::get<1>(row) << " [" << std::get<2>(row) << "] " << std::get<3>(row));
    CHECK(described_ones.contains(row));
  }
  for (const Row& row : described_ones) {
    INFO(std::get<1>(row) << " [" << std::get<2>(row) << "] " << std::get<3>(row));
    CHECK(served.contains(row));
  }
}

TEST_CASE("all references of the description lead somewhere, and nothing in it is unused", "[openapi]") {
  OpenApiScene scene;
  const json& document = scene.watch->schemas().document();
  CHECK(document["openapi"] == "3.1.0");
  std::set<std::string> references;
  find_references(document, references);
  for (const std::string& reference : references) {
    INFO(reference);
    REQUIRE(reference.starts_with("#/"));
    CHECK(document.contains(json::json_pointer(reference.substr(1))));
  }
  for (const char* const kind : {"schemas", "responses"}) {
    for (auto one = document["components"][kind].begin(); one != document["components"][kind].end(); ++one) {
      INFO(one.key());
      CHECK(references.contains(std::string("#/components/") + kind + "/" + one.key()));
    }
  }
}

TEST_CASE(
    "every operation of the description has a name of its own, a tag that there is, and the parameters of "
    "its path",
    "[openapi]") {
  OpenApiScene scene;
  const json& document = scene.watch->schemas().document();
  std::set<std::string> tags;
  std::set<std::string> used;
  for (const json& tag : document["tags"]) tags.insert(tag["name"].get<std::string>());
  std::set<std::string> names;
  for (const Operation& one : scene.watch->operations()) {
    INFO(one.id());
    CHECK(names.insert(one.id()).second);
    REQUIRE(one.node->at("tags").size() == 1);
    used.insert(one.node->at("tags")[0].get<std::string>());
    std::size_t in_path = 0;
    if (one.node->contains("parameters")) {
      for (const json& parameter : one.node->at("parameters")) {
        if (parameter["in"] != "path") continue;
        ++in_path;
        CHECK(parameter["required"] == true);
        CHECK(one.path.find("{" + parameter["name"].get<std::string>() + "}") != std::string::npos);
      }
    }
    CHECK(in_path == static_cast<std::size_t>(std::ranges::count(one.path, '{')));
  }
  CHECK(used == tags);
}

TEST_CASE("examples in the description are what its schemas say, and show every member of a request",
          "[openapi]") {
  OpenApiScene scene;
  quern_test::JsonSchema schemas(scene.watch->schemas().document());
  std::set<std::string> all;
  for (const Operation& one : scene.watch->operations()) {
    if (!one.has_body()) continue;
    const std::string media = one.pointer + "/requestBody/content/application~1json";
    all.merge(schemas.properties(media + "/schema"));
    for (const auto& [name, example] : schemas.at(media)["examples"].items()) {
      INFO(one.id() << " " << name);
      CHECK(schemas.check(media + "/schema", example["value"]) == std::vector<std::string>{});
    }
  }
  std::vector<std::string> unshown;
  std::ranges::set_difference(all, schemas.met(), std::back_inserter(unshown));
  CHECK(unshown == std::vector<std::string>{});
  for (const auto& [name, schema] : schemas.document()["components"]["schemas"].items()) {
    if (!schema.contains("examples")) continue;
    INFO(name);
    for (const json& example : schema["examples"])
      CHECK(schemas.check("/components/schemas/" + name, example) == std::vector<std::string>{});
  }
}

TEST_CASE("the description is for every caller that is known, who may keep it while it is the same",
          "[openapi]") {
  OpenApiScene scene;
  scene.key = OpenApiScene::powerless_key;
  const auto answer = scene.get("/api/openapi.json");
  CHECK(answer.status == 200);
  const std::string tag(answer.headers.find("ETag").value_or(""));
  scene.more = {{"If-None-Match", tag}};
  CHECK(scene.get("/api/openapi.json").status == 304);
  scene.more = {{"If-None-Match", "\"another\""}};
  CHECK(scene.get("/api/openapi.json").status == 200);
  scene.key.clear();
  CHECK(scene.get("/api/openapi.json").status == 401);
}
