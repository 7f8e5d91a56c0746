#pragma once

#include <concepts>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "quern/queue/bulk.hpp"
#include "quern/queue/job_log.hpp"
#include "quern/queue/queue_core.hpp"
#include "quern/queue/why_not_running.hpp"

namespace quern::inline v1 {

/// A storage in which a job can be added within the host's own transaction `Tx`: for SQLite a `sqlite3*`.
template <class S, class Tx>
concept TransactionalStore = requires(S& store, Tx tx, std::span<NewJob> jobs) {
  // As `insert`, through the host's connection; jobs without an id get one. The jobs exist if and only if the
  // host's transaction commits.
  { store.insert_within(tx, jobs) } -> std::same_as<std::vector<InsertResult>>;
};

namespace detail {
/// A StoragePort for any storage: itself where it is one, else an adapter.
template <class S>
class PortOf {
 public:
  explicit PortOf(S& storage) : adapter_(storage) {}
  [[nodiscard]] StoragePort& port() noexcept { return adapter_; }

 private:
  StorageAdapter<S&> adapter_;
};
template <std::derived_from<StoragePort> S>
class PortOf<S> {
 public:
  explicit PortOf(S& storage) noexcept : storage_(storage) {}
  [[nodiscard]] StoragePort& port() noexcept { return storage_; }

 private:
  S& storage_;
};
template <>
class PortOf<AnyStorage> {
 public:
  explicit PortOf(AnyStorage& storage) noexcept : storage_(storage) {}
  [[nodiscard]] StoragePort& port() noexcept { return storage_.port(); }

 private:
  AnyStorage& storage_;
};
}  // namespace detail

/// Where jobs are put, and looked after: the host's side of a storage.
///
/// Durable  when `enqueue` returns, the job is as durable as the storage says it is.
/// Threads  every member may be called from any thread.
/// Errors   InvalidArgument names the field of a job that is not allowed; StorageError when the storage
///          fails. After a StorageError from an enqueue it is unknown whether the jobs were added.
template <Storage S = AnyStorage>
class JobQueue {
 public:
  /// The storage must outlive the queue. Throws ConfigError for a faulty configuration.
  explicit JobQueue(S& storage, JobQueueConfig config = {})
      : storage_(storage), port_(storage), core_(port_.port(), std::move(config)) {}

  /// Adds one typed job: `queue.enqueue(SendDigest{"a/b", 17}, {.run_at = quern::When::after(10min)})`.
  template <TypedJob T>
  Enqueued enqueue(const T& job, JobOptions options) {
    return core_.enqueue_one(T::kind, Payload::of(job), defaults_of<T>(), options);
  }
  template <TypedJob T>
  Enqueued enqueue(const T& job) {
    return core_.enqueue_one(T::kind, Payload::of(job), defaults_of<T>());
  }
  /// Adds one job by its kind's name, with JSON as its payload.
  Enqueued enqueue(std::string_view kind, Payload payload, JobOptions options) {
    return core_.enqueue_one(kind, std::move(payload), {}, options);
  }
  Enqueued enqueue(std::string_view kind, Payload payload) {
    return core_.enqueue_one(kind, std::move(payload), {});
  }
  Enqueued enqueue(NewJob job) { return core_.enqueue_one(job); }

  /// Adds many, all or none, in one transaction; one answer per job, in order.
  template <std::ranges::input_range R>
    requires TypedJob<std::ranges::range_value_t<R>>
  std::vector<Enqueued> enqueue_all(const R& jobs, const JobOptions& options = {}) {
    using T = std::ranges::range_value_t<R>;
    detail::NewJobs made(core_, T::kind, defaults_of<T>(), options);
    if constexpr (std::ranges::sized_range<const R>) made.reserve(std::ranges::size(jobs));
    for (const auto& job : jobs) made.add(Payload::of(job));
    return core_.enqueue_prepared(std::move(made).take());
  }
  std::vector<Enqueued> enqueue_all(std::vector<NewJob> jobs) { return core_.enqueue(std::move(jobs)); }

