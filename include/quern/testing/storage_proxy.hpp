#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "quern/core/error.hpp"
#include "quern/storage/any_storage.hpp"

namespace quern::inline v1::testing {

/// Where in a storage call the process dies.
enum class CrashSide : std::uint8_t {
  before,  ///< The call has changed nothing.
  after,   ///< The storage has done it, and nobody has heard the answer.
};

/// Which of a process's storage calls is its last.
struct StorageCrash {
  std::size_t call = 0;  ///< From 1.
  CrashSide side = CrashSide::before;
  std::string name{};  ///< The call's, such as "finish"; known once it was reached.

  friend bool operator==(const StorageCrash&, const StorageCrash&) = default;
};

/// "before storage call 7 (finish)"
[[nodiscard]] std::string to_string(const StorageCrash& crash);
std::ostream& operator<<(std::ostream& out, const StorageCrash& crash);

/// The process that uses a storage is meant to have died. A StorageError, so that it takes the ways on which
/// the code under test expects errors.
class SimulatedCrash : public StorageError {
 public:
  explicit SimulatedCrash(StorageCrash where)
      : StorageError("the process crashed " + to_string(where), false), where_(std::move(where)) {}
  [[nodiscard]] const StorageCrash& where() const noexcept { return where_; }

 private:
  StorageCrash where_;
};

/// Stands before a storage and lets a test interfere with every call: count it, refuse it, lose its answer,
/// or let the process die there.
///
/// before  called with the call's name before the storage is asked; what it throws, the caller gets, and the
///         storage was not asked.
/// after   called when the storage has done it; what it throws, the caller gets instead of the answer.
/// Both may be empty, and are called from whatever thread makes the call. Set them before threads use the
/// proxy. `observe`, `unobserve`, `clock` and `describe` pass through and are not counted.
class StorageProxy final : public StoragePort {
  // First, because its return type must be known to what follows.
  template <class Ask>
  auto call(std::string_view name, Ask&& ask) {
    const bool last = enter(name);
    if (before) before(name);
    auto answer = std::forward<Ask>(ask)();
    if (after) after(name);
    if (last) die();
    return answer;
  }

 public:
  using Hook = std::function<void(std::string_view call)>;

  /// `inner` must outlive the proxy.
  explicit StorageProxy(StoragePort& inner) : inner_(inner) {}

  Hook before;
  Hook after;

  /// The process dies at the `call`-th call from now (1: the next one; 0: it does not, after all). That call
  /// and all later ones throw SimulatedCrash, and nothing reaches the storage any more: what a dead process
  /// would still like to write (a hand-back, a retirement) is not written.
  void crash_at(std::size_t call, CrashSide side = CrashSide::before);
  [[nodiscard]] bool crashed() const noexcept { return crashed_.load(std::memory_order_acquire); }
  /// Where it died, or is to die.
  [[nodiscard]] StorageCrash crash() const;
  /// Calls so far, the fatal one included.
  [[nodiscard]] std::size_t calls() const;

