#include "quern/handlers/digest/github_client.hpp"

#include <chrono>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "quern/core/clock.hpp"
#include "quern/handlers/curl_transport.hpp"
#include "quern/handlers/digest/analysis.hpp"
#include "support/catch.hpp"
#include "support/github_emulation.hpp"
#include "support/http_test_server.hpp"

using namespace std::chrono_literals;
using namespace quern::digest;
using quern_test::GitHubEmulation;
using quern_test::HttpTestServer;
using quern_test::Reply;
using quern_test::ServedRequest;

namespace {

// GitHub with one synthetic repository, a client, and a clock that only the test moves.
struct Scene {
  quern::ManualClock clock{quern::parse_rfc3339("2025-01-10T12:00:00Z")};
  GitHubEmulation github{clock};
  HttpTestServer server{[this](const ServedRequest& served) { return github.answer(served); }};
  quern::CurlTransport transport;
  MemoryResponseCache cache;
  GitHubOptions options;
  GitHubFetch request;

  explicit Scene(int pulls = 40) {
    github.add(quern_test::make_github_data(7, pulls));
    options.base_url = server.url();
    options.environment_proxy = false;
    request.repository = "acme/mill";
    request.period = {quern::parse_rfc3339("2024-05-01"), quern::parse_rfc3339("2024-07-01")};
  }
  RepositoryActivity fetch() { return GitHubClient(transport, clock, options, &cache).fetch(request); }
  RepositoryActivity fetch_without_cache() { return GitHubClient(transport, clock, options).fetch(request); }
};

std::set<std::int64_t> numbers_in(const nlohmann::json& entries, const Period& period, bool pulls) {
  std::set<std::int64_t> numbers;
  for (const auto& entry : entries) {
    if (entry.contains("pull_request") && !pulls) continue;
    for (const char* key : {"created_at", "closed_at"})
      if (entry[key].is_string() && period.contains(quern::parse_rfc3339(entry[key].get<std::string>())))
        numbers.insert(entry["number"].get<std::int64_t>());
  }
  return numbers;
}

template <class Item>
std::set<std::int64_t> numbers_of(const std::vector<Item>& items) {
  std::set<std::int64_t> numbers;
  for (const auto& item : items) numbers.insert(item.number);
  CHECK(numbers.size() == items.size());
  return numbers;
}

GitHubError failure_of(Scene& scene) {
  try {
    static_cast<void>(scene.fetch());
  } catch (const GitHubError& error) {
    return error;
  }
  FAIL("the fetch succeeded");
  throw std::logic_error("unreachable");
}

}  // namespace

TEST_CASE("a fetch finds what happened in the period and nothing else", "[github]") {
  Scene scene;
  const auto activity = scene.fetch();
  auto& data = scene.github.data();
  CHECK(activity.repository.full_name == "acme/mill");
  CHECK(activity.repository.description == "Grinds <b>everything</b>");
  CHECK(activity.fetched_at == scene.clock.now());
  CHECK(numbers_of(activity.pulls) == numbers_in(data.pulls, scene.request.period, true));
  CHECK(numbers_of(activity.issues) == numbers_in(data.issues, scene.request.period, false));
  std::set<std::string> commits;
  for (const auto& entry : data.commits)
    if (scene.request.period.contains(
            quern::parse_rfc3339(entry["commit"]["committer"]["date"].get<std::string>())))
      commits.insert(entry["sha"].get<std::string>());
  std::set<std::string> found;
  for (const auto& commit : activity.commits) found.insert(commit.sha);
  CHECK(found == commits);
  CHECK(activity.gaps.empty());

  std::int64_t open_pulls = 0;
  std::int64_t open_issues = 0;
  for (const auto& entry : data.issues)
    if (entry["state"] == "open") ++(entry.contains("pull_request") ? open_pulls : open_issues);
  CHECK(activity.open_pulls == open_pulls);
  CHECK(activity.open_issues == open_issues);

  for (const auto& pull : activity.pulls) {
    const bool detailed =
        scene.request.period.contains(pull.created_at) || scene.request.period.contains(pull.merged_at);
    CHECK(pull.additions.has_value() == detailed);
    for (const auto& reviewer : pull.reviewers) CHECK(reviewer != pull.author);
  }
}

