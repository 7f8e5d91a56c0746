#pragma once

#include <memory>

#include "quern/storage/job_store.hpp"
#include "quern/storage/tracked_store.hpp"

namespace quern::inline v1 {

/// Jobs in this process's memory: for tests, and for work that may be lost with the process.
///
/// What each call promises stands in job_store.hpp.
/// Durable  until the object is destroyed.
/// Threads  one mutex; the observers are told of events and cancels while it is held, of work right after.
/// Memory   about 90 bytes per job beside its payload; some 500 more for one that has a tenant, tags,
///          parents, a unique key, a deadline, errors or a result.
/// Cost     insert, claim and finish: O(1) per job, O(log n) where its place is not at the end of its line or
///          it has a time to wait for. A claim also looks once at each lane (queue and kind) that has ready
///          jobs of the kinds asked for. `list` by tag or tenant walks over the jobs that have it, else in
///          steps of 64 ids over what it does not want.
class MemoryStorage {
 public:
  /// The clock must outlive the storage.
  explicit MemoryStorage(ClockRef clock = {});
  MemoryStorage(const MemoryStorage&) = delete;
  MemoryStorage& operator=(const MemoryStorage&) = delete;
  ~MemoryStorage();

  JobId reserve_ids(std::size_t count);
  std::vector<InsertResult> insert(std::span<const NewJob> jobs);
  std::vector<Claim> claim(const ClaimRequest& request);
  std::vector<FinishResult> finish(std::span<const Finish> finishes);
  PromoteResult promote(std::size_t limit);
  std::vector<CancelResult> cancel(std::span<const JobId> ids, std::string_view who);
  std::vector<RetryResult> retry(std::span<const JobId> ids, std::string_view who);
  std::vector<ChangeResult> reschedule(std::span<const JobId> ids, When when, std::string_view who);
  std::vector<ChangeResult> set_priority(std::span<const JobId> ids, Priority priority, std::string_view who);
  std::vector<EraseResult> erase(std::span<const JobId> ids);
  std::optional<JobId> key_holder(const std::string& key);
  std::vector<std::optional<Job>> find(std::span<const JobId> ids);
  JobPage list(const JobFilter& filter);
  std::vector<JobCount> count();
  std::vector<ReadyAge> oldest_ready();
  std::vector<CountFault> recount();
  PruneResult prune(const PruneRequest& request);

  std::vector<RunCheck> progress(std::span<const ProgressUpdate> updates);
  RunCheck save_step(const RunRef& run, const Step& step);
  std::vector<Step> steps(JobId id);
  std::vector<JobId> cancel_requests(NodeId node);

  NodeId register_node(const NodeInfo& info);
  RenewResult renew(NodeId node);
  void retire(NodeId node);
  RescueResult rescue(std::size_t limit, int crashes);
  std::vector<NodeStatus> nodes();

  void pause(std::string_view queue);
  void resume(std::string_view queue);
  void limit_queue(std::string_view queue, std::uint64_t max_waiting);
  std::vector<QueueStatus> queues();
  void set_limit(const LimitRule& rule);
  bool erase_limit(std::string_view name);
  std::vector<LimitStatus> limits();

  void put_record(const Record& record);
  std::optional<Payload> get_record(std::string_view collection, std::string_view key);
  std::vector<Record> list_records(std::string_view collection, std::string_view after, std::size_t limit);
  bool erase_record(std::string_view collection, std::string_view key);
  InsertIfResult insert_if(std::span<const NewJob> jobs, std::span<const RecordChange> changes);

  void observe(StorageObserver& observer);
  void unobserve(StorageObserver& observer);
  // For who keeps these jobs elsewhere, too; what each promises stands in tracked_store.hpp.
  void track(ChangeTracker& tracker, std::size_t count);
  std::uint64_t begin_capture();
  bool capture(ImageChunk& chunk, std::size_t count);
  void end_capture(bool written);
  [[nodiscard]] std::size_t unwritten() const;
  void restore(const ImageChunk& chunk);
  void restored();
  void number_nodes_from(std::uint64_t first);

  std::uint64_t foreign_changes();
  [[nodiscard]] ClockRef clock() const;
  [[nodiscard]] std::string describe() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

static_assert(Storage<MemoryStorage> && TrackedStore<MemoryStorage>);

}  // namespace quern::inline v1
