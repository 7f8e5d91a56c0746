#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "quern/core/clock.hpp"
#include "quern/handlers/curl_transport.hpp"
#include "quern/handlers/detail/text.hpp"
#include "quern/handlers/digest/analysis.hpp"
#include "quern/handlers/digest/github_client.hpp"
#include "quern/handlers/digest/render.hpp"
#include "support/catch.hpp"
#include "support/github_emulation.hpp"
#include "support/http_test_server.hpp"

// Real data that is not part of this repository: it is there on CI. Where it is not, these tests say so and
// pass.

using namespace quern::digest;
using nlohmann::json;
using quern_test::HttpTestServer;
using quern_test::Reply;
using quern_test::ServedRequest;

namespace {

const std::filesystem::path data_folder =
    std::filesystem::path(QUERN_SOURCE_DIR) / ".." / "shared" / "testdata" / "github";

bool have_data() {
  if (std::filesystem::exists(data_folder / "hub4j-github-api" / "expected_digest.json")) return true;
  WARN("no real data beside the source tree (../shared/testdata/github): skipped");
  return false;
}

json read_json(const std::filesystem::path& path) {
  std::ifstream file(path);
  return json::parse(file);
}

std::vector<json> values_of(const json& list, const char* key) {
  std::vector<json> out;
  for (const auto& entry : list) out.push_back(entry.at(key));
  return out;
}

// Serves recorded answers by method and URL, several of one URL in their order; URLs in them point here
// instead.
class Recording {
 public:
  explicit Recording(const std::string& name) {
    for (const auto& exchange : read_json(data_folder / "recorded" / (name + ".json"))) {
      const auto& request = exchange.at("request");
      answers_[request.at("method").get<std::string>() + " " + request.at("url").get<std::string>()]
          .push_back(exchange.at("response"));
    }
  }
  Reply answer(const ServedRequest& request) {
    auto& left = answers_[request.method + " " + request.target];
    if (left.empty()) return Reply::json(404, R"({"message": "not recorded"})");
    const json response = left.size() > 1 ? take_first(left) : left.front();
    const std::string here = "http://" + request.header("host");
    Reply reply{.status = response.at("status").get<int>()};
    for (const auto& [name, value] : response.at("headers").items()) {
      const std::string lower = quern::detail::lower(name);
      if (lower == "content-length" || lower == "transfer-encoding" || lower == "content-encoding" ||
          lower == "connection" || !value.is_string())
        continue;
      reply.headers.emplace_back(name, replaced(value.get<std::string>(), here));
    }
    if (!response.at("body").is_null())
      reply.body = response.at("body").is_string() ? response.at("body").get<std::string>()
                                                   : response.at("body").dump();
    return reply;
  }

 private:
  static json take_first(std::vector<json>& answers) {
    json first = answers.front();
    answers.erase(answers.begin());
    return first;
  }
  static std::string replaced(std::string text, const std::string& here) {
    const std::string real = "https://api.github.com";
    for (auto at = text.find(real); at != std::string::npos; at = text.find(real, at))
      text.replace(at, real.size(), here);
    return text;
  }

  std::map<std::string, std::vector<json>> answers_;
};

}  // namespace

TEST_CASE("the digest of a real repository agrees with what is known about it", "[real-data]") {
  if (!have_data()) return;
  const auto folder = data_folder / "hub4j-github-api";
  const json expected = read_json(folder / "expected_digest.json");
  const quern::ManualClock clock(quern::parse_rfc3339(expected.at("as_of").get<std::string>()));
  quern_test::GitHubEmulation github(clock);
  github.add(quern_test::load_github_data(folder));
  SECTION("in one page") {}
  SECTION("in many pages") { github.page_length(7); }
  HttpTestServer server([&](const ServedRequest& request) { return github.answer(request); });
  quern::CurlTransport transport;
  GitHubClient client(transport, clock,
                      {.base_url = server.url(), .token = "tok", .environment_proxy = false});
  const auto activity =
      client.fetch({.repository = github.data().name(),
                    .period = {quern::parse_rfc3339(expected["window"][0].get<std::string>()),
                               quern::parse_rfc3339(expected["window"][1].get<std::string>())}});
  const DigestReport report = analyze(activity);
  const json digest = json::parse(render_json(report));

  CHECK(digest["as_of"] == expected["as_of"]);
  CHECK(json(values_of(digest["issues"]["opened"], "number")) == expected["issues_opened"]);
  CHECK(json(values_of(digest["issues"]["closed"], "number")) == expected["issues_closed"]);
  CHECK(json(values_of(digest["pull_requests"]["opened"], "number")) == expected["prs_opened"]);
  CHECK(json(values_of(digest["pull_requests"]["merged"], "number")) == expected["prs_merged"]);
  CHECK(json(values_of(digest["pull_requests"]["closed_unmerged"], "number")) ==
        expected["prs_closed_unmerged"]);
  CHECK(json(values_of(digest["commits"]["items"], "sha")) == expected["commits"]);
  CHECK(json(values_of(digest["releases"], "tag")) == expected["releases_published"]);
  CHECK(digest["issues"]["open_now"] == expected["open_issues_now"]);
  CHECK(digest["pull_requests"]["open_now"] == expected["open_prs_now"]);

  CHECK(render_title(report) == "hub4j/github-api: December 2019");
  const std::string summary = render_summary(report);
  CHECK(summary.starts_with("15 pull requests were opened, 13 merged and 1 closed without merging."));
  CHECK(summary.find("4 issues were opened and 4 closed.") != std::string::npos);
  CHECK(summary.find("74 commits were made by ") != std::string::npos);
  CHECK(summary.ends_with("Open now: 2 issues and 4 pull requests."));
}

