#pragma once

#include <compare>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "storage/memory/row.hpp"

namespace quern::inline v1::memory {

/// A ready job's place in its lane.
struct ReadyKey {
  Priority priority{};
  TimePoint run_at{};
  JobId id{};
  friend auto operator<=>(const ReadyKey&, const ReadyKey&) = default;
};

/// The jobs of one queue and kind in one state: the unit of counting.
struct Shelf {
  std::string queue{};
  std::string kind{};
  JobState state = JobState::ready;
  friend auto operator<=>(const Shelf&, const Shelf&) = default;
};

/// Where the rows are found other than by id. Everything here follows from the rows: a row is removed before
/// it changes and added again after. O(log n) each.
class Indexes {
 public:
  using Lane = std::set<ReadyKey>;
  using Times = std::set<std::pair<TimePoint, JobId>>;

  void add(const Row& row);
  void remove(const Row& row);

  /// Ready jobs by kind and queue; no lane is empty.
  [[nodiscard]] const std::map<std::string, std::map<std::string, Lane>>& lanes() const { return lanes_; }
  /// All jobs by queue, kind and state; no shelf is empty.
  [[nodiscard]] const std::map<Shelf, std::set<JobId>>& shelves() const { return shelves_; }
  /// Scheduled jobs by the time they are due.
  [[nodiscard]] const Times& scheduled() const { return scheduled_; }
  /// Jobs that have not started and must by then.
  [[nodiscard]] const Times& deadlines() const { return deadlines_; }
  /// Ended jobs that no blocked one waits for, by state: their ids, and when they ended.
  [[nodiscard]] const std::set<JobId>& ended(JobState state) const;
  [[nodiscard]] const Times& ended_at(JobState state) const;
  /// Jobs that a node runs, and those of them that were asked to stop.
  [[nodiscard]] const std::set<JobId>& running(NodeId node) const;
  [[nodiscard]] const std::set<JobId>& asked_to_stop(NodeId node) const;

 private:
  std::map<std::string, std::map<std::string, Lane>> lanes_;
  std::map<Shelf, std::set<JobId>> shelves_;
  Times scheduled_;
  Times deadlines_;
  std::map<JobState, std::set<JobId>> ended_;
  std::map<JobState, Times> ended_at_;
  std::map<NodeId, std::set<JobId>> running_;
  std::map<NodeId, std::set<JobId>> asked_to_stop_;
};

}  // namespace quern::inline v1::memory
