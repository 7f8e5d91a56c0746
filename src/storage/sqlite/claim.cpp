#include <fmt/core.h>

#include <algorithm>
#include <cassert>
#include <deque>
#include <limits>
#include <unordered_map>
#include <unordered_set>

#include "storage/sqlite/lane_reader.hpp"
#include "storage/sqlite/operations.hpp"
#include "storage/sqlite/sql.hpp"

namespace quern::inline v1::sqlite {
namespace {

/// What was before this claim.
struct Past {
  int run = 1;
  int attempt = 0;
  Epoch epoch = 0;
  std::optional<TimePoint> started_at{};
};

/// A job that is taken and does not start.
struct Refused {
  JobId id{};
  const ReadyRow* row = nullptr;
  Past past{};
};

/// A claim in progress: merges the wanted lanes by (priority, run_at, id), with ageing their priorities by
/// (turn, id).
class Claiming {
 public:
  Claiming(Work& work, const ClaimRequest& request, SteadyTime steady)
      : work_(work),
        request_(request),
        left_(request.limit),
        kinds_(request.kinds),
        rules_(work.db, work.lanes, steady) {
    if (request.queues) queues_.emplace(*request.queues);
  }

  std::vector<Claim> run() {
    open_lanes();
    while (left_ > 0 && !heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), is_later);
      ReadyRow& row = *heap_.back();
      heap_.pop_back();
      const std::size_t budget = row.lane->left(left_);
      if (budget == 0) continue;  // its lane has had its share
      take_some(row, budget);
      if (!row.empty()) push(row);
    }
    write_back();
    write_claim();
    if (!rules_.empty()) rules_.save(work_.db);
    for (const Refused& job : expired_) refuse(job, DeadReason::expired, "not started by its deadline");
    for (const Refused& job : unreadable_) {
      work_.mend(job.id, job.row->lane->id, Priority{job.row->key.priority}, job.row->key.run_at);
      refuse(job, DeadReason::undecodable, "its record in the database is missing or cannot be read");
    }
    work_.settle();
    return std::move(claims_);
  }

  /// See RuleBook.
  [[nodiscard]] Duration next_start() const { return rules_.next_start(); }

 private:
  struct Entry {
    ClaimGroup group{};
    std::vector<std::uint64_t> ids{};  // in the order of the claim
  };

  void open_lanes() {
    std::unordered_set<std::string> paused;
    Query pauses = work_.db.query(sql::paused_queues);
    while (pauses.step()) paused.insert(pauses.string(0));
    Query ready = work_.db.query(sql::lanes_in_state);
    ready.bind(static_cast<int>(JobState::ready));
    while (ready.step()) {
      const LaneId id = ready.number(0);
      const Lane& names = work_.lanes.name(work_.db, id);
      ClaimLimit* const kind = kinds_.find(names.kind);
      ClaimLimit* const queue = queues_ ? queues_->find(names.queue) : nullptr;
      if (kind == nullptr || (queues_ && queue == nullptr) || paused.contains(names.queue)) continue;
      LaneReader& lane = lanes_.emplace_back();
      lane.id = id;
      lane.names = &names;
      lane.kind = kind;
      lane.queue = queue;
      if (!rules_.empty()) lane.rules = rules_.of(names);
    }
    if (request_.ageing > Duration::zero()) split_by_priority();
    for (LaneReader& lane : lanes_) {
      if (lane.left(left_) > 0) merge_next(lane);
    }
  }

  /// With ageing a lane is in order within each priority only. Cost: a lookup per lane and priority in it.
  void split_by_priority() {
    std::deque<LaneReader> parts;
    for (const LaneReader& lane : lanes_) {
      auto priority = work_.db.value(sql::next_priority, lane.id, std::numeric_limits<int>::min());
      for (; priority; priority = work_.db.value(sql::next_priority, lane.id, *priority)) {
        LaneReader& part = parts.emplace_back(lane);
        part.one_priority = true;
        part.read_to.priority = static_cast<int>(*priority);
      }
    }
    lanes_ = std::move(parts);
  }

