#include "storage/sqlite/zones.hpp"

#include <algorithm>

#include "storage/sqlite/sql_zones.hpp"

namespace quern::inline v1::sqlite {

void ZoneBook::added(JobId id, LaneId lane, TimePoint created_at) {
  const LaneZone here{lane, zone_of(id.value)};
  const std::int64_t tick = tick_of(created_at);
  if (here == last_added_ && tick == last_tick_) return;
  last_added_ = here;
  last_tick_ = tick;
  lanes_.insert(here);
  const auto [times, is_new] = times_.try_emplace(here.second, Times{tick, tick});
  times->second.earliest = std::min(times->second.earliest, tick);
  times->second.latest = std::max(times->second.latest, tick);
}

void ZoneBook::ended(JobId id, LaneId lane, JobState state, TimePoint finished_at) {
  const Ended here{state, lane, span_of(finished_at), zone_of(id.value)};
  if (here == last_ended_) return;
  last_ended_ = here;
  ended_.insert(here);
}

std::int64_t ZoneBook::label_id(LabelType type, const std::string& name) {
  const auto [known, is_new] = labels_.try_emplace({type, name}, 0);
  if (!is_new) return known->second;
  if (const auto id = db_.value(sql::find_label, static_cast<int>(type), name)) return known->second = *id;
  db_.run(sql::add_label, static_cast<int>(type), name);
  return known->second = db_.last_row();
}

void ZoneBook::label(JobId id, const std::string& tenant, const std::vector<std::string>& tags) {
  if (!tenant.empty()) db_.run(sql::add_labelled, label_id(LabelType::tenant, tenant), id);
  for (const std::string& tag : tags) db_.run(sql::add_labelled, label_id(LabelType::tag, tag), id);
}

void ZoneBook::unlabel(LabelType type, const std::string& name, JobId id) {
  const auto label = db_.value(sql::find_label, static_cast<int>(type), name);
  if (!label) return;
  db_.run(sql::delete_labelled, *label, id);
  unlabelled_.insert(*label);
}

void ZoneBook::erased(JobId id, LaneId lane, const JobMore* more) {
  erased_.emplace(lane, zone_of(id.value));
  if (more == nullptr) return;
  if (!more->tenant.empty()) unlabel(LabelType::tenant, more->tenant, id);
  for (const std::string& tag : more->tags) unlabel(LabelType::tag, tag, id);
}

void ZoneBook::flush() {
  for (const auto& [zone, times] : times_) {
    // An area covers its zones, so it needs to hear of a zone only when that has changed.
    if (db_.run(sql::widen_zone, zone_bits, zone, times.earliest, times.latest) != 0)
      db_.run(sql::widen_zone, area_bits, zone >> (area_bits - zone_bits), times.earliest, times.latest);
  }
  for (const auto& [lane, zone] : lanes_) db_.run(sql::add_lane_zone, lane, zone);
  for (const auto& [state, lane, span, zone] : ended_)
    db_.run(sql::add_ended, static_cast<int>(state), lane, span, zone);
  times_.clear();
  lanes_.clear();
  ended_.clear();
  last_added_ = {};
  last_ended_ = {};
  constexpr std::size_t most_labels = 10'000;
  if (labels_.size() > most_labels) labels_.clear();  // they are in the file, too
  if (!erased_.empty()) clear_erased();
}

void ZoneBook::clear_erased() {
  std::set<std::uint64_t> zones;
  for (const auto& [lane, zone] : erased_) {
    const IdRange ids = ids_of_zone(zone);
    if (!db_.exists(sql::zone_has_lane, ids.first, ids.last, lane))
      db_.run(sql::delete_lane_zone, lane, zone);
    zones.insert(zone);
  }
  std::set<std::uint64_t> areas;
  for (const std::uint64_t zone : zones) {
    const IdRange ids = ids_of_zone(zone);
    if (db_.exists(sql::zone_has_job, ids.first, ids.last)) continue;
    db_.run(sql::delete_zone, zone_bits, zone);
    areas.insert(zone >> (area_bits - zone_bits));
  }
  for (const std::uint64_t area : areas) {
    const IdRange inside = ids_of_zone(area, area_bits - zone_bits);
    if (!db_.exists(sql::area_has_zone, zone_bits, inside.first, inside.last))
      db_.run(sql::delete_zone, area_bits, area);
  }
  for (const std::int64_t label : unlabelled_) {
    if (!db_.exists(sql::label_used, label)) db_.run(sql::delete_label, label);
  }
  erased_.clear();
  unlabelled_.clear();
  labels_.clear();
}

void fill_zones(Connection& db) {
  ZoneBook book(db);
  Query completed = db.query(sql::fill_completed);
  bool more_completed = completed.step();
  Query failed = db.query(sql::fill_failed);
  bool more_failed = failed.step();
  Query job = db.query(sql::fill_jobs);
  std::uint64_t written_to = 0;
  while (job.step()) {
    const JobId id = job.id(0);
    const LaneId lane = job.number(1);
    if (zone_of(id.value, area_bits) != written_to) {  // bounds the memory
      book.flush();
      written_to = zone_of(id.value, area_bits);
    }
    book.added(id, lane, job.time(2));
    if (!job.null(3)) {
      if (const auto more = unpack_more(job.bytes(3))) book.label(id, more->tenant, more->tags);
    }
    while (more_completed && completed.id(1) < id) more_completed = completed.step();
    if (more_completed && completed.id(0) <= id) book.ended(id, lane, JobState::completed, completed.time(2));
    while (more_failed && failed.id(0) < id) more_failed = failed.step();
    if (more_failed && failed.id(0) == id)
      book.ended(id, lane, static_cast<JobState>(failed.small(1)), failed.time(2));
  }
  book.flush();
}

}  // namespace quern::inline v1::sqlite
