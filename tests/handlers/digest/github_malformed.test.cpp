#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "quern/core/clock.hpp"
#include "quern/handlers/detail/text.hpp"
#include "quern/handlers/digest/analysis.hpp"
#include "quern/handlers/digest/github_client.hpp"
#include "quern/handlers/digest/render.hpp"
#include "support/catch.hpp"
#include "support/github_emulation.hpp"

using namespace quern::digest;
using nlohmann::json;

namespace {

const Period year{quern::parse_rfc3339("2024-01-01"), quern::parse_rfc3339("2025-01-01")};

// GitHub without a network between, so that thousands of fetches take no time: answers what was recorded for
// a URL.
class Replay final : public quern::HttpTransport {
 public:
  quern::HttpResponse perform(const quern::HttpRequest& request) override {
    const auto found = responses.find(request.url);
    if (found == responses.end()) return {.status = 404, .body = R"({"message": "Not Found"})"};
    return found->second;
  }
  std::map<std::string, quern::HttpResponse> responses;
};

// Hands requests to the emulation, and records its answers.
class Recorder final : public quern::HttpTransport {
 public:
  Recorder(quern_test::GitHubEmulation& github, Replay& record) : github_(github), record_(record) {}
  quern::HttpResponse perform(const quern::HttpRequest& request) override {
    quern_test::ServedRequest served;
    served.target = request.url.substr(std::string("http://github").size());
    served.path = served.target.substr(0, served.target.find('?'));
    for (const auto& [name, value] : request.headers) served.headers[quern::detail::lower(name)] = value;
    served.headers["host"] = "github";
    for (auto at = served.target.find('?'); at != std::string::npos; at = served.target.find('&', at + 1)) {
      const auto pair = served.target.substr(at + 1, served.target.find('&', at + 1) - at - 1);
      const auto equals = pair.find('=');
      served.query[pair.substr(0, equals)] = quern_test::decode_query(pair.substr(equals + 1));
    }
    const auto reply = github_.answer(served);
    quern::HttpResponse response{.status = reply.status, .body = reply.body};
    for (const auto& [name, value] : reply.headers) response.headers.add(name, value);
    record_.responses[request.url] = response;
    return response;
  }

 private:
  quern_test::GitHubEmulation& github_;
  Replay& record_;
};

RepositoryActivity fetch(quern::HttpTransport& transport) {
  static const quern::ManualClock clock(quern::parse_rfc3339("2025-01-10T12:00:00Z"));
  return GitHubClient(transport, clock, {.base_url = "http://github"})
      .fetch({.repository = "acme/mill", .period = year});
}

// The answers about a small repository.
Replay recording(int pulls) {
  static const quern::ManualClock clock(quern::parse_rfc3339("2025-01-10T12:00:00Z"));
  quern_test::GitHubEmulation github(clock);
  github.add(quern_test::make_github_data(3, pulls));
  Replay replay;
  Recorder recorder(github, replay);
  static_cast<void>(fetch(recorder));
  return replay;
}

// Every place in a value that can hold another one.
void collect(const json& value, const json::json_pointer& at, std::vector<json::json_pointer>& out) {
  if (!at.empty()) out.push_back(at);
  if (value.is_object())
    for (const auto& [key, member] : value.items()) collect(member, at / key, out);
  if (value.is_array())
    for (std::size_t i = 0; i < value.size(); ++i) collect(value[i], at / i, out);
}

}  // namespace

TEST_CASE("no value in an answer of GitHub does more than fail the fetch clearly", "[github]") {
  const std::vector<json> values{nullptr,
                                 true,
                                 0,
                                 -1,
                                 3.5,
                                 1e300,
                                 18446744073709551615u,
                                 "",
                                 "x",
                                 "2024-13-45T99:99:99Z",
                                 "2024-06-01T00:00:00Z",
                                 std::string(5000, 'y'),
                                 "\x01\x1b[31m\u202e<b>",
                                 json::array(),
                                 json::object(),
                                 json::array({nullptr}),
                                 json::array({json::array()}),
                                 json{{"login", nullptr}},
                                 json{{"name", 5}},
                                 json{{"date", "soon"}}};
  const Replay good = recording(1);
  int refused = 0;
  int tolerated = 0;
  std::size_t turn = 0;
  for (const auto& [url, response] : good.responses) {
    const json body = json::parse(response.body);
    std::vector<json::json_pointer> places;
    collect(body, json::json_pointer(), places);
    for (const auto& at : places) {
      // Whole repository objects that are not read; one value in them is enough.
      const std::string path = at.to_string();
      const bool unread =
          path.find("/base/") != std::string::npos || path.find("/head/") != std::string::npos;
      for (int i = 0; i < (unread ? 1 : 3); ++i) {
        json changed = body;
        changed[at] = values[turn++ % values.size()];
        Replay replay = good;
        replay.responses[url].body = changed.dump();
        try {
          const auto activity = fetch(replay);
          // Whatever is accepted can be analysed, rendered and stored.
          const auto report = analyze(activity);
          REQUIRE(json::parse(render_json(report)).is_object());
          REQUIRE_FALSE(render_markdown(report).empty());
          REQUIRE(render_html(report).find("\x1b") == std::string::npos);
          REQUIRE(json(activity).get<RepositoryActivity>() == activity);
          ++tolerated;
        } catch (const GitHubError& error) {
          REQUIRE(std::string(error.what()).starts_with("acme/mill: "));
          ++refused;
        } catch (const std::exception& error) {
          FAIL("an exception of another kind: " << error.what() << " for " << url << " at " << path);
        }
      }
    }
  }
  CHECK(refused > 100);
  CHECK(tolerated > 100);
}

