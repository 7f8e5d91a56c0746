#pragma once

#include <atomic>
#include <mutex>

#include "quern/core/log.hpp"
#include "quern/core/time.hpp"
#include "quern/storage/any_storage.hpp"

namespace quern::inline v1 {

/// Keeps one node alive in the storage: renews its lease three times per lease, from a thread that runs no
/// jobs.
///
/// Steppable: `tick` renews when it is time. When the storage does not answer it asks again every tenth of a
/// lease; the lease may pass meanwhile, which only the storage decides. Once it says that the node is lost,
/// `lost()` is true until `join` makes a new node. Threads: `tick` from one thread; the rest from any.
class NodeLease {
 public:
  /// `info.lease`: 1 ms to 1 day. The storage must outlive it.
  NodeLease(StoragePort& storage, NodeInfo info, Logger log);

  /// Registers a new node, and forgets the old one. Throws StorageError.
  NodeId join();
  /// Ends the lease. What the node still holds will be rescued by others. Throws StorageError.
  void leave();

  /// Renews the lease if it is time. Never throws.
  NextTick tick(TimePoint now) noexcept;

  /// The current node; zero before `join` and after `leave`.
  [[nodiscard]] NodeId node() const noexcept { return NodeId{node_.load(std::memory_order_acquire)}; }
  /// True when the storage has declared the node dead.
  [[nodiscard]] bool lost() const noexcept { return lost_.load(std::memory_order_acquire); }

 private:
  StoragePort& storage_;
  const NodeInfo info_;
  const Logger log_;
  std::atomic<std::uint64_t> node_{0};
  std::atomic<bool> lost_{false};
  std::mutex mutex_;  // guards the times below, and keeps join and tick apart
  SteadyTime renew_at_{0};
};

}  // namespace quern::inline v1
