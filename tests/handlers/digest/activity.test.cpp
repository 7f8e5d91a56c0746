#include "quern/handlers/digest/activity.hpp"

#include <nlohmann/json.hpp>
#include <string>

#include "quern/core/error.hpp"
#include "support/catch.hpp"

using namespace quern::digest;
using nlohmann::json;

namespace {

RepositoryActivity full() {
  const auto time = [](const char* text) { return quern::parse_rfc3339(text); };
  RepositoryActivity activity;
  activity.repository = {"acme/mill", "https://github.com/acme/mill", "Grinds \"all\"", "main", true};
  activity.period = {time("2024-05-01"), time("2024-06-01")};
  activity.fetched_at = time("2024-06-01T00:00:00.123456Z");
  PullRequest pull;
  pull.number = 7;
  pull.title = "T\u00fcr";
  pull.url = "https://x/7";
  pull.author = {"ada", "Ada", false};
  pull.labels = {"a", "b"};
  pull.draft = true;
  pull.created_at = time("2024-05-02");
  pull.closed_at = time("2024-05-03");
  pull.merged_at = time("2024-05-03");
  pull.merged_by = Person{"bot[bot]", "", true};
  pull.additions = 0;
  pull.deletions = 5;
  pull.changed_files = 2;
  pull.commits = 1;
  pull.reviewers = {{"grace", "", false}, {"", "Only Name", false}};
  pull.first_time_author = true;
  activity.pulls = {pull, PullRequest{}};
  activity.issues = {{3, "I", "", {}, {"x"}, time("2024-05-04"), time("2024-05-05")},
                     {4, "", "", {}, {}, time("2024-05-04"), {}}};
  activity.commits = {
      {std::string(40, 'a'), "S", "u", {"", "N", false}, time("2024-05-06"), false, 1, 2, 3, true},
      {std::string(40, 'b'), "", "", {}, time("2024-05-06"), true, {}, {}, {}, false}};
  activity.releases = {{"v1", "One", "u", {"ada", "", false}, true, time("2024-05-07")}};
  activity.open_issues = 0;
  activity.has_issues = false;
  activity.gaps = {"something"};
  return activity;
}

}  // namespace

TEST_CASE("an activity comes back from JSON as it was", "[activity]") {
  for (const auto& activity : {full(), RepositoryActivity{}}) {
    const std::string text = json(activity).dump();
    CHECK(json::parse(text).get<RepositoryActivity>() == activity);
    CHECK(json(json::parse(text).get<RepositoryActivity>()).dump() == text);
  }
}

TEST_CASE("JSON that is no activity is refused with the place that is wrong", "[activity]") {
  const auto message = [](const char* at, const json& value) {
    json changed = full();
    changed[json::json_pointer(at)] = value;
    try {
      static_cast<void>(changed.get<RepositoryActivity>());
    } catch (const quern::InvalidArgument& error) {
      return error.field();
    }
    return std::string("accepted");
  };
  CHECK(message("/version", 2) == "version");
  CHECK(message("/repository", 5) == "repository");
  CHECK(message("/pulls/0/number", "7") == "pulls[0].number");
  CHECK(message("/pulls/0/reviewers/1/name", 5) == "pulls[0].reviewers[1].name");
  CHECK(message("/pulls/0/labels/1", 5) == "pulls[0].labels[1]");
  CHECK(message("/pulls/0/created", "2024") == "pulls[0].created");
  CHECK(message("/issues/1/created", nullptr) == "issues[1].created");
  CHECK(message("/commits", json::object()) == "commits");
  CHECK(message("/gaps/0", 1) == "gaps[0]");
  CHECK_THROWS_AS(json::array().get<RepositoryActivity>(), quern::InvalidArgument);
}

TEST_CASE("a period holds its beginning and not its end", "[activity]") {
  const Period period{quern::parse_rfc3339("2024-05-01"), quern::parse_rfc3339("2024-06-01")};
  CHECK(period.contains(period.from));
  CHECK_FALSE(period.contains(period.to));
  CHECK(period.contains(period.to - quern::Duration(1)));
  CHECK_FALSE(period.contains(std::optional<quern::TimePoint>()));
  CHECK_NOTHROW(check(period));
  CHECK_THROWS_AS(check({period.to, period.from}), quern::InvalidArgument);
  CHECK_THROWS_AS(check({period.to, period.to}), quern::InvalidArgument);
  CHECK_THROWS_AS(check({quern::from_us(-1), period.to}), quern::InvalidArgument);
  CHECK_THROWS_AS(check({period.from, quern::TimePoint::max()}), quern::InvalidArgument);
}