TEST_CASE("no damage to an answer's bytes does more than fail the fetch", "[github]") {
  const Replay good = recording(1);
  std::mt19937_64 random(11);
  for (const auto& [url, response] : good.responses) {
    for (int i = 0; i < 40; ++i) {
      Replay replay = good;
      std::string& body = replay.responses[url].body;
      for (int hits = 0; hits < 3; ++hits) body[random() % body.size()] = static_cast<char>(random() % 256);
      if (i % 4 == 0) body.resize(random() % body.size());
      try {
        static_cast<void>(fetch(replay));
      } catch (const GitHubError&) {
      }
    }
  }
  SUCCEED("no crash and no other exception");
}

TEST_CASE("an answer that is nested without end is refused", "[github]") {
  Replay replay = recording(1);
  for (auto& [url, response] : replay.responses)
    if (url.find("/pulls?state=all") != std::string::npos)
      response.body = fmt::format(R"([{{"user":{:[>100000}{:]>100000}}}])", "", "");
  CHECK_THROWS_AS(fetch(replay), GitHubError);
}

TEST_CASE("answers of another shape than documented name what is wrong", "[github]") {
  const Replay good = recording(1);
  const auto message = [&](const std::string& part, const std::string& at, const json& value) {
    Replay replay = good;
    for (auto& [url, response] : replay.responses) {
      if ((url + "$").find(part) == std::string::npos) continue;
      json body = json::parse(response.body);
      body[json::json_pointer(at)] = value;
      response.body = body.dump();
    }
    try {
      static_cast<void>(fetch(replay));
    } catch (const GitHubError& error) {
      CHECK_FALSE(error.transient());
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const std::string begin = "acme/mill: GitHub's answer is not as documented: ";
  CHECK(message("/pulls?state=all", "/0/title", 5) == begin + "pulls[0].title: is number, not a string");
  CHECK(message("/pulls?state=all", "/0/number", -5) == begin + "pulls[0].number: is out of range");
  CHECK(message("/pulls?state=all", "/0/closed_at", "yesterday")
            .starts_with(begin + "pulls[0].closed_at: is not a time"));
  CHECK(message("/pulls?state=all", "/0/labels", json::array({json::object()})) ==
        begin + "pulls[0].labels[0].name: is missing");
  CHECK(message("/commits?", "/0/sha", "`rm -rf`") == begin + "commits[0].sha: is no commit id");
  CHECK(message("/releases?", "", json::object()) == begin + "releases: is object, not an array");
  // A name that would change where the next requests go.
  CHECK(message("acme/mill$", "/full_name", "acme/mill/../../user").starts_with(begin + "repository: "));
}

TEST_CASE("missing optional members are tolerated", "[github]") {
  Replay replay = recording(2);
  for (auto& [url, response] : replay.responses) {
    json body = json::parse(response.body);
    if (url == "http://github/repos/acme/mill") {
      body.erase("description");
      body["html_url"] = "javascript:alert(1)";
    }
    if (body.is_array())
      for (auto& entry : body) {
        for (const char* key : {"draft", "labels", "body", "html_url", "author_association", "merged_at"})
          entry.erase(key);
        if (entry.contains("user")) entry["user"] = nullptr;
        if (entry.contains("author")) entry["author"] = nullptr;
      }
    response.body = body.dump();
  }
  const auto activity = fetch(replay);
  CHECK(activity.repository.url.empty());
  CHECK(activity.pulls.size() == 2);
  for (const auto& pull : activity.pulls) CHECK(pull.author.ghost());
  for (const auto& commit : activity.commits) CHECK_FALSE(commit.author.name.empty());
}
