#include "quern/storage/memory_storage.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "core/busy_mutex.hpp"
#include "quern/core/error.hpp"
#include "storage/memory/jobs.hpp"
#include "storage/memory/nodes.hpp"
#include "storage/memory/records.hpp"
#include "storage/record_changes.hpp"

namespace quern::inline v1 {

using memory::Call;

struct MemoryStorage::Impl {
  explicit Impl(ClockRef used_clock) : clock(used_clock), nodes(used_clock), jobs(nodes) {}

  /// Runs `operation(call)` alone, then tells the observers what it changed, still alone. What must be durable
  /// is so when it returns.
  enum class Wait : bool { no, yes };
  template <class Operation>
  auto alone(const Operation& operation, Wait wait = Wait::yes) {
    std::unique_lock lock(mutex);
    Call call{.now = clock.now()};
    call.events_wanted = std::ranges::any_of(*observers, [](const auto* o) { return o->wants_events(); });
    auto answer = operation(call);
    for (StorageObserver* const observer : *observers) {
      if (!call.events.empty() && observer->wants_events()) observer->on_events(call.events);
      if (!call.asked_to_stop.empty()) observer->on_cancel(call.asked_to_stop);
    }
    memory::ChangeLog* const log = jobs.log();
    const std::uint64_t generation = log != nullptr ? log->take_urgent() : 0;
    const bool enough = log != nullptr && log->take_enough();
    if (call.work || call.ready)
      tell_of_work(call, lock);
    else
      lock.unlock();
    if (enough) log->tracker.enough_changed();
    if (generation != 0 && wait == Wait::yes) log->tracker.await(generation);
    return answer;
  }

  /// Once the lock is free: whoever wakes up wants it at once.
  void tell_of_work(const Call& call, std::unique_lock<detail::BusyMutex>& lock) {
    const Observers& told = *observers;
    telling.fetch_add(1);
    lock.unlock();
    for (StorageObserver* const observer : told) {
      if (call.work)
        observer->on_work();
      else
        observer->on_ready();
    }
    telling.fetch_sub(1);
  }

  void note_record(std::string_view collection, std::string_view key, bool by_itself = true) {
    if (memory::ChangeLog* const log = jobs.log())
      log->note_record({std::string(collection), std::string(key)}, by_itself);
  }

  /// A dead or retired node is remembered as long as it holds jobs.
  void forget_empty_nodes() {
    for (const NodeId node : nodes.lost()) {
      if (jobs.running(node) > 0) continue;
      nodes.forget(node);
      jobs.forget_node(node);
    }
  }

