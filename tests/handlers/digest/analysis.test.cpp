#include "quern/handlers/digest/analysis.hpp"

#include <chrono>
#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace std::chrono_literals;
using namespace quern::digest;

namespace {

const quern::TimePoint start = quern::parse_rfc3339("2024-05-01");
const Period may{start, start + 31 * 24h};

PullRequest pull(std::int64_t number, const std::string& author, quern::Duration created,
                 std::optional<quern::Duration> merged = {}, std::optional<quern::Duration> closed = {}) {
  PullRequest made;
  made.number = number;
  made.author = {.login = author};
  made.created_at = start + created;
  if (merged) made.merged_at = made.closed_at = start + *merged;
  if (closed) made.closed_at = start + *closed;
  return made;
}

Commit commit(const std::string& author, quern::Duration at, bool merge = false) {
  Commit made;
  made.sha = std::string(40, 'a');
  made.author = {.login = author};
  made.committed_at = start + at;
  made.merge = merge;
  return made;
}

RepositoryActivity activity() {
  RepositoryActivity made;
  made.period = may;
  made.fetched_at = may.to;
  return made;
}

std::vector<std::int64_t> numbers(const std::vector<PullRequest>& pulls) {
  std::vector<std::int64_t> out;
  for (const auto& p : pulls) out.push_back(p.number);
  return out;
}

}  // namespace

TEST_CASE("a pull request is counted where its dates fall into the period", "[analysis]") {
  auto input = activity();
  input.pulls = {pull(9, "a", 0h, 1h),         // opened with the period's first moment
                 pull(8, "a", -1h, 31 * 24h),  // merged with the first moment after it
                 pull(7, "a", -1h, 31 * 24h - 1us),
                 pull(6, "a", -1h, {}, 5h),
                 pull(5, "a", 31 * 24h),
                 pull(4, "a", 1h)};
  const auto report = analyze(input);
  CHECK(numbers(report.pulls_opened) == std::vector<std::int64_t>{4, 9});
  CHECK(numbers(report.pulls_merged) == std::vector<std::int64_t>{7, 9});
  CHECK(numbers(report.pulls_closed_unmerged) == std::vector<std::int64_t>{6});
}

TEST_CASE("an issue that was opened again is not closed", "[analysis]") {
  auto input = activity();
  input.issues = {{2, "", "", {}, {}, start, start + 1h}, {1, "", "", {}, {}, start - 1h, {}}};
  const auto report = analyze(input);
  CHECK(report.issues_opened.size() == 1);
  CHECK(report.issues_closed.size() == 1);
  CHECK_FALSE(report.empty());
}

TEST_CASE("times to merge are summed up as documented", "[analysis]") {
  const auto of = [](const std::vector<quern::Duration>& lengths) {
    auto input = activity();
    std::int64_t number = 0;
    for (const auto length : lengths) input.pulls.push_back(pull(++number, "a", 0h, length));
    return analyze(input).time_to_merge;
  };
  CHECK(of({}).known == 0);
  CHECK(of({3h}).median == 3h);
  CHECK(of({3h}).p90 == 3h);
  CHECK(of({4h, 1h}).median == 2h + 30min);
  CHECK(of({4h, 1h}).p90 == 4h);
  CHECK(of({5h, 1h, 2h}).median == 2h);
  std::vector<quern::Duration> ten;
  for (int i = 10; i >= 1; --i) ten.push_back(i * 1h);
  CHECK(of(ten).median == 5h + 30min);
  CHECK(of(ten).p90 == 9h);
  ten.push_back(100h);
  CHECK(of(ten).p90 == 10h);
  CHECK(of(ten).fastest == 1h);
  CHECK(of(ten).slowest == 100h);
  CHECK(of(ten).known == 11);

  SECTION("a clock that went back does not make it negative") { CHECK(of({-5h}).known == 0); }
  SECTION("and what is not known is not counted") {
    auto input = activity();
    input.pulls = {pull(1, "a", 0h, 1h)};
    input.pulls[0].created_at.reset();
    CHECK(analyze(input).time_to_merge.known == 0);
  }
}

TEST_CASE("contributors are ranked and each person is counted once", "[analysis]") {
  auto input = activity();
  input.pulls = {pull(1, "Ada", 0h, 1h), pull(2, "grace", 0h, 1h), pull(3, "grace", 0h),
                 pull(4, "ghost", 0h, 1h)};
  input.pulls[0].reviewers = {{.login = "linus"}, {.login = "grace"}};
  input.pulls[2].first_time_author = true;
  input.commits = {commit("ada", 1h), commit("ada", 2h), commit("ada", 3h, true), commit("zoe", 1h),
                   commit("bob", 1h)};
  input.commits[0].author.name = "Ada Lovelace";
  input.issues = {{9, "", "", {.login = "bob"}, {}, start, {}}};
  const auto report = analyze(input);
  std::vector<std::string> names;
  for (const auto& c : report.contributors) names.push_back(c.person.label());
  // Merged pull requests first, then commits; among zoe and bob the issue decides.
  CHECK(names == std::vector<std::string>{"Ada", "grace", "bob", "zoe", "linus"});
  const auto& ada = report.contributors[0];
  CHECK(ada.commits == 2);  // A merge is nobody's work.
  CHECK(ada.pulls_merged == 1);
  CHECK(ada.person.name == "Ada Lovelace");
  CHECK(report.contributors[1].reviews == 1);
  CHECK(report.contributors[1].first_time);
  CHECK(report.pulls_merged.size() == 3);  // The gone account's is still there.
}

TEST_CASE("filters leave in what they name", "[analysis]") {
  auto input = activity();
  input.pulls = {pull(1, "ada", 0h, 1h), pull(2, "grace", 0h, 1h), pull(3, "renovate[bot]", 0h, 1h)};
  input.pulls[0].labels = {"Bug", "ui"};
  input.pulls[1].labels = {"docs"};
  input.pulls[2].author.bot = true;
  input.pulls[0].reviewers = {{.login = "checker[bot]", .bot = true}};
  input.commits = {commit("ada", 1h), commit("renovate[bot]", 1h)};
  input.commits[1].author.bot = true;
  input.open_issues = 5;

  const auto by_label = analyze(input, {.labels = {"bug", "none"}});
  CHECK(numbers(by_label.pulls_merged) == std::vector<std::int64_t>{1});
  CHECK(by_label.commits.size() == 2);

  const auto by_author = analyze(input, {.authors = {"GRACE"}});
  CHECK(numbers(by_author.pulls_merged) == std::vector<std::int64_t>{2});
  CHECK(by_author.commits.empty());
  CHECK(by_author.open_issues == 5);

  const auto no_bots = analyze(input, {.exclude_bots = true});
  CHECK(numbers(no_bots.pulls_merged) == std::vector<std::int64_t>{1, 2});
  CHECK(no_bots.commits.size() == 1);
  for (const auto& c : no_bots.contributors) CHECK_FALSE(c.person.bot);

  CHECK(analyze(input, {.authors = {"nobody"}}).empty());
}

TEST_CASE("sizes are added up over what they are known for", "[analysis]") {
  auto input = activity();
  input.pulls = {pull(1, "a", 0h, 1h), pull(2, "a", 0h, 1h)};
  input.pulls[0].additions = 10;
  input.pulls[0].deletions = 3;
  input.pulls[0].changed_files = 2;
  const auto report = analyze(input);
  CHECK(report.merged_size.known == 1);
  CHECK(report.merged_size.additions == 10);
  CHECK(report.merged_size.deletions == 3);
  CHECK(report.commit_size.known == 0);
}