TEST_CASE("recorded answers of GitHub are understood", "[real-data]") {
  if (!have_data()) return;
  const quern::ManualClock clock;
  quern::CurlTransport transport;
  const auto try_fetch = [&](HttpTestServer& server, const std::string& repository) {
    GitHubClient client(transport, clock, {.base_url = server.url(), .environment_proxy = false});
    static_cast<void>(
        client.fetch({.repository = repository,
                      .period = {quern::parse_rfc3339("2019-01-01"), quern::parse_rfc3339("2023-01-01")}}));
  };

  SECTION("a repository, and then 404 for what was not recorded") {
    Recording recording("get-repository");
    HttpTestServer server([&](const ServedRequest& request) { return recording.answer(request); });
    CHECK_THROWS_AS(try_fetch(server, "octokit-fixture-org/hello-world"), GitHubError);
    // It got past the repository itself.
    REQUIRE(server.log().size() == 2);
    CHECK(server.log()[1].path == "/repos/octokit-fixture-org/hello-world/pulls");
  }
  SECTION("the redirect of a renamed repository") {
    Recording recording("redirect-301-307");
    HttpTestServer server([&](const ServedRequest& request) { return recording.answer(request); });
    CHECK_THROWS_AS(
        try_fetch(server, "octokit-fixture-org/tmp-scenario-rename-repository-20220719044033126-ukeod"),
        GitHubError);
    REQUIRE(server.log().size() == 3);
    CHECK(server.log()[1].path == "/repositories/515436299");
    CHECK(server.log()[2].path.ends_with("-newname/pulls"));
  }
  SECTION("an error") {
    Recording recording("error-404");
    HttpTestServer server([&](const ServedRequest&) {
      return recording.answer(
          {.method = "GET",
           .target = "/repos/octokit-fixture-org/tmp-scenario-branch-protection-20220719043700727-wbo1k/"
                     "branches/main/protection"});
    });
    try {
      try_fetch(server, "a/b");
      FAIL("the fetch succeeded");
    } catch (const GitHubError& error) {
      CHECK(error.status() == 404);
      CHECK_FALSE(error.transient());
    }
  }
}

TEST_CASE("recorded pages of issues are followed by their links", "[real-data]") {
  if (!have_data()) return;
  const quern::ManualClock clock(quern::parse_rfc3339("2022-07-20T00:00:00Z"));
  quern::CurlTransport transport;
  Recording recording("paginate-issues");
  // The client asks for a first page of its own; from there on it has only the links to go by.
  HttpTestServer server([&](const ServedRequest& request) {
    if (request.path == "/repos/a/b")
      return Reply::json(200, R"({"full_name": "a/b", "has_issues": true, "open_issues_count": 13})");
    if (request.path == "/repos/a/b/issues" && request.target.find("state=all") != std::string::npos) {
      ServedRequest first = request;
      first.target =
          "/repos/octokit-fixture-org/tmp-scenario-paginate-issues-20220719043836917-izyoe/issues?per_page=3";
      return recording.answer(first);
    }
    if (request.path.starts_with("/repositories/")) return recording.answer(request);
    return Reply::json(200, "[]");
  });
  GitHubClient client(transport, clock, {.base_url = server.url(), .environment_proxy = false});
  const auto activity =
      client.fetch({.repository = "a/b",
                    .period = {quern::parse_rfc3339("2022-07-01"), quern::parse_rfc3339("2022-08-01")}});
  CHECK(activity.issues.size() == 13);
  CHECK(std::ranges::is_sorted(activity.issues, std::ranges::greater(), &Issue::number));
}

TEST_CASE("a recorded 304 is answered from the cache", "[real-data]") {
  if (!have_data()) return;
  const quern::ManualClock clock(quern::parse_rfc3339("2022-07-20T00:00:00Z"));
  quern::CurlTransport transport;
  MemoryResponseCache cache;
  Recording recording("etag-304");
  HttpTestServer server([&](const ServedRequest& request) {
    if (request.path == "/repos/hub4j-test-org/github-api") return recording.answer(request);
    return Reply::json(200, "[]");
  });
  GitHubClient client(transport, clock, {.base_url = server.url(), .environment_proxy = false}, &cache);
  const GitHubFetch request{
      .repository = "hub4j-test-org/github-api",
      .period = {quern::parse_rfc3339("2022-07-01"), quern::parse_rfc3339("2022-08-01")}};
  const auto first = client.fetch(request);
  const auto second = client.fetch(request);
  CHECK(first == second);
  const auto log = server.log();
  CHECK(log.front().header("if-none-match").empty());
  CHECK(std::ranges::count_if(
            log, [](const ServedRequest& r) { return r.header("if-none-match").starts_with("W/\""); }) >= 1);
}
