#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/job.hpp"
#include "quern/storage/requests.hpp"

namespace quern::inline v1 {

/// How a run ended, as the engine that ran it tells.
struct RunReport {
  RunRef ref{};
  std::string kind{};
  std::string queue{};
  int attempt = 0;
  Outcome outcome = Outcome::completed;
  AttemptFault fault = AttemptFault::error;      ///< failed, discarded
  FinishStatus status = FinishStatus::recorded;  ///< lost: nobody has kept its outcome.
  JobState state = JobState::completed;          ///< recorded: where its job stands now.
  std::string message{};                         ///< failed, discarded: why, as the job keeps it.
  bool began = false;                            ///< False: no thread came to it.
  Duration waited{0};  ///< From when the job was due until a thread began with it. At least 0.
  Duration ran{0};     ///< In its handler.
  Duration age{0};     ///< From when the job was added until this end. At least 0.
  // 0 where its end was not seen.
  Duration cpu{0};  ///< Processor time: of the handler's thread; in a process of its own, of all threads.
  std::uint64_t peak_memory = 0;  ///< In a process of its own: the most it had in memory, in bytes. Else 0.
};

/// What an engine asked its storage for.
enum class StorageCall : std::uint8_t {
  insert,
  claim,
  finish,
  finish_and_claim,
  progress,
  promote,
  rescue,
  prune
};
inline constexpr std::size_t storage_calls = 8;
/// "insert", "claim", ...
[[nodiscard]] std::string_view to_string(StorageCall call) noexcept;

/// Told of what passes through one JobQueue object and the processors on it, for whoever counts it: at most once
/// for each call of a storage, not for each job. It costs the storage nothing, unlike events, and tells nothing of what
/// other processes do.
///
/// Threads  from whichever made the call, several at once. It must return at once and not throw, and may not call
///          the queue or its storage.
class QueueObserver {
 public:
  QueueObserver() = default;
  QueueObserver(const QueueObserver&) = delete;
  QueueObserver& operator=(const QueueObserver&) = delete;
  virtual ~QueueObserver() = default;

  /// One result per job. Not of jobs that were added in a host's own transaction, or by other runs' completions.
  virtual void on_enqueued(std::span<const NewJob> /*jobs*/,
                           std::span<const InsertResult> /*results*/) noexcept {}
  /// These runs begin.
  virtual void on_claimed(std::span<const Claim> /*claims*/) noexcept {}
  /// These runs have ended; those of them that were recorded are durable now.
  virtual void on_ended(std::span<const RunReport> /*runs*/) noexcept {}
  /// Nodes were found dead, with what they held.
  virtual void on_rescued(const RescueResult& /*result*/) noexcept {}
  /// This node was declared dead itself: what it ran is lost.
  virtual void on_node_lost() noexcept {}
  /// A processor has so many runs now, of so many slots. `processor` tells one from another.
  /// None of none: it has stopped.
  virtual void on_load(const void* /*processor*/, std::size_t /*running*/, std::size_t /*slots*/) noexcept {}
  /// A call took so long; `failed`: it threw a StorageError.
  virtual void on_storage_call(StorageCall /*call*/, Duration /*took*/, bool /*failed*/) noexcept {}
};

namespace detail {

/// Who watches a queue. Thread-safe; where nobody does, asking costs one load.
class QueueObservers {
 public:
  using List = std::vector<std::shared_ptr<QueueObserver>>;

  /// From now on, until `remove`; after which it may be told of what was under way.
  void add(std::shared_ptr<QueueObserver> observer);
  void remove(const QueueObserver& observer);

  [[nodiscard]] bool any() const noexcept { return any_.load(std::memory_order_relaxed); }
  /// Null where there is none.
  [[nodiscard]] std::shared_ptr<const List> list() const;
  template <class Tell>
  void tell(const Tell& tell) const {
    if (!any()) return;
    if (const auto observers = list())
      for (const auto& observer : *observers) tell(*observer);
  }

 private:
  std::atomic<bool> any_{false};
  mutable std::mutex mutex_;
  std::shared_ptr<const List> list_;
};

/// Tells how long `work()`, a call of a storage on whose clock that is, took; and gives what that gives.
template <class Clock, class Work>
auto timed(const QueueObservers& observers, const Clock& clock, StorageCall call, const Work& work) {
  if (!observers.any()) return work();
  const auto begun = clock.steady();
  const auto tell = [&](bool failed) {
    const Duration took = clock.steady() - begun;
    observers.tell([&](QueueObserver& observer) { observer.on_storage_call(call, took, failed); });
  };
  try {
    auto answer = work();
    tell(false);
    return answer;
  } catch (const StorageError&) {
    tell(true);
    throw;
  }
}

}  // namespace detail
}  // namespace quern::inline v1
