#include "quern/handlers/digest/render.hpp"

#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "quern/handlers/detail/text.hpp"
#include "quern/handlers/digest/analysis.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using namespace quern::digest;
using nlohmann::json;

namespace {

quern::TimePoint time(const char* text) { return quern::parse_rfc3339(text); }

RepositoryActivity quiet() {
  RepositoryActivity activity;
  activity.repository = {"acme/mill", "https://github.com/acme/mill", "Grinds everything", "main", false};
  activity.period = {time("2024-05-01"), time("2024-06-01")};
  activity.fetched_at = time("2024-06-01T08:30:00Z");
  activity.open_issues = 3;
  activity.open_pulls = 1;
  return activity;
}

RepositoryActivity busy() {
  auto activity = quiet();
  PullRequest merged;
  merged.number = 7;
  merged.title = "Grind faster";
  merged.url = "https://github.com/acme/mill/pull/7";
  merged.author = {"ada", "Ada", false};
  merged.labels = {"speed"};
  merged.created_at = time("2024-05-02T00:00:00Z");
  merged.merged_at = merged.closed_at = time("2024-05-02T03:20:00Z");
  merged.additions = 10;
  merged.deletions = 2;
  merged.changed_files = 1;
  merged.reviewers = {{"grace", "", false}, {"linus", "", false}};
  PullRequest open;
  open.number = 9;
  open.title = "Grind finer";
  open.author = {"grace", "", false};
  open.draft = true;
  open.created_at = time("2024-05-20");
  activity.pulls = {open, merged};
  activity.issues = {{5,
                      "It squeaks",
                      "https://github.com/acme/mill/issues/5",
                      {"linus", "", false},
                      {"bug"},
                      time("2024-05-03"),
                      time("2024-05-04")}};
  activity.commits = {{std::string(40, 'a'),
                       "Grind faster (#7)",
                       "https://github.com/acme/mill/commit/aaa",
                       {"ada", "Ada", false},
                       time("2024-05-02"),
                       false,
                       10,
                       2,
                       1,
                       true}};
  activity.releases = {{"v1.0",
                        "One",
                        "https://github.com/acme/mill/releases/tag/v1.0",
                        {"ada", "", false},
                        false,
                        time("2024-05-30")}};
  return activity;
}

// Titles as an attacker would choose them.
const std::vector<std::string> hostile{
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</title></style><svg/onload=alert(1)>",
    "<!--",
    "]]><![CDATA[",
    "[click](javascript:alert(1))",
    "![x](https://evil.example/track.png)",
    "<https://evil.example>",
    "https://evil.example/phish www.evil.example evil@example.com",
    "@everyone @octocat @acme/core",
    "`code` **bold** __under__ ~~gone~~ | cell | $x$",
    "line\n# heading\n- item\n> quote\n```\nfence",
    "[ref]: https://evil.example",
    "\\[escaped\\](https://evil.example)",
    "&lt;script&gt;&#60;b&#62;&colon;",
    "{{7*7}} ${7*7} <%= 7*7 %>",
    "\xE2\x80\xAEreversed\xE2\x80\xAC \xE2\x80\x8Bhidden",
    std::string("nul\0and\x1b[31m", 12),
    "\xFF\xFE broken \xC0\x80",
};

RepositoryActivity hostile_activity(const std::string& text) {
  auto activity = busy();
  activity.repository.description = text;
  for (auto& pull : activity.pulls) {
    pull.title = text;
    pull.labels = {text};
    pull.author = {text, text, false};
    pull.reviewers = {{text, "", false}};
    pull.url = "javascript:alert('" + text + "')";
  }
  for (auto& issue : activity.issues)
    issue.title = text, issue.labels = {text}, issue.url = "https://x/)\"><b>";
  for (auto& commit : activity.commits)
    commit.subject = text, commit.sha = text, commit.author = {"", text, false};
  for (auto& release : activity.releases) release.tag = text, release.name = text;
  activity.gaps = {text};
  return activity;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

}  // namespace

TEST_CASE("a digest reads as a text", "[render]") {
  const auto report = analyze(busy());
  CHECK(render_title(report) == "acme/mill: May 2024");
  CHECK(render_summary(report) ==
        "2 pull requests were opened and 1 merged. Merging took 3 h 20 min. The merged ones brought +10 "
        "\u22122 lines in 1 file. "
        "1 issue was opened and 1 closed. 1 commit was made by 1 person. They changed +10 \u22122 lines in 1 "
        "file. "
        "ada contributed for the first time. 1 release was published: v1.0. Open now: 3 issues and 1 pull "
        "request.");
  CHECK(render_markdown(report) == R"(# acme/mill: May 2024

> Grinds everything

2 pull requests were opened and 1 merged. Merging took 3 h 20 min. The merged ones brought +10 −2 lines in 1 file. 1 issue was opened and 1 closed. 1 commit was made by 1 person. They changed +10 −2 lines in 1 file. ada contributed for the first time. 1 release was published: v1.0. Open now: 3 issues and 1 pull request.

## Releases (1)

- **[v1.0](https://github.com/acme/mill/releases/tag/v1.0)** One, 2024-05-30

## Pull requests merged (1)

- [#7](https://github.com/acme/mill/pull/7) Grind faster, by ada, after 3 h 20 min, +10 −2 in 1 file, reviewed by grace and linus (speed)

## Pull requests opened (2)

- #9 Grind finer, by grace, draft

1 of them merged, see above.

## Issues closed (1)

- [#5](https://github.com/acme/mill/issues/5) It squeaks, by linus (bug)

## Issues opened (1)

1 of them closed, see above.

## Contributors (3)

| | PRs merged | PRs opened | Reviews | Commits | Issues |
|---|---:|---:|---:|---:|---:|
| ada (new) | 1 | 1 | 0 | 1 | 0 |
| grace | 0 | 1 | 1 | 0 | 0 |
| linus | 0 | 0 | 1 | 0 | 1 |

## Commits (1)

- [`aaaaaaa`](https://github.com/acme/mill/commit/aaa) Grind faster (#7), by ada

[acme/mill](https://github.com/acme/mill), as of 2024-06-01 08:30 UTC
)");
}

TEST_CASE("a period in which nothing happened says so", "[render]") {
  const auto report = analyze(quiet());
  CHECK(report.empty());
  CHECK(render_summary(report) == "Nothing happened in this period. Open now: 3 issues and 1 pull request.");
  CHECK(render_markdown(report).find("##") == std::string::npos);
  CHECK(render_html(report).find("<h2>") == std::string::npos);
  const json digest = json::parse(render_json(report));
  CHECK(digest["pull_requests"]["merged"].empty());
  auto activity = busy();
  activity.releases.clear();
  CHECK(render_summary(analyze(activity, {.authors = {"nobody"}}))
            .starts_with("Nothing that the filters let through"));
}

TEST_CASE("a period has the shortest name that is exact", "[render]") {
  const auto title = [](const char* from, const char* to) {
    auto activity = quiet();
    activity.period = {time(from), time(to)};
    return render_title(analyze(activity)).substr(std::string("acme/mill: ").size());
  };
  CHECK(title("2019-12-01", "2020-01-01") == "December 2019");
  CHECK(title("2024-02-01", "2024-03-01") == "February 2024");
  CHECK(title("2024-02-01", "2024-02-02") == "2024-02-01");
  CHECK(title("2024-02-05", "2024-02-12") == "2024-02-05 to 2024-02-11");
  CHECK(title("2024-02-05T06:30:00Z", "2024-02-12") == "2024-02-05 06:30 UTC to 2024-02-12 00:00 UTC");
}

TEST_CASE("the same report renders the same", "[render]") {
  const auto report = analyze(busy());
  CHECK(render_html(report) == render_html(analyze(busy())));
  CHECK(render_json(report) == render_json(analyze(busy())));
}

TEST_CASE("long lists are cut for people and whole for programs", "[render]") {
  auto activity = quiet();
  for (int i = 1; i <= 30; ++i)
    activity.issues.push_back(
        {i, "Issue", "", {fmt::format("p{}", i), "", false}, {}, time("2024-05-03"), {}});
  const auto report = analyze(activity);
  const auto markdown = render_markdown(report, {.max_items = 10});
  CHECK(markdown.find("## Issues opened (30)") != std::string::npos);
  CHECK(markdown.find("- and 20 more") != std::string::npos);
  CHECK(count(render_html(report, {.max_items = 10}), "and 20 more") == 2);
  CHECK(json::parse(render_json(report))["issues"]["opened"].size() == 30);
}

TEST_CASE("nothing in a title gets out of HTML", "[render]") {
  const std::size_t tags = count(render_html(analyze(hostile_activity("x"))), "<");
  for (const auto& text : hostile) {
    INFO(text);
    const auto html = render_html(analyze(hostile_activity(text)));
    // The page has the same elements whatever stands in it.
    CHECK(count(html, "<") == tags);
    CHECK(html.find("javascript:") == html.find("javascript:alert(1))"));  // As text of a title only.
    for (auto at = html.find("href=\""); at != std::string::npos; at = html.find("href=\"", at + 1))
      CHECK(html.compare(at + 6, 4, "http") == 0);
  }
  const auto page = render_html(analyze(busy()));
  CHECK(page.find("<script") == std::string::npos);
  CHECK(page.find("src=") == std::string::npos);
  CHECK(page.find("default-src 'none'") != std::string::npos);
}

TEST_CASE("nothing in a title gets out of Markdown", "[render]") {
  const std::size_t lines = count(render_markdown(analyze(hostile_activity("x"))), "\n");
  for (const auto& raw : hostile) {
    INFO(raw);
    const auto markdown = render_markdown(analyze(hostile_activity(quern::detail::clean_line(raw))));
    CHECK(count(markdown, "\n") == lines);
    CHECK(markdown.find("](javascript:") == std::string::npos);
    for (std::size_t at = 0; at < markdown.size(); ++at) {
      const bool escaped = at > 0 && markdown[at - 1] == '\\';
      if (markdown[at] == '<') CHECK(escaped);
      // After '@' comes the invisible blank that keeps it from being a mention.
      if (markdown[at] == '@') CHECK(markdown.compare(at + 1, 3, "\xE2\x80\x8B") == 0);
    }
    // Links are ours: to a number, a tag, a commit or the repository.
    for (auto at = markdown.find("]("); at != std::string::npos; at = markdown.find("](", at + 1)) {
      if (markdown[at - 1] == '\\') continue;
      CHECK((markdown.compare(at + 2, 19, "https://github.com/") == 0 ||
             markdown.compare(at + 2, 9, "https://x") == 0));
    }
  }
}

TEST_CASE("JSON holds titles as they are and is valid whatever they are", "[render]") {
  for (const auto& text : hostile) {
    INFO(text);
    const json digest = json::parse(render_json(analyze(hostile_activity(text))));
    CHECK(digest["schema"] == "quern.digest/1");
    CHECK(digest["pull_requests"]["merged"][0]["number"] == 7);
  }
  const json digest = json::parse(render_json(analyze(busy(), {.labels = {"speed"}, .exclude_bots = true})));
  CHECK(digest["pull_requests"]["time_to_merge"]["median_s"] == 12'000);
  CHECK(digest["pull_requests"]["merged"][0]["merged_by"].is_null());
  CHECK(digest["pull_requests"]["merged"][0]["created_at"] == "2024-05-02T00:00:00Z");
  CHECK(digest["filters"]["labels"] == json::array({"speed"}));
  CHECK(digest["commits"]["size"]["additions"] == 10);
  auto clone = busy();
  clone.has_issues = false;
  CHECK(json::parse(render_json(analyze(clone)))["issues"].is_null());
}
