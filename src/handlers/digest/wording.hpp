#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "quern/handlers/digest/report.hpp"

// The words that the forms of a digest share. All of it plain text, from which each form makes its own.
namespace quern::inline v1::digest {

/// "no commits", "1 commit", "2 commits".
[[nodiscard]] std::string count_of(std::int64_t count, std::string_view thing);
/// "2019-12-20", in UTC.
[[nodiscard]] std::string date_of(TimePoint time);
/// "2019-12-20 08:30 UTC".
[[nodiscard]] std::string minute_of(TimePoint time);
/// "under a minute", "6 min", "3 h 20 min", "5 days", "1 day 4 h".
[[nodiscard]] std::string length_of(Duration duration);
/// "December 2019", "2019-12-01", "2019-12-01 to 2019-12-14", or with times of day.
[[nodiscard]] std::string period_of(const Period& period);
/// "a", "a and b", "a, b and c".
[[nodiscard]] std::string enumerate(const std::vector<std::string>& items);
/// "after 3 h 20 min, +10 −2 in 1 file, reviewed by x and y": what is known of a pull request. May be empty.
[[nodiscard]] std::string facts_of(const PullRequest& pull, bool merged);
/// "labels: a, b; authors: c; without bots". Empty without filters.
[[nodiscard]] std::string filters_of(const Filters& filters);
/// The first seven digits of a commit's id; empty for one that is none.
[[nodiscard]] std::string short_sha(std::string_view sha);
/// The pull requests that were opened and not merged in the period, and likewise the issues.
[[nodiscard]] std::vector<PullRequest> opened_only(const DigestReport& report);
[[nodiscard]] std::vector<Issue> issues_opened_only(const DigestReport& report);
/// The commits that are no merges.
[[nodiscard]] std::vector<Commit> plain_commits(const DigestReport& report);

}  // namespace quern::inline v1::digest
