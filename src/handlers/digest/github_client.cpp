#include "quern/handlers/digest/github_client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "../json_fields.hpp"
#include "github_api.hpp"
#include "github_fields.hpp"
#include "quern/handlers/detail/text.hpp"

namespace quern::inline v1::digest {
namespace {

using detail::each_element;
using detail::JsonFields;
using nlohmann::json;

// How often a list of several pages is looked at again for entries that moved while it was read.
constexpr int second_looks = 3;

void check_repository(const std::string& text) {
  const auto part = [](std::string_view name) {
    return !name.empty() && name.size() <= 100 && name != "." && name != ".." &&
           std::ranges::all_of(name, [](char c) {
             return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
                    c == '_' || c == '.';
           });
  };
  const auto slash = text.find('/');
  if (slash == std::string::npos || !part(std::string_view(text).substr(0, slash)) ||
      !part(std::string_view(text).substr(slash + 1)))
    throw InvalidArgument("repository",
                          fmt::format("'{}' is not of the form owner/name", detail::clean_line(text, 100)));
}

std::string whole_second(TimePoint time) {
  return to_rfc3339(std::chrono::floor<std::chrono::seconds>(time));
}

// One fetch: what it knows so far, step by step.
class Fetch {
 public:
  Fetch(GitHubApi& api, const GitHubOptions& options, const GitHubFetch& request)
      : api_(api), options_(options), request_(request), period_(request.period) {
    activity_.period = period_;
    activity_.fetched_at = api.now();
  }

  RepositoryActivity run() {
    report(0, "reading the repository");
    read_repository();
    report(5, "counting what is open");
    count_open();
    report(10, "reading pull requests");
    read_pulls();
    if (activity_.has_issues) {
      report(30, "reading issues");
      read_issues();
    }
    report(45, "reading commits");
    read_commits();
    report(60, "reading releases");
    read_releases();
    read_details();
    report(100, "fetched");
    return std::move(activity_);
  }

 private:
  void report(int percent, std::string_view what) const {
    if (request_.progress) request_.progress(percent, what);
  }

  [[nodiscard]] std::string list_url(const std::string& what) const {
    return api_.url("/repos/" + activity_.repository.full_name + "/" + what);
  }

  static const json& array(const GitHubPage& page, const char* what) {
    if (!page.value.is_array())
      throw InvalidArgument(what, fmt::format("is {}, not an array", page.value.type_name()));
    return page.value;
  }

  // Reads pages from `url` on, until `item` says false for an entry or, with `page_done`, a whole page is
  // over. Notes a gap when the limit of pages is met first.
  template <class Item, class PageDone>
  void read_pages(std::string url, const char* what, const Item& item, const PageDone& page_done) {
    for (int pages = 0; !url.empty(); ++pages) {
      if (pages == options_.max_pages) {
        activity_.gaps.push_back(fmt::format("only the first {} pages of {} were read", pages, what));
        return;
      }
      const GitHubPage page = api_.get(url);
      reused_ = reused_ || page.reused;
      bool more = true;
      each_element(array(page, what), what, [&](const json& value, const std::string& path) {
        if (more) more = item(JsonFields(value, path));
      });
      if (!more || page_done()) return;
      url = page.next;
    }
  }

  // Reads a list that is sorted by its latest update, newest first, back to the period's start. An entry that
  // is updated meanwhile jumps to the front, which pushes others to a later page (they come twice) and may
  // carry itself over the place where the reader is (it would be missed). So the front is looked at again.
  template <class Item>
  void read_updated(const std::string& url, const char* what, std::map<std::int64_t, Item>& items,
                    Item (*read)(const JsonFields&), bool (*wanted)(const JsonFields&)) {
    std::map<std::int64_t, TimePoint> seen;
    // Takes an entry; false when it is too old.
    const auto take = [&](const JsonFields& fields) {
      const TimePoint updated = fields.time("updated_at");
      if (updated < period_.from) return false;
      if (!wanted(fields)) return true;
      Item entry = read(fields);
      const auto [known, added] = seen.try_emplace(entry.number, updated);
      if (!added && updated < known->second) return true;
      known->second = updated;
      items.insert_or_assign(entry.number, std::move(entry));
      return true;
    };

    int pages = 0;
    reused_ = false;
    read_pages(url, what, take, [&] { return ++pages, false; });
    if (pages < 2 && !reused_) return;
    for (int look = 0; look < second_looks; ++look) {
      bool moved = false;
      bool caught_up = false;
      std::string next = url;
      for (int page_count = 0; !next.empty() && !caught_up && page_count < options_.max_pages; ++page_count) {
        const GitHubPage page = api_.get(next, Ask::always);
        if (page.unchanged) break;
        each_element(array(page, what), what, [&](const json& value, const std::string& path) {
          if (caught_up) return;
          const JsonFields fields(value, path);
          const auto known = seen.find(fields.count("number"));
          if (!wanted(fields)) return;
          caught_up = known != seen.end() && known->second == fields.time("updated_at");
          if (caught_up) return;
          if (take(fields)) {
            moved = true;
          } else {
            caught_up = true;
          }
        });
        next = page.next;
      }
      if (!moved) return;
    }
  }

