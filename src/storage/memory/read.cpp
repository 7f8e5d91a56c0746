#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "quern/core/error.hpp"
#include "storage/memory/jobs.hpp"

namespace quern::inline v1::memory {
namespace {

bool allows(const JobFilter& filter, JobState state) {
  return filter.states.empty() || std::ranges::find(filter.states, state) != filter.states.end();
}

bool allows(const JobFilter& filter, const Lane& lane) {
  return (filter.queue.empty() || filter.queue == lane.queue->name) &&
         (filter.kind.empty() || filter.kind == lane.kind->name);
}

/// What stands beside the row.
bool allows(const JobFilter& filter, const More* rest) {
  if (filter.tenant.empty() && filter.tag.empty()) return true;
  return rest != nullptr && (filter.tenant.empty() || filter.tenant == rest->tenant) &&
         (filter.tag.empty() || std::ranges::find(rest->tags, filter.tag) != rest->tags.end());
}

/// Calls `visit(id)` for the ids beyond `after` (zero: all) in the order asked for, until it says false.
template <class Visit>
void walk(const std::set<JobId>& ids, bool ascending, JobId after, const Visit& visit) {
  if (ascending) {
    for (auto at = ids.upper_bound(after); at != ids.end(); ++at)
      if (!visit(*at)) return;
  } else {
    for (auto at = after ? ids.lower_bound(after) : ids.end(); at != ids.begin();)
      if (!visit(*--at)) return;
  }
}

const std::set<JobId>& find_or_empty(const std::map<std::string, std::set<JobId>>& sets,
                                     const std::string& key) {
  static const std::set<JobId> empty;
  const auto found = sets.find(key);
  return found == sets.end() ? empty : found->second;
}

bool by_name(const JobCount& a, const JobCount& b) {
  return std::tie(a.queue, a.kind, a.state) < std::tie(b.queue, b.kind, b.state);
}

}  // namespace

std::vector<std::optional<Job>> Jobs::find(std::span<const JobId> ids) const {
  std::vector<std::optional<Job>> found;
  found.reserve(ids.size());
  for (const JobId id : ids) {
    const Slot slot = find_slot(id);
    found.push_back(slot == no_slot ? std::nullopt : std::optional<Job>(job_of(rows_[slot])));
  }
  return found;
}

JobPage Jobs::list(const JobFilter& filter) {
  constexpr std::size_t most = 10'000;
  if (filter.limit < 1 || filter.limit > most) {
    throw InvalidArgument("limit", fmt::format("is {}, allowed are 1 to {}", filter.limit, most));
  }
  IdIndex::Wanted wanted{.states = 0, .lanes = 0};
  for (const JobState state : all_job_states)
    if (allows(filter, state)) wanted.states |= IdIndex::state_bit(state);
  std::vector<bool> lanes(names_.lanes().size());
  for (const Lane& one : names_.lanes()) {
    lanes[one.id] = allows(filter, one);
    if (lanes[one.id]) wanted.lanes |= IdIndex::lane_bit(one.id);
  }
  wanted.created_from = filter.created_from.value_or(TimePoint::min());
  const TimePoint before = filter.created_before.value_or(TimePoint::max());
  wanted.created_before = before;

  JobPage page;
  const auto visit = [&](Slot slot) {
    const Row& row = rows_[slot];
    const bool is_wanted = (IdIndex::state_bit(row.state()) & wanted.states) != 0 && lanes[lane(row).id] &&
                           row.created_at >= wanted.created_from &&
                           (row.created_at < before || !filter.created_before) &&
                           allows(filter, has_more(row));
    if (!is_wanted) return true;
    if (page.jobs.size() == filter.limit) {
      page.next = page.jobs.back().id;
      return false;
    }
    page.jobs.push_back(job_of(row));
    return true;
  };
  const auto visit_id = [&](JobId id) { return visit(find_slot(id)); };
  if (!filter.tag.empty()) {
    walk(find_or_empty(tags_, filter.tag), filter.oldest_first, filter.after, visit_id);
  } else if (!filter.tenant.empty()) {
    walk(find_or_empty(tenants_, filter.tenant), filter.oldest_first, filter.after, visit_id);
  } else {
    ids_.walk(
        filter.oldest_first, filter.after.value, wanted, rows_, [&](const Row& row) { return lane(row).id; },
        visit);
  }
  return page;
}

std::vector<JobCount> Jobs::count() const {
  std::vector<JobCount> counts;
  for (const Lane& one : names_.lanes()) {
    for (const JobState state : all_job_states) {
      if (one.count(state) == 0) continue;
      counts.push_back(
          {.queue = one.queue->name, .kind = one.kind->name, .state = state, .count = one.count(state)});
    }
  }
  std::ranges::sort(counts, by_name);
  return counts;
}

std::vector<ReadyAge> Jobs::oldest_ready(TimePoint now) const {
  const auto key_of = [&](Slot slot) { return Line::Key{rows_[slot].run_at, rows_[slot].id}; };
  std::vector<ReadyAge> ages;
  for (const Lane& one : names_.lanes()) {
    if (one.count(JobState::ready) == 0) continue;
    TimePoint since = TimePoint::max();
    for (const auto& line : one.ready)
      if (line && !line->empty()) since = std::min(since, key_of(line->front(key_of)).time);
    ages.push_back({one.queue->name, one.kind->name, since, std::max(Duration::zero(), now - since)});
  }
  std::ranges::sort(ages);
  return ages;
}

std::vector<CountFault> Jobs::recount() {
  std::vector<std::array<std::uint64_t, state_count>> found(names_.lanes().size());
  ids_.walk(
      true, 0, {}, rows_, [&](const Row& row) { return lane(row).id; },
      [&](Slot slot) {
        const Row& row = rows_[slot];
        ++found[lane(row).id][index_of(row.state())];
        return true;
      });
  std::vector<CountFault> faults;
  for (const Lane& one : names_.lanes()) {
    for (const JobState state : all_job_states) {
      const std::uint64_t there = found[one.id][index_of(state)];
      if (there == one.count(state)) continue;
      faults.push_back({.queue = one.queue->name,
                        .kind = one.kind->name,
                        .state = state,
                        .kept = one.count(state),
                        .found = there});
    }
  }
  std::ranges::sort(faults);
  return faults;
}

std::vector<QueueStatus> Jobs::queues() const {
  std::vector<QueueStatus> queues;
  queues.reserve(names_.queues().size());
  for (const auto& [name, queue] : names_.queues())
    queues.push_back({.name = name, .paused = queue.paused, .max_waiting = queue.max_waiting});
  return queues;
}

}  // namespace quern::inline v1::memory
