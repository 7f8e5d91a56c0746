#pragma once

#include <concepts>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "quern/storage/backup_store.hpp"
#include "quern/storage/job_store.hpp"

namespace quern::inline v1 {

/// The storage contracts as virtual functions: for code that is compiled once for all storages. What each
/// call promises stands in job_store.hpp.
class StoragePort {
 public:
  StoragePort() = default;
  StoragePort(const StoragePort&) = delete;
  StoragePort& operator=(const StoragePort&) = delete;
  virtual ~StoragePort() = default;

  virtual JobId reserve_ids(std::size_t count) = 0;
  virtual std::vector<InsertResult> insert(std::span<const NewJob> jobs) = 0;
  virtual std::vector<Claim> claim(const ClaimRequest& request) = 0;
  virtual std::vector<FinishResult> finish(std::span<const Finish> finishes) = 0;
  virtual Turnover finish_and_claim(std::span<const Finish> finishes, const ClaimRequest& /*request*/) {
    return {finish(finishes), std::nullopt};
  }
  /// True where that does both.
  [[nodiscard]] virtual bool joins_finish_and_claim() const noexcept { return false; }
  virtual PromoteResult promote(std::size_t limit) = 0;
  virtual std::vector<CancelResult> cancel(std::span<const JobId> ids, std::string_view who) = 0;
  virtual std::vector<RetryResult> retry(std::span<const JobId> ids, std::string_view who) = 0;
  virtual std::vector<ChangeResult> reschedule(std::span<const JobId> ids, When when,
                                               std::string_view who) = 0;
  virtual std::vector<ChangeResult> set_priority(std::span<const JobId> ids, Priority priority,
                                                 std::string_view who) = 0;
  virtual std::vector<EraseResult> erase(std::span<const JobId> ids) = 0;
  virtual std::optional<JobId> key_holder(const std::string& key) = 0;
  virtual std::vector<std::optional<Job>> find(std::span<const JobId> ids) = 0;
  virtual JobPage list(const JobFilter& filter) = 0;
  virtual std::vector<JobCount> count() = 0;
  virtual std::vector<ReadyAge> oldest_ready() = 0;
  virtual std::vector<CountFault> recount() = 0;
  virtual PruneResult prune(const PruneRequest& request) = 0;

  virtual std::vector<RunCheck> progress(std::span<const ProgressUpdate> updates) = 0;
  virtual RunCheck save_step(const RunRef& run, const Step& step) = 0;
  virtual std::vector<Step> steps(JobId id) = 0;
  virtual std::vector<JobId> cancel_requests(NodeId node) = 0;

  virtual NodeId register_node(const NodeInfo& info) = 0;
  virtual RenewResult renew(NodeId node) = 0;
  virtual void retire(NodeId node) = 0;
  virtual RescueResult rescue(std::size_t limit, int crashes) = 0;
  virtual std::vector<NodeStatus> nodes() = 0;

  virtual void pause(std::string_view queue) = 0;
  virtual void resume(std::string_view queue) = 0;
  virtual void limit_queue(std::string_view queue, std::uint64_t max_waiting) = 0;
  virtual std::vector<QueueStatus> queues() = 0;

  virtual void set_limit(const LimitRule& rule) = 0;
  virtual bool erase_limit(std::string_view name) = 0;
  virtual std::vector<LimitStatus> limits() = 0;

  virtual void put_record(const Record& record) = 0;
  virtual std::optional<Payload> get_record(std::string_view collection, std::string_view key) = 0;
  virtual std::vector<Record> list_records(std::string_view collection, std::string_view after,
                                           std::size_t limit) = 0;
  virtual bool erase_record(std::string_view collection, std::string_view key) = 0;
  virtual InsertIfResult insert_if(std::span<const NewJob> jobs, std::span<const RecordChange> changes) = 0;

  virtual void observe(StorageObserver& observer) = 0;
  virtual void unobserve(StorageObserver& observer) = 0;
  virtual std::uint64_t foreign_changes() = 0;
  [[nodiscard]] virtual bool watches_foreign_changes() const { return false; }
  [[nodiscard]] virtual ClockRef clock() const = 0;
  [[nodiscard]] virtual std::string describe() const = 0;

