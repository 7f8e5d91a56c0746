#include "storage/postgres/effects.hpp"

#include <algorithm>

namespace quern::inline v1::postgres {

std::optional<int> Lanes::number(const std::string& queue, const std::string& kind) const {
  const std::lock_guard lock(mutex_);
  const auto known = numbers_.find({queue, kind});
  return known == numbers_.end() ? std::nullopt : std::optional(known->second);
}

const Lanes::Names* Lanes::names(int lane) const {
  const std::lock_guard lock(mutex_);
  const auto known = names_.find(lane);
  return known == names_.end() ? nullptr : &known->second;  // a node of the map, which stays where it is
}

void Lanes::learn(int lane, std::string queue, std::string kind) {
  const std::lock_guard lock(mutex_);
  numbers_.try_emplace({queue, kind}, lane);
  names_.try_emplace(lane, Names{std::move(queue), std::move(kind)});
}

bool Effects::take(const Result& rows, int row, const std::function<Lanes::Names(int)>& names) {
  switch (rows.small(row, tag)) {
    case event: {
      JobEvent& told = events.emplace_back();
      told.type = static_cast<JobEventType>(rows.small(row, state));
      told.id = JobId{rows.id(row, id)};
      told.attempt = rows.small(row, attempt);
      told.epoch = static_cast<Epoch>(rows.number(row, epoch));
      told.at = rows.time(row, at);
      if (!rows.null(row, run_at)) told.run_at = rows.time(row, run_at);
      told.message = rows.string(row, message);
      if (told.type == JobEventType::progress_updated)
        told.progress = {rows.small(row, reason), std::exchange(told.message, {})};
      else
        told.dead_reason = static_cast<DeadReason>(rows.small(row, reason));
      if (!rows.null(row, lane)) {
        Lanes::Names lane_names = names(rows.small(row, lane));
        told.queue = std::move(lane_names.queue);
        told.kind = std::move(lane_names.kind);
      }
      return true;
    }
    case work:
      ready = true;
      return true;
    case due:
      earliest = std::min(earliest, rows.time(row, run_at));
      return true;
    case stop:
      asked_to_stop.push_back(JobId{rows.id(row, id)});
      return true;
    default:
      return false;
  }
}

}  // namespace quern::inline v1::postgres
