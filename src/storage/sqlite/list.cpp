#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <unordered_set>
#include <utility>

#include "quern/core/error.hpp"
#include "storage/sqlite/find.hpp"
#include "storage/sqlite/reading.hpp"
#include "storage/sqlite/sql.hpp"
#include "storage/sqlite/sql_read.hpp"

namespace quern::inline v1::sqlite {
namespace {

/// The lanes that a filter allows; all of them when it names neither queue nor kind.
class LaneFilter {
 public:
  LaneFilter(Connection& db, const JobFilter& filter) : all_(filter.queue.empty() && filter.kind.empty()) {
    if (all_) return;
    Query lane = db.query(sql::all_lanes);
    while (lane.step()) {
      if ((filter.queue.empty() || lane.bytes(1) == filter.queue) &&
          (filter.kind.empty() || lane.bytes(2) == filter.kind))
        lanes_.insert(lane.number(0));
    }
  }
  [[nodiscard]] bool all() const { return all_; }
  [[nodiscard]] bool none() const { return !all_ && lanes_.empty(); }
  [[nodiscard]] bool allows(LaneId lane) const { return all_ || lanes_.contains(lane); }

 private:
  bool all_;
  std::unordered_set<LaneId> lanes_;
};

/// What a list is made of.
struct Listing {
  Connection& db;
  Finder& finder;
  const LaneFilter& lanes;
  bool up = false;
  std::uint64_t from = 0;  // the first id that is wanted
};

bool is_wanted(const Listing& listing, JobId id) {
  if (listing.lanes.all()) return true;
  const auto lane = listing.db.value(sql::lane_of_job, id);
  return lane && listing.lanes.allows(*lane);
}

/// Ids in the order of the list, each once.
class Ids {
 public:
  Ids() = default;
  Ids(const Ids&) = delete;
  Ids& operator=(const Ids&) = delete;
  virtual ~Ids() = default;
  /// Zero: no more.
  virtual JobId next() = 0;
};

/// A statement that gives ids.
class QueriedIds final : public Ids {
 public:
  template <class... Values>
  QueriedIds(const Listing& listing, const Statement& up, const Statement& down, const Values&... more)
      : listing_(listing), rows_(listing.db.query(listing.up ? up : down)) {
    rows_.bind(listing.from, more...);
  }
  JobId next() override {
    while (rows_.step()) {
      const JobId id = rows_.id(0);
      if (is_wanted(listing_, id)) return id;
    }
    return {};
  }

 private:
  const Listing& listing_;
  Query rows_;
};

/// Completed jobs, which are kept as ranges.
class CompletedIds final : public Ids {
 public:
  explicit CompletedIds(const Listing& listing)
      : listing_(listing), rows_(listing.db.query(listing.up ? sql::completed_up : sql::completed_down)) {
    rows_.bind(listing.from);
  }
  JobId next() override {
    while (next_ != 0 || read_range()) {
      const JobId id{next_};
      if (next_ == last_) {
        next_ = 0;
      } else {
        next_ = listing_.up ? next_ + 1 : next_ - 1;
      }
      if (is_wanted(listing_, id)) return id;
    }
    return {};
  }

 private:
  bool read_range() {
    while (rows_.step()) {
      const std::uint64_t first = rows_.id(0).value;
      const std::uint64_t last = rows_.id(1).value;
      if (listing_.up && last < listing_.from) continue;
      next_ = listing_.up ? std::max(first, listing_.from) : std::min(last, listing_.from);
      last_ = listing_.up ? last : first;
      return true;
    }
    return false;
  }

  const Listing& listing_;
  Query rows_;
  std::uint64_t next_ = 0;  // in the range being read; 0: between two
  std::uint64_t last_ = 0;  // of that range
};

/// Ids held in memory.
class HeldIds final : public Ids {
 public:
  HeldIds(std::vector<IdRange> ranges, const Listing& listing) : up_(listing.up) {
    for (IdRange range : ranges) {
      if (up_) {
        range.first = std::max(range.first, listing.from);
      } else {
        range.last = std::min(range.last, listing.from);
      }
      if (range.first <= range.last) ranges_.push_back(range);
    }
    // The next one stands at the back.
    std::sort(ranges_.begin(), ranges_.end(), [&](const IdRange& a, const IdRange& b) {
      return up_ ? a.first > b.first : a.first < b.first;
    });
  }
  JobId next() override {
    if (ranges_.empty()) return {};
    IdRange& range = ranges_.back();
    const JobId id{up_ ? range.first : range.last};
    if (range.first == range.last) {
      ranges_.pop_back();
    } else if (up_) {
      ++range.first;
    } else {
      --range.last;
    }
    return id;
  }

 private:
  bool up_;
  std::vector<IdRange> ranges_;
};

/// Every job of the wanted lanes.
class AllIds final : public Ids {
 public:
  explicit AllIds(const Listing& listing)
      : listing_(listing), rows_(listing.db.query(listing.up ? sql::jobs_up : sql::jobs_down)) {
    rows_.bind(listing.from);
  }
  JobId next() override {
    while (rows_.step()) {
      if (listing_.lanes.allows(rows_.number(1))) return rows_.id(0);
    }
    return {};
  }

