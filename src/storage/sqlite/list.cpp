#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "quern/core/error.hpp"
#include "storage/sqlite/list_ids.hpp"
#include "storage/sqlite/reading.hpp"
#include "storage/sqlite/sql.hpp"
#include "storage/sqlite/sql_read.hpp"
#include "storage/sqlite/sql_zones.hpp"
#include "storage/sqlite/zones.hpp"

namespace quern::inline v1::sqlite {
namespace {

/// The jobs that a filter gives, one after the other.
class Search {
 public:
  Search(const Listing& listing, const JobFilter& filter) : listing_(listing), filter_(filter) {
    add_labels(LabelType::tenant, filter.tenant, sql::tenant_up, sql::tenant_down);
    add_labels(LabelType::tag, filter.tag, sql::tag_up, sql::tag_down);
    if (!filter.states.empty()) sources_.push_back(ids_in_states(listing, filter.states));
    if (sources_.empty()) {
      sources_.push_back(all_ids(listing));
    } else if (!listing.lanes.all()) {
      sources_.push_back(ids_near_lanes(listing));
    }
    if (filter.created_from || filter.created_before) add_times();
  }

  /// From `at` on; none: there is no more. Then `at` is behind it.
  std::optional<Job> next(std::uint64_t& at) {
    while (at != 0) {
      const std::uint64_t id = agreed(at);
      if (id == 0) break;
      at = listing_.after(id);
      if (!may_be_wanted(JobId{id})) continue;
      auto job = listing_.finder.find(JobId{id});
      if (job && is_wanted(*job)) return job;
    }
    at = 0;
    return std::nullopt;
  }

 private:
  void add_labels(LabelType type, const std::string& name, const Statement& up, const Statement& down) {
    if (name.empty()) return;
    if (const auto label = listing_.db.value(sql::find_label, static_cast<int>(type), name)) {
      sources_.push_back(std::make_unique<QueriedIds>(listing_, up, down, *label));
    } else {
      sources_.push_back(std::make_unique<HeldIds>(listing_, std::vector<IdRange>{}));
    }
  }

  void add_times() {
    constexpr TimePoint::duration tick{1};
    const TimePoint first = filter_.created_from.value_or(TimePoint::min());
    const TimePoint before = filter_.created_before.value_or(TimePoint::max());
    if (before > first) {
      sources_.push_back(ids_near_times(listing_, first, before - tick));
    } else {
      sources_.push_back(std::make_unique<HeldIds>(listing_, std::vector<IdRange>{}));
    }
  }

  /// The next id that all sources name; 0: none.
  std::uint64_t agreed(std::uint64_t at) {
    std::size_t agreeing = 0;
    for (std::size_t i = 0; agreeing < sources_.size(); i = (i + 1) % sources_.size()) {
      const std::uint64_t next = sources_[i]->next(at);
      if (next == 0) return 0;
      agreeing = next == at ? agreeing + 1 : 1;
      at = next;
    }
    return at;
  }

  /// Says no where that is cheap.
  bool may_be_wanted(JobId id) {
    if (listing_.lanes.all() && !filter_.created_from && !filter_.created_before) return true;
    Query row = listing_.db.query(sql::glance);
    return row.bind(id).step() && listing_.lanes.allows(row.number(0)) && is_in_time(row.time(1));
  }
  [[nodiscard]] bool is_in_time(TimePoint created_at) const {
    return (!filter_.created_from || created_at >= *filter_.created_from) &&
           (!filter_.created_before || created_at < *filter_.created_before);
  }

  [[nodiscard]] bool is_wanted(const Job& job) const {
    return (filter_.queue.empty() || filter_.queue == job.queue) &&
           (filter_.kind.empty() || filter_.kind == job.kind) &&
           (filter_.tenant.empty() || filter_.tenant == job.tenant) &&
           (filter_.tag.empty() ||
            std::find(job.tags.begin(), job.tags.end(), filter_.tag) != job.tags.end());
  }

  const Listing& listing_;
  const JobFilter& filter_;
  std::vector<std::unique_ptr<Ids>> sources_;
};

}  // namespace

JobPage list(Connection& db, const JobFilter& filter) {
  constexpr std::size_t most = 10'000;
  if (filter.limit < 1 || filter.limit > most)
    throw InvalidArgument("limit", fmt::format("is {}, allowed are 1 to {}", filter.limit, most));
  JobPage page;
  const LaneFilter lanes(db, filter);
  if (lanes.none()) return page;
  if (filter.oldest_first && filter.after.value >= max_job_id) return page;
  std::uint64_t at = max_job_id;
  if (filter.oldest_first) {
    at = filter.after.value + 1;
  } else if (filter.after) {
    at = std::min(filter.after.value - 1, max_job_id);
  }
  Finder finder(db);
  const Listing listing{db, finder, lanes, filter.oldest_first};
  Search search(listing, filter);
  while (auto job = search.next(at)) {
    if (page.jobs.size() == filter.limit) {
      page.next = page.jobs.back().id;
      break;
    }
    page.jobs.push_back(std::move(*job));
  }
  return page;
}

}  // namespace quern::inline v1::sqlite
