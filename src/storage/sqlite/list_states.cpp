// The ids of a list by the states that its jobs stand in.

#include <utility>

#include "storage/sqlite/list_ids.hpp"
#include "storage/sqlite/sql.hpp"
#include "storage/sqlite/sql_read.hpp"

namespace quern::inline v1::sqlite {
namespace {

/// Completed jobs, which are kept as ranges.
class CompletedIds final : public Ids {
 public:
  explicit CompletedIds(const Listing& listing)
      : Ids(listing), rows_(listing.db.query(listing.up ? sql::completed_up : sql::completed_down)) {}

  std::uint64_t next(std::uint64_t at) override {
    constexpr int near = 8;
    bool sought = range_.first != 0;
    for (int steps = 0; !done_; ++steps) {
      if (range_.first != 0 && listing_.reached(listing_.up ? range_.last : range_.first, at))
        return listing_.up ? std::max(at, range_.first) : std::min(at, range_.last);
      if (!sought || steps == near) {
        rows_.reset();
        rows_.bind(at);
        sought = true;
      }
      done_ = !rows_.step();
      if (!done_) range_ = {rows_.id(0).value, rows_.id(1).value};
    }
    return 0;
  }

 private:
  Query rows_;
  IdRange range_{};
  bool done_ = false;
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
  explicit ReadyIds(const Listing& listing) : Ids(listing) {
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
      walk_.emplace(listing.db.query(listing.up ? sql::jobs_up : sql::jobs_down));
    } else {
      read_all();
    }
  }

  std::uint64_t next(std::uint64_t at) override {
    constexpr int near = 8;
    constexpr int most_rows = 20'000;
    int steps = 0;
    while (walk_) {
      const bool reached = head_ != 0 && listing_.reached(head_, at);
      if (reached && is_ready_) return head_;
      if (head_ == 0 || (!reached && steps == near)) {
        walk_->reset();
        walk_->bind(at);
      }
      if (!walk_->step()) return 0;
      ++steps;
      head_ = walk_->id(0).value;
      is_ready_ = walk_->small(2) != 0 && listing_.lanes.allows(walk_->number(1)) &&
                  !listing_.finder.running().contains(JobId{head_});
      if (!is_ready_ && ++passed_ >= most_rows) {
        walk_.reset();
        read_all();
      }
    }
    return held_->next(at);
  }

 private:
  void read_all() {
    std::vector<IdRange> ranges;
    for (const LaneId lane : lanes_) {
      Query row = listing_.db.query(sql::ready_of_lane);
      row.bind(lane);
      while (row.step()) {
        const IdRuns ids = unpack_ready(row.id(0).value, row.id(1).value, row.bytes(2));
        ranges.insert(ranges.end(), ids.begin(), ids.end());
      }
    }
    held_ = std::make_unique<HeldIds>(listing_, std::move(ranges));
  }

  std::vector<LaneId> lanes_;
  std::optional<Query> walk_;
  std::unique_ptr<HeldIds> held_;
  std::uint64_t head_ = 0;
  bool is_ready_ = false;
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
      return std::make_unique<HeldIds>(listing, running_ids(listing));
    case JobState::completed:
      return std::make_unique<CompletedIds>(listing);
    case JobState::dead:
      return std::make_unique<QueriedIds>(listing, sql::dead_up, sql::dead_down);
    case JobState::cancelled:
      return std::make_unique<QueriedIds>(listing, sql::cancelled_up, sql::cancelled_down);
  }
  return std::make_unique<HeldIds>(listing, std::vector<IdRange>{});
}

/// Several sources as one.
class AnyOfThem final : public Ids {
 public:
  AnyOfThem(const Listing& listing, std::vector<std::unique_ptr<Ids>> sources)
      : Ids(listing), sources_(std::move(sources)) {}

  std::uint64_t next(std::uint64_t at) override {
    std::uint64_t best = 0;
    for (auto& source : sources_) {
      if (!source) continue;
      const std::uint64_t id = source->next(at);
      if (id == at) return id;
      if (id == 0) {
        source.reset();
      } else {
        best = best == 0 ? id : listing_.nearer(best, id);
      }
    }
    return best;
  }

 private:
  std::vector<std::unique_ptr<Ids>> sources_;
};

}  // namespace

std::unique_ptr<Ids> ids_in_states(const Listing& listing, const std::vector<JobState>& states) {
  std::vector<std::unique_ptr<Ids>> sources;
  for (const JobState state : all_job_states) {
    if (std::find(states.begin(), states.end(), state) != states.end())
      sources.push_back(ids_in(listing, state));
  }
  if (sources.size() == 1) return std::move(sources.front());
  return std::make_unique<AnyOfThem>(listing, std::move(sources));
}

}  // namespace quern::inline v1::sqlite
