#include "monitor/history_reader.hpp"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace quern::inline v1::detail {
namespace {

/// Minutes, each of which has a record from every node.
void read_minutes(HistoryStore& store, TimePoint from, TimePoint to, const HistoryQuery& query,
                  const EachSlot& each) {
  std::optional<HistorySlot> slot;
  TimePoint time{};
  const auto give = [&] {
    if (slot) each(time, *slot);
    slot.reset();
  };
  store.each(HistoryResolution::minute, from, to, [&](const HistoryStore::Entry& entry) {
    if (entry.time != time) give();
    time = entry.time;
    if (const auto part = store.read(entry, query)) {
      if (!slot) slot.emplace();
      slot->add_beside(*part);
    }
    return true;
  });
  give();
}

HistoryGauge gauge(const HistorySlot& slot, HistoryDepths::What what) {
  HistoryGauge made;
  for (const auto& [names, depths] : slot.depths) {
    made.mean += static_cast<double>(depths.sum[what]);
    made.max += static_cast<double>(depths.most[what]);
  }
  made.mean /= static_cast<double>(slot.samples);
  return made;
}

}  // namespace

TimePoint begin_of(HistoryResolution resolution, TimePoint time) {
  const Duration length = length_of(resolution);
  const Duration since = time.time_since_epoch() % length;
  return time - (since < Duration::zero() ? since + length : since);
}

HistoryResolution parts_of(HistoryResolution resolution) {
  return resolution == HistoryResolution::day ? HistoryResolution::hour : HistoryResolution::minute;
}

void read_history(HistoryStore& store, HistoryResolution resolution, TimePoint from, TimePoint to,
                  const HistoryQuery& query, const EachSlot& each) {
  if (resolution == HistoryResolution::minute) return read_minutes(store, from, to, query, each);
  std::vector<std::pair<TimePoint, TimePoint>> missing;
  TimePoint known_until = from;
  store.each(resolution, from, to, [&](const HistoryStore::Entry& entry) {
    const auto slot = store.read(entry, query);
    if (!slot) return true;  // perhaps its parts can still be read
    if (known_until < entry.time) missing.emplace_back(known_until, entry.time);
    known_until = entry.time + length_of(resolution);
    each(entry.time, *slot);
    return true;
  });
  if (known_until < to) missing.emplace_back(known_until, to);
  std::map<TimePoint, HistorySlot> made;
  for (const auto& [begin, end] : missing)
    read_history(
        store, parts_of(resolution), begin, end, query,
        [&](TimePoint time, const HistorySlot& part) { made[begin_of(resolution, time)].add_after(part); });
  for (const auto& [time, slot] : made) each(time, slot);
}

HistorySlot add_up(HistoryStore& store, HistoryResolution resolution, TimePoint time) {
  HistorySlot sum;
  read_history(store, parts_of(resolution), time, time + length_of(resolution), {},
               [&](TimePoint, const HistorySlot& part) { sum.add_after(part); });
  return sum;
}

HistoryPoint point_of(HistoryResolution resolution, TimePoint time, const HistorySlot& slot) {
  HistoryPoint point;
  point.from = time;
  point.length = length_of(resolution);
  HistoryTally all;
  for (const auto& [names, tally] : slot.tallies) all.add(tally);
  point.counts = all.counts;
  point.waited = std::move(all.waited);
  point.ran = std::move(all.ran);
  point.age = std::move(all.age);
  point.covered = std::min(slot.covered, point.length);
  if (slot.covered > Duration::zero()) {
    const auto covered = static_cast<double>(slot.covered.count());
    point.running = static_cast<double>(slot.running_time.count()) / covered;
    point.slots = static_cast<double>(slot.slot_time.count()) / covered;
  }
  if (slot.samples == 0) return point;
  HistoryDepth& depth = point.depth.emplace();
  depth.ready = gauge(slot, HistoryDepths::ready);
  depth.scheduled = gauge(slot, HistoryDepths::scheduled);
  depth.running = gauge(slot, HistoryDepths::running);
  depth.dead = gauge(slot, HistoryDepths::dead);
  for (const auto& [names, depths] : slot.depths)
    depth.oldest_ready = std::max(depth.oldest_ready, depths.oldest_ready);
  depth.nodes.mean = static_cast<double>(slot.nodes_sum) / static_cast<double>(slot.samples);
  depth.nodes.max = static_cast<double>(slot.nodes_most);
  return point;
}

}  // namespace quern::inline v1::detail
