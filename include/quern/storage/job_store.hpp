#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/clock.hpp"
#include "quern/core/job.hpp"
#include "quern/storage/limit_rules.hpp"
#include "quern/storage/observer.hpp"
#include "quern/storage/requests.hpp"

namespace quern::inline v1 {

// The storage contracts. What holds for all of them:
//
// Batches  each call takes a span and is atomic as a whole; a call that throws changes nothing, but for a
//          StorageError, after which the outcome may be unknown: repeat what is safe to repeat (an insert
//          with the same ids, a finish with the same run).
// Durable  when a call returns, what it changed is as durable as the storage says it is.
// Time     a shared database judges due times and leases by its own clock, any other
//          storage by the Clock it was opened with. Callers never compare two clocks.
// Threads  every call may be made from any thread.
// Errors   any call may throw StorageError; everyday answers are in the returned values. Arguments that
//          break a precondition throw InvalidArgument. Fields were checked at the door (see limits.hpp).
// Checked by quern/testing/storage_conformance.hpp, which every storage passes.

/// A durable set of jobs that gives each job to at most one live run.
template <class S>
concept JobStore = requires(S& store, std::span<const NewJob> jobs, const ClaimRequest& request,
                            std::span<const Finish> finishes, std::span<const JobId> ids, std::size_t limit,
                            std::string_view who, const JobFilter& filter, const PruneRequest& prune,
                            When when, Priority priority, const std::string& key) {
  // Reserves `limit` (1 to 2^32) consecutive ids and returns the first. They are larger than all
  // reserved before, and never reserved again, also when they are not used.
  { store.reserve_ids(limit) } -> std::same_as<JobId>;

  // One answer per job, in order. All or nothing. Every id is set and no id stands twice. A parent must
  // be in the storage or earlier in the same batch, else InvalidArgument: so there are no cycles. For a
  // parent of the batch that was not added, because another job holds its key, that holder stands in. Where a
  // queue of the batch has a limit (`limit_queue`) and no room for all of its jobs, every job of the batch is
  // answered `queue_full` and nothing is added.
  { store.insert(jobs) } -> std::same_as<std::vector<InsertResult>>;

  // Starts up to `request.limit` ready jobs: lower priority number first, then the one due first, then the
  // smaller id; with `request.ageing` by (run_at + ageing * level, id), so that a job gains a level for each
  // `ageing` that it has been due, and none starves. Counts the attempt and raises the epoch in the same
  // transaction. Never takes a job of another kind, of a paused queue, past its deadline (those expire), or for which a
  // rule has no room (`set_limit`).
  // Empty: nothing is ready, or the node is not alive.
  { store.claim(request) } -> std::same_as<std::vector<Claim>>;

  // One answer per finish, in order; recorded exactly once, and only for the run that holds the job. A job
  // that ends frees its unique key and resolves its dependents in the same transaction. A job whose cancel
  // was requested ends cancelled unless it completed. A failed one without attempts left is dead. The jobs
  // that the batch adds are one batch: what insert() says of parents holds for all of them together.
  { store.finish(finishes) } -> std::same_as<std::vector<FinishResult>>;

  // Makes up to `limit` due scheduled jobs ready, earliest first, and lets up to `limit` jobs expire. While ready jobs
  // wait for a rate, `next` is no later than when that lets one start.
  { store.promote(limit) } -> std::same_as<PromoteResult>;

  // One answer per id, in order. Cancels what waits; asks what runs to stop. `who` is kept as the reason.
  { store.cancel(ids, who) } -> std::same_as<std::vector<CancelResult>>;

  // One answer per id, in order. An ended job waits again as a new run: run + 1, attempt 0, no result, no
  // steps, its past errors kept. `who` asked for it.
  { store.retry(ids, who) } -> std::same_as<std::vector<RetryResult>>;

  // One answer per id, in order. What waits for its time then waits for `when`, and is ready at once where
  // that has come; what is blocked keeps it for when its parents have ended. `who` asked for it.
  { store.reschedule(ids, when, who) } -> std::same_as<std::vector<ChangeResult>>;

  // One answer per id, in order. For jobs that wait, blocked ones too; kept over retries. `who` asked for it.
  { store.set_priority(ids, priority, who) } -> std::same_as<std::vector<ChangeResult>>;

  // One answer per id, in order. Deletes jobs that wait or have ended, with all that belongs to them, and
  // frees their unique keys; never one that runs, or that a blocked job waits for.
  { store.erase(ids) } -> std::same_as<std::vector<EraseResult>>;

  // The job that holds the unique key now; none when a job with it would be added.
  { store.key_holder(key) } -> std::same_as<std::optional<JobId>>;

  // One answer per id, in order; empty where there is no such job.
  { store.find(ids) } -> std::same_as<std::vector<std::optional<Job>>>;

  // A page of jobs by id that match all of the filter. Each page is consistent in itself.
  { store.list(filter) } -> std::same_as<JobPage>;

  // All counts that are not 0, in the order of (queue, kind, state). Never counts rows.
  { store.count() } -> std::same_as<std::vector<JobCount>>;

  // For each queue and kind that has ready jobs, in that order, since when the one is due that is due longest. Reads
  // an index entry for each of their priorities, however many are ready.
  { store.oldest_ready() } -> std::same_as<std::vector<ReadyAge>>;

  // The counts that differ from what counting the jobs gives, on one state of the storage, in the order of
  // (queue, kind, state). Empty: all are right. Changes nothing. Walks over all jobs.
  { store.recount() } -> std::same_as<std::vector<CountFault>>;

  // Deletes up to `limit` ended jobs of the kinds asked for, with all that belongs to them, oldest id first;
  // never one that a blocked job waits for.
  { store.prune(prune) } -> std::same_as<PruneResult>;
};

/// What a run writes while it runs. Every write names its run, and changes nothing when the run is lost.
template <class S>
concept RunStore = requires(S& store, std::span<const ProgressUpdate> updates, const RunRef& run,
                            const Step& step, JobId id, NodeId node) {
  // One answer per update, in order. Within a run progress never goes back: a smaller percent keeps the
  // larger one.
  { store.progress(updates) } -> std::same_as<std::vector<RunCheck>>;

  // Keeps the result of a step; a step of that name that is there already is kept as it was. Steps stay
  // over retries, snoozes and crashes, until the job ends and is pruned or retried as a new run.
  { store.save_step(run, step) } -> std::same_as<RunCheck>;

  // The steps of a job, in the order in which they were saved.
  { store.steps(id) } -> std::same_as<std::vector<Step>>;

  // The node's running jobs whose cancel was requested, by any process.
  { store.cancel_requests(node) } -> std::same_as<std::vector<JobId>>;
};

/// Who runs jobs. Leases belong to nodes, not to jobs.
template <class S>
concept NodeStore = requires(S& store, const NodeInfo& info, NodeId node, std::size_t limit, int crashes) {
  // A new node, alive for `info.lease` from now.
  { store.register_node(info) } -> std::same_as<NodeId>;

  // The lease begins anew. `lost` once the node was declared dead or retired: for ever.
  { store.renew(node) } -> std::same_as<RenewResult>;

  // The node stops: its lease ends at once. What it still holds will be rescued, and counts as a crash.
  { store.retire(node) } -> std::same_as<void>;

  // Declares nodes dead whose lease has passed on the storage's clock, and takes up to `limit` jobs from dead
  // and retired nodes: ready again, or dead when that was the last attempt, or quarantined when it was its
  // `crashes`-th crash, or cancelled when that was asked for. Never touches a job that a live node holds.
  { store.rescue(limit, crashes) } -> std::same_as<RescueResult>;

  // All nodes that are alive or still hold jobs, oldest first.
  { store.nodes() } -> std::same_as<std::vector<NodeStatus>>;
};

/// Queues exist by having jobs; what is kept of them is whether they are paused, and how long they may get.
template <class S>
concept QueueStore = requires(S& store, std::string_view queue, std::uint64_t max_waiting) {
  // After it returned, no new job of the queue starts. Jobs may still be added; running ones go on.
  { store.pause(queue) } -> std::same_as<void>;
  { store.resume(queue) } -> std::same_as<void>;
  // From now on `insert` adds no job to the queue while as many as `max_waiting` wait in it (blocked,
  // scheduled and ready together). 0: any number may. At the door only: what retries, is snoozed or rescued
  // comes back, and what a completion adds is added, also to a full queue.
  { store.limit_queue(queue, max_waiting) } -> std::same_as<void>;
  // All queues that ever had a job, were paused or limited, by name.
  { store.queues() } -> std::same_as<std::vector<QueueStatus>>;
};

/// How many jobs run at once, and start in a time, over all nodes. The rules are kept in the storage, for all who
/// share it, and are judged within the claim: each holds at every instant, whoever claims.
///
/// Running  a job counts from the claim until its end is recorded, or it is rescued. Nothing that runs is stopped
///          by a rule.
/// Starts   a job counts when it is claimed, also where the run is handed back later. Counted are those since the
///          rule is there. They are judged by the clock of leases (see NodeStore); one that is set back gives no start more,
///          one that jumps forward at most what the rule gives after a rest.
/// Cost     a claim that finds no rules pays next to nothing. What a rule holds back is not walked over, and keeps
///          nothing else from starting.
template <class S>
concept LimitStore = requires(S& store, const LimitRule& rule, std::string_view name) {
  // Adds the rule, or puts it in the place of the one of that name. When it returned, every claim that begins goes by
  // it. A changed rate goes on from where it stood: a window counts the same starts, a bucket is no fuller. Throws
  // InvalidArgument where `check` does, and when there are `max_limit_rules` others.
  { store.set_limit(rule) } -> std::same_as<void>;
  // False: there was none of that name.
  { store.erase_limit(name) } -> std::same_as<bool>;
  // All rules as they stand, by name.
  { store.limits() } -> std::same_as<std::vector<LimitStatus>>;
};

/// Small values kept beside the jobs, by collection and key: digests, caches, settings.
template <class S>
concept RecordStore = requires(S& store, const Record& record, std::string_view collection,
                               std::string_view key, std::size_t limit, std::span<const NewJob> jobs,
                               std::span<const RecordChange> changes) {
  // Adds or replaces.
  { store.put_record(record) } -> std::same_as<void>;
  { store.get_record(collection, key) } -> std::same_as<std::optional<Payload>>;
  // Up to `limit` records of the collection whose key is greater than `key`, in the order of their keys'
  // bytes.
  { store.list_records(collection, key, limit) } -> std::same_as<std::vector<Record>>;
  // True when there was one.
  { store.erase_record(collection, key) } -> std::same_as<bool>;
  // Where every record is as its change has seen it, they change, and the jobs are added as by `insert`, in one
  // transaction; else nothing happens. Where a queue is full no record changes either, and each job says so. Of callers
  // who have seen the same, one is the first, and the others have seen what is no more. Sent twice (all records are as
  // wanted and all jobs are there) it is done once, and the jobs are `repeated`. No record may stand twice among the
  // changes, else InvalidArgument.
  { store.insert_if(jobs, changes) } -> std::same_as<InsertIfResult>;
};

/// How a storage says that something happened.
template <class S>
concept ObservableStore = requires(S& store, const S& constant, StorageObserver& observer) {
  // Until `unobserve` returns, the observer is told of this object's changes.
  { store.observe(observer) } -> std::same_as<void>;
  { store.unobserve(observer) } -> std::same_as<void>;
  // A number that differs from the last answer when something else than this object (another process, a
  // host's own transaction) has changed the storage since. Cheap enough to ask every few milliseconds. Always
  // the same where nobody else can.
  { store.foreign_changes() } -> std::same_as<std::uint64_t>;
  // A storage may have one thing more: `bool watches_foreign_changes() const`, true while it tells of such
  // changes by itself (StorageObserver::on_foreign_change), so that nobody has to ask on a timer.
  // And another, where a transaction costs far more than what is done in it: `Turnover
  // finish_and_claim(std::span<const Finish>, const ClaimRequest&)`, which does what `finish` and then `claim` do, in
  // one transaction. What those refuse it refuses, and then nothing has changed. After a StorageError the finishes may
  // be repeated as those of `finish`, and a claim of the same node takes nothing for lost. It may leave it at the
  // finishes, and say so.
  // The clock that judges due times and leases here.
  { constant.clock() } -> std::same_as<ClockRef>;
  // What kind of storage this is, for people; no password.
  { constant.describe() } -> std::same_as<std::string>;
};

/// Everything that a JobQueue and a Processor need.
template <class S>
concept Storage = JobStore<S> && RunStore<S> && NodeStore<S> && QueueStore<S> && LimitStore<S> &&
                  RecordStore<S> && ObservableStore<S>;

}  // namespace quern::inline v1
