#include "http/api_scene.hpp"
#include "quern/http/digest_api.hpp"

using nlohmann::json;
using quern::http::Scope;
using quern_test::ApiScene;

TEST_CASE("digests are listed, seen, and their files downloaded, by who can reach their job", "[api]") {
  ApiScene scene;
  std::vector<std::string> asked;
  quern::http::mount_digests(
      scene.router, scene.own.storage.port(), [&](std::string_view id, std::string_view name) {
        asked.push_back(std::string(id) + "/" + std::string(name));
        return name == "digest.md" ? std::optional<std::string>("# Digest") : std::nullopt;
      });
  const std::string first = scene.add({{"kind", "digest"}, {"tenant", "acme"}});
  const std::string second = scene.add({{"kind", "digest"}, {"tenant", "evil"}});
  const auto put = [&](const std::string& id, const std::string& at) {
    const json digest{{"id", id},         {"repository", "a/b"}, {"from", "2025-12-01T00:00:00Z"},
                      {"created_at", at}, {"title", "<b>T</b>"}, {"files", {"digest.md", "digest.html"}}};
    scene.own.storage.port().put_record({"quern.digests", id, quern::Payload::json(digest.dump())});
  };
  put(first, "2026-01-01T00:00:00Z");
  put(second, "2026-01-02T00:00:00Z");
  json all = scene.get("/api/digests").body()["digests"];
  REQUIRE(all.size() == 2);
  CHECK(all[0]["id"] == second);
  CHECK(all[0]["title"] == "<b>T</b>");
  CHECK(all[0]["from"] == "2025-12-01T00:00:00Z");
  CHECK(scene.get("/api/digests?limit=1").body()["digests"].size() == 1);

  const auto file = scene.get("/api/digests/" + first + "/files/digest.md");
  CHECK(file.text == "# Digest");
  CHECK(file.header("Content-Type") == "text/markdown; charset=utf-8");
  CHECK(file.header("Content-Disposition") == "attachment; filename*=UTF-8''digest.md");
  CHECK(file.header("X-Content-Type-Options") == "nosniff");
  CHECK(scene.get("/api/digests/" + first + "/files/digest.html").status == 404);  // it is gone
  asked.clear();
  for (const char* const name : {"activity.json", "..%2F..%2Fetc%2Fpasswd", "%2e%2e"})
    CHECK(scene.get("/api/digests/" + first + "/files/" + name).status == 404);
  CHECK(asked.empty());

  scene.as("ann", Scope{.permissions = {"digests.read"}, .tenants = {{"acme"}}});
  CHECK(scene.get("/api/digests").body()["digests"].size() == 1);
  CHECK(scene.get("/api/digests/" + second).text == scene.get("/api/digests/99").text);
  CHECK(scene.get("/api/digests/" + second + "/files/digest.md").status == 404);
  CHECK(scene.get("/api/digests/" + first).body()["repository"] == "a/b");
}
