#include <algorithm>
#include <nlohmann/json.hpp>

#include "quern/handlers/digest/render.hpp"

namespace quern::inline v1::digest {
namespace {

using Json = nlohmann::ordered_json;

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json write(const std::optional<TimePoint>& time) { return time ? Json(to_rfc3339(*time)) : Json(nullptr); }

Json write(const Person& person) {
  return {{"login", person.login}, {"name", person.name}, {"bot", person.bot}};
}

Json write(const Size& size) {
  return {{"known", size.known},
          {"additions", size.additions},
          {"deletions", size.deletions},
          {"changed_files", size.changed_files}};
}

Json write(const TimeToMerge& time) {
  const auto seconds = [](Duration d) { return std::chrono::floor<std::chrono::seconds>(d).count(); };
  return {{"known", time.known},
          {"median_s", seconds(time.median)},
          {"p90_s", seconds(time.p90)},
          {"fastest_s", seconds(time.fastest)},
          {"slowest_s", seconds(time.slowest)}};
}

Json write(const PullRequest& pull) {
  Json reviewers = Json::array();
  for (const auto& reviewer : pull.reviewers) reviewers.push_back(write(reviewer));
  return {{"number", pull.number},
          {"title", pull.title},
          {"url", pull.url},
          {"author", write(pull.author)},
          {"labels", pull.labels},
          {"draft", pull.draft},
          {"created_at", write(pull.created_at)},
          {"closed_at", write(pull.closed_at)},
          {"merged_at", write(pull.merged_at)},
          {"merged_by", pull.merged_by ? write(*pull.merged_by) : Json(nullptr)},
          {"additions", or_null(pull.additions)},
          {"deletions", or_null(pull.deletions)},
          {"changed_files", or_null(pull.changed_files)},
          {"commits", or_null(pull.commits)},
          {"reviewers", std::move(reviewers)}};
}

Json write(const Issue& issue) {
  return {{"number", issue.number},
          {"title", issue.title},
          {"url", issue.url},
          {"author", write(issue.author)},
          {"labels", issue.labels},
          {"created_at", write(issue.created_at)},
          {"closed_at", write(issue.closed_at)}};
}

Json write(const Commit& commit) {
  return {{"sha", commit.sha},
          {"subject", commit.subject},
          {"url", commit.url},
          {"author", write(commit.author)},
          {"committed_at", write(commit.committed_at)},
          {"merge", commit.merge},
          {"additions", or_null(commit.additions)},
          {"deletions", or_null(commit.deletions)},
          {"changed_files", or_null(commit.changed_files)}};
}

Json write(const Contributor& c) {
  Json out = write(c.person);
  out["pulls_opened"] = c.pulls_opened;
  out["pulls_merged"] = c.pulls_merged;
  out["reviews"] = c.reviews;
  out["commits"] = c.commits;
  out["issues_opened"] = c.issues_opened;
  out["first_time"] = c.first_time;
  return out;
}

Json write(const Release& release) {
  return {{"tag", release.tag},
          {"name", release.name},
          {"url", release.url},
          {"author", write(release.author)},
          {"prerelease", release.prerelease},
          {"published_at", write(release.published_at)}};
}

template <class Item>
Json write_all(const std::vector<Item>& items) {
  Json out = Json::array();
  for (const auto& item : items) out.push_back(write(item));
  return out;
}

}  // namespace

std::string render_json(const DigestReport& report) {
  const auto& info = report.repository;
  const Json pulls = {{"opened", write_all(report.pulls_opened)},
                      {"merged", write_all(report.pulls_merged)},
                      {"closed_unmerged", write_all(report.pulls_closed_unmerged)},
                      {"open_now", or_null(report.open_pulls)},
                      {"time_to_merge", write(report.time_to_merge)},
                      {"merged_size", write(report.merged_size)}};
  Json issues = nullptr;
  if (report.has_issues)
    issues = {{"opened", write_all(report.issues_opened)},
              {"closed", write_all(report.issues_closed)},
              {"open_now", or_null(report.open_issues)}};
  const Json commits = {{"total", report.commits.size()},
                        {"merges", std::ranges::count_if(report.commits, &Commit::merge)},
                        {"size", write(report.commit_size)},
                        {"items", write_all(report.commits)}};
  const Json out = {{"schema", "quern.digest/1"},
                    {"repository",
                     {{"full_name", info.full_name},
                      {"url", info.url},
                      {"description", info.description},
                      {"default_branch", info.default_branch},
                      {"archived", info.archived}}},
                    {"period", {{"from", write(report.period.from)}, {"to", write(report.period.to)}}},
                    {"as_of", write(report.as_of)},
                    {"filters",
                     {{"labels", report.filters.labels},
                      {"authors", report.filters.authors},
                      {"exclude_bots", report.filters.exclude_bots}}},
                    {"title", render_title(report)},
                    {"summary", render_summary(report)},
                    {"pull_requests", pulls},
                    {"issues", issues},
                    {"commits", commits},
                    {"contributors", write_all(report.contributors)},
                    {"releases", write_all(report.releases)},
                    {"gaps", report.gaps}};
  // Text that did not come through a source of ours may not be UTF-8; that must not make a digest impossible.
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace quern::inline v1::digest
