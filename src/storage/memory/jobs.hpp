#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "quern/storage/observer.hpp"
#include "quern/storage/requests.hpp"
#include "storage/memory/arena.hpp"
#include "storage/memory/change_log.hpp"
#include "storage/memory/due_heap.hpp"
#include "storage/memory/id_index.hpp"
#include "storage/memory/names.hpp"
#include "storage/memory/nodes.hpp"
#include "storage/memory/records.hpp"
#include "storage/memory/row.hpp"

namespace quern::inline v1::memory {

/// One call to the storage: its time, and what the observers will be told of it.
struct Call {
  TimePoint now{};
  bool events_wanted = false;
  std::vector<JobEvent> events{};
  bool ready = false;                  ///< Something is ready.
  bool work = false;                   ///< Something may be due earlier than before.
  std::vector<JobId> asked_to_stop{};  ///< Running jobs.
};

/// The jobs with their keys, parents and queues, and the nodes that run them. Each function looks at all its
/// arguments before it changes anything. Not thread-safe.
///
/// A job is a row of 72 bytes in a slab, its payload's bytes in an arena, and a `More` where it has something
/// that few have. A row is found by its id, and by one thing more that depends on its state: a ready one in
/// the line of its lane and priority, a scheduled one in a heap of due times, a running one among its node's
/// runs, an ended one in the line of its lane and state.
class Jobs {
 public:
  explicit Jobs(const Nodes& nodes) : nodes_(nodes) {}
  Jobs(const Jobs&) = delete;
  Jobs& operator=(const Jobs&) = delete;
  ~Jobs();

  // insert.cpp
  [[nodiscard]] JobId reserve_ids(std::size_t count);
  std::vector<InsertResult> insert(Call& call, std::span<const NewJob> jobs);

  // claim.cpp
  std::vector<Claim> claim(Call& call, const ClaimRequest& request);

  // finish.cpp
  std::vector<FinishResult> finish(Call& call, std::span<const Finish> finishes,
                                   const std::function<void(const Record&)>& put_record);
  [[nodiscard]] bool all_there(std::span<const NewJob> jobs);

  // commands.cpp
  std::vector<CancelResult> cancel(Call& call, std::span<const JobId> ids, std::string_view who);
  std::vector<RetryResult> retry(Call& call, std::span<const JobId> ids, std::string_view who);
  void pause(std::string_view queue, bool paused);
  void limit_queue(std::string_view queue, std::uint64_t max_waiting);

  // limits.cpp
  void set_limit(const LimitRule& rule);
  bool erase_limit(std::string_view name);
  [[nodiscard]] std::vector<LimitStatus> limits() const;

  // changes.cpp
  std::vector<ChangeResult> reschedule(Call& call, std::span<const JobId> ids, When when,
                                       std::string_view who);
  std::vector<ChangeResult> set_priority(Call& call, std::span<const JobId> ids, Priority priority,
                                         std::string_view who);
  std::vector<EraseResult> erase(Call& call, std::span<const JobId> ids);
  [[nodiscard]] std::optional<JobId> holder_of(const Call& call, const std::string& key);

  // upkeep.cpp
  PromoteResult promote(Call& call, std::size_t limit);
  /// Takes up to `limit` jobs from the nodes in `lost`; the answer says nothing of nodes.
  RescueResult rescue(Call& call, std::span<const NodeId> lost, std::size_t limit, int crashes);
  PruneResult prune(Call& call, const PruneRequest& request);

  // runs.cpp
  std::vector<RunCheck> progress(Call& call, std::span<const ProgressUpdate> updates);
  RunCheck save_step(const RunRef& run, const Step& step);
  [[nodiscard]] std::vector<Step> steps(JobId id) const;
  [[nodiscard]] std::vector<JobId> asked_to_stop(NodeId node) const;
  [[nodiscard]] std::size_t running(NodeId node) const;
  /// It runs nothing, and never will again.
  void forget_node(NodeId node) {
    last_runs_ = nullptr;
    running_.erase(node.value);
  }

  // read.cpp
  [[nodiscard]] std::vector<std::optional<Job>> find(std::span<const JobId> ids) const;
  [[nodiscard]] JobPage list(const JobFilter& filter);
  [[nodiscard]] std::vector<JobCount> count() const;
  [[nodiscard]] std::vector<ReadyAge> oldest_ready(TimePoint now) const;
  [[nodiscard]] std::vector<CountFault> recount();
  [[nodiscard]] std::vector<QueueStatus> queues() const;

