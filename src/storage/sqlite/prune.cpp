#include <algorithm>
#include <vector>

#include "storage/sqlite/operations.hpp"
#include "storage/sqlite/sql.hpp"
#include "storage/sqlite/sql_read.hpp"

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

/// Deletes ended jobs. Ids are roughly in the order of their jobs' ends: the jobs that ended first are looked
/// at, a good many more than are to go, and of these the smallest ids go.
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
    if (state_ == JobState::completed) {
      find_completed();
    } else {
      find_failed();
    }
    std::sort(old_.begin(), old_.end());
    if (old_.size() > limit_) {
      more_ = true;
      old_.resize(limit_);
    }
    const std::size_t pruned = old_.size();
    const IdRuns doomed = runs_of(std::move(old_));
    for (const CompletedRow& row : rows_) cut(row, doomed);
    for (const IdRange& run : doomed) erase(run);
    return {.pruned = pruned, .more = more_};
  }

 private:
  bool is_wanted(JobId id) {
    if (request_.kind.empty() && request_.except.empty()) return true;
    const auto lane = work_.db.value(sql::lane_of_job, id);
    if (!lane) return request_.kind.empty();
    const std::string& kind = work_.lanes.name(work_.db, *lane).kind;
    if (!request_.kind.empty()) return kind == request_.kind;
    return std::find(request_.except.begin(), request_.except.end(), kind) == request_.except.end();
  }

  /// False when enough were found.
  bool look_at(JobId id) {
    if (!is_wanted(id)) return true;
    if (work_.has_any(sql::any_dep) && work_.db.exists(sql::has_children, id)) return true;
    if (old_.size() == looked_at_) {
      more_ = true;
      return false;
    }
    old_.push_back(id.value);
    return true;
  }

  void find_completed() {
    Query row = work_.db.query(sql::old_completed);
    row.bind(ended_by_);
    while (row.step()) {
      const IdRange ids{row.id(0).value, row.id(1).value};
      rows_.push_back({ids, row.small(2), static_cast<Epoch>(row.number(3)), row.maybe_time(4), row.time(5)});
      for (std::uint64_t id = ids.first; id <= ids.last; ++id) {
        if (!look_at(JobId{id})) return;
      }
    }
  }

  void find_failed() {
    Query row = work_.db.query(sql::old_failed);
    row.bind(static_cast<int>(state_), ended_by_);
    while (row.step()) {
      if (!look_at(row.id(0))) return;
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
      if (job.null(2)) continue;
      const auto more = unpack_more(job.bytes(2));
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
  std::vector<std::uint64_t> old_;
  std::vector<CompletedRow> rows_;  // that ids in `old_` are from
  bool more_ = false;
};

}  // namespace

PruneResult prune(Work& work, const PruneRequest& request) { return Pruning(work, request).run(); }

}  // namespace quern::inline v1::sqlite
