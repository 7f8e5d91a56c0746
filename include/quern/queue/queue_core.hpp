#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/config.hpp"
#include "quern/core/tracer.hpp"
#include "quern/queue/event_bus.hpp"
#include "quern/queue/queue_observer.hpp"
#include "quern/queue/typed_job.hpp"
#include "quern/storage/any_storage.hpp"

namespace quern::inline v1 {

/// What an enqueue answers.
struct Enqueued {
  JobId id{};  ///< The job: the new one, or the holder of the unique key. Zero where the queue is full.
  InsertStatus status = InsertStatus::added;

  /// True when a job was added by this call.
  [[nodiscard]] bool added() const noexcept {
    return status == InsertStatus::added || status == InsertStatus::replaced;
  }
  operator JobId() const noexcept { return id; }  // NOLINT(google-explicit-constructor): it is that job's id
};

namespace detail {

/// What JobQueue does once its types are gone: ids, defaults, the check at the door. Thread-safe.
class QueueCore {
 public:
  /// Throws ConfigError for a faulty configuration. The storage must outlive it.
  QueueCore(StoragePort& storage, JobQueueConfig config);

  [[nodiscard]] StoragePort& storage() const noexcept { return storage_; }
  /// The one in force. The reference stays good as long as this, with the values as they were.
  [[nodiscard]] const JobQueueConfig& config() const noexcept {
    return *config_.load(std::memory_order_acquire);
  }
  /// Throws ConfigError. See JobQueue::set_config.
  void set_config(JobQueueConfig config);
  [[nodiscard]] EventBus& events() noexcept { return events_; }
  /// Null: none. Stays good as long as this.
  [[nodiscard]] Tracer* tracer() const noexcept { return tracer_.load(std::memory_order_acquire); }
  void set_tracer(std::shared_ptr<Tracer> tracer);
  /// Of this queue and the processors on it.
  [[nodiscard]] QueueObservers& observers() noexcept { return observers_; }

  /// `count` consecutive ids, from a block reserved before where one is left.
  [[nodiscard]] JobId take_ids(std::size_t count);

  /// Fills in what the job leaves to defaults and checks it. Throws InvalidArgument.
  void prepare(NewJob& job) const;

  /// Prepares, numbers and inserts; one answer per job.
  [[nodiscard]] std::vector<Enqueued> enqueue(std::vector<NewJob> jobs);
  /// The same for jobs that are prepared.
  [[nodiscard]] std::vector<Enqueued> enqueue_prepared(std::vector<NewJob> jobs);
  /// The same for one job. Takes what it needs out of `options` and `job`.
  [[nodiscard]] Enqueued enqueue_one(std::string_view kind, Payload&& payload, const JobDefaults& defaults,
                                     JobOptions& options);
  [[nodiscard]] Enqueued enqueue_one(std::string_view kind, Payload&& payload, const JobDefaults& defaults);
  [[nodiscard]] Enqueued enqueue_one(NewJob& job);

  /// The same where records are as they were seen, which then change with it; none: some record is not.
  [[nodiscard]] std::optional<std::vector<Enqueued>> enqueue_if(std::vector<NewJob> jobs,
                                                                std::span<const RecordChange> changes);

  /// For jobs of `kind` that name none of their own: queue, attempts and timeout.
  void set_defaults(std::string_view kind, const JobDefaults& defaults);

 private:
  struct KindDefaults {
    std::string queue;
    int max_attempts = 0;
    Duration timeout{0};
  };
  friend class NewJobs;

  void fill_in(NewJob& job) const;
  void check_count(std::span<const NewJob> jobs) const;
  void number(std::span<NewJob> jobs);
  [[nodiscard]] std::vector<InsertResult> insert(std::span<NewJob> jobs);

  StoragePort& storage_;
  std::mutex configs_mutex_;
  std::vector<std::unique_ptr<const JobQueueConfig>> configs_;  // all that there were, for who refers to them
  std::atomic<const JobQueueConfig*> config_{nullptr};
  std::vector<std::shared_ptr<Tracer>> tracers_;  // the same, for their spans
  std::atomic<Tracer*> tracer_{nullptr};
  EventBus events_;
  QueueObservers observers_;

  mutable std::mutex defaults_mutex_;
  std::map<std::string, KindDefaults, std::less<>> defaults_;

  std::mutex ids_mutex_;
  std::uint64_t next_id_ = 0;
  std::uint64_t ids_left_ = 0;
  std::uint64_t id_block_;
};

/// Jobs of one kind that differ in their payloads only, prepared: what they have in common is filled in and
/// checked once. Not in JobQueue, so that its users need not compile it.
class NewJobs {
 public:
  /// Throws InvalidArgument for options that are not allowed. The core must outlive it.
  NewJobs(const QueueCore& core, std::string_view kind, const JobDefaults& defaults,
          const JobOptions& options);
  NewJobs(const NewJobs&) = delete;
  NewJobs& operator=(const NewJobs&) = delete;
  ~NewJobs();

  void reserve(std::size_t count);
  /// Throws InvalidArgument for a payload that is not allowed.
  void add(Payload&& payload);
  [[nodiscard]] std::vector<NewJob> take() &&;

 private:
  const QueueCore& core_;
  NewJob model_;
  std::vector<NewJob> jobs_;
};

/// The producers' spans of an insert. From its making on the jobs belong to them. Of what throws before `end` each is told
/// as failed.
class EnqueueSpans {
 public:
  /// Core and jobs must outlive it.
  EnqueueSpans(const QueueCore& core, std::span<NewJob> jobs);
  EnqueueSpans(const EnqueueSpans&) = delete;
  EnqueueSpans& operator=(const EnqueueSpans&) = delete;
  ~EnqueueSpans();
  void end(std::span<const InsertResult> results) noexcept;
  /// None of them was added, for a reason that is no fault.
  void end_all(std::string_view outcome) noexcept;

 private:
  void begin(Tracer& tracer, std::span<NewJob> jobs);

  const QueueCore& core_;
  std::vector<std::unique_ptr<Span>> spans_{};  // null: not traced; empty: none is
};

/// Throws InvalidArgument (field "priority").
void check_priority(Priority priority);
/// Throws InvalidArgument (field "queue").
void check_queue_name(std::string_view queue, const JobLimits& limits);

/// What an enqueue answers, from what the storage said.
[[nodiscard]] Enqueued answer(const NewJob& job, const InsertResult& result);
/// One answer per job, from what the storage said.
[[nodiscard]] std::vector<Enqueued> answers(std::span<const NewJob> jobs,
                                            std::span<const InsertResult> results);

}  // namespace detail
}  // namespace quern::inline v1
