#include <algorithm>
#include <unordered_set>

#include "storage/sqlite/operations.hpp"
#include "storage/sqlite/ready_merge.hpp"
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

/// A claim in progress.
class Claiming {
 public:
  Claiming(Work& work, const ClaimRequest& request)
      : work_(work), request_(request), left_(request.limit), ready_(work, request) {}

  std::vector<Claim> run() {
    while (left_ > 0) {
      const auto part = ready_.next(left_);
      if (!part) break;
      take(*part);
    }
    ready_.write_back();
    write_claim();
    for (const Refused& job : expired_) refuse(job, DeadReason::expired, "not started by its deadline");
    for (const Refused& job : unreadable_) {
      work_.db.run(sql::mend_job, job.id, job.row->lane->id, job.row->key.priority, job.row->key.run_at);
      refuse(job, DeadReason::undecodable, "its record in the database is missing or cannot be read");
    }
    work_.settle();
    return std::move(claims_);
  }

 private:
  struct Entry {
    ClaimGroup group{};
    std::vector<std::uint64_t> ids{};  // in the order of the claim
  };

  void take(const ReadyMerge::Part& part) {
    const ReadyRow& row = *part.row;
    const std::size_t before = claims_.size();
    std::uint64_t expected = part.ids.first;
    Query job = work_.db.query(sql::claimed_jobs);
    job.bind(part.ids.first, part.ids.last);
    while (job.step()) {
      const std::uint64_t id = job.id(0).value;
      for (; expected < id; ++expected) set_aside(row, JobId{expected}, past_of(row, JobId{expected}));
      ++expected;
      take_job(row, JobId{id}, job);
    }
    for (; expected <= part.ids.last; ++expected)
      set_aside(row, JobId{expected}, past_of(row, JobId{expected}));
    const std::size_t claimed = claims_.size() - before;
    left_ -= claimed;
    ready_.took(part, claimed);
  }

  void set_aside(const ReadyRow& row, JobId id, const Past& past) {
    // A damaged range can name more jobs than there ever were.
    constexpr std::size_t most = 100'000;
    if (unreadable_.size() == most)
      throw StorageError(
          work_.db.file() + ": quern_ready names very many jobs that are not there; the database is damaged",
          false);
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
    const ClaimLane& lane = *row.lane;
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
  ReadyMerge ready_;
  std::vector<Claim> claims_;
  std::vector<Entry> entries_;
  std::vector<Refused> expired_;
  std::vector<Refused> unreadable_;
};

}  // namespace

bool may_claim(Connection& db, LaneBook& lanes, const ClaimRequest& request) {
  if (request.limit == 0 || request.kinds.empty()) return false;
  const auto wants = [](const std::vector<ClaimLimit>& limits, const std::string& name) {
    return std::any_of(limits.begin(), limits.end(),
                       [&](const ClaimLimit& limit) { return limit.limit > 0 && limit.name == name; });
  };
  std::unordered_set<std::string> paused;
  Query pauses = db.query(sql::paused_queues);
  while (pauses.step()) paused.insert(pauses.string(0));
  Query ready = db.query(sql::lanes_in_state);
  ready.bind(static_cast<int>(JobState::ready));
  while (ready.step()) {
    const Lane& names = lanes.name(db, ready.number(0));
    if (!wants(request.kinds, names.kind) || paused.contains(names.queue)) continue;
    if (!request.queues || wants(*request.queues, names.queue)) return true;
  }
  return false;
}

std::vector<Claim> claim(Work& work, const ClaimRequest& request) {
  if (!work.alive(request.node)) return {};
  return Claiming(work, request).run();
}

}  // namespace quern::inline v1::sqlite