  void push(ReadyRow& row) {
    heap_.push_back(&row);
    std::push_heap(heap_.begin(), heap_.end(), is_later);
  }

  /// Puts the lane's next row among those that are merged.
  void merge_next(LaneReader& lane) {
    if (lane.read.empty()) read_more(lane);
    if (lane.read.empty()) return;
    push(*lane.read.front());
    lane.read.pop_front();
  }

  void read_more(LaneReader& lane) {
    constexpr std::size_t most_at_once = 256;
    Query row = work_.db.query(lane.one_priority ? sql::next_ready_of_priority : sql::next_ready);
    row.bind(lane.id, lane.read_to.priority, lane.read_to.run_at, lane.read_to.id, lane.read_at_once);
    while (row.step()) {
      ReadyRow& read = rows_.emplace_back();
      read.lane = &lane;
      read.key = read.turn = {row.small(0), row.time(1), row.id(2).value};
      if (lane.one_priority) {
        read.turn.priority = 0;
        read.turn.run_at = request_.turn(Priority{read.key.priority}, read.key.run_at);
      }
      read.changed = row.small(4) != 0;
      read.ids = unpack_ready(row.id(2).value, row.id(3).value, row.bytes(5));
      if (read.ids.empty()) damaged("a row of quern_ready cannot be read");
      lane.read_to = read.key;
      lane.read.push_back(&read);
    }
    lane.read_at_once = std::min(lane.read_at_once * 4, most_at_once);
  }

  /// Takes ids of the row as long as no other row's come before them.
  void take_some(ReadyRow& row, std::size_t budget) {
    LaneReader& lane = *row.lane;
    if (!row.used) {
      row.used = true;
      lane.used = true;
      lane.used_to = row.key;
      merge_next(lane);
    }
    auto stop = std::numeric_limits<std::uint64_t>::max();
    if (!heap_.empty()) {
      const ReadyKey other = heap_.front()->next();
      if (other.priority == row.turn.priority && other.run_at == row.turn.run_at) stop = other.id;
    }
    while (!row.empty() && row.ids[row.run].first < stop && budget > 0) {
      IdRange& range = row.ids[row.run];
      const std::uint64_t most = std::min<std::uint64_t>(budget, stop - range.first);
      const IdRange part{range.first, std::min(range.last, range.first + (most - 1))};
      budget -= take(row, part);
      if (part.last == range.last) {
        ++row.run;
      } else {
        range.first = part.last + 1;
      }
    }
  }

  /// Takes a range of ids; returns how many of them run now.
  std::size_t take(const ReadyRow& row, IdRange part) {
    const std::size_t before = claims_.size();
    std::uint64_t expected = part.first;
    Query job = work_.db.query(sql::claimed_jobs);
    job.bind(part.first, part.last);
    while (job.step()) {
      const std::uint64_t id = job.id(0).value;
      for (; expected < id; ++expected) set_aside(row, JobId{expected}, past_of(row, JobId{expected}));
      ++expected;
      take_job(row, JobId{id}, job);
    }
    for (; expected <= part.last; ++expected) set_aside(row, JobId{expected}, past_of(row, JobId{expected}));

    const std::size_t claimed = claims_.size() - before;
    LaneReader& lane = *row.lane;
    lane.taken += static_cast<std::int64_t>(part.size());
    lane.claimed += static_cast<std::int64_t>(claimed);
    lane.kind->limit -= claimed;
    if (lane.queue != nullptr) lane.queue->limit -= claimed;
    for (RuleRoom* const rule : lane.rules) rule->note_starts(claimed);
    left_ -= claimed;
    return claimed;
  }

  [[noreturn]] void damaged(const char* what) const {
    throw StorageError(fmt::format("{}: {}; the database is damaged", work_.db.file(), what), false);
  }

