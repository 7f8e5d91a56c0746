#include "quern/handlers/digest/git_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>
#include <utility>

#include "git_command.hpp"
#include "git_text.hpp"
#include "quern/handlers/detail/text.hpp"

namespace quern::inline v1::digest {
namespace {

// One commit as git tells it.
struct LogEntry {
  Commit commit;
  std::vector<std::string> parents;
  std::string email;  // Never leaves this file.
  std::string body;
  std::int64_t additions = 0;
  std::int64_t deletions = 0;
  std::int64_t files = 0;
};

constexpr std::string_view log_format = "--format=tformat:%H%x00%P%x00%ct%x00%aN%x00%aE%x00%s%x00%b%x00";
constexpr std::size_t log_fields = 7;

std::int64_t to_number(std::string_view text) {
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto blank = text.find(' ');
    if (blank != 0) out.emplace_back(text.substr(0, blank));
    text.remove_prefix(blank == std::string_view::npos ? text.size() : blank + 1);
  }
  return out;
}

// Puts the tokens of `git log -z --numstat` together again. A commit is its fields, each ended by NUL; then
// an empty token; then, for each file, "ADDED<tab>DELETED<tab>PATH", with a line feed before the first. The
// next commit begins with its id, which holds no tab.
class LogReader {
 public:
  explicit LogReader(std::function<void(LogEntry&&)> done) : done_(std::move(done)) {}

  bool token(std::string_view text) {
    if (filled_ > 0 && filled_ < log_fields) {
      fields_[filled_++] = text;
      if (filled_ == log_fields) start_entry();
      return true;
    }
    while (text.starts_with('\n')) text.remove_prefix(1);
    if (text.empty()) return true;
    if (const auto tab = text.find('\t'); tab != std::string_view::npos) {
      count_file(text, tab);
    } else {
      finish();
      fields_[0] = text;
      filled_ = 1;
    }
    return true;
  }

  void finish() {
    if (filled_ == log_fields) done_(std::move(entry_));
    filled_ = 0;
  }

 private:
  void start_entry() {
    entry_ = {};
    entry_.commit.sha = fields_[0];
    entry_.parents = words(fields_[1]);
    entry_.commit.merge = entry_.parents.size() > 1;
    entry_.commit.committed_at = TimePoint(std::chrono::seconds(to_number(fields_[2])));
    entry_.commit.author = git_person(fields_[3], fields_[4]);
    entry_.email = detail::lower(fields_[4]);
    entry_.commit.subject = detail::clean_line(fields_[5]);
    entry_.body = fields_[6];
  }
  // Binary files have "-" for both numbers.
  void count_file(std::string_view text, std::size_t tab) {
    entry_.additions += to_number(text.substr(0, tab));
    entry_.deletions += to_number(text.substr(tab + 1));
    ++entry_.files;
  }

  std::function<void(LogEntry&&)> done_;
  std::array<std::string, log_fields> fields_;
  std::size_t filled_ = 0;
  LogEntry entry_;
};

class Reading {
 public:
  Reading(const GitOptions& options, const GitFetch& request, TimePoint now)
      : options_(options), request_(request), git_(options, request) {
    activity_.period = request.period;
    activity_.fetched_at = now;
    activity_.has_issues = false;
  }

  RepositoryActivity run() {
    report(0, "reading the repository");
    read_repository();
    report(10, "reading commits");
    read_commits();
    report(60, "reading tags");
    read_tags();
    report(70, "looking for new contributors");
    if (!shallow_) mark_first_timers();
    make_pulls();
    for (auto& entry : log_) activity_.commits.push_back(std::move(entry.commit));
    report(100, "read");
    return std::move(activity_);
  }

 private:
  void report(int percent, std::string_view what) const {
    if (request_.progress) request_.progress(percent, what);
  }

