#include "storage/sqlite/ready_merge.hpp"

#include <algorithm>
#include <cassert>

#include "storage/sqlite/sql.hpp"

namespace quern::inline v1::sqlite {
namespace {

bool is_later(const ReadyRow* a, const ReadyRow* b) { return a->next() > b->next(); }

}  // namespace

ReadyMerge::ReadyMerge(Work& work, const ClaimRequest& request)
    : work_(work),
      kinds_(request.kinds),
      may_pass_over_(500 + 4 * std::min<std::size_t>(request.limit, 10'000)) {
  if (request.queues) queues_.emplace(*request.queues);
  Query row = work_.db.query(sql::paused_queues);
  while (row.step()) paused_.insert(row.string(0));
  sources_.emplace_back();
  merge_next(0);
}

ClaimLane& ReadyMerge::lane(LaneId id) {
  const auto [known, is_new] = lanes_.try_emplace(id);
  ClaimLane& lane = known->second;
  if (!is_new) return lane;
  lane.id = id;
  lane.names = &work_.lanes.name(work_.db, id);
  if (paused_.contains(lane.names->queue)) return lane;
  if (queues_) {
    lane.queue = queues_->find(lane.names->queue);
    if (lane.queue == nullptr) return lane;
  }
  lane.kind = kinds_.find(lane.names->kind);
  return lane;
}

void ReadyMerge::push(ReadyRow& row) {
  heap_.push_back(&row);
  std::push_heap(heap_.begin(), heap_.end(), is_later);
}

/// Puts the source's next row among those that are merged.
void ReadyMerge::merge_next(std::size_t source) {
  Source& from = sources_[source];
  while (from.read.empty() && !from.end) {
    if (!from.lane && passed_over_ > may_pass_over_) return go_lane_by_lane();
    read_more(source);
  }
  if (from.read.empty()) return;
  push(*from.read.front());
  from.read.pop_front();
}

void ReadyMerge::read_more(std::size_t source) {
  constexpr std::size_t most_at_once = 256;
  Source& from = sources_[source];
  Query row = work_.db.query(from.lane ? sql::next_ready_of_lane : sql::next_ready);
  if (from.lane) {
    row.bind(from.read_to.priority, from.read_to.run_at, from.read_to.id, from.at_once, *from.lane);
  } else {
    row.bind(from.read_to.priority, from.read_to.run_at, from.read_to.id, from.at_once);
  }
  std::size_t count = 0;
  for (; row.step(); ++count) {
    from.read_to = {row.small(0), row.time(1), row.id(2).value};
    ClaimLane& its_lane = lane(row.number(3));
    if (its_lane.kind == nullptr) {
      from.gap = true;
      ++passed_over_;
      continue;
    }
    ReadyRow& read = rows_.emplace_back();
    read.lane = &its_lane;
    read.key = from.read_to;
    read.changed = row.small(5) != 0;
    read.ids = unpack_ready(row.id(2).value, row.id(4).value, row.bytes(6));
    if (read.ids.empty())
      throw StorageError(work_.db.file() + ": a row of quern_ready cannot be read; the database is damaged",
                         false);
    read.source = source;
    read.after_gap = std::exchange(from.gap, false);
    from.read.push_back(&read);
  }
  from.end = count < from.at_once;
  from.at_once = std::min(from.at_once * 4, most_at_once);
}

/// From here on each lane is read for itself. All rows up to where the walk has come were read.
void ReadyMerge::go_lane_by_lane() {
  const ReadyKey read_to = sources_[0].read_to;
  sources_[0].end = true;
  Query row = work_.db.query(sql::lanes_in_state);
  row.bind(static_cast<int>(JobState::ready));
  while (row.step()) {
    const bool takes_more = lane(row.number(0)).left(std::numeric_limits<std::size_t>::max()) > 0;
    if (takes_more) sources_.push_back({.lane = row.number(0), .read_to = read_to});
  }
  for (std::size_t source = 1; source < sources_.size(); ++source) merge_next(source);
}

std::optional<ReadyMerge::Part> ReadyMerge::next(std::size_t total) {
  while (total > 0 && !heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), is_later);
    ReadyRow& row = *heap_.back();
    heap_.pop_back();
    const std::size_t budget = row.lane->left(total);
    const bool of_all_lanes = !sources_[row.source].lane;
    // Its successor comes next, or has an id that comes before the row's second one.
    if (!row.used && (budget > 0 || of_all_lanes)) merge_next(row.source);
    if (budget == 0) {
      // Its lane has had its share: what is left of the row stays, and so do the later ones of the lane.
      if (of_all_lanes) ++passed_over_;
      continue;
    }
    row.used = true;
    IdRange& range = row.ids[row.run];
    std::uint64_t last = std::min(range.last, range.first + (budget - 1));
    if (!heap_.empty()) {
      const ReadyKey other = heap_.front()->next();
      if (other.priority == row.key.priority && other.run_at == row.key.run_at)
        last = std::min(last, other.id - 1);
    }
    const Part part{&row, {range.first, last}};
    assert(part.ids.first <= part.ids.last);
    if (last == range.last) {
      ++row.run;
    } else {
      range.first = last + 1;
    }
    if (!row.empty()) push(row);
    return part;
  }
  return std::nullopt;
}

void ReadyMerge::took(const Part& part, std::size_t claimed) {
  ClaimLane& lane = *part.row->lane;
  lane.taken += static_cast<std::int64_t>(part.ids.size());
  lane.claimed += static_cast<std::int64_t>(claimed);
  lane.kind->limit -= claimed;
  if (lane.queue != nullptr) lane.queue->limit -= claimed;
}

void ReadyMerge::write_back() {
  // The used rows, as few stretches of neighbours as possible.
  const ReadyRow* first = nullptr;
  const ReadyRow* last = nullptr;
  const auto erase = [&] {
    if (first == nullptr) return;
    work_.db.run(sql::delete_ready_range, first->key.priority, first->key.run_at, first->key.id,
                 last->key.priority, last->key.run_at, last->key.id);
    first = nullptr;
  };
  for (const ReadyRow& row : rows_) {
    const bool continues = row.used && row.source == 0 && !row.after_gap;
    if (!continues) erase();
    if (!row.used) continue;
    if (first == nullptr) first = &row;
    last = &row;
  }
  erase();
  for (const ReadyRow& row : rows_) {
    if (!row.used || row.empty()) continue;
    const IdRuns rest(row.ids.begin() + static_cast<std::ptrdiff_t>(row.run), row.ids.end());
    work_.put_back(row.lane->id, row.key.priority, row.key.run_at, rest, row.changed);
  }
  for (const auto& [id, lane] : lanes_) {
    work_.count(id, JobState::ready, -lane.taken);
    work_.count(id, JobState::running, lane.claimed);
  }
}

}  // namespace quern::inline v1::sqlite