  // tracking.cpp: see TrackedStore
  void track(ChangeTracker& tracker, std::size_t enough) { log_.emplace(tracker, enough); }
  /// Null: nobody tracks changes.
  [[nodiscard]] ChangeLog* log() noexcept { return log_ ? &*log_ : nullptr; }
  std::uint64_t begin_capture(const Records& records);
  bool capture(ImageChunk& chunk, std::size_t count);
  void end_capture(bool written);
  /// The claims could not be made durable, so their jobs are ready again, as if nobody had claimed them.
  void take_back(Call& call, std::span<const Claim> claims);

  // restore.cpp
  void restore(const JobImage& image);
  void restore(const QueueStatus& queue);
  void restore(const LimitRule& rule);
  void restored(Call& call);

 private:
  /// Jobs that a call is to bring.
  using Coming = std::map<JobId, const NewJob*>;

  // tracking.cpp

  /// To be called before anything of a job is changed that an image shows.
  void touch(Row& row) {
    if (log_) mark(row);
  }
  void mark(Row& row);
  /// An answer says that the job is there, so it must be as durable as it shall be.
  void confirm(const Row& row);
  /// It was just added.
  void mark_new(Slot slot, Row& row);
  /// It is about to go, and still as it was.
  void mark_gone(Row& row);
  [[nodiscard]] JobDurability durability(Kind& kind) const;
  [[nodiscard]] JobImage image_of(const Row& row) const;
  /// Throws InvalidArgument where a parent is kept in memory only and the child is not.
  void check_durability(const NewJob& job, const Coming& coming) const;

  // rows.cpp: a row and where it is found

  [[nodiscard]] Slot find_slot(JobId id) const { return ids_.find(id.value); }
  [[nodiscard]] Row* find_row(JobId id) {
    const Slot slot = find_slot(id);
    return slot == no_slot ? nullptr : &rows_[slot];
  }
  [[nodiscard]] Row& row_at(JobId id) { return rows_[find_slot(id)]; }
  [[nodiscard]] const Profile& profile(const Row& row) const { return names_[row.profile]; }
  [[nodiscard]] Lane& lane(const Row& row) const { return *profile(row).lane; }
  /// What it has of the rare things; made when it had none.
  [[nodiscard]] More& more(Row& row);
  /// Null: none of them.
  [[nodiscard]] More* has_more(const Row& row) { return row.more == 0 ? nullptr : &mores_[row.more]; }
  [[nodiscard]] const More* has_more(const Row& row) const {
    return row.more == 0 ? nullptr : &mores_[row.more];
  }
  [[nodiscard]] Payload payload_of(const Row& row) const;
  /// Copies the payload into the row: beside others, or into a block of its own.
  void keep_payload(Row& row, std::string_view bytes, bool own_block);
  void drop_payload(Row& row) noexcept;
  [[nodiscard]] Job job_of(const Row& row) const;

  /// Applies `edit` to the row, which is found by its state and times, before and after.
  template <class Edit>
  void change(Slot slot, Row& row, const Edit& edit) {
    touch(row);
    unlink(row);
    edit(row);
    link(slot, row);
  }
  /// Calls `edit()`, which changes where the row is found, but nothing that an image shows.
  template <class Edit>
  void relink(Slot slot, Row& row, const Edit& edit) {
    unlink(row);
    edit();
    link(slot, row);
  }
  void link(Slot slot, Row& row);
  void unlink(Row& row);
  void link_ready(Slot slot, Row& row);
  void unlink_ready(Row& row);
  [[nodiscard]] bool is_due(const DueHeap::Entry& entry) const;
  [[nodiscard]] bool can_expire(const DueHeap::Entry& entry) const;
  /// Where it has a deadline: it waits (again), and may miss it. True: there is one to look at in time.
  bool expect_deadline(const Row& row);
  /// The row is gone after this.
  void forget(Slot slot);

  // jobs.cpp: the steps that the operations are made of

  /// The row that the run still holds; null when it lost it.
  [[nodiscard]] Row* held_by(const RunRef& run);
  void event(Call& call, JobEventType type, const Row& row, std::string message = {}) const;
  /// Makes it ready or scheduled, for `run_at`; it must not be blocked.
  void wait_until(Call& call, Row& row, TimePoint run_at);
  /// Makes it ready now, whatever its time.
  void make_ready(Call& call, Row& row, TimePoint run_at);
  void lease_lost(Call& call, const RunRef& run) const;
  /// The row was touched.
  void remember_error(const Call& call, Row& row, AttemptFault fault, std::string message);

