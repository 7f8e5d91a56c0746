#include "quern/storage/memory_storage.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "core/busy_mutex.hpp"
#include "quern/core/error.hpp"
#include "storage/memory/jobs.hpp"
#include "storage/memory/nodes.hpp"
#include "storage/memory/records.hpp"

namespace quern::inline v1 {

using memory::Call;

struct MemoryStorage::Impl {
  explicit Impl(ClockRef used_clock) : clock(used_clock), nodes(used_clock), jobs(nodes) {}

  /// Runs `operation(call)` alone, then tells the observers what it changed, still alone.
  template <class Operation>
  auto alone(const Operation& operation) {
    const std::lock_guard lock(mutex);
    Call call{.now = clock.now()};
    call.events_wanted = std::ranges::any_of(observers, [](const auto* o) { return o->wants_events(); });
    auto answer = operation(call);
    for (StorageObserver* const observer : observers) {
      if (!call.events.empty() && observer->wants_events()) observer->on_events(call.events);
      if (!call.asked_to_stop.empty()) observer->on_cancel(call.asked_to_stop);
      if (call.work) observer->on_work();
    }
    return answer;
  }

  /// A dead or retired node is remembered as long as it holds jobs.
  void forget_empty_nodes() {
    for (const NodeId node : nodes.lost()) {
      if (jobs.running(node) == 0) nodes.forget(node);
    }
  }

  ClockRef clock;
  detail::BusyMutex mutex;
  memory::Nodes nodes;
  memory::Jobs jobs;
  memory::Records records;
  std::vector<StorageObserver*> observers;
};

MemoryStorage::MemoryStorage(ClockRef clock) : impl_(std::make_unique<Impl>(clock)) {}
MemoryStorage::~MemoryStorage() = default;

JobId MemoryStorage::reserve_ids(std::size_t count) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->jobs.reserve_ids(count);
}

std::vector<InsertResult> MemoryStorage::insert(std::span<const NewJob> jobs) {
  return impl_->alone([&](Call& call) { return impl_->jobs.insert(call, jobs); });
}

std::vector<Claim> MemoryStorage::claim(const ClaimRequest& request) {
  return impl_->alone([&](Call& call) { return impl_->jobs.claim(call, request); });
}

std::vector<FinishResult> MemoryStorage::finish(std::span<const Finish> finishes) {
  return impl_->alone([&](Call& call) {
    return impl_->jobs.finish(call, finishes, [&](const Record& record) { impl_->records.put(record); });
  });
}

PromoteResult MemoryStorage::promote(std::size_t limit) {
  return impl_->alone([&](Call& call) { return impl_->jobs.promote(call, limit); });
}

std::vector<CancelResult> MemoryStorage::cancel(std::span<const JobId> ids, std::string_view who) {
  return impl_->alone([&](Call& call) { return impl_->jobs.cancel(call, ids, who); });
}

std::vector<RetryResult> MemoryStorage::retry(std::span<const JobId> ids, std::string_view who) {
  return impl_->alone([&](Call& call) { return impl_->jobs.retry(call, ids, who); });
}

std::vector<ChangeResult> MemoryStorage::reschedule(std::span<const JobId> ids, When when,
                                                    std::string_view who) {
  return impl_->alone([&](Call& call) { return impl_->jobs.reschedule(call, ids, when, who); });
}

std::vector<ChangeResult> MemoryStorage::set_priority(std::span<const JobId> ids, Priority priority,
                                                      std::string_view who) {
  return impl_->alone([&](Call& call) { return impl_->jobs.set_priority(call, ids, priority, who); });
}

std::vector<EraseResult> MemoryStorage::erase(std::span<const JobId> ids) {
  return impl_->alone([&](Call& call) { return impl_->jobs.erase(call, ids); });
}

std::optional<JobId> MemoryStorage::key_holder(const std::string& key) {
  return impl_->alone([&](const Call& call) { return impl_->jobs.holder_of(call, key); });
}

std::vector<std::optional<Job>> MemoryStorage::find(std::span<const JobId> ids) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->jobs.find(ids);
}

JobPage MemoryStorage::list(const JobFilter& filter) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->jobs.list(filter);
}

