#include "storage/sqlite/list_ids.hpp"

#include <unordered_map>
#include <utility>

#include "storage/sqlite/sql_read.hpp"
#include "storage/sqlite/sql_zones.hpp"
#include "storage/sqlite/zones.hpp"

namespace quern::inline v1::sqlite {

LaneFilter::LaneFilter(Connection& db, const JobFilter& filter)
    : all_(filter.queue.empty() && filter.kind.empty()) {
  if (all_) return;
  Query lane = db.query(sql::all_lanes);
  while (lane.step()) {
    if ((filter.queue.empty() || lane.bytes(1) == filter.queue) &&
        (filter.kind.empty() || lane.bytes(2) == filter.kind))
      lanes_.insert(lane.number(0));
  }
}

QueriedIds::QueriedIds(const Listing& listing, const Statement& up, const Statement& down,
                       std::optional<std::int64_t> more)
    : Ids(listing), rows_(listing.db.query(listing.up ? up : down)), more_(more) {}

std::uint64_t QueriedIds::next(std::uint64_t at) {
  constexpr int near = 8;
  for (int steps = 0; !done_; ++steps) {
    if (head_ != 0 && listing_.reached(head_, at)) return head_;
    if (head_ == 0 || steps == near) {
      rows_.reset();
      more_ ? rows_.bind(at, *more_) : rows_.bind(at);
    }
    done_ = !rows_.step();
    if (!done_) head_ = rows_.id(0).value;
  }
  return 0;
}

HeldIds::HeldIds(const Listing& listing, std::vector<IdRange> ranges)
    : Ids(listing), ranges_(std::move(ranges)) {
  std::sort(ranges_.begin(), ranges_.end(), [&](const IdRange& a, const IdRange& b) {
    return listing_.up ? a.first > b.first : a.first < b.first;
  });
}

std::uint64_t HeldIds::next(std::uint64_t at) {
  while (!ranges_.empty() && !listing_.reached(listing_.up ? ranges_.back().last : ranges_.back().first, at))
    ranges_.pop_back();
  if (ranges_.empty()) return 0;
  return listing_.up ? std::max(at, ranges_.back().first) : std::min(at, ranges_.back().last);
}

namespace {

class LaneZoneIds final : public Ids {
 public:
  explicit LaneZoneIds(const Listing& listing) : Ids(listing) {
    for (const LaneId lane : listing.lanes.lanes()) heads_.push_back({lane, {}});
  }

  std::uint64_t next(std::uint64_t at) override {
    const std::uint64_t zone = zone_of(at);
    if (here_ == zone) return at;
    std::optional<std::uint64_t> best;
    for (auto head = heads_.begin(); head != heads_.end();) {
      if (!head->zone || !listing_.reached(*head->zone, zone)) {
        const auto found =
            listing_.db.value(listing_.up ? sql::lane_zone_up : sql::lane_zone_down, head->lane, zone);
        if (!found) {
          head = heads_.erase(head);
          continue;
        }
        head->zone = static_cast<std::uint64_t>(*found);
      }
      best = best ? listing_.nearer(*best, *head->zone) : *head->zone;
      if (best == zone) break;
      ++head;
    }
    here_ = best;
    if (!best) return 0;
    if (*best == zone) return at;
    return listing_.up ? std::max<std::uint64_t>(ids_of_zone(*best).first, 1) : ids_of_zone(*best).last;
  }

 private:
  struct Head {
    LaneId lane = 0;
    std::optional<std::uint64_t> zone{};
  };
  std::vector<Head> heads_;
  std::optional<std::uint64_t> here_;  // a zone that has such jobs
};

class TimeZoneIds final : public Ids {
 public:
  TimeZoneIds(const Listing& listing, TimePoint first, TimePoint last)
      : Ids(listing), first_(tick_of(first)), last_(tick_of(last)) {}

  std::uint64_t next(std::uint64_t at) override {
    while (true) {
      const std::uint64_t zone = zone_of(at);
      if (here_ == zone) return at;
      const std::uint64_t area = zone_of(at, area_bits);
      if (area_ != area) {
        constexpr std::uint64_t most = max_job_id >> area_bits;
        area_ = listing_.up ? find(area_bits, area, most) : find(area_bits, 0, area);
        if (!area_) return 0;
        if (*area_ != area) {
          at = edge(*area_, area_bits);
          continue;
        }
      }
      const IdRange inside = ids_of_zone(area, area_bits - zone_bits);
      here_ = listing_.up ? find(zone_bits, zone, inside.last) : find(zone_bits, inside.first, zone);
      if (here_) return *here_ == zone ? at : edge(*here_, zone_bits);
      const IdRange ids = ids_of_zone(area, area_bits);
      at = listing_.after(listing_.up ? std::min(ids.last, max_job_id) : ids.first);
      if (at == 0 || (!listing_.up && ids.first == 0)) return 0;
    }
  }

 private:
  std::optional<std::uint64_t> find(unsigned bits, std::uint64_t first, std::uint64_t last) {
    const auto found = listing_.db.value(listing_.up ? sql::timed_zone_up : sql::timed_zone_down, bits, first,
                                         last, first_, last_);
    return found ? std::optional(static_cast<std::uint64_t>(*found)) : std::nullopt;
  }
  [[nodiscard]] std::uint64_t edge(std::uint64_t zone, unsigned bits) const {
    const IdRange ids = ids_of_zone(zone, bits);
    return listing_.up ? std::max<std::uint64_t>(ids.first, 1) : std::min(ids.last, max_job_id);
  }

  std::int64_t first_;
  std::int64_t last_;
  std::optional<std::uint64_t> area_;  // both have jobs of these times
  std::optional<std::uint64_t> here_;
};

class AllIds final : public Ids {
 public:
  explicit AllIds(const Listing& listing)
      : Ids(listing), rows_(listing.db.query(listing.up ? sql::each_up : sql::each_down)) {
    if (!listing.lanes.all()) zones_ = ids_near_lanes(listing);
  }

  std::uint64_t next(std::uint64_t at) override {
    constexpr int near = 8;
    if (head_ != 0 && listing_.reached(head_, at) && listing_.lanes.allows(lane_)) return head_;
    std::uint64_t from = at;
    int steps = 0;
    while (true) {
      if (zones_ && (from = zones_->next(from)) == 0) return 0;
      // Zones are stepped through; between them, and over what others step over, the next job is looked up.
      if (head_ == 0 || (steps >= near && !listing_.reached(head_, from))) {
        rows_.reset();
        rows_.bind(from);
        steps = 0;
      }
      if (head_ == 0 || !listing_.reached(head_, from)) {
        if (!rows_.step()) {
          head_ = 0;
          return 0;
        }
        head_ = rows_.id(0).value;
        lane_ = rows_.number(1);
        ++steps;
        continue;
      }
      if (listing_.lanes.allows(lane_)) return head_;
      if ((from = listing_.after(head_)) == 0) return 0;
      steps = 0;
    }
  }

 private:
  Query rows_;
  std::unique_ptr<Ids> zones_;
  std::uint64_t head_ = 0;
  LaneId lane_ = 0;
};

}  // namespace

std::unique_ptr<Ids> all_ids(const Listing& listing) { return std::make_unique<AllIds>(listing); }
std::unique_ptr<Ids> ids_near_lanes(const Listing& listing) { return std::make_unique<LaneZoneIds>(listing); }
std::unique_ptr<Ids> ids_near_times(const Listing& listing, TimePoint first, TimePoint last) {
  return std::make_unique<TimeZoneIds>(listing, first, last);
}

}  // namespace quern::inline v1::sqlite