  /// Adds jobs and changes records in one transaction, if each record still is as it was seen; none: some record is not, and
  /// nothing has changed. So of many who decide the same by what stands in a record, one does: read it, decide, and tell
  /// what you have seen with what it becomes. Where a queue is full no record changes either. Throws as an enqueue.
  ///
  ///     const auto seen = queue.storage().get_record("tours", "today");
  ///     const quern::RecordChange change{"tours", "today", seen, quern::Payload::of(next)};
  ///     if (!queue.enqueue_if({job}, {&change, 1})) ...  // somebody else was first
  std::optional<std::vector<Enqueued>> enqueue_if(std::vector<NewJob> jobs,
                                                  std::span<const RecordChange> changes) {
    return core_.enqueue_if(std::move(jobs), changes);
  }

  /// Adds jobs within the host's own open transaction: they exist if and only if it commits. Other threads'
  /// and processes' processors notice them after the commit, within their poll interval.
  template <class Tx>
    requires TransactionalStore<S, Tx>
  std::vector<Enqueued> enqueue_all_within(Tx transaction, std::vector<NewJob> jobs) {
    for (NewJob& job : jobs) core_.prepare(job);
    return insert_within(transaction, std::move(jobs));
  }
  template <class Tx, TypedJob T>
    requires TransactionalStore<S, Tx>
  Enqueued enqueue_within(Tx transaction, const T& job, JobOptions options = {}) {
    detail::NewJobs one(core_, T::kind, defaults_of<T>(), options);
    one.add(Payload::of(job));
    return insert_within(transaction, std::move(one).take()).front();
  }

  /// The job as it stands now; empty when there is none.
  [[nodiscard]] std::optional<Job> find(JobId id) {
    return std::move(core_.storage().find(std::span(&id, 1)).front());
  }
  [[nodiscard]] std::vector<std::optional<Job>> find(std::span<const JobId> ids) {
    return core_.storage().find(ids);
  }
  /// A page of jobs; pass `JobPage::next` as `after` for the following one.
  [[nodiscard]] JobPage list(const JobFilter& filter = {}) { return core_.storage().list(filter); }
  /// How many jobs stand where; never counts rows.
  [[nodiscard]] std::vector<JobCount> count() { return core_.storage().count(); }

  /// What the job's handler has logged, oldest first, as far as it is kept (JobLogOptions); of a job that runs, what
  /// is written yet. Gone with the job, and when an ended one is retried. Empty where there is no such job. Reads all
  /// that the job has stored of steps.
  [[nodiscard]] JobLog log_lines(JobId id) { return detail::read_log(core_.storage().steps(id)); }

  /// A waiting job never starts; a running one is asked to stop, in whatever process it runs. `who` is kept.
  CancelResult cancel(JobId id, std::string_view who = {}) {
    return core_.storage().cancel(std::span(&id, 1), who).front();
  }
  std::vector<CancelResult> cancel(std::span<const JobId> ids, std::string_view who = {}) {
    return core_.storage().cancel(ids, who);
  }
  /// Runs an ended job again, as a new run with all its attempts. `who` is kept.
  RetryResult retry(JobId id, std::string_view who = {}) {
    return core_.storage().retry(std::span(&id, 1), who).front();
  }
  std::vector<RetryResult> retry(std::span<const JobId> ids, std::string_view who = {}) {
    return core_.storage().retry(ids, who);
  }

  /// A job that waits then waits for `when` instead; ready at once where that has come. A blocked one keeps
  /// it for when its parents have ended.
  ChangeResult reschedule(JobId id, When when, std::string_view who = {}) {
    return core_.storage().reschedule(std::span(&id, 1), when, who).front();
  }
  /// Of a job that waits. Throws InvalidArgument (field "priority") beyond 0 to 9.
  ChangeResult set_priority(JobId id, Priority priority, std::string_view who = {}) {
    detail::check_priority(priority);
    return core_.storage().set_priority(std::span(&id, 1), priority, who).front();
  }
  /// Deletes a job that waits or has ended, with all that belongs to it; never one that a blocked job needs.
  EraseResult erase(JobId id) { return core_.storage().erase(std::span(&id, 1)).front(); }

