#include "quern/handlers/digest/activity.hpp"

#include <nlohmann/json.hpp>

#include "../json_fields.hpp"
#include "quern/core/error.hpp"

namespace quern::inline v1::digest {
namespace {

using detail::each_element;
using detail::JsonFields;
using nlohmann::json;

constexpr int format_version = 1;

// Members with their usual value are left out: an activity of a busy repository has thousands of them.
void put(json& object, const char* key, const std::string& value) {
  if (!value.empty()) object[key] = value;
}
void put(json& object, const char* key, bool value, bool usual) {
  if (value != usual) object[key] = value;
}
void put(json& object, const char* key, const std::optional<std::int64_t>& value) {
  if (value) object[key] = *value;
}
void put(json& object, const char* key, const std::optional<TimePoint>& value) {
  if (value) object[key] = to_us(*value);
}
void put(json& object, const char* key, const std::vector<std::string>& values) {
  if (!values.empty()) object[key] = values;
}

json write(const Person& person) {
  json out = json::object();
  put(out, "login", person.login);
  put(out, "name", person.name);
  put(out, "bot", person.bot, false);
  return out;
}

json write(const PullRequest& pull) {
  json out{{"number", pull.number}, {"author", write(pull.author)}};
  put(out, "title", pull.title);
  put(out, "url", pull.url);
  put(out, "labels", pull.labels);
  put(out, "draft", pull.draft, false);
  put(out, "created", pull.created_at);
  put(out, "closed", pull.closed_at);
  put(out, "merged", pull.merged_at);
  if (pull.merged_by) out["merged_by"] = write(*pull.merged_by);
  put(out, "additions", pull.additions);
  put(out, "deletions", pull.deletions);
  put(out, "files", pull.changed_files);
  put(out, "commits", pull.commits);
  for (const auto& reviewer : pull.reviewers) out["reviewers"].push_back(write(reviewer));
  put(out, "first", pull.first_time_author, false);
  return out;
}

json write(const Issue& issue) {
  json out{{"number", issue.number}, {"author", write(issue.author)}, {"created", to_us(issue.created_at)}};
  put(out, "title", issue.title);
  put(out, "url", issue.url);
  put(out, "labels", issue.labels);
  put(out, "closed", issue.closed_at);
  return out;
}

json write(const Commit& commit) {
  json out{{"sha", commit.sha}, {"author", write(commit.author)}, {"at", to_us(commit.committed_at)}};
  put(out, "subject", commit.subject);
  put(out, "url", commit.url);
  put(out, "merge", commit.merge, false);
  put(out, "additions", commit.additions);
  put(out, "deletions", commit.deletions);
  put(out, "files", commit.changed_files);
  put(out, "first", commit.first_time_author, false);
  return out;
}

json write(const Release& release) {
  json out{{"tag", release.tag}, {"author", write(release.author)}, {"at", to_us(release.published_at)}};
  put(out, "name", release.name);
  put(out, "url", release.url);
  put(out, "prerelease", release.prerelease, false);
  return out;
}

template <class Item>
json write_all(const std::vector<Item>& items) {
  json out = json::array();
  for (const auto& item : items) out.push_back(write(item));
  return out;
}

Person read_person(const json& value, const std::string& path) {
  const JsonFields fields(value, path);
  return {fields.raw_or_empty("login"), fields.raw_or_empty("name"), fields.flag("bot", false)};
}

Person read_author(const JsonFields& fields) {
  const json* author = fields.object_or_null("author");
  if (author == nullptr) throw InvalidArgument(fields.path("author"), "is missing");
  return read_person(*author, fields.path("author"));
}

std::vector<std::string> read_texts(const JsonFields& fields, const char* key) {
  std::vector<std::string> out;
  each_element(fields.array_or_empty(key), fields.path(key), [&](const json& value, const std::string& path) {
    if (!value.is_string()) throw InvalidArgument(path, "is not a string");
    out.push_back(value.get<std::string>());
  });
  return out;
}

void read(const JsonFields& fields, PullRequest& pull) {
  pull.number = fields.count("number");
  pull.title = fields.raw_or_empty("title");
  pull.url = fields.raw_or_empty("url");
  pull.author = read_author(fields);
  pull.labels = read_texts(fields, "labels");
  pull.draft = fields.flag("draft", false);
  pull.created_at = fields.time_us_or_none("created");
  pull.closed_at = fields.time_us_or_none("closed");
  pull.merged_at = fields.time_us_or_none("merged");
  if (const json* by = fields.object_or_null("merged_by"))
    pull.merged_by = read_person(*by, fields.path("merged_by"));
  pull.additions = fields.count_or_none("additions");
  pull.deletions = fields.count_or_none("deletions");
  pull.changed_files = fields.count_or_none("files");
  pull.commits = fields.count_or_none("commits");
  each_element(fields.array_or_empty("reviewers"), fields.path("reviewers"),
               [&](const json& value, const std::string& path) {
                 pull.reviewers.push_back(read_person(value, path));
               });
  pull.first_time_author = fields.flag("first", false);
}

void read(const JsonFields& fields, Issue& issue) {
  issue.number = fields.count("number");
  issue.title = fields.raw_or_empty("title");
  issue.url = fields.raw_or_empty("url");
  issue.author = read_author(fields);
  issue.labels = read_texts(fields, "labels");
  issue.created_at = fields.time_us("created");
  issue.closed_at = fields.time_us_or_none("closed");
}

void read(const JsonFields& fields, Commit& commit) {
  commit.sha = fields.raw_or_empty("sha");
  commit.subject = fields.raw_or_empty("subject");
  commit.url = fields.raw_or_empty("url");
  commit.author = read_author(fields);
  commit.committed_at = fields.time_us("at");
  commit.merge = fields.flag("merge", false);
  commit.additions = fields.count_or_none("additions");
  commit.deletions = fields.count_or_none("deletions");
  commit.changed_files = fields.count_or_none("files");
  commit.first_time_author = fields.flag("first", false);
}

void read(const JsonFields& fields, Release& release) {
  release.tag = fields.raw_or_empty("tag");
  release.name = fields.raw_or_empty("name");
  release.url = fields.raw_or_empty("url");
  release.author = read_author(fields);
  release.prerelease = fields.flag("prerelease", false);
  release.published_at = fields.time_us("at");
}

template <class Item>
std::vector<Item> read_all(const JsonFields& fields, const char* key) {
  std::vector<Item> out;
  each_element(fields.array_or_empty(key), key, [&](const json& value, const std::string& path) {
    read(JsonFields(value, path), out.emplace_back());
  });
  return out;
}

}  // namespace

void check(const Period& period) {
  constexpr TimePoint end_of_9999 = from_us(253'402'300'800'000'000);
  if (period.from >= period.to) throw InvalidArgument("period", "`from` has to be before `to`");
  if (period.from < TimePoint{} || period.to > end_of_9999)
    throw InvalidArgument("period", "both ends have to be in the years 1970 to 9999");
}

std::string Person::label() const {
  if (!login.empty()) return login;
  return name.empty() ? "ghost" : name;
}

bool Person::ghost() const { return label() == "ghost"; }

void to_json(json& out, const RepositoryActivity& activity) {
  const auto& info = activity.repository;
  json repository = json::object();
  put(repository, "full_name", info.full_name);
  put(repository, "url", info.url);
  put(repository, "description", info.description);
  put(repository, "default_branch", info.default_branch);
  put(repository, "archived", info.archived, false);
  out = json{{"version", format_version},
             {"repository", std::move(repository)},
             {"from", to_us(activity.period.from)},
             {"to", to_us(activity.period.to)},
             {"fetched_at", to_us(activity.fetched_at)},
             {"pulls", write_all(activity.pulls)},
             {"issues", write_all(activity.issues)},
             {"commits", write_all(activity.commits)},
             {"releases", write_all(activity.releases)}};
  put(out, "open_issues", activity.open_issues);
  put(out, "open_pulls", activity.open_pulls);
  put(out, "has_issues", activity.has_issues, true);
  put(out, "gaps", activity.gaps);
}

void from_json(const json& in, RepositoryActivity& activity) {
  const JsonFields fields(in, "");
  if (fields.count("version") != format_version)
    throw InvalidArgument("version", "is not one that this code reads");
  const json* repository = fields.object_or_null("repository");
  if (repository == nullptr) throw InvalidArgument("repository", "is missing");
  const JsonFields info(*repository, "repository");

  RepositoryActivity out;
  out.repository = {info.raw_or_empty("full_name"), info.raw_or_empty("url"),
                    info.raw_or_empty("description"), info.raw_or_empty("default_branch"),
                    info.flag("archived", false)};
  out.period = {fields.time_us("from"), fields.time_us("to")};
  out.fetched_at = fields.time_us("fetched_at");
  out.pulls = read_all<PullRequest>(fields, "pulls");
  out.issues = read_all<Issue>(fields, "issues");
  out.commits = read_all<Commit>(fields, "commits");
  out.releases = read_all<Release>(fields, "releases");
  out.open_issues = fields.count_or_none("open_issues");
  out.open_pulls = fields.count_or_none("open_pulls");
  out.has_issues = fields.flag("has_issues", true);
  out.gaps = read_texts(fields, "gaps");
  activity = std::move(out);
}

}  // namespace quern::inline v1::digest
