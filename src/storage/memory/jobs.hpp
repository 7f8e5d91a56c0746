#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "quern/storage/observer.hpp"
#include "quern/storage/requests.hpp"
#include "storage/memory/indexes.hpp"
#include "storage/memory/nodes.hpp"
#include "storage/memory/row.hpp"

namespace quern::inline v1::memory {

/// One call to the storage: its time, and what the observers will be told of it.
struct Call {
  TimePoint now{};
  bool events_wanted = false;
  std::vector<JobEvent> events{};
  bool work = false;                   ///< Something is ready, or due earlier than before.
  std::vector<JobId> asked_to_stop{};  ///< Running jobs.
};

/// The jobs with their keys, parents and queues, and the nodes that run them. Each function looks at all its
/// arguments before it changes anything. Not thread-safe.
class Jobs {
 public:
  explicit Jobs(const Nodes& nodes) : nodes_(nodes) {}

  // insert.cpp
  [[nodiscard]] JobId reserve_ids(std::size_t count);
  std::vector<InsertResult> insert(Call& call, std::span<const NewJob> jobs);

  // claim.cpp
  std::vector<Claim> claim(Call& call, const ClaimRequest& request);

  // finish.cpp
  std::vector<FinishResult> finish(Call& call, std::span<const Finish> finishes,
                                   const std::function<void(const Record&)>& put_record);

  // commands.cpp
  std::vector<CancelResult> cancel(Call& call, std::span<const JobId> ids, std::string_view who);
  std::vector<RetryResult> retry(Call& call, std::span<const JobId> ids, std::string_view who);
  void pause(std::string_view queue, bool paused);
  void limit_queue(std::string_view queue, std::uint64_t max_waiting);

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
  [[nodiscard]] const std::set<JobId>& asked_to_stop(NodeId node) const {
    return indexes_.asked_to_stop(node);
  }
  [[nodiscard]] std::size_t running(NodeId node) const { return indexes_.running(node).size(); }

  // read.cpp
  [[nodiscard]] std::vector<std::optional<Job>> find(std::span<const JobId> ids) const;
  [[nodiscard]] JobPage list(const JobFilter& filter) const;
  [[nodiscard]] std::vector<JobCount> count() const;
  [[nodiscard]] std::vector<CountFault> recount() const;
  [[nodiscard]] std::vector<QueueStatus> queues() const;

 private:
  // jobs.cpp: the steps that the operations are made of

  /// Applies `edit` to the row, with the indexes kept true.
  template <class Edit>
  void change(Row& row, const Edit& edit) {
    indexes_.remove(row);
    edit(row);
    indexes_.add(row);
  }
  [[nodiscard]] Row* find_row(JobId id);
  /// The row that the run still holds; null when it lost it.
  [[nodiscard]] Row* held_by(const RunRef& run);
  void event(Call& call, JobEventType type, const Row& row, std::string message = {}) const;
  /// Makes it ready or scheduled, for `run_at`; it must not be blocked.
  void wait_until(Call& call, Row& row, TimePoint run_at);
  /// Makes it ready now, whatever its time.
  void make_ready(Call& call, Row& row, TimePoint run_at);
  void lease_lost(Call& call, const RunRef& run) const;
  static void remember_error(const Call& call, Row& row, AttemptFault fault, std::string message);

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
  [[nodiscard]] std::uint64_t waiting(const std::string& queue) const;

  /// For jobs of this call that were not added, the holder of their key: it is the parent in their stead.
  using StandIns = std::map<JobId, JobId>;
  std::vector<InsertResult> insert_checked(Call& call, std::span<const NewJob> jobs, StandIns& stand_ins);
  InsertResult insert_one(Call& call, const NewJob& job, StandIns& stand_ins);
  void add_row(Call& call, const NewJob& job, const StandIns& stand_ins);
  void check_batch(std::span<const NewJob> jobs, std::set<JobId>& coming) const;

  // finish.cpp
  void finish_one(Call& call, Row& row, const Finish& finish);

  const Nodes& nodes_;
  std::map<JobId, Row> rows_;
  Indexes indexes_;
  std::map<std::string, JobId> keys_;  // who holds each unique key, by its state
  struct QueueState {
    bool paused = false;
    std::uint64_t max_waiting = 0;
  };
  std::map<std::string, QueueState, std::less<>> queues_;  // every queue that was ever named
  std::deque<JobId> unsettled_;                            // ended in this call, dependents not yet looked at
  std::uint64_t next_id_ = 1;
};

}  // namespace quern::inline v1::memory
