#pragma once

#include <concepts>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "quern/core/runner.hpp"
#include "quern/storage/detail/write_behind_core.hpp"
#include "quern/storage/memory_storage.hpp"

namespace quern::inline v1 {

/// The queue in memory, with a database behind it: every call is answered at the speed of memory, and what
/// has changed is written to the durable storage every `persistence_interval`, when `max_unwritten` jobs
/// have changed, and at the end. When it is opened again, it goes on with what was written.
///
///     quern::SqliteStorage file("jobs.db");
///     quern::WriteBehindStorage storage(file, {.kinds = {{"payment", quern::JobDurability::committed},
///                                                        {"cache.warm", quern::JobDurability::memory_only}}});
///     quern::JobQueue queue(storage);
///
/// Durable  by kind. What was done to jobs that are `written_behind` since the last write, a crash of the
///          process undoes: jobs that were added are gone, those that have ended run again, from the
///          steps that were saved by then. A call that changes a `committed` job, claims and steps included,
///          returns when it is durable; callers at the same time share a write. `memory_only` jobs are gone
///          when the process ends, crash or not, and can't be parents of others. Pauses and limits of queues
///          are committed; records are as durable as kinds that have no entry of their own.
/// A moment each write is one transaction and shows one moment of all jobs that are kept: after a crash
///          no job is there without the parent that it waits for, no follow-up without the completion that
///          added it, no key twice. So a committed call also writes what others have changed before it.
/// Memory   all jobs are in memory, ended ones too, until they are pruned; see MemoryStorage. Opening takes
///          about 10 us per job.
/// One      process: the durable storage belongs to this object until it is stopped, and refuses the calls
///          of others. Stopped or crashed, it is a storage like any other, with the same jobs. Use it
///          through this object alone.
/// Failure  while the durable storage does not answer, everything goes on in memory, but for committed jobs:
///          those calls throw StorageError, and as always it is not known whether they were recorded. Claims
///          of committed jobs are given back. What was not written is written when it answers again.
///
/// What each call promises stands in job_store.hpp. `Memory` is made with the durable storage's clock.
template <class Memory, class Durable>
class WriteBehindStorage {
 public:
  /// Takes `durable` over, which must outlive this object, and restores what it holds. Throws a transient
  /// StorageError while another process keeps it or works on it, and InvalidArgument for options out of range.
  explicit WriteBehindStorage(Durable& durable, WriteBehindOptions options = {})
      : durable_(durable),
        memory_(durable.clock()),
        durable_port_(durable),
        tracked_port_(memory_),
        core_(durable_port_, *durable_port_.backup(), tracked_port_, options) {
    if (!options.thread) return;
    const auto waker = std::make_shared<Waker>();
    core_.on_hurry([waker] { waker->wake(); });
    runner_.start(core_, durable.clock(), waker);
  }
  WriteBehindStorage(const WriteBehindStorage&) = delete;
  WriteBehindStorage& operator=(const WriteBehindStorage&) = delete;
  /// Stops; what can't be written then is lost, and the log says so. Queues and processors must be gone.
  ~WriteBehindStorage() { runner_.stop(); }

  /// Writes when it is time to, where no thread does it; says when it wants to be called next. Never throws.
  NextTick tick(TimePoint now) { return core_.tick(now); }
  /// Writes what has changed so far, and returns when it is durable. Throws StorageError.
  void write() { core_.write(); }
  /// Writes, and gives the durable storage back, whatever comes of the writing. What is changed from then on
  /// is not written, and calls that change committed jobs throw. Throws StorageError when the changes could not
  /// be written; they are then lost.
  void stop() {
    runner_.stop();
    core_.stop();
  }
  [[nodiscard]] WriteBehindStatus status() const { return core_.status(); }

  JobId reserve_ids(std::size_t count) { return core_.reserve_ids(count); }
  std::vector<InsertResult> insert(std::span<const NewJob> jobs) { return kept().insert(jobs); }
  std::vector<Claim> claim(const ClaimRequest& request) { return kept().claim(request); }
  std::vector<FinishResult> finish(std::span<const Finish> finishes) { return kept().finish(finishes); }
  PromoteResult promote(std::size_t limit) { return kept().promote(limit); }
  std::vector<CancelResult> cancel(std::span<const JobId> ids, std::string_view who) {
    return kept().cancel(ids, who);
  }
  std::vector<RetryResult> retry(std::span<const JobId> ids, std::string_view who) {
    return kept().retry(ids, who);
  }
  std::vector<ChangeResult> reschedule(std::span<const JobId> ids, When when, std::string_view who) {
    return kept().reschedule(ids, when, who);
  }
  std::vector<ChangeResult> set_priority(std::span<const JobId> ids, Priority priority,
                                         std::string_view who) {
    return kept().set_priority(ids, priority, who);
  }
  std::vector<EraseResult> erase(std::span<const JobId> ids) { return kept().erase(ids); }
  std::optional<JobId> key_holder(const std::string& key) { return memory_.key_holder(key); }
  std::vector<std::optional<Job>> find(std::span<const JobId> ids) { return memory_.find(ids); }
  JobPage list(const JobFilter& filter) { return memory_.list(filter); }
  std::vector<JobCount> count() { return memory_.count(); }
  std::vector<ReadyAge> oldest_ready() { return memory_.oldest_ready(); }
  std::vector<CountFault> recount() { return memory_.recount(); }
  PruneResult prune(const PruneRequest& request) { return kept().prune(request); }

