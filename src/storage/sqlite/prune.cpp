#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <vector>

#include "storage/sqlite/operations.hpp"
#include "storage/sqlite/sql.hpp"
#include "storage/sqlite/sql_read.hpp"
#include "storage/sqlite/sql_zones.hpp"

namespace quern::inline v1::sqlite {
namespace {

/// A row of quern_completed.
struct CompletedRow {
  IdRange ids{};
  int attempt = 0;
  Epoch epoch = 0;
  std::optional<TimePoint> started_at{};
  TimePoint finished_at{};
};

/// An entry of quern_ended: among the zone's jobs some of this lane ended in this span of time, or did once.
struct Entry {
  std::int64_t span = 0;
  std::uint64_t zone = 0;
  LaneId lane = 0;
  std::size_t left = 0;  ///< Such jobs that stay.
  friend bool operator<(const Entry& a, const Entry& b) {
    return std::tie(a.span, a.zone, a.lane) < std::tie(b.span, b.zone, b.lane);
  }
};

/// Deletes ended jobs. Ids are roughly in the order of their jobs' ends: the jobs that ended first are looked
/// at, a good many more than are to go, and of these the smallest ids go. Only zones that have jobs of a
/// wanted lane are looked at, so what other kinds keep costs nothing; what a blocked job keeps alive is
/// looked at each time.
class Pruning {
 public:
  Pruning(Work& work, const PruneRequest& request) : work_(work), request_(request), state_(request.state) {
    constexpr std::size_t least_looked_at = 1'000;
    constexpr std::size_t most_at_once = 100'000;
    limit_ = std::min(request.limit, most_at_once);
    looked_at_ = std::max(least_looked_at, limit_ * 4);
    const auto since = work.now.time_since_epoch();
    const bool too_early = since < TimePoint::duration::min() + request.older_than;
    ended_by_ = too_early ? TimePoint::min() : work.now - request.older_than;
  }

  PruneResult run() {
    find_lanes();
    while (!more_ && read_entries()) look_into_entries();
    std::sort(old_.begin(), old_.end(), [](const Old& a, const Old& b) { return a.id < b.id; });
    if (old_.size() > limit_) {
      more_ = true;
      for (std::size_t i = limit_; i < old_.size(); ++i) ++entries_[old_[i].entry].left;
      old_.resize(limit_);
    }
    std::vector<std::uint64_t> ids;
    ids.reserve(old_.size());
    for (const Old& old : old_) ids.push_back(old.id);
    const IdRuns doomed = runs_of(std::move(ids));
    for (const auto& [first, row] : rows_) cut(row, doomed);
    for (const IdRange& run : doomed) erase(run);
    for (const Entry& entry : entries_) {
      if (entry.left == 0)
        work_.db.run(sql::delete_ended, static_cast<int>(state_), entry.lane, entry.span, entry.zone);
    }
    return {.pruned = old_.size(), .more = more_};
  }

 private:
  struct Old {
    std::uint64_t id = 0;
    std::size_t entry = 0;
  };

  [[nodiscard]] bool is_wanted(std::string_view kind) const {
    if (!request_.kind.empty()) return kind == request_.kind;
    return std::find(request_.except.begin(), request_.except.end(), kind) == request_.except.end();
  }

  /// A wanted lane, and how far its entries have been read.
  struct Reading {
    LaneId lane = 0;
    std::int64_t span = std::numeric_limits<std::int64_t>::min();
    std::int64_t zone = -1;
  };

  void find_lanes() {
    Query lane = work_.db.query(sql::all_lanes);
    while (lane.step()) {
      if (is_wanted(lane.bytes(2))) lanes_.push_back({.lane = lane.number(0)});
    }
  }

  /// The next entries of each lane, oldest first; false when there are none left.
  bool read_entries() {
    constexpr int at_once = 256;
    looked_into_ = entries_.size();
    std::vector<Reading> unfinished;
    for (Reading& lane : lanes_) {
      Query row = work_.db.query(sql::old_ended);
      row.bind(static_cast<int>(state_), lane.lane, span_of(ended_by_), lane.span, lane.zone, at_once);
      int read = 0;
      for (; row.step(); ++read) {
        lane.span = row.number(0);
        lane.zone = row.number(1);
        entries_.push_back({lane.span, static_cast<std::uint64_t>(lane.zone), lane.lane});
      }
      if (read == at_once) unfinished.push_back(lane);
    }
    lanes_ = std::move(unfinished);
    std::sort(entries_.begin() + static_cast<std::ptrdiff_t>(looked_into_), entries_.end());
    return looked_into_ < entries_.size();
  }

