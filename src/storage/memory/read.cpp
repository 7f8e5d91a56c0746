#include <fmt/format.h>

#include <algorithm>
#include <queue>

#include "quern/core/error.hpp"
#include "storage/memory/jobs.hpp"

namespace quern::inline v1::memory {
namespace {

bool allows(const JobFilter& filter, const Shelf& shelf) {
  return (filter.states.empty() || std::ranges::find(filter.states, shelf.state) != filter.states.end()) &&
         (filter.queue.empty() || filter.queue == shelf.queue) &&
         (filter.kind.empty() || filter.kind == shelf.kind);
}

/// What the shelves don't know.
bool allows(const JobFilter& filter, const Job& job) {
  return (!filter.created_from || job.created_at >= *filter.created_from) &&
         (!filter.created_before || job.created_at < *filter.created_before) &&
         (filter.tenant.empty() || filter.tenant == job.tenant) &&
         (filter.tag.empty() || std::ranges::find(job.tags, filter.tag) != job.tags.end());
}

/// Walks over several ordered sets of ids as if they were one, in either direction, from beyond a cursor.
class MergedIds {
 public:
  MergedIds(bool ascending, JobId after)
      : ascending_(ascending), after_(after), heads_([ascending](const Head& a, const Head& b) {
          return ascending ? a.id() > b.id() : a.id() < b.id();
        }) {}

  void add(const std::set<JobId>& ids) {
    Head head{ascending_ ? ids.upper_bound(after_) : (after_ ? ids.lower_bound(after_) : ids.end()),
              ids.begin(), ids.end(), ascending_};
    if (head.settle()) heads_.push(head);
  }

  /// The next id; none at the end.
  JobId next() {
    if (heads_.empty()) return {};
    Head head = heads_.top();
    heads_.pop();
    const JobId id = head.id();
    if (head.advance()) heads_.push(head);
    return id;
  }

 private:
  struct Head {
    std::set<JobId>::const_iterator at;
    std::set<JobId>::const_iterator begin;
    std::set<JobId>::const_iterator end;
    bool ascending;

    [[nodiscard]] JobId id() const { return *at; }
    /// Downwards `at` first stands one past the id; false when there is none.
    bool settle() {
      if (ascending) return at != end;
      if (at == begin) return false;
      --at;
      return true;
    }
    bool advance() {
      if (ascending) ++at;
      return settle();
    }
  };

  bool ascending_;
  JobId after_;
  std::priority_queue<Head, std::vector<Head>, std::function<bool(const Head&, const Head&)>> heads_;
};

}  // namespace

std::vector<std::optional<Job>> Jobs::find(std::span<const JobId> ids) const {
  std::vector<std::optional<Job>> found;
  found.reserve(ids.size());
  for (const JobId id : ids) {
    const auto it = rows_.find(id);
    found.push_back(it == rows_.end() ? std::nullopt : std::optional<Job>(it->second.job));
  }
  return found;
}

JobPage Jobs::list(const JobFilter& filter) const {
  constexpr std::size_t most = 10'000;
  if (filter.limit < 1 || filter.limit > most) {
    throw InvalidArgument("limit", fmt::format("is {}, allowed are 1 to {}", filter.limit, most));
  }
  MergedIds ids(filter.oldest_first, filter.after);
  for (const auto& [shelf, on_shelf] : indexes_.shelves()) {
    if (allows(filter, shelf)) ids.add(on_shelf);
  }
  JobPage page;
  while (const JobId id = ids.next()) {
    const Job& job = rows_.at(id).job;
    if (!allows(filter, job)) continue;
    if (page.jobs.size() == filter.limit) {
      page.next = page.jobs.back().id;
      break;
    }
    page.jobs.push_back(job);
  }
  return page;
}

std::vector<JobCount> Jobs::count() const {
  std::vector<JobCount> counts;
  counts.reserve(indexes_.shelves().size());
  for (const auto& [shelf, ids] : indexes_.shelves()) {
    counts.push_back({.queue = shelf.queue, .kind = shelf.kind, .state = shelf.state, .count = ids.size()});
  }
  return counts;
}

std::vector<CountFault> Jobs::recount() const {
  std::map<Shelf, CountFault> all;
  const auto entry = [&](const std::string& queue, const std::string& kind, JobState state) -> CountFault& {
    CountFault& one = all[{queue, kind, state}];
    one.queue = queue;
    one.kind = kind;
    one.state = state;
    return one;
  };
  for (const JobCount& count : count()) entry(count.queue, count.kind, count.state).kept = count.count;
  for (const auto& [id, row] : rows_) ++entry(row.job.queue, row.job.kind, row.job.state).found;
  std::vector<CountFault> faults;
  for (const auto& [shelf, one] : all) {
    if (one.kept != one.found) faults.push_back(one);
  }
  return faults;
}

std::vector<QueueStatus> Jobs::queues() const {
  std::vector<QueueStatus> queues;
  queues.reserve(queues_.size());
  for (const auto& [name, queue] : queues_)
    queues.push_back({.name = name, .paused = queue.paused, .max_waiting = queue.max_waiting});
  return queues;
}

}  // namespace quern::inline v1::memory
