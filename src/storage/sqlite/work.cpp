#include "storage/sqlite/work.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cassert>
#include <limits>

#include "storage/sqlite/sql.hpp"

namespace quern::inline v1::sqlite {
namespace {

// Bounds what a claim that takes a part of a row has to rewrite.
constexpr std::size_t most_runs_per_row = 200;

}  // namespace

bool Work::has_any(const Statement& any) {
  const auto [known, is_new] = any_.try_emplace(&any, false);
  if (is_new) known->second = db.exists(any);
  return known->second;
}

bool Work::alive(NodeId node) {
  const auto [known, is_new] = alive_.try_emplace(node, false);
  if (is_new) known->second = db.exists(sql::node_alive, node.value);
  return known->second;
}

std::optional<Place> Work::look_up(JobId id) {
  Query row = db.query(sql::locate_job);
  if (!row.bind(id).step()) return std::nullopt;
  Place place;
  place.id = id;
  place.lane = row.number(0);
  place.priority = Priority{row.small(1)};
  place.max_attempts = row.small(2);
  place.created_at = row.time(3);
  place.more = row.string(4);
  place.run_at = row.time(5);
  place.deadline = row.maybe_time(6);
  if (!row.null(7)) {
    place.changed = true;
    place.run = row.small(8);
    place.attempt = row.small(9);
    place.epoch = static_cast<Epoch>(row.number(10));
    place.crashes = row.small(11);
    place.snoozes = row.small(12);
    place.run_at = row.time(13);
    place.deadline = row.maybe_time(14);
    place.started_at = row.maybe_time(15);
  }
  if (!row.null(16)) {
    place.state = JobState::completed;
    place.attempt = row.small(17);
    place.epoch = static_cast<Epoch>(row.number(18));
    place.started_at = row.maybe_time(19);
  } else if (!row.null(20)) {
    place.state = static_cast<JobState>(row.small(20));
    place.attempt = row.small(21);
    place.epoch = static_cast<Epoch>(row.number(22));
    place.started_at = row.maybe_time(23);
  } else if (!row.null(24)) {
    place.state = JobState::scheduled;
  } else if (!row.null(25)) {
    place.state = JobState::blocked;
  }
  return place;
}

std::optional<Place> Work::locate(JobId id) {
  auto place = look_up(id);
  if (!place || place->state != JobState::ready) return place;
  flush_ready();
  // A ready job is nearly always in the first row looked at, and reading all claims costs more than a few
  // rows.
  constexpr std::size_t few_rows = 4;
  if (ready_row(*place, few_rows)) return place;
  for (ClaimRow* const claim : claims.all()) {
    const auto spot = claim->find(id);
    if (!spot) continue;
    place->state = JobState::running;
    place->claim = claim;
    place->spot = *spot;
    place->attempt = spot->group->attempt;
    place->epoch = spot->group->epoch;
    place->started_at = claim->claimed_at();
    return place;
  }
  if (ready_row(*place, std::numeric_limits<std::size_t>::max())) return place;
  throw StorageError(
      fmt::format("{}: job {} is in none of the tables that say where jobs stand; the database is damaged",
                  db.file(), id.value),
      false);
}

std::optional<Work::ReadyRow> Work::ready_row(const Place& place, std::size_t most) {
  Query row = db.query(sql::ready_with);
  row.bind(place.lane, place.priority.level, place.run_at, place.id);
  for (std::size_t looked_at = 0; looked_at < most && row.step(); ++looked_at) {
    if (row.id(1) < place.id) continue;
    ReadyRow found{row.id(0).value, unpack_ready(row.id(0).value, row.id(1).value, row.bytes(2))};
    const auto run = std::partition_point(found.ids.begin(), found.ids.end(),
                                          [&](const IdRange& range) { return range.last < place.id.value; });
    if (run != found.ids.end() && run->first <= place.id.value) return found;
  }
  return std::nullopt;
}

void Work::take_from_ready(const Place& place) {
  flush_ready();
  auto row = ready_row(place, std::numeric_limits<std::size_t>::max());
  assert(row);  // `locate` found it
  db.run(sql::delete_ready, place.lane, place.priority.level, place.run_at, row->first_id);
  take_out(row->ids, place.id.value);
  write_ready(place.lane, place.priority.level, place.run_at, row->ids, false);
}

void Work::leave(Place& place) {
  assert(!is_terminal(place.state) && place.state != JobState::running);
  if (place.state == JobState::ready) {
    take_from_ready(place);
  } else if (place.state == JobState::scheduled) {
    db.run(sql::delete_sched, place.run_at, place.id);
  } else {
    db.run(sql::delete_blocked, place.id);
    db.run(sql::delete_deps_of, place.id);
  }
  if (place.deadline) db.run(sql::delete_expiry, *place.deadline, place.id);
  count(place.lane, place.state, -1);
}

void Work::leave_claim(ClaimRow& row, const ClaimRow::Spot& spot) {
  count(spot.group->lane, JobState::running, -1);
  row.settle(spot);
}

JobState Work::wait_until(const Place& place, TimePoint run_at) {
  return wait_until(place.id, place.lane, place.priority, run_at, place.changed, place.deadline);
}

JobState Work::wait_until(JobId id, LaneId lane, Priority priority, TimePoint run_at, bool changed,
                          std::optional<TimePoint> deadline) {
  if (run_at <= now) {
    make_ready(id, lane, priority, run_at, changed, deadline);
    return JobState::ready;
  }
  schedule(id, lane, priority, run_at, changed, deadline);
  return JobState::scheduled;
}

void Work::schedule(JobId id, LaneId lane, Priority priority, TimePoint run_at, bool changed,
                    std::optional<TimePoint> deadline) {
  notice_wait(sql::first_sched, run_at, first_sched_);
  db.run(sql::add_sched, run_at, id, lane, priority.level, changed);
  add_expiry(id, deadline);
  count(lane, JobState::scheduled, 1);
}

void Work::make_ready(JobId id, LaneId lane, Priority priority, TimePoint run_at, bool changed,
                      std::optional<TimePoint> deadline) {
  if (changed) {
    write_ready(lane, priority.level, run_at, {{id.value, id.value}}, true);
  } else {
    add_to_ready(lane, priority.level, run_at, id);
  }
  add_expiry(id, deadline);
  count(lane, JobState::ready, 1);
  ready = true;
}

void Work::block(JobId id, LaneId lane, std::optional<TimePoint> deadline) {
  db.run(sql::add_blocked, id);
  add_expiry(id, deadline);
  count(lane, JobState::blocked, 1);
}

void Work::put_back(LaneId lane, int priority, TimePoint run_at, const IdRuns& ids, bool changed) {
  write_ready(lane, priority, run_at, ids, changed);
}

void Work::add_expiry(JobId id, std::optional<TimePoint> deadline) {
  if (!deadline) return;
  notice_wait(sql::first_expiry, *deadline, first_expiry_);
  db.run(sql::add_expiry, *deadline, id);
}

/// Whoever waits for the next due time must hear of one that is earlier than all before.
void Work::notice_wait(const Statement& first, TimePoint at, std::optional<TimePoint>& earliest) {
  if (has_work) return;
  if (!earliest) {
    const auto stored = db.value(first);
    earliest = stored ? from_us(*stored) : TimePoint::max();
  }
  if (at < *earliest) has_work = true;
}

void Work::add_to_ready(LaneId lane, int priority, TimePoint run_at, JobId id) {
  ReadyGroup* group = nullptr;
  if (!ready_.empty()) group = &ready_.back();
  if (group == nullptr || group->lane != lane || group->priority != priority || group->run_at != run_at) {
    const auto [known, is_new] = ready_index_.try_emplace({lane, priority, run_at}, ready_.size());
    if (is_new) ready_.push_back({.lane = lane, .priority = priority, .run_at = run_at});
    group = &ready_[known->second];
  }
  if (group->ids.empty() || id.value > group->ids.back().last) {
    append(group->ids, id.value);
  } else {
    group->strays.push_back(id.value);
  }
}

void Work::write_ready(LaneId lane, int priority, TimePoint run_at, const IdRuns& ids, bool changed) {
  for (std::size_t begin = 0; begin < ids.size(); begin += most_runs_per_row) {
    const auto end = std::min(begin + most_runs_per_row, ids.size());
    const auto part = std::span(ids).subspan(begin, end - begin);
    if (part.size() == 1) {
      db.run(sql::add_ready, lane, priority, run_at, part.front().first, part.back().last, changed,
             std::nullopt);
    } else {
      Packer packer;
      packer.runs(part);
      db.run(sql::add_ready, lane, priority, run_at, part.front().first, part.back().last, changed,
             Blob{packer.bytes()});
    }
  }
}

void Work::flush_ready() {
  for (ReadyGroup& group : ready_) {
    if (!group.strays.empty()) {
      auto ids = std::move(group.strays);
      for (const IdRange& run : group.ids) {
        for (std::uint64_t id = run.first; id <= run.last; ++id) ids.push_back(id);
      }
      group.ids = runs_of(std::move(ids));
    }
    write_ready(group.lane, group.priority, group.run_at, group.ids, false);
  }
  ready_.clear();
  ready_index_.clear();
}

void Work::flush_counts() {
  for (const auto& [key, by] : counts_) {
    if (by == 0) continue;
    const auto state = static_cast<int>(key.state);
    db.run(sql::add_count, state, key.lane, by);
    if (by < 0) db.run(sql::drop_zero_count, state, key.lane);
  }
  counts_.clear();
}

void Work::flush() {
  assert(unsettled_.empty());
  flush_completed();
  flush_ready();
  flush_counts();
  claims.flush();
  zones.flush();
}

}  // namespace quern::inline v1::sqlite