  /// The same storage as one that can keep the jobs of another (see BackupStore); null where it can't.
  [[nodiscard]] virtual BackupPort* backup() noexcept { return nullptr; }
};

static_assert(Storage<StoragePort>);

namespace detail {

/// Makes a BackupPort of a storage that can be one.
template <class S>
class BackupAdapter {
 public:
  explicit BackupAdapter(S& /*store*/) {}
  [[nodiscard]] static BackupPort* port() noexcept { return nullptr; }
};
template <BackupStore S>
class BackupAdapter<S> final : public BackupPort {
 public:
  explicit BackupAdapter(S& store) : store_(store) {}
  [[nodiscard]] BackupPort* port() noexcept { return this; }
  NodeId become_keeper(const NodeInfo& info) override { return store_.become_keeper(info); }
  void write_images(NodeId keeper, ImageSource& source) override { store_.write_images(keeper, source); }
  std::vector<JobImage> read_images(JobId after, std::size_t limit) override {
    return store_.read_images(after, limit);
  }
  std::vector<Record> read_records(const RecordKey& after, std::size_t limit) override {
    return store_.read_records(after, limit);
  }

 private:
  S& store_;
};

}  // namespace detail

/// Makes a StoragePort of any storage. `S` may be a reference type, to a storage that outlives the adapter.
template <class S>
class StorageAdapter final : public StoragePort {
 public:
  template <class... Args>
  explicit StorageAdapter(Args&&... args) : store_(std::forward<Args>(args)...), backup_(store_) {}

  JobId reserve_ids(std::size_t count) override { return store_.reserve_ids(count); }
  std::vector<InsertResult> insert(std::span<const NewJob> jobs) override { return store_.insert(jobs); }
  std::vector<Claim> claim(const ClaimRequest& request) override { return store_.claim(request); }
  std::vector<FinishResult> finish(std::span<const Finish> finishes) override {
    return store_.finish(finishes);
  }
  Turnover finish_and_claim(std::span<const Finish> finishes, const ClaimRequest& request) override {
    if constexpr (joins) {
      return store_.finish_and_claim(finishes, request);
    } else {
      return StoragePort::finish_and_claim(finishes, request);
    }
  }
  [[nodiscard]] bool joins_finish_and_claim() const noexcept override {
    if constexpr (requires { store_.joins_finish_and_claim(); }) {
      return store_.joins_finish_and_claim();
    } else {
      return joins;
    }
  }
  PromoteResult promote(std::size_t limit) override { return store_.promote(limit); }
  std::vector<CancelResult> cancel(std::span<const JobId> ids, std::string_view who) override {
    return store_.cancel(ids, who);
  }
  std::vector<RetryResult> retry(std::span<const JobId> ids, std::string_view who) override {
    return store_.retry(ids, who);
  }
  std::vector<ChangeResult> reschedule(std::span<const JobId> ids, When when, std::string_view who) override {
    return store_.reschedule(ids, when, who);
  }
  std::vector<ChangeResult> set_priority(std::span<const JobId> ids, Priority priority,
                                         std::string_view who) override {
    return store_.set_priority(ids, priority, who);
  }
  std::vector<EraseResult> erase(std::span<const JobId> ids) override { return store_.erase(ids); }
  std::optional<JobId> key_holder(const std::string& key) override { return store_.key_holder(key); }
  std::vector<std::optional<Job>> find(std::span<const JobId> ids) override { return store_.find(ids); }
  JobPage list(const JobFilter& filter) override { return store_.list(filter); }
  std::vector<JobCount> count() override { return store_.count(); }
  std::vector<ReadyAge> oldest_ready() override { return store_.oldest_ready(); }
  std::vector<CountFault> recount() override { return store_.recount(); }
  PruneResult prune(const PruneRequest& request) override { return store_.prune(request); }

  std::vector<RunCheck> progress(std::span<const ProgressUpdate> updates) override {
    return store_.progress(updates);
  }
  RunCheck save_step(const RunRef& run, const Step& step) override { return store_.save_step(run, step); }
  std::vector<Step> steps(JobId id) override { return store_.steps(id); }
  std::vector<JobId> cancel_requests(NodeId node) override { return store_.cancel_requests(node); }

  NodeId register_node(const NodeInfo& info) override { return store_.register_node(info); }
  RenewResult renew(NodeId node) override { return store_.renew(node); }
  void retire(NodeId node) override { store_.retire(node); }
  RescueResult rescue(std::size_t limit, int crashes) override { return store_.rescue(limit, crashes); }
  std::vector<NodeStatus> nodes() override { return store_.nodes(); }