  std::vector<RunCheck> progress(std::span<const ProgressUpdate> updates) { return kept().progress(updates); }
  RunCheck save_step(const RunRef& run, const Step& step) { return kept().save_step(run, step); }
  std::vector<Step> steps(JobId id) { return memory_.steps(id); }
  std::vector<JobId> cancel_requests(NodeId node) { return memory_.cancel_requests(node); }

  NodeId register_node(const NodeInfo& info) { return kept().register_node(info); }
  /// `lost` too when another process has taken the durable storage over.
  RenewResult renew(NodeId node) { return core_.keeps() ? memory_.renew(node) : RenewResult::lost; }
  void retire(NodeId node) { memory_.retire(node); }
  RescueResult rescue(std::size_t limit, int crashes) { return kept().rescue(limit, crashes); }
  std::vector<NodeStatus> nodes() { return memory_.nodes(); }

  void pause(std::string_view queue) { kept().pause(queue); }
  void resume(std::string_view queue) { kept().resume(queue); }
  void limit_queue(std::string_view queue, std::uint64_t max_waiting) {
    kept().limit_queue(queue, max_waiting);
  }
  std::vector<QueueStatus> queues() { return memory_.queues(); }

  /// Rules are durable when these return, unlike what else is written behind; what rates have let start is not. So
  /// each rate begins used up when the storage is opened again.
  void set_limit(const LimitRule& rule) {
    const std::lock_guard lock(limits_mutex_);
    kept();
    durable_.set_limit(rule);
    memory_.set_limit(rule);
  }
  bool erase_limit(std::string_view name) {
    const std::lock_guard lock(limits_mutex_);
    kept();
    durable_.erase_limit(name);
    return memory_.erase_limit(name);
  }
  std::vector<LimitStatus> limits() { return memory_.limits(); }

  void put_record(const Record& record) { kept().put_record(record); }
  std::optional<Payload> get_record(std::string_view collection, std::string_view key) {
    return memory_.get_record(collection, key);
  }
  std::vector<Record> list_records(std::string_view collection, std::string_view after, std::size_t limit) {
    return memory_.list_records(collection, after, limit);
  }
  bool erase_record(std::string_view collection, std::string_view key) {
    return kept().erase_record(collection, key);
  }
  InsertIfResult insert_if(std::span<const NewJob> jobs, std::span<const RecordChange> changes) {
    return kept().insert_if(jobs, changes);
  }

  void observe(StorageObserver& observer) { memory_.observe(observer); }
  void unobserve(StorageObserver& observer) { memory_.unobserve(observer); }
  std::uint64_t foreign_changes() { return memory_.foreign_changes(); }
  [[nodiscard]] ClockRef clock() const { return durable_.clock(); }
  [[nodiscard]] std::string describe() const { return "write-behind:" + durable_.describe(); }

 private:
  static_assert(Storage<Memory> && TrackedStore<Memory> && std::constructible_from<Memory, ClockRef>,
                "the storage in memory must be able to tell what has changed: see TrackedStore");
  static_assert(Storage<Durable> && BackupStore<Durable>,
                "the durable storage must be able to keep the jobs of another one: see BackupStore");

  /// The memory, for a call that changes something.
  Memory& kept() {
    core_.check_keeper();
    return memory_;
  }

  Durable& durable_;
  Memory memory_;
  std::mutex limits_mutex_;  // both storages get the same rules, in the same order
  StorageAdapter<Durable&> durable_port_;
  detail::TrackedAdapter<Memory> tracked_port_;
  detail::WriteBehindCore core_;
  Runner runner_;
};

template <class Durable>
WriteBehindStorage(Durable&) -> WriteBehindStorage<MemoryStorage, Durable>;
template <class Durable>
WriteBehindStorage(Durable&, WriteBehindOptions) -> WriteBehindStorage<MemoryStorage, Durable>;

}  // namespace quern::inline v1
