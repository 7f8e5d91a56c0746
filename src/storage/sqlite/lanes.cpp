#include "storage/sqlite/lanes.hpp"

#include <fmt/core.h>

#include "storage/sqlite/sql.hpp"

namespace quern::inline v1::sqlite {
namespace {

// No name holds a NUL, so a key stands for one pair only.
void write_key(std::string& key, std::string_view queue, std::string_view kind) {
  key.assign(queue);
  key.push_back('\0');
  key.append(kind);
}

}  // namespace

LaneId LaneBook::intern(Connection& db, std::string_view queue, std::string_view kind) {
  if (last_ != 0) {
    const Lane& lane = names_.at(last_);
    if (lane.queue == queue && lane.kind == kind) return last_;
  }
  write_key(key_, queue, kind);
  if (const auto known = numbers_.find(key_); known != numbers_.end()) return last_ = known->second;

  if (const auto there = db.value(sql::find_lane, queue, kind)) {
    remember(*there, queue, kind);
    return last_ = *there;
  }
  db.run(sql::add_lane, queue, kind);
  const LaneId id = db.last_row();
  remember(id, queue, kind);
  added_.push_back(id);
  return last_ = id;
}

const Lane& LaneBook::name(Connection& db, LaneId id) {
  if (const auto known = names_.find(id); known != names_.end()) return known->second;
  Query question = db.query(sql::name_lane);
  if (!question.bind(id).step())
    throw StorageError(
        fmt::format("{}: row {} of quern_lanes is missing; the database is damaged", db.file(), id), false);
  remember(id, question.string(0), question.string(1));
  return names_.at(id);
}

void LaneBook::remember(LaneId id, std::string_view queue, std::string_view kind) {
  write_key(key_, queue, kind);
  names_.insert_or_assign(id, Lane{std::string(queue), std::string(kind)});
  numbers_.insert_or_assign(key_, id);
}

void LaneBook::forget_new() {
  for (const LaneId id : added_) {
    const auto lane = names_.find(id);
    if (lane == names_.end()) continue;
    write_key(key_, lane->second.queue, lane->second.kind);
    numbers_.erase(key_);
    names_.erase(lane);
  }
  added_.clear();
  last_ = 0;
}

void LaneBook::forget_all() {
  names_.clear();
  numbers_.clear();
  added_.clear();
  last_ = 0;
}

}  // namespace quern::inline v1::sqlite