TEST_CASE("every request carries what GitHub asks for", "[github]") {
  Scene scene(3);
  scene.options.token = "ghp_secret";
  static_cast<void>(scene.fetch());
  REQUIRE(scene.server.log().size() > 5);
  for (const auto& request : scene.server.log()) {
    CHECK(request.method == "GET");
    CHECK(request.header("user-agent") == "quern-digest");
    CHECK(request.header("accept") == "application/vnd.github+json");
    CHECK(request.header("x-github-api-version") == "2022-11-28");
    CHECK(request.header("authorization") == "Bearer ghp_secret");
  }
}

TEST_CASE("pages give the same activity as one large answer", "[github]") {
  Scene scene;
  const auto whole = scene.fetch_without_cache();
  scene.github.page_length(3);
  scene.server.forget_log();
  const auto paged = scene.fetch_without_cache();
  CHECK(paged == whole);
  int by_link = 0;
  for (const auto& request : scene.server.log())
    by_link += request.path.starts_with("/repositories/4242/") ? 1 : 0;
  CHECK(by_link > 10);

  SECTION("and reading stops where entries are older than the period") {
    scene.request.period.from = quern::parse_rfc3339("2024-12-01");
    scene.request.period.to = quern::parse_rfc3339("2024-12-20");
    scene.server.forget_log();
    static_cast<void>(scene.fetch_without_cache());
    int pull_pages = 0;
    for (const auto& request : scene.server.log())
      pull_pages +=
          request.path.ends_with("/pulls") && request.target.find("state=all") != std::string::npos ? 1 : 0;
    CHECK(pull_pages < 8);
  }
  SECTION("and the limit of pages is named as a gap") {
    scene.options.max_pages = 2;
    const auto cut = scene.fetch_without_cache();
    REQUIRE_FALSE(cut.gaps.empty());
    CHECK(cut.gaps[0] == "only the first 2 pages of pulls were read");
  }
}

TEST_CASE("an entry that moves to the front while pages are read is not missed", "[github]") {
  Scene scene;
  scene.github.page_length(3);
  auto& pulls = scene.github.data().pulls;
  // The last one to be read in the period: it would come on a late page.
  std::int64_t moved = 0;
  quern::TimePoint oldest = scene.request.period.to;
  for (const auto& pull : pulls) {
    const auto updated = quern::parse_rfc3339(pull["updated_at"].get<std::string>());
    const auto created = quern::parse_rfc3339(pull["created_at"].get<std::string>());
    if (updated < oldest && scene.request.period.contains(created)) oldest = updated, moved = pull["number"];
  }
  REQUIRE(moved != 0);
  // Somebody comments on it right after the first page was answered.
  bool done = false;
  HttpTestServer busy([&](const ServedRequest& request) {
    const Reply reply = scene.github.answer(request);
    if (!done && request.path.ends_with("/pulls") && request.target.find("state=all") != std::string::npos) {
      done = true;
      for (auto& pull : pulls)
        if (pull["number"] == moved) pull["updated_at"] = "2025-01-10T12:00:00Z";
    }
    return reply;
  });
  scene.options.base_url = busy.url();
  const auto activity = scene.fetch();
  CHECK(done);
  CHECK(numbers_of(activity.pulls).contains(moved));
}

TEST_CASE("what did not change is not sent again", "[github]") {
  Scene scene;
  scene.options.token = "t";
  const auto first = scene.fetch();
  const int used = scene.github.used();
  scene.server.forget_log();
  CHECK(scene.fetch() == first);
  CHECK(scene.github.used() == used);  // 304 costs nothing.
  for (const auto& request : scene.server.log()) CHECK_FALSE(request.header("if-none-match").empty());

  SECTION("and what did change is") {
    scene.github.data().repo["description"] = "New words";
    CHECK(scene.fetch().repository.description == "New words");
    CHECK(scene.github.used() == used + 1);
  }
  SECTION("with pages that are known by their Link") {
    scene.github.page_length(3);
    const auto paged = scene.fetch();
    const int used_now = scene.github.used();
    CHECK(scene.fetch() == paged);
    CHECK(scene.github.used() == used_now);
  }
}

TEST_CASE("a fetch that had to wait goes on where it was", "[github]") {
  Scene scene;
  scene.github.page_length(3);
  const auto expected = scene.fetch_without_cache();
  REQUIRE(scene.github.used() > 40);
  scene.clock.advance(2h);
  // Without a token a 304 counts like any other answer. Starting over each time would never end.
  scene.github.limit(15);
  scene.request.reuse_since = scene.clock.now();
  int waits = 0;
  while (true) {
    try {
      const auto activity = scene.fetch();
      CHECK(activity.pulls == expected.pulls);
      CHECK(activity.commits == expected.commits);
      break;
    } catch (const RateLimited& limited) {
      REQUIRE(++waits < 10);
      CHECK(limited.wait() > 0s);
      CHECK(limited.wait() <= 1h);
      scene.clock.advance(limited.wait());
    }
  }
  CHECK(waits >= 3);
}