  void pause(std::string_view queue) override { store_.pause(queue); }
  void resume(std::string_view queue) override { store_.resume(queue); }
  void limit_queue(std::string_view queue, std::uint64_t max_waiting) override {
    store_.limit_queue(queue, max_waiting);
  }
  std::vector<QueueStatus> queues() override { return store_.queues(); }

  void set_limit(const LimitRule& rule) override { store_.set_limit(rule); }
  bool erase_limit(std::string_view name) override { return store_.erase_limit(name); }
  std::vector<LimitStatus> limits() override { return store_.limits(); }

  void put_record(const Record& record) override { store_.put_record(record); }
  std::optional<Payload> get_record(std::string_view collection, std::string_view key) override {
    return store_.get_record(collection, key);
  }
  std::vector<Record> list_records(std::string_view collection, std::string_view after,
                                   std::size_t limit) override {
    return store_.list_records(collection, after, limit);
  }
  bool erase_record(std::string_view collection, std::string_view key) override {
    return store_.erase_record(collection, key);
  }
  InsertIfResult insert_if(std::span<const NewJob> jobs, std::span<const RecordChange> changes) override {
    return store_.insert_if(jobs, changes);
  }

  void observe(StorageObserver& observer) override { store_.observe(observer); }
  void unobserve(StorageObserver& observer) override { store_.unobserve(observer); }
  std::uint64_t foreign_changes() override { return store_.foreign_changes(); }
  [[nodiscard]] bool watches_foreign_changes() const override {
    if constexpr (requires { store_.watches_foreign_changes(); }) {
      return store_.watches_foreign_changes();
    } else {
      return false;
    }
  }
  [[nodiscard]] ClockRef clock() const override { return store_.clock(); }
  [[nodiscard]] std::string describe() const override { return store_.describe(); }
  [[nodiscard]] BackupPort* backup() noexcept override { return backup_.port(); }

 private:
  static constexpr bool joins =
      requires(S& store, std::span<const Finish> finishes, const ClaimRequest& request) {
        { store.finish_and_claim(finishes, request) } -> std::same_as<Turnover>;
      };

  S store_;
  detail::BackupAdapter<std::remove_reference_t<S>> backup_;
};

/// Owns a storage that was chosen at run time, and is itself a storage. Movable; a moved-from one may only be
/// destroyed.
class AnyStorage {
 public:
  explicit AnyStorage(std::unique_ptr<StoragePort> port) : port_(std::move(port)) {}

  /// The storage inside, for code that takes a StoragePort.
  [[nodiscard]] StoragePort& port() const noexcept { return *port_; }

