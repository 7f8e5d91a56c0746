#include "wording.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "quern/handlers/digest/render.hpp"

namespace quern::inline v1::digest {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;

constexpr std::array<std::string_view, 12> months{"January",   "February", "March",    "April",
                                                  "May",       "June",     "July",     "August",
                                                  "September", "October",  "November", "December"};

std::chrono::year_month_day day_of(TimePoint time) { return std::chrono::floor<days>(time); }

bool midnight(TimePoint time) { return std::chrono::floor<days>(time) == time; }

// "3 min" of the larger and the smaller unit; a smaller part of zero is left out.
std::string two_units(std::int64_t large, const std::string& large_unit, std::int64_t small,
                      const char* small_unit) {
  std::string out = fmt::format("{} {}", large, large_unit);
  if (small > 0) out += fmt::format(" {} {}", small, small_unit);
  return out;
}

std::string size_text(const Size& size) {
  return fmt::format("+{} \u2212{} lines in {}", size.additions, size.deletions,
                     count_of(size.changed_files, "file"));
}

std::string pulls_sentence(const DigestReport& report) {
  std::vector<std::string> parts;
  const auto add = [&](std::size_t count, const char* what) {
    if (count == 0) return;
    const auto n = static_cast<std::int64_t>(count);
    const bool first = parts.empty();
    parts.push_back(first
                        ? fmt::format("{} {} {}", count_of(n, "pull request"), n == 1 ? "was" : "were", what)
                        : fmt::format("{} {}", n, what));
  };
  add(report.pulls_opened.size(), "opened");
  add(report.pulls_merged.size(), "merged");
  add(report.pulls_closed_unmerged.size(), "closed without merging");
  if (parts.empty()) return {};
  std::string out = enumerate(parts) + ".";
  if (const auto& time = report.time_to_merge; time.known > 0)
    out += time.known == 1 ? fmt::format(" Merging took {}.", length_of(time.median))
                           : fmt::format(" Half of the merges took at most {}, nine in ten at most {}.",
                                         length_of(time.median), length_of(time.p90));
  if (const auto& size = report.merged_size; size.known > 0)
    out += fmt::format(" The merged ones brought {}.", size_text(size));
  return out;
}

std::string issues_sentence(const DigestReport& report) {
  const auto opened = static_cast<std::int64_t>(report.issues_opened.size());
  const auto closed = static_cast<std::int64_t>(report.issues_closed.size());
  if (!report.has_issues || (opened == 0 && closed == 0)) return {};
  if (closed == 0)
    return fmt::format("{} {} opened.", count_of(opened, "issue"), opened == 1 ? "was" : "were");
  if (opened == 0)
    return fmt::format("{} {} closed.", count_of(closed, "issue"), closed == 1 ? "was" : "were");
  return fmt::format("{} {} opened and {} closed.", count_of(opened, "issue"), opened == 1 ? "was" : "were",
                     closed);
}

std::string commits_sentence(const DigestReport& report) {
  if (report.commits.empty()) return {};
  const auto total = static_cast<std::int64_t>(report.commits.size());
  const auto people = std::ranges::count_if(report.contributors, [](const auto& c) { return c.commits > 0; });
  std::string out = fmt::format("{} {} made", count_of(total, "commit"), total == 1 ? "was" : "were");
  if (people > 0) out += fmt::format(" by {} {}", people, people == 1 ? "person" : "people");
  if (const auto merges = std::ranges::count_if(report.commits, &Commit::merge); merges > 0)
    out += fmt::format(", {} of them {}", merges, merges == 1 ? "a merge" : "merges");
  out += ".";
  if (const auto& size = report.commit_size; size.known > 0)
    out += fmt::format(" They changed {}.", size_text(size));
  std::vector<std::string> newcomers;
  for (const auto& contributor : report.contributors)
    if (contributor.first_time) newcomers.push_back(contributor.person.label());
  if (!newcomers.empty() && newcomers.size() <= 5)
    out += fmt::format(" {} contributed for the first time.", enumerate(newcomers));
  if (newcomers.size() > 5)
    out += fmt::format(" {} people contributed for the first time.", newcomers.size());
  return out;
}

std::string releases_sentence(const DigestReport& report) {
  if (report.releases.empty()) return {};
  const auto count = static_cast<std::int64_t>(report.releases.size());
  std::vector<std::string> tags;
  tags.reserve(report.releases.size());
  for (const auto& release : report.releases) tags.push_back(release.tag);
  std::string out = fmt::format("{} {} published", count_of(count, "release"), count == 1 ? "was" : "were");
  if (tags.size() <= 5) out += ": " + enumerate(tags);
  return out + ".";
}

std::string open_sentence(const DigestReport& report) {
  std::vector<std::string> parts;
  if (report.open_issues) parts.push_back(count_of(*report.open_issues, "issue"));
  if (report.open_pulls) parts.push_back(count_of(*report.open_pulls, "pull request"));
  return parts.empty() ? std::string() : "Open now: " + enumerate(parts) + ".";
}

}  // namespace

std::string count_of(std::int64_t count, std::string_view thing) {
  return fmt::format("{} {}{}", count == 0 ? "no" : std::to_string(count), thing, count == 1 ? "" : "s");
}

