#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "storage/sqlite_fixture.hpp"

namespace quern_test {

/// Looks at a storage's file from outside, with a reader of the packed columns of its own, and says what
/// contradicts what: each job stands in exactly one place, the counts equal a recount, nothing belongs to a
/// job that isn't there.
class SqliteConsistency {
 public:
  explicit SqliteConsistency(const std::string& path) : db_(path) {}

  /// Empty: all is well.
  [[nodiscard]] std::vector<std::string> faults() {
    if (const auto integrity = db_.value("PRAGMA integrity_check"); integrity != "ok")
      faults_.push_back(integrity);
    read_jobs();
    read_places();
    check_places();
    check_counts();
    check_dependencies();
    check_expiry();
    check_belongings();
    check_zones();
    check_ended();
    check_labels();
    return faults_;
  }

 private:
  using Id = std::uint64_t;
  struct Job {
    std::int64_t lane = 0;
    std::string priority;
    std::string run_at;
    std::string deadline;
    bool changed = false;
    std::uint64_t changed_epoch = 0;
    std::int64_t created_at = 0;
    std::set<std::string> labels;  // the type's number, then the name
    std::vector<int> places;       // states, as numbers
  };

  static std::uint64_t number(const std::string& text) { return text.empty() ? 0 : std::stoull(text); }
  void fault(const std::string& what, Id id) {
    faults_.push_back(what + " (job " + std::to_string(id) + ")");
  }
  Job* job(Id id, const std::string& where) {
    const auto found = jobs_.find(id);
    if (found == jobs_.end()) fault(where + " names a job that is not there", id);
    return found == jobs_.end() ? nullptr : &found->second;
  }

  /// Reads what the storage's Packer wrote.
  struct Packed {
    const std::string& bytes;
    std::size_t at = 0;
    std::uint64_t number() {
      std::uint64_t value = 0;
      for (unsigned shift = 0; at < bytes.size(); shift += 7) {
        const auto byte = static_cast<unsigned char>(bytes[at++]);
        value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
        if (byte < 0x80U) break;
      }
      return value;
    }
    std::vector<Id> ids() {
      std::vector<Id> ids;
      Id end = 0;
      for (std::uint64_t runs = number(); runs > 0; --runs) {
        const Id first = end + number();
        end = first + number() + 1;
        for (Id id = first; id < end; ++id) ids.push_back(id);
      }
      return ids;
    }
  };

  /// The tenant and the tags among a job's rare fields.
  static std::set<std::string> labels_in(const std::string& more) {
    std::set<std::string> labels;
    for (Packed packed{more}; packed.at < more.size();) {
      const std::uint64_t field = packed.number();
      const std::uint64_t length = packed.number();
      if (length > more.size() - packed.at) break;
      const std::string bytes = more.substr(packed.at, length);
      packed.at += length;
      if (field == 2) labels.insert("1" + bytes);
      if (field == 3) labels.insert("2" + bytes);
    }
    return labels;
  }

  void read_jobs() {
    for (const auto& row :
         db_.rows("SELECT j.id, j.lane, coalesce(c.priority, j.priority), CASE WHEN c.id IS NULL THEN "
                  "j.run_at ELSE c.run_at END, "
                  "CASE WHEN c.id IS NULL THEN j.deadline ELSE c.deadline END, c.id IS NOT NULL, c.epoch, "
                  "j.created_at, j.more "
                  "FROM quern_jobs j LEFT JOIN quern_changed c ON c.id = j.id")) {
      jobs_[number(row[0])] = {.lane = std::stoll(row[1]),
                               .priority = row[2],
                               .run_at = row[3],
                               .deadline = row[4],
                               .changed = row[5] == "1",
                               .changed_epoch = number(row[6]),
                               .created_at = std::stoll(row[7]),
                               .labels = labels_in(row[8]),
                               .places = {}};
    }
  }

  void read_places() {
    Id completed_to = 0;
    for (const auto& row :
         db_.rows("SELECT first_id, last_id, result FROM quern_completed ORDER BY first_id")) {
      const Id first = number(row[0]);
      const Id last = number(row[1]);
      if (first <= completed_to || last < first) fault("ranges of completed jobs overlap", first);
      if (!row[2].empty() && first != last) fault("a result is shared", first);
      for (Id id = first; id <= last; ++id) place(id, "completed", 5);
      completed_to = last;
    }
    for (const auto& row : db_.rows("SELECT id, state FROM quern_failed"))
      place(number(row[0]), "failed", std::stoi(row[1]));
    for (const auto& row : db_.rows("SELECT id FROM quern_blocked")) place(number(row[0]), "blocked", 1);
    for (const auto& row : db_.rows("SELECT id, lane, priority, run_at, changed FROM quern_sched"))
      check_waiting(number(row[0]), "sched", 2, row[1], row[2], row[3], row[4]);
    for (const auto& row :
         db_.rows("SELECT first_id, last_id, ids, lane, priority, run_at, changed FROM quern_ready")) {
      std::vector<Id> ids;
      if (row[2].empty()) {
        for (Id id = number(row[0]); id <= number(row[1]); ++id) ids.push_back(id);
      } else {
        ids = Packed{row[2]}.ids();
      }
      if (ids.empty() || ids.front() != number(row[0]) || ids.back() != number(row[1]))
        fault("a row of ready does not begin and end with its ids", number(row[0]));
      for (const Id id : ids) check_waiting(id, "ready", 3, row[3], row[4], row[5], row[6]);
    }
    read_claims();
  }

