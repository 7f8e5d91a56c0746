#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "quern/core/time.hpp"
#include "quern/handlers/digest/activity.hpp"

namespace quern::inline v1::digest {

/// What a digest is about. Names and labels compare without regard to case.
struct Filters {
  /// Only pull requests and issues with one of these labels; empty: all. Commits and releases have no labels,
  /// and are not affected.
  std::vector<std::string> labels{};
  /// Only what these people opened or wrote, by login or name; empty: everybody.
  std::vector<std::string> authors{};
  /// Leaves out what bots opened or wrote.
  bool exclude_bots = false;
  friend bool operator==(const Filters&, const Filters&) = default;
};

/// How long the merged pull requests were open.
struct TimeToMerge {
  std::int64_t known = 0;  ///< Of so many it is known when they were opened.
  Duration median{0};      ///< Half of them took no longer (the mean of the middle two, if there are two).
  Duration p90{0};         ///< Nine tenths took no longer (nearest rank).
  Duration fastest{0};
  Duration slowest{0};
};

/// Lines and files, added up over what it is known for.
struct Size {
  std::int64_t known = 0;
  std::int64_t additions = 0;
  std::int64_t deletions = 0;
  std::int64_t changed_files = 0;
};

/// One person's part in the period.
struct Contributor {
  Person person;
  std::int64_t pulls_opened = 0;
  std::int64_t pulls_merged = 0;  ///< Written by this person and merged, whoever merged them.
  std::int64_t reviews = 0;       ///< Pull requests of others that this person reviewed.
  std::int64_t commits = 0;       ///< Merges not counted.
  std::int64_t issues_opened = 0;
  bool first_time = false;  ///< The source says that this is their first contribution.
};

/// A repository's period, counted and sorted: what every form of a digest is rendered from.
struct DigestReport {
  RepositoryInfo repository;
  Period period;
  TimePoint as_of;
  Filters filters;

  std::vector<PullRequest> pulls_opened;  ///< By number, as all lists of pull requests and issues.
  std::vector<PullRequest> pulls_merged;
  std::vector<PullRequest> pulls_closed_unmerged;
  TimeToMerge time_to_merge;
  Size merged_size;        ///< Of the merged pull requests.
  bool has_issues = true;  ///< False where the source knows no issues.
  std::vector<Issue> issues_opened;
  std::vector<Issue> issues_closed;
  std::vector<Commit> commits;              ///< Newest first.
  Size commit_size;                         ///< Of the commits that are no merges.
  std::vector<Contributor> contributors;    ///< The most active first.
  std::vector<Release> releases;            ///< Newest first.
  std::optional<std::int64_t> open_issues;  ///< Open at `as_of`, without regard to filters.
  std::optional<std::int64_t> open_pulls;
  std::vector<std::string> gaps;  ///< What is not complete, in words.

  /// Whether nothing at all happened.
  [[nodiscard]] bool empty() const noexcept;
};

}  // namespace quern::inline v1::digest