  JobId reserve_ids(std::size_t count) { return port_->reserve_ids(count); }
  std::vector<InsertResult> insert(std::span<const NewJob> jobs) { return port_->insert(jobs); }
  std::vector<Claim> claim(const ClaimRequest& request) { return port_->claim(request); }
  std::vector<FinishResult> finish(std::span<const Finish> finishes) { return port_->finish(finishes); }
  Turnover finish_and_claim(std::span<const Finish> finishes, const ClaimRequest& request) {
    return port_->finish_and_claim(finishes, request);
  }
  [[nodiscard]] bool joins_finish_and_claim() const noexcept { return port_->joins_finish_and_claim(); }
  PromoteResult promote(std::size_t limit) { return port_->promote(limit); }
  std::vector<CancelResult> cancel(std::span<const JobId> ids, std::string_view who) {
    return port_->cancel(ids, who);
  }
  std::vector<RetryResult> retry(std::span<const JobId> ids, std::string_view who) {
    return port_->retry(ids, who);
  }
  std::vector<ChangeResult> reschedule(std::span<const JobId> ids, When when, std::string_view who) {
    return port_->reschedule(ids, when, who);
  }
  std::vector<ChangeResult> set_priority(std::span<const JobId> ids, Priority priority,
                                         std::string_view who) {
    return port_->set_priority(ids, priority, who);
  }
  std::vector<EraseResult> erase(std::span<const JobId> ids) { return port_->erase(ids); }
  std::optional<JobId> key_holder(const std::string& key) { return port_->key_holder(key); }
  std::vector<std::optional<Job>> find(std::span<const JobId> ids) { return port_->find(ids); }
  JobPage list(const JobFilter& filter) { return port_->list(filter); }
  std::vector<JobCount> count() { return port_->count(); }
  std::vector<ReadyAge> oldest_ready() { return port_->oldest_ready(); }
  std::vector<CountFault> recount() { return port_->recount(); }
  PruneResult prune(const PruneRequest& request) { return port_->prune(request); }
  std::vector<RunCheck> progress(std::span<const ProgressUpdate> updates) { return port_->progress(updates); }
  RunCheck save_step(const RunRef& run, const Step& step) { return port_->save_step(run, step); }
  std::vector<Step> steps(JobId id) { return port_->steps(id); }
  std::vector<JobId> cancel_requests(NodeId node) { return port_->cancel_requests(node); }
  NodeId register_node(const NodeInfo& info) { return port_->register_node(info); }
  RenewResult renew(NodeId node) { return port_->renew(node); }
  void retire(NodeId node) { port_->retire(node); }
  RescueResult rescue(std::size_t limit, int crashes) { return port_->rescue(limit, crashes); }
  std::vector<NodeStatus> nodes() { return port_->nodes(); }
  void pause(std::string_view queue) { port_->pause(queue); }
  void resume(std::string_view queue) { port_->resume(queue); }
  void limit_queue(std::string_view queue, std::uint64_t max_waiting) {
    port_->limit_queue(queue, max_waiting);
  }
  std::vector<QueueStatus> queues() { return port_->queues(); }
  void set_limit(const LimitRule& rule) { port_->set_limit(rule); }
  bool erase_limit(std::string_view name) { return port_->erase_limit(name); }
  std::vector<LimitStatus> limits() { return port_->limits(); }
  void put_record(const Record& record) { port_->put_record(record); }
  std::optional<Payload> get_record(std::string_view collection, std::string_view key) {
    return port_->get_record(collection, key);
  }
  std::vector<Record> list_records(std::string_view collection, std::string_view after, std::size_t limit) {
    return port_->list_records(collection, after, limit);
  }
  bool erase_record(std::string_view collection, std::string_view key) {
    return port_->erase_record(collection, key);
  }
  InsertIfResult insert_if(std::span<const NewJob> jobs, std::span<const RecordChange> changes) {
    return port_->insert_if(jobs, changes);
  }
  void observe(StorageObserver& observer) { port_->observe(observer); }
  void unobserve(StorageObserver& observer) { port_->unobserve(observer); }
  std::uint64_t foreign_changes() { return port_->foreign_changes(); }
  [[nodiscard]] bool watches_foreign_changes() const { return port_->watches_foreign_changes(); }
  [[nodiscard]] ClockRef clock() const { return port_->clock(); }
  [[nodiscard]] std::string describe() const { return port_->describe(); }

  // See BackupStore. Each throws StorageError where this storage can't keep the jobs of another one.
  NodeId become_keeper(const NodeInfo& info) { return backup().become_keeper(info); }
  void write_images(NodeId keeper, ImageSource& source) { backup().write_images(keeper, source); }
  std::vector<JobImage> read_images(JobId after, std::size_t limit) {
    return backup().read_images(after, limit);
  }
  std::vector<Record> read_records(const RecordKey& after, std::size_t limit) {
    return backup().read_records(after, limit);
  }

 private:
  [[nodiscard]] BackupPort& backup() const;

  std::unique_ptr<StoragePort> port_;
};

static_assert(Storage<AnyStorage> && BackupStore<AnyStorage>);

/// Opens a storage by its address:
///   memory:               a MemoryStorage; gone with the process
///   sqlite:PATH           a SqliteStorage; include <quern/sqlite.hpp> and link quern::sqlite
///   write-behind:ADDRESS  a WriteBehindStorage before the storage of that address, "write-behind:sqlite:jobs.db"
/// Throws InvalidArgument (field "storage") for another scheme, naming those that are linked in, and
/// StorageError when it cannot be opened. The clock must outlive the storage.
[[nodiscard]] AnyStorage open_storage(std::string_view address, ClockRef clock = {});

/// What opens the addresses of one scheme; gets what stands behind the colon.
using StorageOpener = std::unique_ptr<StoragePort> (*)(std::string_view rest, ClockRef clock);

/// Makes a scheme known to `open_storage`; returns true. A second one of the same name replaces the first.
/// Thread-safe.
bool register_storage_scheme(std::string_view scheme, StorageOpener open);

}  // namespace quern::inline v1
