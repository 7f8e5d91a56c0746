#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "storage/sqlite/claim_book.hpp"
#include "storage/sqlite/reading.hpp"
#include "storage/sqlite/sql_read.hpp"

namespace quern::inline v1::sqlite {
namespace {

/// The counts as they would be if nobody had kept any.
class Recount {
 public:
  using Key = std::pair<int, LaneId>;  // state and lane
  using Counts = std::map<Key, std::uint64_t>;

  explicit Recount(Connection& db) : db_(db) {}

  Counts run() {
    count_ready();
    count_scheduled();
    count_running();
    count_by_id();
    return std::move(counts_);
  }

 private:
  void add(JobState state, LaneId lane, std::uint64_t by = 1) {
    counts_[{static_cast<int>(state), lane}] += by;
  }

  // These places say the lane themselves.
  void count_ready() {
    Query row = db_.query(sql::recount_ready);
    while (row.step())
      add(JobState::ready, row.number(0),
          count_ids(unpack_ready(row.id(1).value, row.id(2).value, row.bytes(3))));
  }
  void count_scheduled() {
    Query row = db_.query(sql::recount_sched);
    while (row.step()) add(JobState::scheduled, row.number(0));
  }
  void count_running() {
    ClaimBook claims(db_);
    for (const ClaimRow* const claim : claims.all()) {
      claim->each([&](JobId, const ClaimRow::Spot& spot) {
        add(JobState::running, spot.group->lane);
        return true;
      });
    }
  }

  /// Steps through a table of single ids, beside the jobs.
  struct Place {
    Query row;
    bool more = row.step();
    bool has(JobId id) {
      while (more && row.id(0) < id) more = row.step();
      return more && row.id(0) == id;
    }
  };

  /// Of the others only their job's row knows the lane: the tables are walked through side by side.
  void count_by_id() {
    Place failed{db_.query(sql::recount_failed)};
    Place blocked{db_.query(sql::recount_blocked)};
    Query completed = db_.query(sql::recount_completed);
    bool more_completed = completed.step();
    Query job = db_.query(sql::recount_jobs);
    while (job.step()) {
      const JobId id = job.id(0);
      const LaneId lane = job.number(1);
      while (more_completed && completed.id(1) < id) more_completed = completed.step();
      if (more_completed && completed.id(0) <= id) add(JobState::completed, lane);
      if (failed.has(id)) add(static_cast<JobState>(failed.row.small(1)), lane);
      if (blocked.has(id)) add(JobState::blocked, lane);
    }
  }

  Connection& db_;
  Counts counts_;
};

}  // namespace

std::vector<CountFault> recount(Connection& db) {
  const Recount::Counts found = Recount(db).run();
  std::map<Recount::Key, std::pair<std::uint64_t, std::uint64_t>> both;
  for (const auto& [key, number] : found) both[key].second = number;
  Query kept = db.query(sql::kept_counts);
  while (kept.step())
    both[{kept.small(0), kept.number(1)}].first = static_cast<std::uint64_t>(kept.number(2));

  std::map<LaneId, Lane> names;
  Query lane = db.query(sql::all_lanes);
  while (lane.step()) names.emplace(lane.number(0), Lane{lane.string(1), lane.string(2)});

  std::vector<CountFault> faults;
  for (const auto& [key, numbers] : both) {
    if (numbers.first == numbers.second) continue;
    const auto name = names.find(key.second);
    const std::string unknown = fmt::format("(lane {}, which is missing)", key.second);
    faults.push_back({.queue = name == names.end() ? unknown : name->second.queue,
                      .kind = name == names.end() ? unknown : name->second.kind,
                      .state = static_cast<JobState>(key.first),
                      .kept = numbers.first,
                      .found = numbers.second});
  }
  std::sort(faults.begin(), faults.end());
  return faults;
}

}  // namespace quern::inline v1::sqlite