  /// Into those that were read last, until enough jobs were found; fewer will do where they stand thin.
  void look_into_entries() {
    constexpr std::size_t many_zones = 256;
    for (std::size_t begin = looked_into_; begin < entries_.size();) {
      if (old_.size() >= (zones_ > many_zones ? limit_ : looked_at_)) {
        more_ = true;
        entries_.resize(begin);
        return;
      }
      std::size_t end = begin + 1;
      while (end < entries_.size() && entries_[end].span == entries_[begin].span &&
             entries_[end].zone == entries_[begin].zone)
        ++end;
      look_into_zone(begin, end);
      ++zones_;
      begin = end;
    }
  }

  /// Of one zone and span, the entries `begin` to `end`: one for each lane.
  void look_into_zone(std::size_t begin, std::size_t end) {
    const IdRange ids = ids_of_zone(entries_[begin].zone);
    if (state_ == JobState::completed) {
      find_completed(ids, begin, end);
    } else {
      find_failed(ids, begin, end);
    }
  }

  void look_at(std::uint64_t id, LaneId lane, TimePoint finished_at, std::size_t begin, std::size_t end) {
    for (std::size_t entry = begin; entry < end; ++entry) {
      if (entries_[entry].lane != lane) continue;
      if (finished_at > ended_by_ ||
          (work_.has_any(sql::any_dep) && work_.db.exists(sql::has_children, JobId{id}))) {
        ++entries_[entry].left;
      } else {
        old_.push_back({id, entry});
      }
    }
  }

  void find_completed(const IdRange& zone, std::size_t begin, std::size_t end) {
    Query row = work_.db.query(sql::completed_in);
    row.bind(zone.first, zone.last);
    while (row.step()) {
      const CompletedRow found{{row.id(0).value, row.id(1).value},
                               row.small(2),
                               static_cast<Epoch>(row.number(3)),
                               row.maybe_time(4),
                               row.time(5)};
      if (found.ids.last < zone.first || span_of(found.finished_at) != entries_[begin].span) continue;
      rows_.try_emplace(found.ids.first, found);
      Query job = work_.db.query(sql::lanes_of_jobs);
      job.bind(std::max(found.ids.first, zone.first), std::min(found.ids.last, zone.last));
      while (job.step()) look_at(job.id(0).value, job.number(1), found.finished_at, begin, end);
    }
  }

  void find_failed(const IdRange& zone, std::size_t begin, std::size_t end) {
    Query row = work_.db.query(sql::failed_in);
    row.bind(zone.first, zone.last, static_cast<int>(state_));
    while (row.step()) {
      if (span_of(row.time(2)) != entries_[begin].span) continue;
      if (const auto lane = work_.db.value(sql::lane_of_job, row.id(0)))
        look_at(row.id(0).value, *lane, row.time(2), begin, end);
    }
  }

  /// Takes the doomed ids out of a range; what is left of it stays.
  void cut(const CompletedRow& row, const IdRuns& doomed) {
    auto next = std::partition_point(doomed.begin(), doomed.end(),
                                     [&](const IdRange& run) { return run.last < row.ids.first; });
    if (next == doomed.end() || next->first > row.ids.last) return;
    work_.db.run(sql::delete_completed, row.ids.first);
    std::uint64_t begin = row.ids.first;
    for (; next != doomed.end() && next->first <= row.ids.last; ++next) {
      if (begin < next->first) keep(row, {begin, next->first - 1});
      begin = next->last + 1;
    }
    if (begin <= row.ids.last) keep(row, {begin, row.ids.last});
  }

  void keep(const CompletedRow& row, IdRange ids) {
    work_.db.run(sql::add_completed, ids.first, ids.last, row.attempt, row.epoch, row.started_at,
                 row.finished_at, std::nullopt);
  }

  void erase(IdRange ids) {
    Query job = work_.db.query(sql::doomed_jobs);
    job.bind(ids.first, ids.last);
    while (job.step()) {
      work_.count(job.number(1), state_, -1);
      if (state_ != JobState::completed) work_.db.run(sql::delete_failed, job.id(0));
      const auto more = job.null(2) ? std::nullopt : unpack_more(job.bytes(2));
      work_.zones.erased(job.id(0), job.number(1), more ? &*more : nullptr);
      if (more && !more->unique.key.empty()) work_.db.run(sql::free_key, more->unique.key, job.id(0));
    }
    job.reset();
    work_.erase_rows(ids);
  }

  Work& work_;
  const PruneRequest& request_;
  JobState state_;
  TimePoint ended_by_{};
  std::size_t limit_ = 0;
  std::size_t looked_at_ = 0;
  std::vector<Reading> lanes_;  // that have more entries
  std::vector<Entry> entries_;
  std::size_t looked_into_ = 0;  // so many of them, or all
  std::size_t zones_ = 0;        // that were looked into; one for each span of time
  std::vector<Old> old_;
  std::map<std::uint64_t, CompletedRow> rows_;  // that ids in `old_` may be from
  bool more_ = false;
};

}  // namespace

PruneResult prune(Work& work, const PruneRequest& request) { return Pruning(work, request).run(); }

}  // namespace quern::inline v1::sqlite