  void read_repository() {
    shallow_ = git_.line({"rev-parse", "--is-shallow-repository"}) == "true";
    if (shallow_) activity_.gaps.emplace_back("the clone is shallow: what was not cloned is not counted");
    head_ = git_.line({"rev-parse", "--verify", "--quiet", "--end-of-options", request_.ref + "^{commit}"});
    const std::string shown = detail::clean_line(request_.path.string(), 300);
    if (head_.empty() && request_.ref == "HEAD")
      throw GitError(GitFailure::no_commits,
                     fmt::format("git repository '{}': there are no commits yet", shown));
    if (head_.empty())
      throw GitError(GitFailure::unknown_ref, fmt::format("git repository '{}': there is no commit '{}'",
                                                          shown, detail::clean_line(request_.ref, 100)));
    auto& info = activity_.repository;
    const std::string branch =
        request_.ref == "HEAD" ? git_.line({"symbolic-ref", "--quiet", "--short", "HEAD"}) : request_.ref;
    info.default_branch = detail::clean_line(branch, 256);
    origin_ = parse_remote(git_.line({"config", "--get", "remote.origin.url"}));
    info.full_name = origin_.full_name;
    info.url = origin_.web_url;
    if (info.full_name.empty()) {
      const auto path = std::filesystem::absolute(request_.path).lexically_normal();
      info.full_name =
          detail::clean_line((path.has_filename() ? path : path.parent_path()).filename().string(), 200);
    }
  }

  static std::string seconds(TimePoint time) {
    return std::to_string(std::chrono::ceil<std::chrono::seconds>(time).time_since_epoch().count());
  }

  void read_commits() {
    LogReader reader([this](LogEntry&& entry) {
      if (request_.period.contains(entry.commit.committed_at)) log_.push_back(std::move(entry));
    });
    NulSplitter splitter;
    // The sizes of a merge are those against its first parent: what its pull request brought in.
    git_.run({"log", "-z", "--numstat", std::string(log_format), "--diff-merges=first-parent", "--no-renames",
              "--no-ext-diff", "--no-textconv", "--no-show-signature", "--no-color", "--no-decorate",
              "--no-notes", "--use-mailmap", "--max-age=" + seconds(request_.period.from),
              "--min-age=" + seconds(request_.period.to),
              "--max-count=" + std::to_string(options_.max_commits + 1), head_, "--"},
             [&](std::string_view piece) {
               return splitter.feed(piece, [&](std::string_view token) { return reader.token(token); });
             });
    reader.finish();
    if (log_.size() > options_.max_commits) {
      log_.resize(options_.max_commits);
      activity_.gaps.push_back(fmt::format("only the latest {} commits were read", options_.max_commits));
    }
    unify_people();
    for (auto& entry : log_) {
      if (!origin_.web_url.empty()) entry.commit.url = origin_.web_url + "/commit/" + entry.commit.sha;
      if (entry.commit.merge) continue;  // Its lines are those of the commits that it merges.
      entry.commit.additions = entry.additions;
      entry.commit.deletions = entry.deletions;
      entry.commit.changed_files = entry.files;
    }
  }

  // Somebody who is known by a login in one commit and by name alone in another is one person; a name that
  // belongs to two logins says nothing.
  void unify_people() {
    std::map<std::string, std::set<std::string>> logins;
    for (const auto& entry : log_)
      if (const auto& author = entry.commit.author; !author.login.empty())
        logins[author.name].insert(author.login);
    for (auto& entry : log_) {
      auto& author = entry.commit.author;
      const auto known = logins.find(author.name);
      if (author.login.empty() && known != logins.end() && known->second.size() == 1)
        author.login = *known->second.begin();
    }
  }

  void read_tags() {
    std::vector<std::string> fields;
    NulSplitter splitter;
    git_.run({"for-each-ref", "--sort=refname", "--sort=-creatordate",
              "--format=%(refname:strip=2)%00%(creatordate:unix)%00%(taggername)%00%(contents:subject)%00",
              "refs/tags"},
             [&](std::string_view piece) {
               return splitter.feed(piece, [&](std::string_view token) {
                 // A line feed stands between the entries.
                 fields.emplace_back(fields.empty() && token.starts_with('\n') ? token.substr(1) : token);
                 if (fields.size() == 4) add_tag(std::exchange(fields, {}));
                 return true;
               });
             });
  }