  void set_aside(const ReadyRow& row, JobId id, const Past& past) {
    // A damaged range can name more jobs than there ever were.
    constexpr std::size_t most = 100'000;
    if (unreadable_.size() == most) damaged("quern_ready names very many jobs that are not there");
    unreadable_.push_back({id, &row, past});
  }

  Past past_of(const ReadyRow& row, JobId id, std::optional<TimePoint>* deadline = nullptr) {
    if (!row.changed) return {};
    Query changed = work_.db.query(sql::changed);
    if (!changed.bind(id).step()) return {};
    if (deadline != nullptr) *deadline = changed.maybe_time(3);
    return {changed.small(0), changed.small(1), static_cast<Epoch>(changed.number(2)), changed.maybe_time(4)};
  }

  void take_job(const ReadyRow& row, JobId id, const Query& job) {
    const LaneReader& lane = *row.lane;
    auto deadline = job.maybe_time(4);
    const Past past = past_of(row, id, &deadline);
    std::optional<JobMore> more;
    if (!job.null(5)) more = unpack_more(job.bytes(5));
    const std::string_view payload = job.bytes(6);
    const bool has_payload = (job.type(6) == SQLITE_BLOB || job.type(6) == SQLITE_TEXT) && !payload.empty();
    if (!has_payload || job.number(1) != lane.id || (!job.null(5) && !more)) {
      set_aside(row, id, past);
      return;
    }
    if (deadline) {
      work_.db.run(sql::delete_expiry, *deadline, id);
      if (*deadline <= work_.now) {
        expired_.push_back({id, &row, past});
        return;
      }
    }
    const int own_max = job.small(2);
    Claim& claim = claims_.emplace_back();
    claim.ref = {.id = id, .epoch = past.epoch + 1, .node = request_.node};
    claim.kind = lane.names->kind;
    claim.queue = lane.names->queue;
    claim.payload = Payload::json(std::string(payload));
    claim.priority = Priority{row.key.priority};
    claim.run = past.run;
    claim.attempt = past.attempt + 1;
    claim.max_attempts = own_max > 0 ? own_max : std::max(1, lane.kind->max_attempts);
    claim.run_at = row.key.run_at;
    claim.created_at = job.time(3);
    claim.claimed_at = work_.now;
    note_entry({.lane = lane.id,
                .attempt = claim.attempt,
                .epoch = claim.ref.epoch,
                .max_attempts = claim.max_attempts,
                .keyed = more && !more->unique.key.empty(),
                .changed = row.changed},
               id);
    if (!more) return;
    claim.tenant = std::move(more->tenant);
    claim.tags = std::move(more->tags);
    claim.created_by = std::move(more->created_by);
    claim.digest = std::move(more->digest);
    claim.trace = std::move(more->trace);
    claim.parents = std::move(more->parents);
    claim.timeout = more->timeout;
  }

  void note_entry(ClaimGroup&& group, JobId id) {
    // Neighbours mostly belong together; a job that finds no group near the end gets a new one.
    constexpr std::size_t groups_looked_at = 8;
    const std::size_t oldest = entries_.size() > groups_looked_at ? entries_.size() - groups_looked_at : 0;
    for (std::size_t i = entries_.size(); i > oldest; --i) {
      if (!same(entries_[i - 1].group, group)) continue;
      entries_[i - 1].ids.push_back(id.value);
      return;
    }
    entries_.push_back({.group = std::move(group), .ids = {id.value}});
  }

  /// The rows that were used go; what is left of them comes back.
  void write_back() {
    for (const LaneReader& lane : lanes_) {
      if (!lane.used) continue;
      work_.db.run(lane.one_priority ? sql::delete_priority_prefix : sql::delete_ready_prefix, lane.id,
                   lane.used_to.priority, lane.used_to.run_at, lane.used_to.id);
      work_.count(lane.id, JobState::ready, -lane.taken);
      work_.count(lane.id, JobState::running, lane.claimed);
    }
    for (const ReadyRow& row : rows_) {
      if (!row.used || row.empty()) continue;
      const IdRuns rest(row.ids.begin() + static_cast<std::ptrdiff_t>(row.run), row.ids.end());
      work_.put_back(row.lane->id, row.key.priority, row.key.run_at, rest, row.changed);
    }
  }