  void read_repository() {
    const GitHubPage page = api_.get(api_.url("/repos/" + request_.repository));
    const JsonFields fields(page.value, "repository");
    auto& info = activity_.repository;
    info.full_name = fields.line("full_name", 201);
    check_repository(info.full_name);  // The next URLs are made of it.
    info.url = read_url(fields);
    info.description = fields.line_or_empty("description");
    info.default_branch = fields.line_or_empty("default_branch", 256);
    info.archived = fields.flag("archived", false);
    activity_.has_issues = fields.flag("has_issues", true);
    open_in_total_ = fields.count_or_none("open_issues_count");
  }

  // A list with one entry a page has as many pages as entries, and its first page names the last one.
  std::optional<std::int64_t> count_entries(const std::string& what) {
    const GitHubPage page = api_.get(list_url(what + "?state=open&per_page=1"));
    if (page.next.empty()) return static_cast<std::int64_t>(array(page, what.c_str()).size());
    for (auto at = page.last.find("page="); at != std::string::npos; at = page.last.find("page=", at + 1)) {
      if (at > 0 && page.last[at - 1] != '?' && page.last[at - 1] != '&') continue;
      const auto end = page.last.find_first_not_of("0123456789", at + 5);
      const std::string digits = page.last.substr(at + 5, end == std::string::npos ? end : end - at - 5);
      if (!digits.empty() && digits.size() <= 9) return std::stoll(digits);
    }
    return std::nullopt;
  }

  void count_open() {
    activity_.open_pulls = count_entries("pulls");
    if (!activity_.has_issues || !activity_.open_pulls) return;
    // The list of issues holds the pull requests too, and so does the repository's own number, which serves
    // where the list does not say how long it is.
    auto both = count_entries("issues");
    if (!both) both = open_in_total_;
    if (both) activity_.open_issues = std::max<std::int64_t>(0, *both - *activity_.open_pulls);
  }

  void read_pulls() {
    std::map<std::int64_t, PullRequest> pulls;
    read_updated<PullRequest>(list_url("pulls?state=all&sort=updated&direction=desc&per_page=100"), "pulls",
                              pulls, read_pull, [](const JsonFields&) { return true; });
    for (auto& [number, pull] : pulls)
      if (period_.contains(pull.created_at) || period_.contains(pull.merged_at) ||
          period_.contains(pull.closed_at))
        activity_.pulls.push_back(std::move(pull));
    std::ranges::reverse(activity_.pulls);  // Newest first, as GitHub shows them.
  }

  void read_issues() {
    std::map<std::int64_t, Issue> issues;
    const auto url = list_url(fmt::format(
        "issues?state=all&since={}&sort=updated&direction=desc&per_page=100", whole_second(period_.from)));
    // Pull requests are issues to GitHub; they are told apart by this member.
    read_updated<Issue>(url, "issues", issues, read_issue,
                        [](const JsonFields& fields) { return !fields.has("pull_request"); });
    for (auto& [number, issue] : issues)
      if (period_.contains(issue.created_at) || period_.contains(issue.closed_at))
        activity_.issues.push_back(std::move(issue));
    std::ranges::reverse(activity_.issues);
  }

  void read_commits() {
    // GitHub's `until` includes its second, the period's end does not; the exact cut is made here.
    const auto url = list_url(fmt::format("commits?since={}&until={}&per_page=100",
                                          whole_second(period_.from), whole_second(period_.to)));
    try {
      read_pages(
          url, "commits",
          [&](const JsonFields& fields) {
            Commit commit = read_commit(fields);
            if (period_.contains(commit.committed_at)) activity_.commits.push_back(std::move(commit));
            return true;
          },
          [] { return false; });
    } catch (const GitHubError& error) {
      if (error.status() != 409) throw;  // A repository without commits answers so.
    }
  }

