#pragma once

#include <cstddef>
#include <string>

#include "quern/handlers/digest/report.hpp"

namespace quern::inline v1::digest {

struct RenderOptions {
  /// How many entries of one list Markdown and HTML show before "and N more". JSON always has all of them.
  std::size_t max_items = 50;
};

/// The headline: "owner/name: December 2019". One line of plain text.
[[nodiscard]] std::string render_title(const DigestReport& report);

/// What happened, in a few sentences of plain text on one line; also for a period in which nothing did.
[[nodiscard]] std::string render_summary(const DigestReport& report);

/// The digest as Markdown (CommonMark with GitHub's tables). Text from the repository is escaped: no title
/// makes a link, HTML or a mention.
[[nodiscard]] std::string render_markdown(const DigestReport& report, const RenderOptions& options = {});

/// The digest as one HTML page that needs nothing else: styles inline, no script, no remote file; light and
/// dark, wide and narrow. Text from the repository is escaped, and links lead to http and https only.
[[nodiscard]] std::string render_html(const DigestReport& report, const RenderOptions& options = {});

/// The digest as JSON, for programs. Members are only ever added; any other change raises the schema's
/// number.
///
///     schema         "quern.digest/1"
///     repository     {full_name, url, description, default_branch, archived}
///     period         {from, to}: RFC 3339; `to` is the first moment after it
///     as_of          when it was fetched
///     filters        {labels: [], authors: [], exclude_bots}
///     title, summary the texts of render_title and render_summary
///     pull_requests  {opened: [], merged: [], closed_unmerged: [], open_now, time_to_merge, merged_size}
///       of each      {number, title, url, author, labels: [], draft, created_at, closed_at, merged_at,
///       merged_by,
///                     additions, deletions, changed_files, commits, reviewers: []}
///       time_to_merge {known, median_s, p90_s, fastest_s, slowest_s}: whole seconds, over the `known` ones
///       merged_size  {known, additions, deletions, changed_files}: over the `known` ones
///     issues         {opened: [], closed: [], open_now}, or null where the source knows no issues
///       of each      {number, title, url, author, labels: [], created_at, closed_at}
///     commits        {total, merges, size, items: [{sha, subject, url, author, committed_at, merge,
///     additions,
///                     deletions, changed_files}]}
///     contributors   [{login, name, bot, pulls_opened, pulls_merged, reviews, commits, issues_opened,
///     first_time}] releases       [{tag, name, url, author, prerelease, published_at}] gaps           what
///     is not complete, in words
///
/// Authors, reviewers and mergers are {login, name, bot}. What is unknown is null; an unknown URL or name is
/// "".
[[nodiscard]] std::string render_json(const DigestReport& report);

}  // namespace quern::inline v1::digest
