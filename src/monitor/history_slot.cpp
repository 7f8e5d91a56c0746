#include "monitor/history_slot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "quern/core/error.hpp"
#include "quern/core/fields.hpp"

namespace quern::inline v1::detail {

namespace history_format {
// Names are short, since every pair of every minute has them. Changes that an older version would read wrongly need
// another version; new fields don't.
constexpr int version = 1;

struct Tally {
  std::string q{};                 // queue
  std::string k{};                 // kind
  std::vector<std::uint64_t> c{};  // counts in the order of history_counts, without the zeros at the end
  std::int64_t p = 0;              // processor time, us
  std::string w{};                 // histograms: waited,
  std::string r{};                 // ran,
  std::string a{};                 // age
};
QUERN_FIELDS(Tally, q, k, c, p, w, r, a)

struct Depths {
  std::string q{};
  std::string k{};
  std::vector<std::uint64_t> s{};  // sums in the order of HistoryDepths::What
  std::vector<std::uint64_t> m{};  // the most
  std::int64_t o = 0;              // the oldest that was ready, us
};
QUERN_FIELDS(Depths, q, k, s, m, o)

struct Slot {
  int v = 0;
  std::int64_t at = 0;  // begin, us, as the next three
  std::int64_t up = 0;  // covered
  std::int64_t run = 0;
  std::int64_t slot = 0;
  std::vector<Tally> jobs{};
  std::uint64_t samples = 0;
  std::uint64_t nodes = 0;
  std::uint64_t most_nodes = 0;
  std::vector<Depths> depths{};
};
QUERN_FIELDS(Slot, v, at, up, run, slot, jobs, samples, nodes, most_nodes, depths)

Duration duration(std::int64_t us) {
  if (us < 0) throw InvalidArgument("payload", "has a negative duration");
  return Duration(us);
}

Tally stored(const HistoryNames& names, const HistoryTally& tally) {
  Tally made;
  made.q = names.first;
  made.k = names.second;
  for (const HistoryCount& count : history_counts) made.c.push_back(tally.counts.*count.of_history);
  while (!made.c.empty() && made.c.back() == 0) made.c.pop_back();
  made.p = tally.counts.cpu.count();
  made.w = tally.waited.to_compact();
  made.r = tally.ran.to_compact();
  made.a = tally.age.to_compact();
  return made;
}

HistoryTally tally_of(const Tally& stored) {
  HistoryTally made;
  for (std::size_t i = 0; i < std::min(stored.c.size(), history_counts.size()); ++i)
    made.counts.*history_counts[i].of_history = stored.c[i];
  made.counts.cpu = duration(stored.p);
  made.waited = Histogram::from_compact(stored.w);
  made.ran = Histogram::from_compact(stored.r);
  made.age = Histogram::from_compact(stored.a);
  return made;
}

Depths stored(const HistoryNames& names, const HistoryDepths& depths) {
  Depths made;
  made.q = names.first;
  made.k = names.second;
  made.s.assign(depths.sum.begin(), depths.sum.end());
  made.m.assign(depths.most.begin(), depths.most.end());
  made.o = depths.oldest_ready.count();
  return made;
}

HistoryDepths depths_of(const Depths& stored) {
  HistoryDepths made;
  std::copy_n(stored.s.begin(), std::min(stored.s.size(), made.sum.size()), made.sum.begin());
  std::copy_n(stored.m.begin(), std::min(stored.m.size(), made.most.size()), made.most.begin());
  made.oldest_ready = duration(stored.o);
  return made;
}

}  // namespace history_format

namespace {

const HistoryNames others{"(other)", "(other)"};

/// How much there is to know of it: those with little make room for the others.
std::uint64_t weight(const HistoryTally& tally) { return tally.counts.enqueued + tally.counts.started; }
std::uint64_t weight(const HistoryDepths& depths) {
  return depths.sum[HistoryDepths::ready] + depths.sum[HistoryDepths::running] +
         depths.sum[HistoryDepths::scheduled];
}

/// The `most` heaviest, and all others as one; of one weight the first by name.
template <class Map>
Map heaviest(const Map& all, std::size_t most) {
  if (all.size() <= most) return all;
  std::vector<typename Map::const_iterator> order;
  for (auto it = all.begin(); it != all.end(); ++it)
    if (it->first != others) order.push_back(it);
  std::ranges::sort(order, [](const auto& a, const auto& b) {
    const auto heavy = weight(a->second);
    const auto other = weight(b->second);
    return heavy != other ? heavy > other : a->first < b->first;
  });
  Map made;
  if (const auto had = all.find(others); had != all.end()) made.insert(*had);
  for (std::size_t i = 0; i < order.size(); ++i)
    made[i < most ? order[i]->first : others].add(order[i]->second);
  return made;
}

bool asked_for(const HistoryQuery& query, const std::string& queue, const std::string& kind) {
  return (!query.queue || *query.queue == queue) && (!query.kind || *query.kind == kind);
}

}  // namespace

void HistoryTally::add(const HistoryTally& other) {
  for (const HistoryCount& count : history_counts) counts.*count.of_history += other.counts.*count.of_history;
  counts.cpu += other.counts.cpu;
  waited.merge(other.waited);
  ran.merge(other.ran);
  age.merge(other.age);
}

void HistoryDepths::add(const HistoryDepths& other) {
  for (std::size_t i = 0; i < whats; ++i) {
    sum[i] += other.sum[i];
    most[i] = std::max(most[i], other.most[i]);
  }
  oldest_ready = std::max(oldest_ready, other.oldest_ready);
}

void HistorySlot::add_counts(const HistorySlot& other) {
  for (const auto& [names, tally] : other.tallies) tallies[names].add(tally);
}

void HistorySlot::add_pairs(const HistorySlot& other) {
  add_counts(other);
  running_time += other.running_time;
  slot_time += other.slot_time;
  samples += other.samples;
  nodes_sum += other.nodes_sum;
  nodes_most = std::max(nodes_most, other.nodes_most);
  for (const auto& [names, depth] : other.depths) depths[names].add(depth);
}

void HistorySlot::add_beside(const HistorySlot& other) {
  add_pairs(other);
  if (other.covered == Duration::zero()) return;
  if (covered == Duration::zero()) begin = other.begin;
  const Duration end = std::max(begin + covered, other.begin + other.covered);
  begin = std::min(begin, other.begin);
  covered = end - begin;
}

void HistorySlot::add_after(const HistorySlot& other) {
  add_pairs(other);
  covered += other.covered;
}

HistorySlot HistorySlot::with_pairs(std::size_t most) const {
  HistorySlot made = *this;
  made.tallies = heaviest(tallies, most);
  made.depths = heaviest(depths, most);
  return made;
}

Payload HistorySlot::stored(std::size_t most_pairs) const {
  const HistorySlot kept = with_pairs(most_pairs);
  history_format::Slot slot;
  slot.v = history_format::version;
  slot.at = kept.begin.count();
  slot.up = kept.covered.count();
  slot.run = kept.running_time.count();
  slot.slot = kept.slot_time.count();
  for (const auto& [names, tally] : kept.tallies)
    if (!tally.empty()) slot.jobs.push_back(history_format::stored(names, tally));
  slot.samples = kept.samples;
  slot.nodes = kept.nodes_sum;
  slot.most_nodes = kept.nodes_most;
  for (const auto& [names, depth] : kept.depths) slot.depths.push_back(history_format::stored(names, depth));
  Payload payload = Payload::of(slot);
  const std::size_t pairs = std::max(kept.tallies.size(), kept.depths.size());
  if (payload.text().size() > most_history_bytes && pairs > 1)
    return kept.stored(std::min(most_pairs, pairs) / 2);
  return payload;
}

HistorySlot HistorySlot::from(const Payload& payload) { return from(payload, HistoryQuery()); }

HistorySlot HistorySlot::from(const Payload& payload, const HistoryQuery& query) {
  const auto slot = payload.as<history_format::Slot>();
  if (slot.v != history_format::version)
    throw InvalidArgument("payload",
                          fmt::format("is of version {}, known here is {}", slot.v, history_format::version));
  HistorySlot made;
  made.begin = history_format::duration(slot.at);
  made.covered = history_format::duration(slot.up);
  made.running_time = history_format::duration(slot.run);
  made.slot_time = history_format::duration(slot.slot);
  for (const auto& tally : slot.jobs)
    if (asked_for(query, tally.q, tally.k))
      made.tallies[{tally.q, tally.k}].add(history_format::tally_of(tally));
  made.samples = slot.samples;
  made.nodes_sum = slot.nodes;
  made.nodes_most = slot.most_nodes;
  for (const auto& depths : slot.depths)
    if (asked_for(query, depths.q, depths.k))
      made.depths[{depths.q, depths.k}].add(history_format::depths_of(depths));
  return made;
}

}  // namespace quern::inline v1::detail