  void read_releases() {
    // Sorted by when their commits were made, roughly; a draft may be published long after. So the end is a
    // whole page on which nothing was made or published in the period or later.
    bool recent = false;
    read_pages(
        list_url("releases?per_page=100"), "releases",
        [&](const JsonFields& fields) {
          const auto created = fields.time_or_none("created_at");
          recent = recent || !created || *created >= period_.from;
          if (auto release = read_release(fields)) {
            recent = recent || release->published_at >= period_.from;
            if (period_.contains(release->published_at)) activity_.releases.push_back(std::move(*release));
          }
          return true;
        },
        [&] { return !std::exchange(recent, false); });
  }

  // What is asked for once more with its own URL, and may be unknown there.
  std::optional<GitHubPage> get_if_known(const std::string& url) {
    try {
      return api_.get(url);
    } catch (const GitHubError& error) {
      if (error.status() != 404) throw;
      return std::nullopt;
    }
  }

  void read_details() {
    std::vector<PullRequest*> wanted;
    for (auto& pull : activity_.pulls)
      if (period_.contains(pull.merged_at)) wanted.push_back(&pull);
    for (auto& pull : activity_.pulls)
      if (!period_.contains(pull.merged_at) && period_.contains(pull.created_at)) wanted.push_back(&pull);
    const auto limit = static_cast<std::size_t>(std::max(0, request_.max_pull_details));
    if (wanted.size() > limit) {
      activity_.gaps.push_back(
          fmt::format("sizes and reviewers of {} pull requests were not read", wanted.size() - limit));
      wanted.resize(limit);
    }
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      report(static_cast<int>(65 + i * 35 / wanted.size()),
             fmt::format("reading pull request {} of {}", i + 1, wanted.size()));
      read_details(*wanted[i]);
    }
  }

  void read_details(PullRequest& pull) {
    const std::string url = list_url("pulls/" + std::to_string(pull.number));
    if (const auto page = get_if_known(url)) {
      const JsonFields fields(page->value, "pull");
      pull.additions = fields.count_or_none("additions");
      pull.deletions = fields.count_or_none("deletions");
      pull.changed_files = fields.count_or_none("changed_files");
      pull.commits = fields.count_or_none("commits");
      if (fields.object_or_null("merged_by") != nullptr) pull.merged_by = read_user(fields, "merged_by");
    }
    std::string next = url + "/reviews?per_page=100";
    for (int pages = 0; !next.empty() && pages < options_.max_pages; ++pages) {
      const auto page = get_if_known(next);
      if (!page) return;
      each_element(array(*page, "reviews"), "reviews", [&](const json& value, const std::string& path) {
        const JsonFields fields(value, path);
        if (fields.line_or_empty("state") == "PENDING") return;
        Person reviewer = read_user(fields, "user");
        const bool known = std::ranges::find(pull.reviewers, reviewer) != pull.reviewers.end();
        if (!known && reviewer.login != pull.author.login) pull.reviewers.push_back(std::move(reviewer));
      });
      next = page->next;
    }
  }

  GitHubApi& api_;
  const GitHubOptions& options_;
  const GitHubFetch& request_;
  const Period period_;
  RepositoryActivity activity_;
  std::optional<std::int64_t> open_in_total_;
  bool reused_ = false;  // Whether a page of the list that is read came from an earlier attempt.
};

}  // namespace

GitHubClient::GitHubClient(HttpTransport& transport, ClockRef clock, GitHubOptions options,
                           ResponseCache* cache)
    : transport_(transport), clock_(clock), options_(std::move(options)), cache_(cache) {
  static_cast<void>(GitHubApi(transport_, clock_, options_, cache_, {}));  // Checks the options.
}

RepositoryActivity GitHubClient::fetch(const GitHubFetch& request) {
  check_repository(request.repository);
  check(request.period);
  GitHubApi api(transport_, clock_, options_, cache_, request);
  try {
    return Fetch(api, options_, request).run();
  } catch (const InvalidArgument& wrong) {
    // The request was checked above, so what is wrong is in an answer.
    throw GitHubError(
        fmt::format("{}: GitHub's answer is not as documented: {}", request.repository, wrong.what()), 200,
        false);
  }
}

}  // namespace quern::inline v1::digest