std::vector<JobCount> MemoryStorage::count() {
  const std::lock_guard lock(impl_->mutex);
  return impl_->jobs.count();
}

std::vector<CountFault> MemoryStorage::recount() {
  const std::lock_guard lock(impl_->mutex);
  return impl_->jobs.recount();
}

PruneResult MemoryStorage::prune(const PruneRequest& request) {
  return impl_->alone([&](Call& call) { return impl_->jobs.prune(call, request); });
}

std::vector<RunCheck> MemoryStorage::progress(std::span<const ProgressUpdate> updates) {
  return impl_->alone([&](Call& call) { return impl_->jobs.progress(call, updates); });
}

RunCheck MemoryStorage::save_step(const RunRef& run, const Step& step) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->jobs.save_step(run, step);
}

std::vector<Step> MemoryStorage::steps(JobId id) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->jobs.steps(id);
}

std::vector<JobId> MemoryStorage::cancel_requests(NodeId node) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->jobs.asked_to_stop(node);
}

NodeId MemoryStorage::register_node(const NodeInfo& info) {
  if (info.lease < std::chrono::milliseconds(1) || info.lease > std::chrono::hours(24)) {
    throw InvalidArgument("lease", fmt::format("is {}, allowed are 1ms to 1d", to_text(info.lease)));
  }
  const std::lock_guard lock(impl_->mutex);
  return impl_->nodes.add(info, impl_->clock.now());
}

RenewResult MemoryStorage::renew(NodeId node) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->nodes.renew(node);
}

void MemoryStorage::retire(NodeId node) {
  const std::lock_guard lock(impl_->mutex);
  impl_->nodes.retire(node);
  impl_->forget_empty_nodes();
}

RescueResult MemoryStorage::rescue(std::size_t limit, int crashes) {
  if (crashes < 1) throw InvalidArgument("crashes", fmt::format("is {}, it must be at least 1", crashes));
  return impl_->alone([&](Call& call) {
    const auto dead = impl_->nodes.declare_dead();
    auto result = impl_->jobs.rescue(call, impl_->nodes.lost(), limit, crashes);
    result.nodes = dead;
    impl_->forget_empty_nodes();
    return result;
  });
}

std::vector<NodeStatus> MemoryStorage::nodes() {
  const std::lock_guard lock(impl_->mutex);
  auto all = impl_->nodes.all();
  for (NodeStatus& node : all) node.running = impl_->jobs.running(node.id);
  return all;
}

void MemoryStorage::pause(std::string_view queue) {
  const std::lock_guard lock(impl_->mutex);
  impl_->jobs.pause(queue, true);
}

void MemoryStorage::resume(std::string_view queue) {
  impl_->alone([&](Call& call) {
    impl_->jobs.pause(queue, false);
    call.work = true;
    return 0;
  });
}

void MemoryStorage::limit_queue(std::string_view queue, std::uint64_t max_waiting) {
  const std::lock_guard lock(impl_->mutex);
  impl_->jobs.limit_queue(queue, max_waiting);
}

std::vector<QueueStatus> MemoryStorage::queues() {
  const std::lock_guard lock(impl_->mutex);
  return impl_->jobs.queues();
}

void MemoryStorage::put_record(const Record& record) {
  const std::lock_guard lock(impl_->mutex);
  impl_->records.put(record);
}

std::optional<Payload> MemoryStorage::get_record(std::string_view collection, std::string_view key) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->records.get(collection, key);
}

std::vector<Record> MemoryStorage::list_records(std::string_view collection, std::string_view after,
                                                std::size_t limit) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->records.list(collection, after, limit);
}

bool MemoryStorage::erase_record(std::string_view collection, std::string_view key) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->records.erase(collection, key);
}

void MemoryStorage::observe(StorageObserver& observer) {
  const std::lock_guard lock(impl_->mutex);
  impl_->observers.push_back(&observer);
}

void MemoryStorage::unobserve(StorageObserver& observer) {
  const std::lock_guard lock(impl_->mutex);
  std::erase(impl_->observers, &observer);
}

std::uint64_t MemoryStorage::foreign_changes() { return 0; }

ClockRef MemoryStorage::clock() const { return impl_->clock; }

std::string MemoryStorage::describe() const { return "memory:"; }

}  // namespace quern::inline v1