  JobId reserve_ids(std::size_t count) override {
    return call("reserve_ids", [&] { return inner_.reserve_ids(count); });
  }
  std::vector<InsertResult> insert(std::span<const NewJob> jobs) override {
    return call("insert", [&] { return inner_.insert(jobs); });
  }
  std::vector<Claim> claim(const ClaimRequest& request) override {
    return call("claim", [&] { return inner_.claim(request); });
  }
  std::vector<FinishResult> finish(std::span<const Finish> finishes) override {
    return call("finish", [&] { return inner_.finish(finishes); });
  }
  Turnover finish_and_claim(std::span<const Finish> finishes, const ClaimRequest& request) override {
    return call("finish_and_claim", [&] { return inner_.finish_and_claim(finishes, request); });
  }
  [[nodiscard]] bool joins_finish_and_claim() const noexcept override {
    return inner_.joins_finish_and_claim();
  }
  PromoteResult promote(std::size_t limit) override {
    return call("promote", [&] { return inner_.promote(limit); });
  }
  std::vector<CancelResult> cancel(std::span<const JobId> ids, std::string_view who) override {
    return call("cancel", [&] { return inner_.cancel(ids, who); });
  }
  std::vector<RetryResult> retry(std::span<const JobId> ids, std::string_view who) override {
    return call("retry", [&] { return inner_.retry(ids, who); });
  }
  std::vector<ChangeResult> reschedule(std::span<const JobId> ids, When when, std::string_view who) override {
    return call("reschedule", [&] { return inner_.reschedule(ids, when, who); });
  }
  std::vector<ChangeResult> set_priority(std::span<const JobId> ids, Priority priority,
                                         std::string_view who) override {
    return call("set_priority", [&] { return inner_.set_priority(ids, priority, who); });
  }
  std::vector<EraseResult> erase(std::span<const JobId> ids) override {
    return call("erase", [&] { return inner_.erase(ids); });
  }
  std::optional<JobId> key_holder(const std::string& key) override {
    return call("key_holder", [&] { return inner_.key_holder(key); });
  }
  std::vector<std::optional<Job>> find(std::span<const JobId> ids) override {
    return call("find", [&] { return inner_.find(ids); });
  }
  JobPage list(const JobFilter& filter) override {
    return call("list", [&] { return inner_.list(filter); });
  }
  std::vector<JobCount> count() override {
    return call("count", [&] { return inner_.count(); });
  }
  std::vector<ReadyAge> oldest_ready() override {
    return call("oldest_ready", [&] { return inner_.oldest_ready(); });
  }
  std::vector<CountFault> recount() override {
    return call("recount", [&] { return inner_.recount(); });
  }
  PruneResult prune(const PruneRequest& request) override {
    return call("prune", [&] { return inner_.prune(request); });
  }
  std::vector<RunCheck> progress(std::span<const ProgressUpdate> updates) override {
    return call("progress", [&] { return inner_.progress(updates); });
  }
  RunCheck save_step(const RunRef& run, const Step& step) override {
    return call("save_step", [&] { return inner_.save_step(run, step); });
  }
  std::vector<Step> steps(JobId id) override {
    return call("steps", [&] { return inner_.steps(id); });
  }
  std::vector<JobId> cancel_requests(NodeId node) override {
    return call("cancel_requests", [&] { return inner_.cancel_requests(node); });
  }
  NodeId register_node(const NodeInfo& info) override {
    return call("register_node", [&] { return inner_.register_node(info); });
  }
  RenewResult renew(NodeId node) override {
    return call("renew", [&] { return inner_.renew(node); });
  }
  void retire(NodeId node) override {
    call("retire", [&] {
      inner_.retire(node);
      return 0;
    });
  }
  RescueResult rescue(std::size_t limit, int crashes) override {
    return call("rescue", [&] { return inner_.rescue(limit, crashes); });
  }
  std::vector<NodeStatus> nodes() override {
    return call("nodes", [&] { return inner_.nodes(); });
  }
  void pause(std::string_view queue) override {
    call("pause", [&] {
      inner_.pause(queue);
      return 0;
    });
  }
  void resume(std::string_view queue) override {
    call("resume", [&] {
      inner_.resume(queue);
      return 0;
    });
  }
  void limit_queue(std::string_view queue, std::uint64_t max_waiting) override {
    call("limit_queue", [&] {
      inner_.limit_queue(queue, max_waiting);
      return 0;
    });
  }
  std::vector<QueueStatus> queues() override {
    return call("queues", [&] { return inner_.queues(); });
  }
  void set_limit(const LimitRule& rule) override {
    call("set_limit", [&] {
      inner_.set_limit(rule);
      return 0;
    });
  }
  bool erase_limit(std::string_view name) override {
    return call("erase_limit", [&] { return inner_.erase_limit(name); });
  }
  std::vector<LimitStatus> limits() override {
    return call("limits", [&] { return inner_.limits(); });
  }
  void put_record(const Record& record) override {
    call("put_record", [&] {
      inner_.put_record(record);
      return 0;
    });
  }
  std::optional<Payload> get_record(std::string_view collection, std::string_view key) override {
    return call("get_record", [&] { return inner_.get_record(collection, key); });
  }
  std::vector<Record> list_records(std::string_view collection, std::string_view after_key,
                                   std::size_t limit) override {
    return call("list_records", [&] { return inner_.list_records(collection, after_key, limit); });
  }
  bool erase_record(std::string_view collection, std::string_view key) override {
    return call("erase_record", [&] { return inner_.erase_record(collection, key); });
  }
  InsertIfResult insert_if(std::span<const NewJob> jobs, std::span<const RecordChange> changes) override {
    return call("insert_if", [&] { return inner_.insert_if(jobs, changes); });
  }

  void observe(StorageObserver& observer) override { inner_.observe(observer); }
  void unobserve(StorageObserver& observer) override { inner_.unobserve(observer); }
  std::uint64_t foreign_changes() override {
    return call("foreign_changes", [&] { return inner_.foreign_changes(); });
  }
  [[nodiscard]] bool watches_foreign_changes() const override { return inner_.watches_foreign_changes(); }
  [[nodiscard]] ClockRef clock() const override { return inner_.clock(); }
  [[nodiscard]] std::string describe() const override { return inner_.describe(); }

 private:
  /// Counts the call; true when the process dies behind it. Throws when it is dead, or dies here.
  bool enter(std::string_view name);
  [[noreturn]] void die();

  StoragePort& inner_;
  mutable std::mutex mutex_;
  std::size_t calls_ = 0;
  std::size_t fatal_call_ = 0;  // of calls_; 0: none
  StorageCrash crash_;
  std::atomic<bool> crashed_{false};
};

}  // namespace quern::inline v1::testing