std::string date_of(TimePoint time) {
  const auto day = day_of(time);
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(day.year()), static_cast<unsigned>(day.month()),
                     static_cast<unsigned>(day.day()));
}

std::string minute_of(TimePoint time) {
  const auto of_day = std::chrono::floor<minutes>(time - std::chrono::floor<days>(time)).count();
  return fmt::format("{} {:02}:{:02} UTC", date_of(time), of_day / 60, of_day % 60);
}

std::string length_of(Duration duration) {
  const auto whole = std::chrono::floor<minutes>(duration).count();
  if (whole < 1) return "under a minute";
  if (whole < 60) return fmt::format("{} min", whole);
  constexpr std::int64_t day = 1440;
  if (whole < day) return two_units(whole / 60, "h", whole % 60, "min");
  const auto day_count = whole / day;
  const auto hours_left = day_count < 3 ? whole / 60 % 24 : 0;  // Of a long time the hours say nothing.
  return two_units(day_count, day_count == 1 ? "day" : "days", hours_left, "h");
}

std::string period_of(const Period& period) {
  if (!midnight(period.from) || !midnight(period.to))
    return fmt::format("{} to {}", minute_of(period.from), minute_of(period.to));
  const auto first = day_of(period.from);
  const auto after = day_of(period.to);
  if (first.day() == std::chrono::day(1) &&
      after == std::chrono::year_month_day(first + std::chrono::months(1)))
    return fmt::format("{} {}", months[static_cast<unsigned>(first.month()) - 1],
                       static_cast<int>(first.year()));
  const std::string last = date_of(period.to - days(1));
  return last == date_of(period.from) ? last : fmt::format("{} to {}", date_of(period.from), last);
}

std::string enumerate(const std::vector<std::string>& items) {
  std::string out;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += i + 1 == items.size() ? " and " : ", ";
    out += items[i];
  }
  return out;
}

std::string facts_of(const PullRequest& pull, bool merged) {
  std::vector<std::string> facts;
  if (merged && pull.created_at && pull.merged_at)
    facts.push_back("after " + length_of(std::max(Duration{0}, *pull.merged_at - *pull.created_at)));
  if (pull.additions && pull.deletions) {
    std::string size = fmt::format("+{} \u2212{}", *pull.additions, *pull.deletions);
    if (pull.changed_files) size += " in " + count_of(*pull.changed_files, "file");
    facts.push_back(std::move(size));
  }
  if (!pull.reviewers.empty()) {
    std::vector<std::string> names;
    names.reserve(pull.reviewers.size());
    for (const auto& reviewer : pull.reviewers) names.push_back(reviewer.label());
    facts.push_back("reviewed by " + enumerate(names));
  }
  return fmt::format("{}", fmt::join(facts, ", "));
}

std::string filters_of(const Filters& filters) {
  std::vector<std::string> parts;
  if (!filters.labels.empty()) parts.push_back(fmt::format("labels: {}", fmt::join(filters.labels, ", ")));
  if (!filters.authors.empty()) parts.push_back(fmt::format("authors: {}", fmt::join(filters.authors, ", ")));
  if (filters.exclude_bots) parts.emplace_back("without bots");
  return fmt::format("{}", fmt::join(parts, "; "));
}

std::string short_sha(std::string_view sha) {
  if (sha.size() < 7 || sha.find_first_not_of("0123456789abcdef") != std::string_view::npos) return {};
  return std::string(sha.substr(0, 7));
}

std::vector<PullRequest> opened_only(const DigestReport& report) {
  std::vector<PullRequest> out;
  std::ranges::copy_if(report.pulls_opened, std::back_inserter(out),
                       [&](const PullRequest& pull) { return !report.period.contains(pull.merged_at); });
  return out;
}

std::vector<Issue> issues_opened_only(const DigestReport& report) {
  std::vector<Issue> out;
  std::ranges::copy_if(report.issues_opened, std::back_inserter(out),
                       [&](const Issue& issue) { return !report.period.contains(issue.closed_at); });
  return out;
}

std::vector<Commit> plain_commits(const DigestReport& report) {
  std::vector<Commit> out;
  std::ranges::copy_if(report.commits, std::back_inserter(out),
                       [](const Commit& commit) { return !commit.merge; });
  return out;
}

std::string render_title(const DigestReport& report) {
  return fmt::format("{}: {}", report.repository.full_name, period_of(report.period));
}

std::string render_summary(const DigestReport& report) {
  std::vector<std::string> sentences;
  for (auto& sentence :
       {pulls_sentence(report), issues_sentence(report), commits_sentence(report), releases_sentence(report)})
    if (!sentence.empty()) sentences.push_back(sentence);
  if (sentences.empty())
    sentences.emplace_back(filters_of(report.filters).empty()
                               ? "Nothing happened in this period."
                               : "Nothing that the filters let through happened in this period.");
  if (auto open = open_sentence(report); !open.empty()) sentences.push_back(std::move(open));
  return fmt::format("{}", fmt::join(sentences, " "));
}

}  // namespace quern::inline v1::digest