 private:
  const Listing& listing_;
  Query rows_;
};

std::vector<IdRange> running_ids(const Listing& listing) {
  std::vector<IdRange> ids;
  for (const auto& [id, run] : listing.finder.running()) ids.push_back({id.value, id.value});
  return ids;
}

/// Ready jobs have no index by id: it would cost each insert and each claim. Where they are few they are read
/// as they stand and sorted. Where they are many, most jobs near the cursor are ready, so a walk over the
/// jobs finds them; should it find too few, the rest is read and sorted after all.
class ReadyIds final : public Ids {
 public:
  explicit ReadyIds(const Listing& listing) : listing_(listing) {
    Query row = listing.db.query(sql::lanes_in_state);
    row.bind(static_cast<int>(JobState::ready));
    std::int64_t ready = 0;
    while (row.step()) {
      if (!listing.lanes.allows(row.number(0))) continue;
      lanes_.push_back(row.number(0));
      ready += row.number(1);
    }
    constexpr std::int64_t few = 10'000;
    if (ready > few) {
      walk_ = std::make_unique<Query>(listing.db.query(listing.up ? sql::jobs_up : sql::jobs_down));
      walk_->bind(listing.from);
    } else {
      read_all(listing.from);
    }
  }

  JobId next() override {
    constexpr int most_rows = 20'000;
    while (walk_) {
      if (!walk_->step()) return {};
      const JobId id = walk_->id(0);
      const bool may_be_ready = walk_->small(2) != 0 && listing_.lanes.allows(walk_->number(1));
      if (may_be_ready && !listing_.finder.running().contains(id)) return id;
      if (++passed_ >= most_rows) {
        walk_.reset();
        read_all(listing_.up ? id.value + 1 : id.value - 1);
      }
    }
    return held_->next();
  }

 private:
  void read_all(std::uint64_t from) {
    std::vector<IdRange> ranges;
    for (const LaneId lane : lanes_) {
      Query row = listing_.db.query(sql::ready_of_lane);
      row.bind(lane);
      while (row.step()) {
        const IdRuns ids = unpack_ready(row.id(0).value, row.id(1).value, row.bytes(2));
        ranges.insert(ranges.end(), ids.begin(), ids.end());
      }
    }
    Listing rest = listing_;
    rest.from = from;
    held_ = std::make_unique<HeldIds>(std::move(ranges), rest);
  }

  const Listing& listing_;
  std::vector<LaneId> lanes_;
  std::unique_ptr<Query> walk_;
  std::unique_ptr<HeldIds> held_;
  int passed_ = 0;
};

std::unique_ptr<Ids> ids_in(const Listing& listing, JobState state) {
  switch (state) {
    case JobState::blocked:
      return std::make_unique<QueriedIds>(listing, sql::blocked_up, sql::blocked_down);
    case JobState::scheduled:
      return std::make_unique<QueriedIds>(listing, sql::sched_up, sql::sched_down);
    case JobState::ready:
      return std::make_unique<ReadyIds>(listing);
    case JobState::running:
      return std::make_unique<HeldIds>(running_ids(listing), listing);
    case JobState::completed:
      return std::make_unique<CompletedIds>(listing);
    case JobState::dead:
    case JobState::cancelled:
      return std::make_unique<QueriedIds>(listing, sql::failed_up, sql::failed_down, static_cast<int>(state));
  }
  return std::make_unique<AllIds>(listing);
}

/// Several streams as one. A job stands in one state, so no id comes twice.
class MergedIds {
 public:
  MergedIds(const Listing& listing, const std::vector<JobState>& states) : up_(listing.up) {
    if (states.empty()) {
      add(std::make_unique<AllIds>(listing));
      return;
    }
    for (const JobState state : all_job_states) {
      if (std::find(states.begin(), states.end(), state) != states.end()) add(ids_in(listing, state));
    }
  }
  JobId next() {
    auto first = heads_.end();
    for (auto head = heads_.begin(); head != heads_.end(); ++head) {
      if (!head->id) continue;
      if (first == heads_.end() || (up_ ? head->id < first->id : head->id > first->id)) first = head;
    }
    if (first == heads_.end()) return {};
    return std::exchange(first->id, first->ids->next());
  }

 private:
  struct Head {
    std::unique_ptr<Ids> ids;
    JobId id{};
  };
  void add(std::unique_ptr<Ids> ids) {
    const JobId first = ids->next();
    heads_.push_back({std::move(ids), first});
  }
  bool up_;
  std::vector<Head> heads_;
};

bool allows(const JobFilter& filter, const Job& job) {
  return (filter.queue.empty() || filter.queue == job.queue) &&
         (filter.kind.empty() || filter.kind == job.kind) &&
         (filter.tenant.empty() || filter.tenant == job.tenant) &&
         (filter.tag.empty() || std::find(job.tags.begin(), job.tags.end(), filter.tag) != job.tags.end());
}

}  // namespace

JobPage list(Connection& db, const JobFilter& filter) {
  constexpr std::size_t most = 10'000;
  if (filter.limit < 1 || filter.limit > most)
    throw InvalidArgument("limit", fmt::format("is {}, allowed are 1 to {}", filter.limit, most));
  JobPage page;
  const LaneFilter lanes(db, filter);
  if (lanes.none()) return page;
  Finder finder(db);
  if (filter.oldest_first && filter.after.value >= max_job_id) return page;
  std::uint64_t from = max_job_id;
  if (filter.oldest_first) {
    from = filter.after.value + 1;
  } else if (filter.after) {
    from = std::min(filter.after.value - 1, max_job_id);
  }
  const Listing listing{db, finder, lanes, filter.oldest_first, from};
  MergedIds ids(listing, filter.states);
  while (const JobId id = ids.next()) {
    auto job = finder.find(id);
    if (!job || !allows(filter, *job)) continue;
    if (page.jobs.size() == filter.limit) {
      page.next = page.jobs.back().id;
      break;
    }
    page.jobs.push_back(std::move(*job));
  }
  return page;
}

}  // namespace quern::inline v1::sqlite