  void read_claims() {
    for (const auto& row : db_.rows("SELECT id, node, settled, entries FROM quern_claims")) {
      if (db_.value("SELECT 1 FROM quern_nodes WHERE id = " + row[1]).empty())
        faults_.push_back("a claim of node " + row[1] + ", which is not there");
      Packed packed{row[3]};
      packed.number();  // the format
      std::size_t number_in_batch = 0;
      bool any_left = false;
      for (std::uint64_t groups = packed.number(); groups > 0; --groups) {
        const auto lane = static_cast<std::int64_t>(packed.number());
        packed.number();  // attempt
        const std::uint64_t epoch = packed.number();
        packed.number();  // max_attempts
        const std::uint64_t bits = packed.number();
        for (const Id id : packed.ids()) {
          const auto byte = static_cast<unsigned char>(row[2].at(number_in_batch / 8));
          const bool settled = ((byte >> (number_in_batch % 8)) & 1U) != 0;
          ++number_in_batch;
          if (settled) continue;
          any_left = true;
          place(id, "claims", 4);
          running_.insert(id);
          const Job* const held = job(id, "claims");
          if (held == nullptr) continue;
          if (held->lane != lane) fault("another lane in claims", id);
          if (held->changed != ((bits & 2U) != 0)) fault("another 'changed' in claims", id);
          if (held->changed && epoch <= held->changed_epoch) fault("an epoch that did not grow", id);
        }
      }
      if (!any_left) faults_.push_back("a row of claims with nothing left, " + row[0]);
      if (row[2].size() != (number_in_batch + 7) / 8)
        faults_.push_back("a row of claims with a wrong bitmap, " + row[0]);
    }
  }

  void place(Id id, const std::string& where, int state) {
    if (Job* const found = job(id, where)) found->places.push_back(state);
  }
  void check_waiting(Id id, const std::string& where, int state, const std::string& lane,
                     const std::string& priority, const std::string& run_at, const std::string& changed) {
    place(id, where, state);
    const Job* const found = job(id, where);
    if (found == nullptr) return;
    if (std::to_string(found->lane) != lane || found->priority != priority || found->run_at != run_at)
      fault(where + " disagrees with the job's row", id);
    if (found->changed != (changed == "1")) fault(where + " has another 'changed'", id);
  }

  void check_places() {
    for (const auto& [id, found] : jobs_) {
      if (found.places.size() != 1) fault("stands in " + std::to_string(found.places.size()) + " places", id);
    }
  }

  void check_counts() {
    std::map<std::pair<int, std::int64_t>, std::int64_t> recount;
    for (const auto& [id, found] : jobs_) {
      for (const int state : found.places) ++recount[{state, found.lane}];
    }
    std::map<std::pair<int, std::int64_t>, std::int64_t> kept;
    for (const auto& row : db_.rows("SELECT state, lane, n FROM quern_totals"))
      kept[{std::stoi(row[0]), std::stoll(row[1])}] = std::stoll(row[2]);
    if (kept != recount) faults_.push_back("the counts differ from a recount");
  }

  void check_dependencies() {
    std::set<Id> children;
    for (const auto& row : db_.rows("SELECT parent, child FROM quern_deps")) {
      children.insert(number(row[1]));
      const Job* const parent = job(number(row[0]), "deps");
      if (parent != nullptr && parent->places == std::vector<int>{5})
        fault("a completed parent blocks", number(row[0]));
    }
    std::set<Id> blocked;
    for (const auto& row : db_.rows("SELECT id FROM quern_blocked")) blocked.insert(number(row[0]));
    if (blocked != children) faults_.push_back("the blocked jobs are not those with open parents");
  }