TEST_CASE("a renamed repository is followed", "[github]") {
  Scene scene(5);
  scene.github.rename_from("acme/old-mill");
  scene.request.repository = "acme/old-mill";
  scene.options.token = "t";
  const auto activity = scene.fetch();
  CHECK(activity.repository.full_name == "acme/mill");
  // Once redirected, the new name is used.
  int redirected = 0;
  for (const auto& request : scene.server.log())
    redirected += request.path.find("old-mill") != std::string::npos;
  CHECK(redirected == 1);
}

TEST_CASE("the token goes nowhere but to the base URL's origin", "[github]") {
  Scene scene(5);
  scene.options.token = "ghp_secret";
  HttpTestServer stranger([](const ServedRequest&) { return Reply::json(200, "[]"); });

  SECTION("not by a redirect") {
    scene.server.inject("/repos/acme/mill",
                        {.status = 301, .headers = {{"Location", stranger.url() + "/repos/acme/mill"}}});
  }
  SECTION("not by a next link") {
    Reply reply = Reply::json(200, "[]");
    reply.headers.emplace_back("Link", "<" + stranger.url() + "/repositories/1/pulls?page=2>; rel=\"next\"");
    scene.server.inject("state=all", reply);
  }
  SECTION("not by a URL that only looks like the origin") {
    const std::string port = std::to_string(stranger.port());
    scene.server.inject(
        "/repos/acme/mill",
        {.status = 302, .headers = {{"Location", scene.server.url() + "@127.0.0.1:" + port + "/"}}});
  }
  SECTION("not to another scheme") {
    scene.server.inject(
        "/repos/acme/mill",
        {.status = 307,
         .headers = {{"Location", "https://127.0.0.1:" + std::to_string(scene.server.port()) + "/"}}});
  }
  const auto error = failure_of(scene);
  CHECK_FALSE(error.transient());
  CHECK(std::string(error.what()).find("ghp_secret") == std::string::npos);
  CHECK(stranger.log().empty());
}

TEST_CASE("redirects in a circle end", "[github]") {
  Scene scene(1);
  scene.server.inject("/repos/acme/mill", {.status = 308, .headers = {{"Location", "/repos/acme/mill"}}},
                      100);
  const auto error = failure_of(scene);
  CHECK_FALSE(error.transient());
  CHECK(scene.server.log().size() == 6);
}

TEST_CASE("an error says whether to try again and what to check", "[github]") {
  Scene scene(5);
  scene.options.token = "ghp_secret";
  struct Case {
    int status;
    bool transient;
    std::string word;
  };
  for (const auto& [status, transient, word] : std::vector<Case>{{400, false, "400"},
                                                                 {401, false, "token"},
                                                                 {403, false, "token"},
                                                                 {404, false, "check owner and name"},
                                                                 {408, true, "408"},
                                                                 {410, false, "gone"},
                                                                 {422, false, "invalid"},
                                                                 {451, false, "legal"},
                                                                 {500, true, "fault"},
                                                                 {502, true, "502"},
                                                                 {503, true, "503"},
                                                                 {204, true, "204"},
                                                                 {304, true, "304"}}) {
    INFO(status);
    scene.server.inject("/repos/acme/mill", Reply::json(status, R"({"message": "its own words"})"));
    try {
      static_cast<void>(scene.fetch_without_cache());
      FAIL("the fetch succeeded");
    } catch (const GitHubError& error) {
      const std::string what = error.what();
      CHECK(error.status() == status);
      CHECK(error.transient() == transient);
      CHECK(what.find(word) != std::string::npos);
      CHECK(what.find("acme/mill") != std::string::npos);
      CHECK((status == 304 || status == 204 || what.find("its own words") != std::string::npos));
      CHECK(what.find("ghp_secret") == std::string::npos);
    }
  }
}

TEST_CASE("answers that do not arrive are worth another try", "[github]") {
  Scene scene(5);
  scene.options.timeout = 100ms;
  const auto inject = [&](Reply reply) { scene.server.inject("/repos/acme/mill", std::move(reply)); };
  SECTION("dropped") { inject({.fault = Reply::Fault::drop}); }
  SECTION("truncated") { inject({.body = R"({"full_name": "acme/mill"})", .fault = Reply::Fault::truncate}); }
  SECTION("slow") { inject({.fault = Reply::Fault::hang}); }
  SECTION("not JSON") { inject({.body = "<html>502 Bad Gateway</html>"}); }
  SECTION("half of JSON") { inject({.body = R"({"full_name": )"}); }
  SECTION("empty") { inject({.body = ""}); }
  SECTION("not UTF-8") { inject({.body = "{\"full_name\": \"a/\xFF\"}"}); }
  CHECK(failure_of(scene).transient());
  // And nothing of it was kept.
  CHECK(scene.fetch().repository.full_name == "acme/mill");
}