  // The same to all jobs that a filter gives, in batches, each a transaction of its own: what is done stays
  // done where a later batch throws. A filter that names no states means those that the operation is for:
  // waiting and running jobs to be cancelled, dead and cancelled ones to be retried, all but running ones to
  // be erased, waiting ones to be changed.
  BulkResult cancel_all(const JobFilter& filter, const BulkOptions& options = {}) {
    return detail::cancel_all(core_.storage(), filter, options);
  }
  BulkResult retry_all(const JobFilter& filter, const BulkOptions& options = {}) {
    return detail::retry_all(core_.storage(), filter, options);
  }
  BulkResult erase_all(const JobFilter& filter, const BulkOptions& options = {}) {
    return detail::erase_all(core_.storage(), filter, options);
  }
  BulkResult reschedule_all(const JobFilter& filter, When when, const BulkOptions& options = {}) {
    return detail::reschedule_all(core_.storage(), filter, when, options);
  }
  BulkResult set_priority_all(const JobFilter& filter, Priority priority, const BulkOptions& options = {}) {
    detail::check_priority(priority);
    return detail::set_priority_all(core_.storage(), filter, priority, options);
  }

  /// Why the job does not run now, as data and in words; empty when there is no such job.
  [[nodiscard]] std::optional<WhyNotRunning> why_not_running(JobId id) {
    return quern::why_not_running(core_.storage(), id);
  }

  /// After it returned, no new job of the queue starts, on any node.
  void pause(std::string_view queue) { core_.storage().pause(queue); }
  void resume(std::string_view queue) { core_.storage().resume(queue); }
  /// From now on at most `max_waiting` jobs wait in the queue, for all who share the storage; an enqueue that
  /// finds it full answers `InsertStatus::queue_full` and adds nothing. 0: no limit. Kept in the storage.
  void limit(std::string_view queue, std::uint64_t max_waiting) {
    detail::check_queue_name(queue, core_.config().limits);
    core_.storage().limit_queue(queue, max_waiting);
  }
  [[nodiscard]] std::vector<QueueStatus> queues() { return core_.storage().queues(); }

  /// From now on at most so many jobs of the rule's queue and kind run at once, or start in a time, on all nodes
  /// together. In the place of the rule of that name, if there is one; its rate then goes on from where it
  /// stood. Jobs that run already go on. Kept in the storage. See docs/limits.md.
  void limit(const LimitRule& rule) { core_.storage().set_limit(rule); }
  /// False: there was no rule of that name.
  bool remove_limit(std::string_view name) { return core_.storage().erase_limit(name); }
  /// All rules as they stand now, by name.
  [[nodiscard]] std::vector<LimitStatus> limits() { return core_.storage().limits(); }

  /// Delivers every event of this storage object from now on, in order per job. See EventBus.
  [[nodiscard]] Subscription subscribe(EventCallback callback, SubscribeOptions options = {}) {
    return core_.events().subscribe(std::move(callback), options);
  }

  /// What jobs of a kind have in common where an enqueue says nothing. A processor sets those of its
  /// handlers.
  void set_defaults(std::string_view kind, const JobDefaults& defaults) {
    core_.set_defaults(kind, defaults);
  }

  [[nodiscard]] const JobQueueConfig& config() const noexcept { return core_.config(); }
  /// From now on jobs and processors of this object go by this one: retries, timeouts, retention and what is checked at the
  /// door. Slots and limits of a processor's results are as they were when it was made. Costs the memory of a configuration,
  /// which is kept. Throws ConfigError for a faulty one, and nothing changes.
  void set_config(JobQueueConfig config) { core_.set_config(std::move(config)); }
  /// From now on jobs that are enqueued, and runs that begin, on this object and its processors are traced by it; null: by
  /// nobody. Kept as long as the queue. See docs/tracing.md.
  void set_tracer(std::shared_ptr<Tracer> tracer) { core_.set_tracer(std::move(tracer)); }
  [[nodiscard]] S& storage() noexcept { return storage_; }
  /// For quern's own upper floors.
  [[nodiscard]] detail::QueueCore& core() noexcept { return core_; }

 private:
  template <class Tx>
  std::vector<Enqueued> insert_within(Tx transaction, std::vector<NewJob> jobs) {
    detail::EnqueueSpans spans(core_, jobs);
    const auto results = storage_.insert_within(transaction, std::span<NewJob>(jobs));
    spans.end(results);
    return detail::answers(jobs, results);
  }

  S& storage_;
  detail::PortOf<S> port_;
  detail::QueueCore core_;
};

}  // namespace quern::inline v1
