#include "quern/handlers/digest/analysis.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "quern/handlers/detail/text.hpp"

namespace quern::inline v1::digest {
namespace {

class Filter {
 public:
  explicit Filter(const Filters& filters) : filters_(filters) {}

  [[nodiscard]] bool author(const Person& person) const {
    if (filters_.exclude_bots && person.bot) return false;
    return filters_.authors.empty() || std::ranges::any_of(filters_.authors, [&](const std::string& wanted) {
             return detail::same_text(wanted, person.label()) || detail::same_text(wanted, person.name);
           });
  }
  [[nodiscard]] bool labels(const std::vector<std::string>& labels) const {
    return filters_.labels.empty() || std::ranges::any_of(labels, [&](const std::string& label) {
             return std::ranges::any_of(filters_.labels, [&](const std::string& wanted) {
               return detail::same_text(wanted, label);
             });
           });
  }

 private:
  const Filters& filters_;
};

TimeToMerge time_to_merge(const std::vector<PullRequest>& merged) {
  std::vector<Duration> times;
  for (const auto& pull : merged)
    if (pull.created_at && pull.merged_at)
      times.push_back(std::max(Duration{0}, *pull.merged_at - *pull.created_at));
  if (times.empty()) return {};
  std::ranges::sort(times);
  const std::size_t n = times.size();
  return {.known = static_cast<std::int64_t>(n),
          .median = (times[(n - 1) / 2] + times[n / 2]) / 2,
          .p90 = times[(n * 9 + 9) / 10 - 1],
          .fastest = times.front(),
          .slowest = times.back()};
}

template <class Item>
void add_size(Size& size, const Item& item) {
  if (!item.additions && !item.deletions && !item.changed_files) return;
  ++size.known;
  size.additions += item.additions.value_or(0);
  size.deletions += item.deletions.value_or(0);
  size.changed_files += item.changed_files.value_or(0);
}

class Contributors {
 public:
  Contributor* find(const Person& person) {
    if (person.ghost()) return nullptr;
    auto& contributor = by_name_[detail::lower(person.label())];
    // A login is often seen with and without a name; the fullest form is kept.
    if (contributor.person.label() == "ghost") contributor.person = person;
    if (contributor.person.name.empty()) contributor.person.name = person.name;
    contributor.person.bot = contributor.person.bot || person.bot;
    return &contributor;
  }
  void count(const Person& person, std::int64_t Contributor::* what, bool first_time = false) {
    Contributor* contributor = find(person);
    if (contributor == nullptr) return;
    ++(contributor->*what);
    contributor->first_time = contributor->first_time || first_time;
  }
  std::vector<Contributor> ranked() {
    std::vector<Contributor> out;
    out.reserve(by_name_.size());
    for (auto& [name, contributor] : by_name_) out.push_back(std::move(contributor));
    const auto rank = [](const Contributor& c) {
      return std::tuple(-c.pulls_merged, -c.commits, -c.reviews, -c.pulls_opened, -c.issues_opened,
                        detail::lower(c.person.label()));
    };
    std::ranges::sort(out, {}, rank);
    return out;
  }

 private:
  std::map<std::string, Contributor> by_name_;
};

}  // namespace

bool DigestReport::empty() const noexcept {
  return pulls_opened.empty() && pulls_merged.empty() && pulls_closed_unmerged.empty() &&
         issues_opened.empty() && issues_closed.empty() && commits.empty() && releases.empty();
}

DigestReport analyze(const RepositoryActivity& activity, const Filters& filters) {
  check(activity.period);
  const Period& period = activity.period;
  const Filter filter(filters);
  DigestReport report;
  report.repository = activity.repository;
  report.period = period;
  report.as_of = activity.fetched_at;
  report.filters = filters;
  report.has_issues = activity.has_issues;
  report.open_issues = activity.open_issues;
  report.open_pulls = activity.open_pulls;
  report.gaps = activity.gaps;
  Contributors contributors;

  for (const auto& pull : activity.pulls) {
    if (!filter.author(pull.author) || !filter.labels(pull.labels)) continue;
    const bool opened = period.contains(pull.created_at);
    const bool merged = period.contains(pull.merged_at);
    if (opened) {
      report.pulls_opened.push_back(pull);
      contributors.count(pull.author, &Contributor::pulls_opened, pull.first_time_author);
    }
    if (merged) {
      report.pulls_merged.push_back(pull);
      contributors.count(pull.author, &Contributor::pulls_merged, pull.first_time_author);
      add_size(report.merged_size, pull);
    }
    if (!pull.merged_at && period.contains(pull.closed_at)) report.pulls_closed_unmerged.push_back(pull);
    for (const auto& reviewer : pull.reviewers)
      if ((opened || merged) && filter.author(reviewer)) contributors.count(reviewer, &Contributor::reviews);
  }
  for (const auto& issue : activity.issues) {
    if (!filter.author(issue.author) || !filter.labels(issue.labels)) continue;
    if (period.contains(issue.created_at)) {
      report.issues_opened.push_back(issue);
      contributors.count(issue.author, &Contributor::issues_opened);
    }
    if (period.contains(issue.closed_at)) report.issues_closed.push_back(issue);
  }
  for (const auto& commit : activity.commits) {
    if (!filter.author(commit.author) || !period.contains(commit.committed_at)) continue;
    report.commits.push_back(commit);
    if (commit.merge) continue;
    contributors.count(commit.author, &Contributor::commits, commit.first_time_author);
    add_size(report.commit_size, commit);
  }
  for (const auto& release : activity.releases)
    if (period.contains(release.published_at)) report.releases.push_back(release);

  for (auto* list : {&report.pulls_opened, &report.pulls_merged, &report.pulls_closed_unmerged})
    std::ranges::sort(*list, {}, &PullRequest::number);
  for (auto* list : {&report.issues_opened, &report.issues_closed})
    std::ranges::sort(*list, {}, &Issue::number);
  std::ranges::sort(report.releases, std::ranges::greater(),
                    [](const Release& release) { return std::tuple(release.published_at, release.tag); });
  report.time_to_merge = time_to_merge(report.pulls_merged);
  report.contributors = contributors.ranked();
  return report;
}

}  // namespace quern::inline v1::digest
