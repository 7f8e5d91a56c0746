#include "github_fields.hpp"

#include "quern/core/error.hpp"
#include "quern/handlers/detail/text.hpp"
#include "quern/handlers/detail/url.hpp"

namespace quern::inline v1::digest {
namespace {

using detail::each_element;
using detail::JsonFields;
using nlohmann::json;

bool is_bot(const std::string& login, const std::string& type) {
  return type == "Bot" || login.ends_with("[bot]");
}

// A user object; null stands for an account that is gone.
Person read_user(const json* user, const std::string& path) {
  if (user == nullptr) return {.login = "ghost", .name = {}};
  const JsonFields fields(*user, path);
  Person person{.login = fields.line("login", 100), .name = {}};
  person.bot = is_bot(person.login, fields.line_or_empty("type"));
  return person;
}

std::vector<std::string> read_labels(const JsonFields& fields) {
  std::vector<std::string> labels;
  each_element(fields.array_or_empty("labels"), fields.path("labels"),
               [&](const json& value, const std::string& path) {
                 labels.push_back(JsonFields(value, path).line("name", 100));
               });
  return labels;
}

bool first_timer(const JsonFields& fields) {
  const std::string association = fields.line_or_empty("author_association");
  return association == "FIRST_TIMER" || association == "FIRST_TIME_CONTRIBUTOR";
}

}  // namespace

Person read_user(const JsonFields& fields, const char* key) {
  return read_user(fields.object_or_null(key), fields.path(key));
}

std::string read_url(const JsonFields& fields) {
  const auto url = detail::parse_url(fields.raw_or_empty("html_url"));
  return url && url->text.size() <= 2048 ? url->text : std::string();
}

PullRequest read_pull(const JsonFields& fields) {
  PullRequest pull;
  pull.number = fields.count("number");
  pull.title = fields.line_or_empty("title");
  pull.url = read_url(fields);
  pull.author = read_user(fields, "user");
  pull.labels = read_labels(fields);
  pull.draft = fields.flag("draft", false);
  pull.created_at = fields.time("created_at");
  pull.closed_at = fields.time_or_none("closed_at");
  pull.merged_at = fields.time_or_none("merged_at");
  pull.first_time_author = first_timer(fields);
  return pull;
}

Issue read_issue(const JsonFields& fields) {
  Issue issue;
  issue.number = fields.count("number");
  issue.title = fields.line_or_empty("title");
  issue.url = read_url(fields);
  issue.author = read_user(fields, "user");
  issue.labels = read_labels(fields);
  issue.created_at = fields.time("created_at");
  issue.closed_at = fields.time_or_none("closed_at");
  return issue;
}

Commit read_commit(const JsonFields& fields) {
  const auto part = [](const JsonFields& parent, const char* key) {
    const json* value = parent.object_or_null(key);
    if (value == nullptr) throw InvalidArgument(parent.path(key), "is missing");
    return JsonFields(*value, parent.path(key));
  };
  const JsonFields details = part(fields, "commit");
  Commit commit;
  commit.sha = fields.line("sha", 64);
  if (commit.sha.size() < 40 || commit.sha.find_first_not_of("0123456789abcdef") != std::string::npos)
    throw InvalidArgument(fields.path("sha"), "is no commit id");
  commit.url = read_url(fields);
  const std::string message = details.raw_or_empty("message");
  commit.subject = detail::clean_line(std::string_view(message).substr(0, message.find('\n')));
  commit.committed_at = part(details, "committer").time("date");
  commit.merge = fields.array_or_empty("parents").size() > 1;
  // The account is null where the commit's mail address belongs to none; the name is always there.
  if (const json* account = fields.object_or_null("author"); account != nullptr && account->contains("login"))
    commit.author = read_user(account, fields.path("author"));
  if (const json* author = details.object_or_null("author"))
    commit.author.name = JsonFields(*author, details.path("author")).line_or_empty("name", 100);
  commit.author.bot = commit.author.bot || is_bot(commit.author.name, "");
  return commit;
}

std::optional<Release> read_release(const JsonFields& fields) {
  const auto published = fields.time_or_none("published_at");
  if (!published || fields.flag("draft", false)) return std::nullopt;
  Release release;
  release.tag = fields.line("tag_name", 256);
  release.name = fields.line_or_empty("name", 256);
  release.url = read_url(fields);
  release.author = read_user(fields, "author");
  release.prerelease = fields.flag("prerelease", false);
  release.published_at = *published;
  return release;
}

}  // namespace quern::inline v1::digest
