#include "storage/memory/indexes.hpp"

#include <cassert>

namespace quern::inline v1::memory {
namespace {

/// Removes `value` from the set at `key`, and the set when it is empty.
template <class Map, class Value>
void erase_from(Map& map, const typename Map::key_type& key, const Value& value) {
  const auto it = map.find(key);
  assert(it != map.end() && it->second.contains(value));
  it->second.erase(value);
  if (it->second.empty()) map.erase(it);
}

template <class Map>
const typename Map::mapped_type& find_or_empty(const Map& map, const typename Map::key_type& key) {
  static const typename Map::mapped_type empty;
  const auto it = map.find(key);
  return it == map.end() ? empty : it->second;
}

bool can_expire(const Job& job) {
  return job.deadline &&
         (job.state == JobState::blocked || job.state == JobState::scheduled || job.state == JobState::ready);
}

ReadyKey ready_key(const Job& job) { return {job.priority, job.run_at, job.id}; }
Shelf shelf_of(const Job& job) { return {job.queue, job.kind, job.state}; }

}  // namespace

void Indexes::add(const Row& row) {
  const Job& job = row.job;
  shelves_[shelf_of(job)].insert(job.id);
  if (can_expire(job)) deadlines_.emplace(*job.deadline, job.id);
  if (job.state == JobState::ready) {
    lanes_[job.kind][job.queue].insert(ready_key(job));
  } else if (job.state == JobState::scheduled) {
    scheduled_.emplace(job.run_at, job.id);
  } else if (job.state == JobState::running) {
    running_[NodeId{job.node}].insert(job.id);
    if (job.cancel_requested) asked_to_stop_[NodeId{job.node}].insert(job.id);
  } else if (is_terminal(job.state) && row.waiters.empty()) {
    ended_[job.state].insert(job.id);
    ended_at_[job.state].emplace(*job.finished_at, job.id);
  }
}

void Indexes::remove(const Row& row) {
  const Job& job = row.job;
  erase_from(shelves_, shelf_of(job), job.id);
  if (can_expire(job)) deadlines_.erase({*job.deadline, job.id});
  if (job.state == JobState::ready) {
    auto& by_queue = lanes_.at(job.kind);
    erase_from(by_queue, job.queue, ready_key(job));
    if (by_queue.empty()) lanes_.erase(job.kind);
  } else if (job.state == JobState::scheduled) {
    scheduled_.erase({job.run_at, job.id});
  } else if (job.state == JobState::running) {
    erase_from(running_, NodeId{job.node}, job.id);
    if (job.cancel_requested) erase_from(asked_to_stop_, NodeId{job.node}, job.id);
  } else if (is_terminal(job.state) && row.waiters.empty()) {
    erase_from(ended_, job.state, job.id);
    erase_from(ended_at_, job.state, std::pair{*job.finished_at, job.id});
  }
}

const std::set<JobId>& Indexes::ended(JobState state) const { return find_or_empty(ended_, state); }
const Indexes::Times& Indexes::ended_at(JobState state) const { return find_or_empty(ended_at_, state); }
const std::set<JobId>& Indexes::running(NodeId node) const { return find_or_empty(running_, node); }
const std::set<JobId>& Indexes::asked_to_stop(NodeId node) const {
  return find_or_empty(asked_to_stop_, node);
}

}  // namespace quern::inline v1::memory
