#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "quern/core/time.hpp"

namespace quern::inline v1::digest {

/// A span of time: `from` belongs to it, `to` does not.
struct Period {
  TimePoint from{};
  TimePoint to{};

  [[nodiscard]] constexpr bool contains(TimePoint time) const noexcept { return from <= time && time < to; }
  /// False for nothing.
  [[nodiscard]] constexpr bool contains(const std::optional<TimePoint>& time) const noexcept {
    return time && contains(*time);
  }
  friend bool operator==(const Period&, const Period&) = default;
};

/// Throws InvalidArgument unless `period.from` is before `period.to`, and both lie in the years 1970 to 9999.
void check(const Period& period);

/// Who did something. All text in an activity is clean: one line, valid UTF-8, of bounded length.
struct Person {
  std::string login{};  ///< The account's name; empty where only a name is known, as in many commits.
  std::string name{};   ///< As the person writes it; may be empty.
  bool bot = false;

  /// The name to show and to tell people apart by: the login, else the name, else "ghost", which is what
  /// GitHub calls somebody whose account is gone.
  [[nodiscard]] std::string label() const;
  [[nodiscard]] bool ghost() const;
  friend bool operator==(const Person&, const Person&) = default;
};

struct RepositoryInfo {
  std::string full_name;  ///< "owner/name"; of a clone without a known origin, its folder's name.
  std::string url;        ///< For people; may be empty.
  std::string description;
  std::string default_branch;
  bool archived = false;
  friend bool operator==(const RepositoryInfo&, const RepositoryInfo&) = default;
};

struct PullRequest {
  std::int64_t number = 0;
  std::string title;
  std::string url;
  Person author;
  std::vector<std::string> labels;
  bool draft = false;
  std::optional<TimePoint> created_at;  ///< Unknown in a clone.
  std::optional<TimePoint> closed_at;   ///< Merging closes, too.
  std::optional<TimePoint> merged_at;
  std::optional<Person> merged_by;
  std::optional<std::int64_t> additions;  ///< Lines; unknown where it was not fetched.
  std::optional<std::int64_t> deletions;
  std::optional<std::int64_t> changed_files;
  std::optional<std::int64_t> commits;
  std::vector<Person>
      reviewers;  ///< Others than the author who reviewed; each once, in the order of their reviews.
  bool first_time_author = false;  ///< The source says that it is the author's first contribution.
  friend bool operator==(const PullRequest&, const PullRequest&) = default;
};

struct Issue {
  std::int64_t number = 0;
  std::string title;
  std::string url;
  Person author;
  std::vector<std::string> labels;
  TimePoint created_at;
  std::optional<TimePoint> closed_at;
  friend bool operator==(const Issue&, const Issue&) = default;
};

struct Commit {
  std::string sha;
  std::string subject;  ///< The first line of the message.
  std::string url;
  Person author;
  TimePoint committed_at;
  bool merge = false;                     ///< Has two parents or more.
  std::optional<std::int64_t> additions;  ///< Known in a clone, for commits that are not merges.
  std::optional<std::int64_t> deletions;
  std::optional<std::int64_t> changed_files;
  bool first_time_author = false;
  friend bool operator==(const Commit&, const Commit&) = default;
};

struct Release {
  std::string tag;
  std::string name;
  std::string url;
  Person author;
  bool prerelease = false;
  TimePoint published_at;
  friend bool operator==(const Release&, const Release&) = default;
};

/// What happened in a repository within a period, as its source tells it: nothing filtered, nothing counted.
/// Holds the pull requests that were opened, merged or closed in the period, the issues that were opened or
/// closed, the commits of the default branch, and the releases; each in the source's order, each once.
struct RepositoryActivity {
  RepositoryInfo repository;
  Period period;
  TimePoint fetched_at;  ///< What "now" means in this activity.
  std::vector<PullRequest> pulls;
  std::vector<Issue> issues;
  std::vector<Commit> commits;
  std::vector<Release> releases;
  std::optional<std::int64_t> open_issues;  ///< Open at `fetched_at`; unknown in a clone.
  std::optional<std::int64_t> open_pulls;
  bool has_issues = true;  ///< False where the source knows no issues: a clone, or a repository without them.
  /// What is not complete because a limit was met, in words for the reader; see FetchRequest.
  std::vector<std::string> gaps;
  friend bool operator==(const RepositoryActivity&, const RepositoryActivity&) = default;
};

/// To and from compact JSON, for keeping a fetch as a job's step. Exact both ways. `from_json` throws
/// InvalidArgument, with the path of what is wrong, for anything that `to_json` does not write.
void to_json(nlohmann::json& json, const RepositoryActivity& activity);
void from_json(const nlohmann::json& json, RepositoryActivity& activity);

}  // namespace quern::inline v1::digest