  /// One row for the whole batch.
  void write_claim() {
    if (claims_.empty()) return;
    std::vector<ClaimGroup> groups;
    groups.reserve(entries_.size());
    for (Entry& entry : entries_) {
      entry.group.ids = runs_of(std::move(entry.ids));
      groups.push_back(std::move(entry.group));
    }
    const PackedClaim packed = pack_claim(groups);
    work_.db.run(sql::add_claim, request_.node.value, work_.now, Blob{packed.settled}, Blob{packed.entries});
    // A number may come again once its row is gone. That does no harm: a run is known by its job's epoch,
    // too.
    const auto number = static_cast<std::uint64_t>(work_.db.last_row());
    for (Claim& claim : claims_) {
      claim.ref.claim = number;
      if (!work_.events_wanted) continue;
      const LaneId lane = work_.lanes.intern(work_.db, claim.queue, claim.kind);
      work_.event(JobEventType::started, claim.ref.id, lane, claim.attempt, claim.ref.epoch);
    }
  }

  void refuse(const Refused& job, DeadReason reason, std::string_view message) {
    work_.end({.id = job.id,
               .lane = job.row->lane->id,
               .state = JobState::dead,
               .attempt = job.past.attempt,
               .epoch = job.past.epoch,
               .started_at = job.past.started_at,
               .reason = reason,
               .message = message,
               .keyed = true});
  }

  Work& work_;
  const ClaimRequest& request_;
  std::size_t left_;
  Limits kinds_;
  std::optional<Limits> queues_;
  RuleBook rules_;
  std::deque<LaneReader> lanes_;
  std::deque<ReadyRow> rows_;
  std::vector<ReadyRow*> heap_;
  std::vector<Claim> claims_;
  std::vector<Entry> entries_;
  std::vector<Refused> expired_;
  std::vector<Refused> unreadable_;
};

}  // namespace

bool may_claim(Connection& db, LaneBook& lanes, const ClaimRequest& request, SteadyTime steady,
               SteadyTime told_start) {
  if (request.limit == 0 || request.kinds.empty()) return false;
  const auto wants = [](const std::vector<ClaimLimit>& limits, const std::string& name) {
    return std::any_of(limits.begin(), limits.end(),
                       [&](const ClaimLimit& limit) { return limit.limit > 0 && limit.name == name; });
  };
  std::unordered_set<std::string> paused;
  Query pauses = db.query(sql::paused_queues);
  while (pauses.step()) paused.insert(pauses.string(0));
  const RuleBook rules(db, lanes, steady);
  if (rules.clock_was_set_back()) return true;
  if (const Duration wait = rules.next_start(); wait != Duration::max() && steady + wait != told_start)
    return true;  // there is something to tell
  Query ready = db.query(sql::lanes_in_state);
  ready.bind(static_cast<int>(JobState::ready));
  while (ready.step()) {
    const Lane& names = lanes.name(db, ready.number(0));
    if (!rules.empty() && !rules.has_room(names)) continue;
    if (!wants(request.kinds, names.kind) || paused.contains(names.queue)) continue;
    if (!request.queues || wants(*request.queues, names.queue)) return true;
  }
  return false;
}

std::vector<Claim> claim(Work& work, const ClaimRequest& request, const ClockRef& clock,
                         SteadyTime& told_start) {
  if (!work.alive(request.node)) return {};
  const SteadyTime steady = clock.steady();
  Claiming claiming(work, request, steady);
  std::vector<Claim> claims = claiming.run();
  const Duration wait = claiming.next_start();
  // Said once for each time: who hears it claims again, and must not hear it for ever.
  if (wait != Duration::max() && steady + wait != told_start) {
    told_start = steady + wait;
    work.has_work = true;
  }
  return claims;
}

}  // namespace quern::inline v1::sqlite
