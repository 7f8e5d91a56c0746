#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "quern/core/job.hpp"

namespace quern::inline v1 {

/// One start of one service: a fresh number each time, never a host name or a process id.
struct NodeId {
  std::uint64_t value = 0;
  [[nodiscard]] constexpr explicit operator bool() const noexcept { return value != 0; }
  friend constexpr auto operator<=>(const NodeId&, const NodeId&) = default;
};

/// One run of one job: what a worker shows with each write to prove that it still holds the job.
struct RunRef {
  JobId id{};
  Epoch epoch = 0;
  NodeId node{};
  std::uint64_t claim = 0;  ///< The storage's own note; hand it back unchanged.
  friend bool operator==(const RunRef&, const RunRef&) = default;
};

/// What became of an insert.
enum class InsertStatus : std::uint8_t {
  added,        ///< The job is in the storage.
  repeated,     ///< A job with this id was there already: the same insert, sent twice. Nothing changed.
  duplicate,    ///< Another job holds the unique key. Nothing changed.
  replaced,     ///< Added, and the waiting holder of its unique key was cancelled.
  rescheduled,  ///< Not added; the waiting holder of its unique key now waits for this job's time.
  queue_full,   ///< Not added, and no other job of the call either: a queue has no room for all of them.
};
struct InsertResult {
  InsertStatus status = InsertStatus::added;
  JobId holder{};  ///< The other job, for duplicate, replaced and rescheduled.
};

/// How many jobs of one queue or kind a claim may take.
struct ClaimLimit {
  std::string name{};
  std::size_t limit = 0;
  int max_attempts = 0;  ///< Of a kind: for jobs that name none of their own. At least 1.
};
struct ClaimRequest {
  NodeId node{};
  std::size_t limit = 0;
  std::vector<ClaimLimit> kinds{};  ///< What the node can run; jobs of other kinds stay where they are.
  std::optional<std::vector<ClaimLimit>> queues{};  ///< None: every queue, bounded by `limit` alone.
  /// How long a job is due until it has gained one level of priority; 0: it never gains one. At least 0.
  Duration ageing{0};

