// How jobs end, and what becomes of those that wait for them.

#include <fmt/core.h>

#include <cassert>

#include "quern/core/limits.hpp"
#include "storage/sqlite/sql.hpp"
#include "storage/sqlite/work.hpp"

namespace quern::inline v1::sqlite {
namespace {

JobEventType event_of(JobState end) {
  if (end == JobState::completed) return JobEventType::completed;
  return end == JobState::dead ? JobEventType::dead : JobEventType::cancelled;
}

bool has_key(const std::string& more) {
  if (more.empty()) return false;
  const auto unpacked = unpack_more(more);
  return unpacked && !unpacked->unique.key.empty();
}

}  // namespace

void Work::put_end(const Ending& ending, TimePoint finished_at) {
  assert(is_terminal(ending.state));
  if (ending.state == JobState::completed) {
    add_to_completed(ending, finished_at);
  } else {
    db.run(sql::add_failed, ending.id, static_cast<int>(ending.state), ending.attempt, ending.epoch,
           ending.started_at, finished_at, static_cast<int>(ending.reason), ending.message);
  }
  count(ending.lane, ending.state, 1);
  zones.ended(ending.id, ending.lane, ending.state, finished_at);
}

void Work::end(const Ending& ending) {
  put_end(ending, now);
  if (ending.keyed) {
    Query row = db.query(sql::more_of_job);
    const auto more = row.bind(ending.id).step() ? unpack_more(row.bytes(0)) : std::nullopt;
    if (more && !more->protects_key(ending.state)) db.run(sql::free_key, more->unique.key, ending.id);
  }
  if (has_any(sql::any_dep)) unsettled_.emplace_back(ending.id, ending.state);
  if (JobEvent* told = event(event_of(ending.state), ending.id, ending.lane, ending.attempt, ending.epoch)) {
    told->dead_reason = ending.reason;
    told->message = ending.message;
  }
}

void Work::add_to_completed(const Ending& ending, TimePoint finished_at) {
  if (ending.result != nullptr) {
    db.run(sql::add_completed, ending.id, ending.id, ending.attempt, ending.epoch, ending.started_at,
           finished_at, Blob{ending.result->text()});
    return;
  }
  // Mostly the jobs of one or a few claims, which have all in common.
  constexpr std::size_t groups_looked_at = 8;
  const std::size_t oldest = completed_.size() > groups_looked_at ? completed_.size() - groups_looked_at : 0;
  for (std::size_t i = completed_.size(); i > oldest; --i) {
    CompletedGroup& group = completed_[i - 1];
    if (group.attempt != ending.attempt || group.epoch != ending.epoch ||
        group.started_at != ending.started_at || group.finished_at != finished_at)
      continue;
    group.ids.push_back(ending.id.value);
    return;
  }
  completed_.push_back({ending.attempt, ending.epoch, ending.started_at, finished_at, {ending.id.value}});
}

void Work::flush_completed() {
  for (CompletedGroup& group : completed_) {
    for (const IdRange& run : runs_of(std::move(group.ids)))
      db.run(sql::add_completed, run.first, run.last, group.attempt, group.epoch, group.started_at,
             group.finished_at, std::nullopt);
  }
  completed_.clear();
}

void Work::forget_end(const Place& place) {
  count(place.lane, place.state, -1);
  if (place.state != JobState::completed) {
    db.run(sql::delete_failed, place.id);
    return;
  }
  flush_completed();
  Query row = db.query(sql::completed_with);
  if (!row.bind(place.id).step() || row.id(1) < place.id) return;
  IdRuns rest{{row.id(0).value, row.id(1).value}};
  const int attempt = row.small(2);
  const auto epoch = static_cast<Epoch>(row.number(3));
  const auto started_at = row.maybe_time(4);
  const TimePoint finished_at = row.time(5);
  row.reset();
  db.run(sql::delete_completed, rest.front().first);
  take_out(rest, place.id.value);
  for (const IdRange& run : rest)
    db.run(sql::add_completed, run.first, run.last, attempt, epoch, started_at, finished_at, std::nullopt);
}

void Work::erase_rows(const IdRange& ids) {
  db.run(sql::delete_jobs, ids.first, ids.last);
  if (has_any(sql::any_changed)) db.run(sql::delete_changed, ids.first, ids.last);
  if (has_any(sql::any_error)) db.run(sql::delete_errors, ids.first, ids.last);
  if (has_any(sql::any_step)) db.run(sql::delete_steps, ids.first, ids.last);
  if (has_any(sql::any_progress)) db.run(sql::delete_progress, ids.first, ids.last);
}

void Work::end_waiting(Place& place, JobState state, DeadReason reason, std::string_view message) {
  leave(place);
  place.state = state;
  end({.id = place.id,
       .lane = place.lane,
       .state = state,
       .attempt = place.attempt,
       .epoch = place.epoch,
       .started_at = place.started_at,
       .reason = reason,
       .message = message,
       .keyed = has_key(place.more)});
}

void Work::expire(Place& place) {
  end_waiting(place, JobState::dead, DeadReason::expired, "not started by its deadline");
}

void Work::settle() {
  while (!unsettled_.empty()) {
    const auto [parent, how] = unsettled_.front();
    unsettled_.pop_front();
    std::vector<std::pair<JobId, ParentPolicy>> waiting;
    Query row = db.query(sql::children);
    row.bind(parent);
    while (row.step()) waiting.emplace_back(row.id(0), static_cast<ParentPolicy>(row.small(1)));
    row.reset();
    for (const auto& [child, policy] : waiting) resolve(child, parent, how, policy);
  }
}

void Work::resolve(JobId child, JobId parent, JobState how, ParentPolicy policy) {
  const bool failed = how != JobState::completed;
  if (failed && policy == ParentPolicy::stay_blocked) return;
  if (failed && policy == ParentPolicy::cancel) {
    auto place = look_up(child);
    if (place && place->state == JobState::blocked)
      end_waiting(*place, JobState::cancelled, DeadReason::none,
                  fmt::format("its parent {} is {}", parent.value, to_string(how)));
    return;
  }
  db.run(sql::delete_dep, parent, child);
  if (db.exists(sql::waits, child)) return;
  auto place = look_up(child);
  if (!place || place->state != JobState::blocked) return;
  leave(*place);
  wait_until(*place, place->run_at);
}

void Work::mend(JobId id, LaneId lane, Priority priority, TimePoint at) {
  db.run(sql::mend_job, id, lane, priority.level, at);
  zones.added(id, lane, at);
}

void Work::save_changed(Place& place) {
  db.run(sql::set_changed, place.id, place.priority.level, place.run, place.attempt, place.epoch,
         place.crashes, place.snoozes, place.run_at, place.deadline, place.started_at);
  place.changed = true;
  now_has(sql::any_changed);
}

void Work::remember_error(JobId id, int attempt, Epoch epoch, AttemptFault fault, std::string_view message) {
  db.run(sql::add_error, id, epoch, attempt, now, static_cast<int>(fault), message);
  if (epoch > max_attempt_errors) db.run(sql::trim_errors, id, static_cast<int>(max_attempt_errors));
  now_has(sql::any_error);
}

JobEvent* Work::event(JobEventType type, JobId id, LaneId lane, int attempt, Epoch epoch) {
  if (!events_wanted) return nullptr;
  const Lane& names = lanes.name(db, lane);
  JobEvent& told = events.emplace_back();
  told.type = type;
  told.id = id;
  told.kind = names.kind;
  told.queue = names.queue;
  told.attempt = attempt;
  told.epoch = epoch;
  told.at = now;
  return &told;
}

}  // namespace quern::inline v1::sqlite