  /// Ends it: key, parents and indexes are put right, and its dependents go on the list for `settle`.
  void end(Call& call, Row& row, JobState state, DeadReason reason, std::string message);
  void die(Call& call, Row& row, DeadReason reason, std::string message);
  void cancel_now(Call& call, Row& row, std::string message);
  void expire(Call& call, Row& row);
  /// Resolves the dependents of all that ended, and of what ends because of that. Not recursive: a chain of a
  /// million jobs needs no more stack than one.
  void settle(Call& call);
  void resolve_edge(Call& call, Row& child, const Row& parent);
  void add_edge(Row& child, Row& parent);
  void drop_edge(Row& child, JobId parent);
  void drop_waits(Row& child);

  // keys (jobs.cpp)
  [[nodiscard]] Row* key_holder(const std::string& key, TimePoint now);
  void release_key(const Row& row);

  // changes.cpp
  EraseResult erase_one(Call& call, JobId id);

  // insert.cpp

  /// Whether the queues that have a limit have room for all of these.
  [[nodiscard]] bool has_room(const Call& call, std::span<const NewJob> jobs);
  [[nodiscard]] bool needs_room(const Call& call, const NewJob& job);

  /// For jobs of this call that were not added, the holder of their key: it is the parent in their stead.
  using StandIns = std::map<JobId, JobId>;
  std::vector<InsertResult> insert_checked(Call& call, std::span<const NewJob> jobs, StandIns& stand_ins);
  InsertResult insert_one(Call& call, const NewJob& job, StandIns& stand_ins);
  void add_row(Call& call, const NewJob& job, const StandIns& stand_ins);
  void add_parents(Call& call, Row& row);
  void check_batch(std::span<const NewJob> jobs, Coming& coming) const;

  // claim.cpp
  /// The ready jobs of one lane and priority, the next one at the front.
  struct Reader {
    Line* line = nullptr;
    Lane* lane = nullptr;
    Room* kind = nullptr;
    Room* queue = nullptr;  ///< Null: every queue has room.
    int level = 0;
    // The place of its next job among all.
    int turn_level = 0;
    Line::Key turn{};

    struct LaterFirst {  // std::push_heap puts the greatest on top
      bool operator()(const Reader& a, const Reader& b) const {
        if (a.turn_level != b.turn_level) return b.turn_level < a.turn_level;
        return b.turn < a.turn;
      }
    };
  };
  /// Fills `readers_` with what the request asks for; the answer is how many jobs they have at most.
  std::size_t find_readers(const ClaimRequest& request);
  /// Fills in whose turn it is there.
  void look(Reader& reader, const ClaimRequest& request) const;
  void give(Call& call, const ClaimRequest& request, Slot slot, int max_attempts, std::vector<Claim>& claims);

  // limits.cpp
  /// Whether its rules have room for a job of the lane, in the claim under way.
  [[nodiscard]] bool may_start(Lane& lane);
  /// The rates learn what the claim has started. Whoever waits for the next one is told when that may be.
  void note_starts(Call& call);
  /// A run of the lane has ended: others may have waited for that.
  static void note_end(Call& call, const Lane& lane);

  // finish.cpp
  void finish_one(Call& call, Row& row, const Finish& finish);

  /// What a node runs.
  struct NodeRuns {
    std::vector<Slot> slots;
    std::set<JobId> asked_to_stop;
  };

  /// Made when there is none.
  [[nodiscard]] NodeRuns& runs_of(std::uint64_t node) {
    if (last_runs_ == nullptr || last_runs_->first != node)
      last_runs_ = &*running_.try_emplace(node).first;  // stays where it is; see forget_node
    return last_runs_->second;
  }

  const Nodes& nodes_;
  Rows rows_;
  Mores mores_;
  Arena arena_;
  IdIndex ids_;
  Names names_;
  DueHeap scheduled_;
  DueHeap deadlines_;
  std::size_t scheduled_count_ = 0;
  std::size_t deadline_count_ = 0;             // jobs that have a deadline
  std::map<std::uint64_t, NodeRuns> running_;  // of nodes that ran something; see forget_node
  std::pair<const std::uint64_t, NodeRuns>* last_runs_ =
      nullptr;  // of these, the one that was asked for last
  std::map<std::string, std::set<JobId>> tenants_;
  std::map<std::string, std::set<JobId>> tags_;
  std::unordered_map<std::string, JobId> keys_;  // who holds each unique key, by its state
  std::deque<JobId> unsettled_;                  // ended in this call, dependents not yet looked at
  std::vector<JobId> unresolved_;                // blocked jobs that were restored, until `restored`
  std::optional<ChangeLog> log_;
  std::uint64_t next_id_ = 1;
  std::uint64_t claims_ = 0;     // counts calls
  std::vector<Reader> readers_;  // only within a claim; kept for its memory
  std::vector<Rule*> ruled_;     // the same: rules that were asked for room
  SteadyTime told_start_{0};     // when a rate lets the next job start, as the observers were told
};

}  // namespace quern::inline v1::memory
