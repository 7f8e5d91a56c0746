#pragma once

#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "quern/storage/requests.hpp"
#include "storage/sqlite/work.hpp"

namespace quern::inline v1::sqlite {

/// The limits of a request by name, and how much of each is left.
class ClaimLimits {
 public:
  explicit ClaimLimits(const std::vector<ClaimLimit>& limits) {
    for (const ClaimLimit& limit : limits) by_name_.emplace(limit.name, limit);
  }
  ClaimLimit* find(std::string_view name) {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &found->second;
  }

 private:
  std::unordered_map<std::string_view, ClaimLimit> by_name_;  // the names are the request's
};

/// A lane as a claim sees it.
struct ClaimLane {
  LaneId id = 0;
  const Lane* names = nullptr;
  ClaimLimit* kind = nullptr;   // null: not wanted
  ClaimLimit* queue = nullptr;  // null: bounded by the total alone
  std::int64_t taken = 0;       // jobs that are ready no longer
  std::int64_t claimed = 0;

  [[nodiscard]] std::size_t left(std::size_t total) const {
    if (kind == nullptr) return 0;
    auto left = std::min(total, kind->limit);
    if (queue != nullptr) left = std::min(left, queue->limit);
    return left;
  }
};

/// Where a job stands among the ready ones.
struct ReadyKey {
  int priority = std::numeric_limits<int>::min();
  TimePoint run_at = TimePoint::min();
  std::uint64_t id = 0;
  friend auto operator<=>(const ReadyKey&, const ReadyKey&) = default;
};

/// A row of quern_ready with what is left of it.
struct ReadyRow {
  ClaimLane* lane = nullptr;
  ReadyKey key{};  // as stored: with its first id
  bool changed = false;
  IdRuns ids{};
  std::size_t run = 0;     // the range that begins with the next id; those before are used up
  std::size_t source = 0;  // that it was read from
  bool after_gap = false;  // rows that nobody wants stand before it
  bool used = false;

  [[nodiscard]] ReadyKey next() const { return {key.priority, key.run_at, ids[run].first}; }
  [[nodiscard]] bool empty() const { return run == ids.size(); }
};

/// The ready jobs that a claim wants, by (priority, run_at, id) over all lanes.
///
/// Rows come in this order from one walk over the table. Should that pass over too many rows that the claim
/// does not want (a paused queue, a kind that the node does not know), it goes on lane by lane.
class ReadyMerge {
 public:
  ReadyMerge(Work& work, const ClaimRequest& request);

  struct Part {
    const ReadyRow* row = nullptr;
    IdRange ids{};
  };
  /// The next jobs, no more than `total` nor than their lane has left; none at the end.
  std::optional<Part> next(std::size_t total);
  /// So many jobs of the part are claimed; the others were taken all the same.
  void took(const Part& part, std::size_t claimed);
  /// Takes what was given out from the table and the counts.
  void write_back();

 private:
  /// Where rows are read from: all lanes, or one.
  struct Source {
    std::optional<LaneId> lane{};
    ReadyKey read_to{};
    std::size_t at_once = 1;
    std::deque<ReadyRow*> read{};  // and not yet merged
    bool gap = false;              // rows were passed over since the last one kept
    bool end = false;
  };

  ClaimLane& lane(LaneId id);
  void read_more(std::size_t source);
  void merge_next(std::size_t source);
  void go_lane_by_lane();
  void push(ReadyRow& row);

  Work& work_;
  ClaimLimits kinds_;
  std::optional<ClaimLimits> queues_;
  std::unordered_set<std::string> paused_;
  std::unordered_map<LaneId, ClaimLane> lanes_;
  std::deque<Source> sources_;
  std::deque<ReadyRow> rows_;
  std::vector<ReadyRow*> heap_;
  std::size_t passed_over_ = 0;
  std::size_t may_pass_over_;
};

}  // namespace quern::inline v1::sqlite