  void check_expiry() {
    std::set<std::pair<std::string, Id>> kept;
    for (const auto& row : db_.rows("SELECT deadline, id FROM quern_expiry"))
      kept.emplace(row[0], number(row[1]));
    std::set<std::pair<std::string, Id>> wanted;
    for (const auto& [id, found] : jobs_) {
      const bool waits = found.places.size() == 1 && found.places.front() <= 3;
      if (waits && !found.deadline.empty()) wanted.emplace(found.deadline, id);
    }
    if (kept != wanted) faults_.push_back("the deadlines are not those of the waiting jobs");
  }

  void check_belongings() {
    for (const char* const query :
         {"SELECT job FROM quern_errors", "SELECT job FROM quern_steps", "SELECT id FROM quern_progress",
          "SELECT id FROM quern_changed", "SELECT id FROM quern_unique", "SELECT id FROM quern_cancels"}) {
      for (const auto& row : db_.rows(query)) static_cast<void>(job(number(row[0]), query));
    }
    for (const auto& row : db_.rows("SELECT id FROM quern_cancels")) {
      if (!running_.contains(number(row[0]))) fault("asked to stop and does not run", number(row[0]));
    }
  }

  void check_zones() {
    struct Times {
      std::int64_t earliest = 0;
      std::int64_t latest = 0;
    };
    std::map<std::pair<int, Id>, Times> zones;
    for (const auto& row : db_.rows("SELECT size, zone, earliest, latest FROM quern_zones"))
      zones[{std::stoi(row[0]), number(row[1])}] = {std::stoll(row[2]), std::stoll(row[3])};
    std::set<std::pair<std::int64_t, Id>> lane_zones;
    for (const auto& row : db_.rows("SELECT lane, zone FROM quern_lane_zones"))
      lane_zones.emplace(std::stoll(row[0]), number(row[1]));
    std::set<std::pair<int, Id>> wanted;
    std::set<std::pair<std::int64_t, Id>> wanted_lanes;
    for (const auto& [id, found] : jobs_) {
      for (const int size : {8, 16}) {
        wanted.emplace(size, id >> static_cast<unsigned>(size));
        const auto zone = zones.find({size, id >> static_cast<unsigned>(size)});
        const std::int64_t tick = found.created_at >> 17;
        if (zone == zones.end() || tick < zone->second.earliest || tick > zone->second.latest)
          fault("its zone of size " + std::to_string(size) + " does not say when it was created", id);
      }
      wanted_lanes.emplace(found.lane, id >> 8U);
      if (!lane_zones.contains({found.lane, id >> 8U})) fault("its lane does not know its zone", id);
    }
    if (zones.size() != wanted.size()) faults_.push_back("there are zones without a job");
    if (lane_zones.size() != wanted_lanes.size())
      faults_.push_back("there are zones without a job of the lane");
  }

  void check_ended() {
    std::set<std::vector<std::int64_t>> kept;
    for (const auto& row : db_.rows("SELECT state, lane, span, zone FROM quern_ended"))
      kept.insert({std::stoll(row[0]), std::stoll(row[1]), std::stoll(row[2]), std::stoll(row[3])});
    const auto check = [&](Id id, int state, const std::string& finished_at) {
      const auto found = jobs_.find(id);
      if (found == jobs_.end()) return;
      if (!kept.contains({state, found->second.lane, std::stoll(finished_at) >> 26,
                          static_cast<std::int64_t>(id >> 8U)}))
        fault("pruning would not find it", id);
    };
    for (const auto& row : db_.rows("SELECT first_id, last_id, finished_at FROM quern_completed")) {
      for (Id id = number(row[0]); id <= number(row[1]); ++id) check(id, 5, row[2]);
    }
    for (const auto& row : db_.rows("SELECT id, state, finished_at FROM quern_failed"))
      check(number(row[0]), std::stoi(row[1]), row[2]);
  }

  void check_labels() {
    std::map<Id, std::set<std::string>> kept;
    for (const auto& row :
         db_.rows("SELECT n.id, l.type || l.name FROM quern_labelled n JOIN quern_labels l ON "
                  "l.id = n.label"))
      kept[number(row[0])].insert(row[1]);
    for (const auto& [id, found] : jobs_) {
      const auto labels = kept.find(id);
      if ((labels == kept.end() ? std::set<std::string>{} : labels->second) != found.labels)
        fault("is not listed by its tenant and tags", id);
      if (labels != kept.end()) kept.erase(labels);
    }
    if (!kept.empty()) fault("is listed by tenant or tag and is not there", kept.begin()->first);
    if (!db_.rows("SELECT id FROM quern_labels EXCEPT SELECT label FROM quern_labelled").empty())
      faults_.push_back("there are tenants or tags without a job");
  }

  RawDb db_;
  std::map<Id, Job> jobs_;
  std::set<Id> running_;
  std::vector<std::string> faults_;
};

}  // namespace quern_test
