#include <algorithm>
#include <limits>
#include <map>
#include <tuple>

#include "storage/node_capacity.hpp"
#include "storage/sqlite/claim_book.hpp"
#include "storage/sqlite/find.hpp"
#include "storage/sqlite/reading.hpp"
#include "storage/sqlite/sql.hpp"
#include "storage/sqlite/sql_read.hpp"

namespace quern::inline v1::sqlite {

std::vector<JobCount> count(Connection& db) {
  std::vector<JobCount> counts;
  Query row = db.query(sql::all_counts);
  while (row.step()) {
    counts.push_back({.queue = row.string(0),
                      .kind = row.string(1),
                      .state = static_cast<JobState>(row.small(2)),
                      .count = static_cast<std::uint64_t>(row.number(3))});
  }
  std::sort(counts.begin(), counts.end());
  return counts;
}

std::vector<ReadyAge> oldest_ready(Connection& db, TimePoint now) {
  std::vector<ReadyAge> ages;
  Query lane = db.query(sql::ready_lanes);
  lane.bind(static_cast<int>(JobState::ready));
  while (lane.step()) {
    TimePoint since = TimePoint::max();
    Query line = db.query(sql::first_of_next_priority);
    for (int above = std::numeric_limits<int>::min();;) {
      line.bind(lane.number(0), above);
      if (!line.step()) break;
      above = line.small(0);
      since = std::min(since, line.time(1));
      line.reset();
    }
    if (since != TimePoint::max())
      ages.push_back({lane.string(1), lane.string(2), since, std::max(Duration::zero(), now - since)});
  }
  std::sort(ages.begin(), ages.end());
  return ages;
}

std::vector<Step> steps(Connection& db, JobId id) {
  std::vector<std::pair<std::int64_t, Step>> saved;
  Query row = db.query(sql::steps_of);
  row.bind(id);
  while (row.step()) saved.emplace_back(row.number(0), Step{row.string(1), Payload::json(row.string(2))});
  std::sort(saved.begin(), saved.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Step> steps;
  steps.reserve(saved.size());
  for (auto& [number, step] : saved) steps.push_back(std::move(step));
  return steps;
}

std::vector<JobId> cancel_requests(Connection& db, NodeId node) {
  std::vector<JobId> asked;
  Query row = db.query(sql::cancels);
  while (row.step()) asked.push_back(row.id(0));
  if (asked.empty()) return asked;
  Finder finder(db);
  std::erase_if(asked, [&](JobId id) {
    const auto run = finder.running().find(id);
    return run == finder.running().end() || run->second.node != node;
  });
  return asked;
}

std::vector<NodeStatus> nodes(Connection& db, const ClockRef& clock) {
  const std::string boot = clock.boot_id();
  const std::int64_t steady = clock.steady().count();
  std::map<NodeId, std::size_t> running;
  ClaimBook claims(db);
  for (const ClaimRow* const row : claims.all()) running[row->node()] += row->left();
  std::vector<NodeStatus> nodes;
  Query row = db.query(sql::all_nodes);
  while (row.step()) {
    NodeStatus node{.id = NodeId{row.id(0).value},
                    .info = {.name = row.string(4),
                             .host = row.string(5),
                             .process = row.number(6),
                             .lease = Duration(row.number(2))},
                    .state = static_cast<NodeState>(row.small(1)),
                    .started_at = row.time(3)};
    detail::unpack_capacity(row.string(7), node.info);
    if (node.state == NodeState::alive && row.string(8) == boot)
      node.lease_left = Duration(std::max<std::int64_t>(row.number(9) - steady, 0));
    if (const auto held = running.find(node.id); held != running.end()) node.running = held->second;
    if (node.state == NodeState::alive || node.running > 0) nodes.push_back(std::move(node));
  }
  return nodes;
}

std::vector<QueueStatus> queues(Connection& db) {
  std::map<std::string, QueueStatus> by_name;
  Query lane = db.query(sql::all_lanes);
  while (lane.step()) by_name.try_emplace(lane.string(1), QueueStatus{.name = lane.string(1)});
  Query row = db.query(sql::all_queues);
  while (row.step()) {
    by_name.insert_or_assign(row.string(0),
                             QueueStatus{.name = row.string(0),
                                         .paused = row.small(1) != 0,
                                         .max_waiting = static_cast<std::uint64_t>(row.number(2))});
  }
  std::vector<QueueStatus> queues;
  queues.reserve(by_name.size());
  for (auto& [name, queue] : by_name) queues.push_back(std::move(queue));
  return queues;
}

std::optional<JobId> key_holder(Connection& db, const std::string& key, TimePoint now) {
  const auto id = db.value(sql::key_holder, key, now);
  if (!id) return std::nullopt;
  return JobId{static_cast<std::uint64_t>(*id)};
}

std::optional<Payload> get_record(Connection& db, std::string_view collection, std::string_view key) {
  Query row = db.query(sql::get_record);
  if (!row.bind(collection, key).step()) return std::nullopt;
  return Payload::json(row.string(0));
}

std::vector<Record> read_records(Connection& db, const RecordKey& after, std::size_t limit) {
  std::vector<Record> records;
  Query row = db.query(sql::next_records);
  row.bind(after.collection, after.key, static_cast<std::uint64_t>(limit));
  while (row.step())
    records.push_back(
        {.collection = row.string(0), .key = row.string(1), .value = Payload::json(row.string(2))});
  return records;
}

std::vector<Record> list_records(Connection& db, std::string_view collection, std::string_view after,
                                 std::size_t limit) {
  std::vector<Record> records;
  Query row = db.query(sql::list_records);
  row.bind(collection, after, std::min<std::size_t>(limit, max_job_id));
  while (row.step())
    records.push_back({std::string(collection), row.string(0), Payload::json(row.string(1))});
  return records;
}

}  // namespace quern::inline v1::sqlite
