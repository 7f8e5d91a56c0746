#include "storage/sqlite/rule_book.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "quern/core/error.hpp"
#include "quern/core/job_state.hpp"
#include "storage/sqlite/id_runs.hpp"
#include "storage/sqlite/sql.hpp"

namespace quern::inline v1::sqlite {
namespace {

// Small numbers first, whether below zero or above.
std::uint64_t folded(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1U) ^ static_cast<std::uint64_t>(value >> 63U);
}
std::int64_t unfolded(std::uint64_t value) {
  return static_cast<std::int64_t>((value >> 1U) ^ (0 - (value & 1U)));
}

std::string pack(const detail::RateState& state) {
  Packer packer;
  for (const std::int64_t number : state) packer.number(folded(number));
  return packer.bytes();
}

/// What can't be read may have let start as many as there may be.
detail::RateState unpack(const StartRate& rate, std::string_view bytes, SteadyTime now) {
  detail::RateState state;
  Unpacker reader(bytes);
  while (!reader.done()) state.push_back(unfolded(reader.number()));
  return reader.ok() && detail::is_sound(rate, state) ? state : detail::used_up(rate, now.count());
}

/// A row of all_limits or find_limit.
RuleRoom room_in(const Query& row, SteadyTime now) {
  RuleRoom room;
  room.rule.name = row.string(0);
  room.rule.queue = row.string(1);
  room.rule.kind = row.string(2);
  room.rule.max_running = static_cast<std::uint64_t>(row.number(3));
  room.rule.rate.count = row.number(4);
  room.rule.rate.per = Duration(row.number(5));
  room.rule.rate.algorithm = static_cast<RateAlgorithm>(row.small(6));
  room.rule.rate.burst = row.number(7);
  room.rate = unpack(room.rule.rate, row.bytes(8), now);
  return room;
}

}  // namespace

RuleBook::RuleBook(Connection& db, LaneBook& lanes, SteadyTime now) : now_(now) {
  {
    Query row = db.query(sql::all_limits);
    while (row.step()) rooms_.push_back(room_in(row, now));
  }
  if (rooms_.empty()) return;
  count(db, lanes);
  for (RuleRoom& room : rooms_) {
    if (room.rule.rate.count > 0) room.changed = detail::follow_clock(room.rule.rate, room.rate, now.count());
    room.left = detail::room_of(room.rule, room.running, room.rate, now.count());
  }
}

void RuleBook::count(Connection& db, LaneBook& lanes) {
  for (const JobState state : {JobState::running, JobState::ready}) {
    Query row = db.query(sql::lanes_in_state);
    row.bind(static_cast<int>(state));
    while (row.step()) {
      const Lane& names = lanes.name(db, row.number(0));
      for (RuleRoom& room : rooms_) {
        if (!room.rule.is_for(names.queue, names.kind)) continue;
        (state == JobState::running ? room.running : room.ready) += static_cast<std::uint64_t>(row.number(1));
      }
    }
  }
}

std::vector<RuleRoom*> RuleBook::of(const Lane& lane) {
  std::vector<RuleRoom*> all;
  for (RuleRoom& room : rooms_)
    if (room.rule.is_for(lane.queue, lane.kind)) all.push_back(&room);
  return all;
}

bool RuleBook::has_room(const Lane& lane) const {
  return std::ranges::none_of(rooms_, [&](const RuleRoom& room) {
    return room.left == 0 && room.rule.is_for(lane.queue, lane.kind);
  });
}

bool RuleBook::clock_was_set_back() const { return std::ranges::any_of(rooms_, &RuleRoom::changed); }

void RuleBook::save(Connection& db) {
  for (RuleRoom& room : rooms_) {
    if (room.rule.rate.count == 0 || (room.started == 0 && !room.changed)) continue;
    detail::add_starts(room.rule.rate, room.rate, now_.count(), room.started);
    room.started = 0;
    const std::string state = pack(room.rate);
    db.run(sql::set_limit_state, room.rule.name, Blob{state});
  }
}

Duration RuleBook::next_start() const {
  Duration next = Duration::max();
  for (const RuleRoom& room : rooms_) {
    if (room.rule.rate.count == 0 || room.ready == 0) continue;
    const Duration wait(detail::wait_for_start(room.rule.rate, room.rate, now_.count()));
    if (wait > Duration::zero()) next = std::min(next, wait);
  }
  return next;
}

std::vector<LimitStatus> RuleBook::status() const {
  std::vector<LimitStatus> all;
  for (const RuleRoom& room : rooms_)
    all.push_back(detail::status_of(room.rule, room.running, room.rate, now_.count()));
  return all;
}

void set_limit(Connection& db, const LimitRule& rule, SteadyTime now) {
  detail::RateState state;
  bool known = false;
  {
    Query row = db.query(sql::find_limit);
    if (row.bind(rule.name).step()) {
      known = true;
      const RuleRoom before = room_in(row, now);
      state = detail::carried_over(before.rule.rate, before.rate, rule.rate, now.count());
    }
  }
  if (!known && db.value(sql::count_limits).value_or(0) >= static_cast<std::int64_t>(max_limit_rules))
    throw InvalidArgument("limits",
                          fmt::format("are {} already, no more rules are kept; \"{}\" is not among them",
                                      max_limit_rules, rule.name));
  const std::string packed = pack(state);
  db.run(sql::put_limit, rule.name, rule.queue, rule.kind, rule.max_running, rule.rate.count,
         rule.rate.per.count(), static_cast<int>(rule.rate.algorithm), rule.rate.burst, Blob{packed});
}

}  // namespace quern::inline v1::sqlite