  ClockRef clock;
  detail::BusyMutex mutex;
  memory::Nodes nodes;
  memory::Jobs jobs;
  memory::Records records;
  using Observers = std::vector<StorageObserver*>;
  /// Returns when nobody can still be telling the former ones.
  template <class Change>
  void change_observers(const Change& edit) {
    std::unique_ptr<const Observers> old;
    {
      const std::lock_guard lock(mutex);
      auto changed = std::make_unique<Observers>(*observers);
      edit(*changed);
      old = std::exchange(observers, std::move(changed));
    }
    while (telling.load() != 0) std::this_thread::yield();  // each takes but a moment
  }
  std::unique_ptr<const Observers> observers = std::make_unique<Observers>();
  std::atomic<int> telling{0};  // calls that tell of work without the lock
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
  std::vector<Claim> claims;
  try {
    impl_->alone([&](Call& call) {
      claims = impl_->jobs.claim(call, request);
      return 0;
    });
  } catch (const StorageError&) {
    // Nobody would ever run them.
    impl_->alone(
        [&](Call& call) {
          impl_->jobs.take_back(call, claims);
          return 0;
        },
        Impl::Wait::no);
    throw;
  }
  return claims;
}

std::vector<FinishResult> MemoryStorage::finish(std::span<const Finish> finishes) {
  return impl_->alone([&](Call& call) {
    return impl_->jobs.finish(call, finishes, [&](const Record& record) {
      impl_->records.put(record);
      impl_->note_record(record.collection, record.key, false);
    });
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

std::vector<ReadyAge> MemoryStorage::oldest_ready() {
  const std::lock_guard lock(impl_->mutex);
  return impl_->jobs.oldest_ready(impl_->clock.now());
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
  return impl_->alone([&](Call&) { return impl_->jobs.save_step(run, step); });
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
  impl_->alone([&](Call&) {
    impl_->jobs.pause(queue, true);
    return 0;
  });
}

void MemoryStorage::resume(std::string_view queue) {
  impl_->alone([&](Call& call) {
    impl_->jobs.pause(queue, false);
    call.work = true;
    return 0;
  });
}

void MemoryStorage::limit_queue(std::string_view queue, std::uint64_t max_waiting) {
  impl_->alone([&](Call&) {
    impl_->jobs.limit_queue(queue, max_waiting);
    return 0;
  });
}

std::vector<QueueStatus> MemoryStorage::queues() {
  const std::lock_guard lock(impl_->mutex);
  return impl_->jobs.queues();
}

void MemoryStorage::set_limit(const LimitRule& rule) {
  check(rule);
  impl_->alone([&](Call& call) {
    impl_->jobs.set_limit(rule);
    call.work = true;
    return 0;
  });
}

bool MemoryStorage::erase_limit(std::string_view name) {
  return impl_->alone([&](Call& call) { return call.work = impl_->jobs.erase_limit(name); });
}

std::vector<LimitStatus> MemoryStorage::limits() {
  const std::lock_guard lock(impl_->mutex);
  return impl_->jobs.limits();
}

void MemoryStorage::put_record(const Record& record) {
  impl_->alone([&](Call&) {
    impl_->records.put(record);
    impl_->note_record(record.collection, record.key);
    return 0;
  });
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
  return impl_->alone([&](Call&) {
    const bool erased = impl_->records.erase(collection, key);
    if (erased) impl_->note_record(collection, key);
    return erased;
  });
}

InsertIfResult MemoryStorage::insert_if(std::span<const NewJob> jobs, std::span<const RecordChange> changes) {
  detail::check(changes);
  return impl_->alone([&](Call& call) {
    InsertIfResult result;
    const auto stand = detail::stand_of(changes, [&](const std::string& collection, const std::string& key) {
      return impl_->records.get(collection, key);
    });
    if (stand == detail::RecordsStand::otherwise ||
        (stand == detail::RecordsStand::as_wanted && !impl_->jobs.all_there(jobs)))
      return result;
    result.done = true;
    if (!jobs.empty()) result.jobs = impl_->jobs.insert(call, jobs);
    if (stand == detail::RecordsStand::as_wanted || detail::is_full(result.jobs)) return result;
    for (const RecordChange& change : changes) {
      if (change.value)
        impl_->records.put({change.collection, change.key, *change.value});
      else
        impl_->records.erase(change.collection, change.key);
      impl_->note_record(change.collection, change.key);
    }
    return result;
  });
}

void MemoryStorage::observe(StorageObserver& observer) {
  impl_->change_observers([&](Impl::Observers& all) { all.push_back(&observer); });
}

void MemoryStorage::unobserve(StorageObserver& observer) {
  impl_->change_observers([&](Impl::Observers& all) { std::erase(all, &observer); });
}

void MemoryStorage::track(ChangeTracker& tracker, std::size_t count) {
  const std::lock_guard lock(impl_->mutex);
  impl_->jobs.track(tracker, count);
}

std::uint64_t MemoryStorage::begin_capture() {
  const std::lock_guard lock(impl_->mutex);
  return impl_->jobs.begin_capture(impl_->records);
}

bool MemoryStorage::capture(ImageChunk& chunk, std::size_t count) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->jobs.capture(chunk, count);
}

void MemoryStorage::end_capture(bool written) {
  const std::lock_guard lock(impl_->mutex);
  impl_->jobs.end_capture(written);
}

std::size_t MemoryStorage::unwritten() const {
  const std::lock_guard lock(impl_->mutex);
  const memory::ChangeLog* const log = impl_->jobs.log();
  return log == nullptr ? 0 : log->unwritten();
}

void MemoryStorage::restore(const ImageChunk& chunk) {
  const std::lock_guard lock(impl_->mutex);
  for (const JobImage& image : chunk.jobs) {
    if (image.job.state == JobState::running) impl_->nodes.add_dead(NodeId{image.job.node});
    impl_->jobs.restore(image);
  }
  for (const Record& record : chunk.records) impl_->records.put(record);
  for (const QueueStatus& queue : chunk.queues) impl_->jobs.restore(queue);
  for (const LimitRule& rule : chunk.limits) impl_->jobs.restore(rule);
}

void MemoryStorage::restored() {
  impl_->alone([&](Call& call) {
    impl_->jobs.restored(call);
    return 0;
  });
}

void MemoryStorage::number_nodes_from(std::uint64_t first) {
  const std::lock_guard lock(impl_->mutex);
  impl_->nodes.number_from(first);
}

std::uint64_t MemoryStorage::foreign_changes() { return 0; }

ClockRef MemoryStorage::clock() const { return impl_->clock; }

std::string MemoryStorage::describe() const { return "memory:"; }

}  // namespace quern::inline v1