  void add_tag(const std::vector<std::string>& fields) {
    Release release;
    release.published_at = TimePoint(std::chrono::seconds(to_number(fields[1])));
    if (!request_.period.contains(release.published_at)) return;
    release.tag = detail::clean_line(fields[0], 256);
    // Without a tagger it is a plain tag, whose subject is only that of its commit.
    if (!fields[2].empty()) release.name = detail::clean_line(fields[3], 256);
    release.author.name = detail::clean_line(fields[2], 100);
    if (!origin_.web_url.empty() && url_safe(release.tag))
      release.url = origin_.web_url + "/releases/tag/" + release.tag;
    activity_.releases.push_back(std::move(release));
  }

  // Whose first commit lies in the period: those who wrote none before it. Reads history backwards from the
  // period's start, and only till everybody has been seen.
  void mark_first_timers() {
    std::set<std::string> newcomers;  // Mail addresses and names, since people change one of them at a time.
    for (const auto& entry : log_) newcomers.insert({entry.email, entry.commit.author.name});
    if (newcomers.empty()) return;
    std::string email;
    bool is_email = true;
    NulSplitter splitter;
    git_.run({"log", "-z", "--format=tformat:%aE%x00%aN", "--use-mailmap", "--no-show-signature",
              "--min-age=" + std::to_string(to_us(request_.period.from) / 1'000'000 - 1), head_, "--"},
             [&](std::string_view piece) {
               return splitter.feed(piece, [&](std::string_view token) {
                 if (std::exchange(is_email, !is_email)) {
                   email = token;
                   return true;
                 }
                 newcomers.erase(detail::lower(email));
                 newcomers.erase(detail::clean_line(token, 100));
                 return !newcomers.empty();
               });
             });
    for (auto& entry : log_)
      entry.commit.first_time_author =
          newcomers.contains(entry.email) && newcomers.contains(entry.commit.author.name);
  }

  void make_pulls() {
    std::map<std::string, Person> authors;
    for (const auto& entry : log_) authors[entry.commit.sha] = entry.commit.author;
    std::map<std::int64_t, PullRequest> pulls;
    for (const auto& entry : log_) {
      const auto trace = find_pull(entry.commit.subject, entry.body, entry.commit.merge);
      if (!trace) continue;
      PullRequest pull;
      pull.number = trace->number;
      pull.title = trace->title;
      if (!origin_.web_url.empty()) pull.url = fmt::format("{}/pull/{}", origin_.web_url, pull.number);
      pull.merged_at = pull.closed_at = entry.commit.committed_at;
      pull.additions = entry.additions;
      pull.deletions = entry.deletions;
      pull.changed_files = entry.files;
      if (entry.commit.merge) {
        // Who merged is the merge's author; who wrote it, the author of the branch that was merged.
        pull.merged_by = entry.commit.author;
        const auto author = authors.find(entry.parents[1]);
        pull.author = author != authors.end() ? author->second : entry.commit.author;
        pulls.insert_or_assign(pull.number, std::move(pull));
      } else {
        pull.author = entry.commit.author;
        pull.commits = 1;
        pull.first_time_author = entry.commit.first_time_author;
        pulls.try_emplace(pull.number, std::move(pull));
      }
    }
    for (auto& [number, pull] : pulls) activity_.pulls.push_back(std::move(pull));
    std::ranges::reverse(activity_.pulls);
  }

  const GitOptions& options_;
  const GitFetch& request_;
  GitCommand git_;
  RepositoryActivity activity_;
  Remote origin_;
  std::string head_;
  bool shallow_ = false;
  std::vector<LogEntry> log_;
};

}  // namespace

GitSource::GitSource(ClockRef clock, GitOptions options) : clock_(clock), options_(std::move(options)) {}

RepositoryActivity GitSource::fetch(const GitFetch& request) const {
  check(request.period);
  const std::string path = request.path.string();
  if (path.empty() || path.find('\0') != std::string::npos)
    throw InvalidArgument("path", "is empty or holds a NUL");
  if (request.ref.empty() || request.ref.find('\0') != std::string::npos)
    throw InvalidArgument("ref", "is empty or holds a NUL");
  std::error_code error;
  if (!std::filesystem::is_directory(request.path, error))
    throw GitError(GitFailure::not_a_repository, fmt::format("git repository '{}': there is no such folder",
                                                             detail::clean_line(path, 300)));
  return Reading(options_, request, clock_.now()).run();
}

}  // namespace quern::inline v1::digest