TEST_CASE("what a repository does not have is not an error", "[github]") {
  Scene scene(5);
  SECTION("commits") {
    scene.server.inject("/commits", Reply::json(409, R"({"message": "Git Repository is empty."})"));
    CHECK(scene.fetch().commits.empty());
  }
  SECTION("issues") {
    scene.github.data().repo["has_issues"] = false;
    const auto activity = scene.fetch();
    CHECK_FALSE(activity.has_issues);
    CHECK_FALSE(activity.open_issues);
    for (const auto& request : scene.server.log()) CHECK(request.path.find("/issues") == std::string::npos);
  }
  SECTION("details and reviews") {
    scene.request.period = {quern::parse_rfc3339("2024-01-01"), quern::parse_rfc3339("2025-01-01")};
    scene.github.data().details.clear();
    scene.github.data().reviews.clear();
    const auto activity = scene.fetch();
    CHECK(activity.pulls.size() == 5);
    for (const auto& pull : activity.pulls) {
      CHECK_FALSE(pull.additions);
      CHECK(pull.reviewers.empty());
    }
  }
}

TEST_CASE("details are read up to a limit that is named", "[github]") {
  Scene scene;
  scene.request.max_pull_details = 2;
  const auto activity = scene.fetch();
  std::size_t detailed = 0;
  for (const auto& pull : activity.pulls) detailed += pull.additions ? 1 : 0;
  CHECK(detailed == 2);
  REQUIRE(activity.gaps.size() == 1);
  CHECK(activity.gaps[0].starts_with("sizes and reviewers of "));
}

TEST_CASE("a drawn-out fetch tells how far it is and can be stopped", "[github]") {
  Scene scene;
  std::vector<int> percents;
  std::stop_source stop;
  scene.request.stop = stop.get_token();
  SECTION("progress") {
    scene.request.progress = [&](int percent, std::string_view) { percents.push_back(percent); };
    static_cast<void>(scene.fetch());
    CHECK(std::ranges::is_sorted(percents));
    CHECK(percents.front() == 0);
    CHECK(percents.back() == 100);
  }
  SECTION("stop") {
    scene.request.progress = [&](int percent, std::string_view) {
      if (percent >= 45) stop.request_stop();
    };
    CHECK_THROWS_AS(scene.fetch(), quern::HttpError);
    const auto asked = scene.server.log().size();
    CHECK(asked < 10);
  }
}

TEST_CASE("a wrong request or a wrong option is refused before anything is sent", "[github]") {
  Scene scene(1);
  SECTION("repository") {
    for (const char* name :
         {"", "mill", "/mill", "acme/", "acme/mill/x", "acme/..", "./mill", "a b/c", "acme/mill?x=1",
          "acme/m\r\nill", "acme/%2e%2e", "https://github.com/acme/mill"}) {
      INFO(name);
      scene.request.repository = name;
      CHECK_THROWS_AS(scene.fetch(), quern::InvalidArgument);
    }
  }
  SECTION("period") {
    std::swap(scene.request.period.from, scene.request.period.to);
    CHECK_THROWS_AS(scene.fetch(), quern::InvalidArgument);
  }
  SECTION("a token over a network in clear text") {
    scene.options.token = "t";
    scene.options.base_url = "http://github.example/api/v3";
    CHECK_THROWS_AS(scene.fetch(), quern::InvalidArgument);
  }
  SECTION("a token with a line break") {
    scene.options.token = "ghp_secret\r\nX: y";
    try {
      static_cast<void>(scene.fetch());
      FAIL("accepted");
    } catch (const quern::InvalidArgument& error) {
      CHECK(std::string(error.what()).find("ghp_secret") == std::string::npos);
    }
  }
  SECTION("base URL") {
    for (const char* url : {"", "api.github.com", "ftp://x", "https://user:pw@x", "https://x?y=z"}) {
      scene.options.base_url = url;
      CHECK_THROWS_AS(scene.fetch(), quern::InvalidArgument);
    }
  }
  CHECK(scene.server.log().empty());
}