  /// With ageing, the one whose turn is earliest is taken first: the time from which on a job of level 0
  /// would be due as long. Never overflows: far futures saturate.
  [[nodiscard]] constexpr TimePoint turn(Priority priority, TimePoint run_at) const noexcept {
    const bool fits = priority.level <= 0 || ageing <= Duration::max() / priority.level;
    return When::after(fits ? ageing * priority.level : Duration::max()).resolve(run_at);
  }
};

/// A job that now runs on the node that claimed it: all that a handler can see of it.
struct Claim {
  RunRef ref{};
  std::string kind{};
  std::string queue{};
  Payload payload{};
  Priority priority{};
  std::string tenant{};
  std::vector<std::string> tags{};
  std::string created_by{};
  std::string digest{};
  std::string trace{};
  std::vector<JobId> parents{};
  int run = 1;
  int attempt = 0;       ///< This one, from 1.
  int max_attempts = 0;  ///< Resolved: at least 1.
  Duration timeout{0};   ///< 0: as the handler or the configuration says.
  TimePoint run_at{};
  TimePoint created_at{};
  TimePoint claimed_at{};
};

/// A value that the host or a handler keeps beside its jobs: (collection, key) names it.
struct Record {
  std::string collection{};
  std::string key{};
  Payload value{};
};

/// A record that is to change if it still is as somebody has seen it.
struct RecordChange {
  std::string collection{};
  std::string key{};
  std::optional<Payload> seen{};   ///< Its value as it has to be, text for text; none: there has to be none.
  std::optional<Payload> value{};  ///< What it becomes; none: it goes.
};

/// What became of an insert that depends on records.
struct InsertIfResult {
  bool done = false;                 ///< False: some record was not as seen, and nothing has changed.
  std::vector<InsertResult> jobs{};  ///< Done: one for each job, in order.
};

/// How a run ended.
enum class Outcome : std::uint8_t {
  completed,  ///< Well.
  failed,     ///< Badly; again at `again`, or dead when that was its last attempt.
  discarded,  ///< Badly, and no retry can help: dead, for `dead_reason`.
  snoozed,    ///< Not at all: again at `again`; the attempt is not counted.
  released,   ///< Not at all: handed back at a shutdown, ready at once; the attempt is not counted.
  cancelled,  ///< By its own or somebody's wish.
};

/// The end of a run, to be recorded.
struct Finish {
  RunRef ref{};
  Outcome outcome = Outcome::completed;
  std::optional<Payload> result{};                 ///< completed: what to keep.
  std::string message{};                           ///< failed, discarded, cancelled, snoozed: why.
  AttemptFault fault = AttemptFault::error;        ///< failed, discarded
  DeadReason dead_reason = DeadReason::discarded;  ///< discarded
  When again{};                                    ///< failed, snoozed
  std::vector<NewJob> jobs{};     ///< completed: jobs added in the same transaction, or not at all. Ids set.
  std::vector<Record> records{};  ///< completed: records put in the same transaction, or not at all.
};

/// What became of a finish. Losing a run is part of normal life, so it is a value.
enum class FinishStatus : std::uint8_t {
  recorded,  ///< This run's outcome is now the job's.
  lost,      ///< Another run holds the job, or none; nothing changed; drop the result.
};
struct FinishResult {
  FinishStatus status = FinishStatus::recorded;
  JobState state =
      JobState::completed;  ///< recorded: where the job stands now. A failed run may end cancelled.
};

/// What `finish_and_claim` did.
struct Turnover {
  std::vector<FinishResult> finished{};  ///< One per finish, in order.
  /// None: it has recorded the ends, and not looked for jobs; `claim` does.
  std::optional<std::vector<Claim>> claimed{};
};

/// Whether a run still held its job when it wrote.
enum class RunCheck : std::uint8_t {
  held,  ///< It did, and the write is durable.
  lost,  ///< It did not; nothing changed.
};

struct ProgressUpdate {
  RunRef ref{};
  Progress progress{};
};

/// A durable step's result.
struct Step {
  std::string name{};
  Payload value{};
};

struct PromoteResult {
  std::size_t promoted = 0;  ///< Scheduled jobs that are ready now.
  std::size_t expired = 0;   ///< Jobs whose deadline passed before they started: dead now.
  bool more = false;         ///< The limit was reached; call again at once.
  /// When the next one is due, or a rate lets the next ready job start. max(): none waits.
  TimePoint next = TimePoint::max();
};

struct RescueResult {
  std::size_t nodes = 0;    ///< Nodes found dead by this call.
  std::size_t rescued = 0;  ///< Jobs that are ready again.
  std::size_t dead = 0;     ///< Jobs that died of it: out of attempts, quarantined, or cancelled meanwhile.
  bool more = false;        ///< The limit was reached; call again at once.
};

enum class CancelResult : std::uint8_t {
  cancelled,  ///< It waited, and will never start.
  requested,  ///< It runs; its node will be told, and unless it completes first it ends cancelled.
  ended,      ///< It had ended already; nothing changed.
  unknown,    ///< There is no such job.
};

enum class RetryResult : std::uint8_t {
  retried,    ///< It had ended, and waits now as a new run.
  not_ended,  ///< It has not ended; nothing changed.
  key_taken,  ///< Another job holds its unique key now; nothing changed.
  unknown,    ///< There is no such job.
};

/// What became of a change to a job that waits.
enum class ChangeResult : std::uint8_t {
  changed,  ///< It waits as asked for.
  running,  ///< It runs already; nothing changed.
  ended,    ///< It has ended; nothing changed.
  unknown,  ///< There is no such job.
};

enum class EraseResult : std::uint8_t {
  erased,   ///< It is gone, with all that belonged to it.
  running,  ///< It runs; nothing changed. Cancel it first.
  needed,   ///< A blocked job waits for it; nothing changed.
  unknown,  ///< There is no such job.
};

/// Which jobs to list. What is empty does not restrict.
struct JobFilter {
  std::vector<JobState> states{};
  std::string queue{};
  std::string kind{};
  std::string tenant{};
  std::string tag{};
  std::optional<TimePoint> created_from{};    ///< Created at this time or later.
  std::optional<TimePoint> created_before{};  ///< Created earlier than this.
  bool oldest_first = false;
  JobId after{};            ///< The cursor: only jobs beyond this id, in the order asked for.
  std::size_t limit = 100;  ///< 1 to 10000.
};
struct JobPage {
  std::vector<Job> jobs{};
  JobId next{};  ///< Pass as `after` for the next page. Zero: this was the last one.
};

/// How many jobs of one queue and kind stand in one state.
struct JobCount {
  std::string queue{};
  std::string kind{};
  JobState state = JobState::ready;
  std::uint64_t count = 0;
  friend auto operator<=>(const JobCount&, const JobCount&) = default;
};

/// A count that is not what counting the jobs gives.
struct CountFault {
  std::string queue{};
  std::string kind{};
  JobState state = JobState::ready;
  std::uint64_t kept = 0;   ///< What `count` says.
  std::uint64_t found = 0;  ///< How many jobs there are.
  friend auto operator<=>(const CountFault&, const CountFault&) = default;
};

/// Since when jobs of one queue and kind are ready and have not started.
struct ReadyAge {
  std::string queue{};
  std::string kind{};
  TimePoint since{};  ///< When the one that has been due longest became due.
  Duration age{0};    ///< How long ago that is, on the storage's clock. At least 0.
  friend auto operator<=>(const ReadyAge&, const ReadyAge&) = default;
};

struct QueueStatus {
  std::string name{};
  bool paused = false;
  std::uint64_t max_waiting = 0;  ///< How many jobs may wait in it; 0: any number.
};

/// How many jobs of one queue or kind may run at once.
struct SlotCount {
  std::string name{};
  std::size_t slots = 0;
  friend bool operator==(const SlotCount&, const SlotCount&) = default;
};

/// What a node says of itself.
struct NodeInfo {
  std::string name{};  ///< For people.
  std::string host{};
  std::int64_t process = 0;
  Duration lease =
      std::chrono::seconds(30);  ///< A node that has not renewed for this long is dead. 1 ms to 1 day.
  // For people too, and for saying why a job does not run. What the node claims, its claims say.
  std::size_t slots = 0;                           ///< Jobs that it runs at once.
  std::vector<SlotCount> kinds{};                  ///< What it can run.
  std::optional<std::vector<SlotCount>> queues{};  ///< Where it takes jobs from. None: every queue.
};
enum class NodeState : std::uint8_t {
  alive = 1,
  retired = 2,  ///< It stopped in good order.
  dead = 3,     ///< Its lease passed, and it was declared dead.
};
struct NodeStatus {
  NodeId id{};
  NodeInfo info{};
  NodeState state = NodeState::alive;
  TimePoint started_at{};
  std::size_t running = 0;  ///< Jobs that it holds.
  Duration lease_left{0};   ///< On the storage's clock; 0 when it has passed, also before anybody noticed.
};
enum class RenewResult : std::uint8_t {
  renewed,
  lost,  ///< The node was declared dead or retired: its runs are no longer its own. Come back as a new node.
};

/// Which ended jobs to delete.
struct PruneRequest {
  JobState state = JobState::completed;  ///< A terminal one.
  Duration older_than{0};                ///< Ended longer ago than this, on the storage's clock.
  std::size_t limit = 1000;
  std::string kind{};                 ///< Only jobs of this kind. Empty: of all kinds.
  std::vector<std::string> except{};  ///< Where `kind` is empty: but of these.
};
struct PruneResult {
  std::size_t pruned = 0;
  bool more = false;  ///< There may be more to prune; call again.
};

}  // namespace quern::inline v1
