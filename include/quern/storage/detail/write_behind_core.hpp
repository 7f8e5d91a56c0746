#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "quern/core/log.hpp"
#include "quern/core/random.hpp"
#include "quern/storage/any_storage.hpp"
#include "quern/storage/backup_store.hpp"
#include "quern/storage/tracked_store.hpp"

namespace quern::inline v1 {

/// How a WriteBehindStorage writes.
struct WriteBehindOptions {
  /// What a crash loses at most, of kinds that are written behind; see JobQueueConfig. 1 ms to 1 day.
  Duration persistence_interval = std::chrono::seconds(10);
  /// It writes at once when so many jobs have changed, so that a write stays short. At least 1.
  std::size_t max_unwritten = 250'000;
  /// Of kinds that are not named below, and of records.
  JobDurability durability = JobDurability::written_behind;
  std::map<std::string, JobDurability, std::less<>> kinds{};  ///< Kinds that are as durable as this says.
  std::string name{};  ///< Of the keeper, for people. Empty: host and process id.
  /// Writes on a thread of its own. False: whoever drives it calls `tick`.
  bool thread = true;
  std::uint64_t seed = 0;  ///< For jitter. 0: from the operating system.
  Logger log{};            ///< Where a write that fails is reported.
};

/// How far a WriteBehindStorage has come.
struct WriteBehindStatus {
  std::size_t unwritten = 0;              ///< About how many jobs, records and queues have changed since.
  std::optional<TimePoint> written_at{};  ///< When everything up to then was written.
  int failures = 0;                       ///< Writes in a row that failed.
  std::string error{};                    ///< What the last one failed with.
};

namespace detail {

/// Makes a TrackedPort of any storage that can be one.
template <class S>
class TrackedAdapter final : public TrackedPort {
 public:
  explicit TrackedAdapter(S& store) : store_(store) {}
  void track(ChangeTracker& tracker, std::size_t count) override { store_.track(tracker, count); }
  std::uint64_t begin_capture() override { return store_.begin_capture(); }
  bool capture(ImageChunk& chunk, std::size_t count) override { return store_.capture(chunk, count); }
  void end_capture(bool written) override { store_.end_capture(written); }
  [[nodiscard]] std::size_t unwritten() const override { return store_.unwritten(); }
  void restore(const ImageChunk& chunk) override { store_.restore(chunk); }
  void restored() override { store_.restored(); }
  void number_nodes_from(std::uint64_t first) override { store_.number_nodes_from(first); }

 private:
  S& store_;
};

/// Writes the changes of a storage in memory to a durable one. All of WriteBehindStorage but its types.
///
/// Data flow   change -> generation -> capture -> chunks of images -> one transaction of the durable storage.
/// Threads     one write at a time, led by whoever finds none at work: `tick`, `write`, or a call that must
///             not return before its change is durable. Who comes meanwhile waits, and all who wait share
///             the next one (group commit).
/// Failure     what was not written counts as changed again. A call that waited for it gets the error; `tick`
///             tries again after a growing, jittered wait.
class WriteBehindCore final : public ChangeTracker {
 public:
  /// Takes the durable storage over and restores what it holds. Throws what `become_keeper` throws.
  WriteBehindCore(StoragePort& durable, BackupPort& backup, TrackedPort& memory, WriteBehindOptions options);
  ~WriteBehindCore() override;

  NextTick tick(TimePoint now) noexcept;
  /// Writes what has changed so far. Throws StorageError.
  void write();
  /// Writes, and gives the durable storage back. Throws StorageError when the former fails.
  void stop();
  [[nodiscard]] WriteBehindStatus status() const;
  JobId reserve_ids(std::size_t count);
  /// False when another process has taken the durable storage over.
  [[nodiscard]] bool keeps() const noexcept { return !lost_.load(std::memory_order_relaxed); }
  /// Throws KeeperLost when it does not.
  void check_keeper() const;

  /// What rings when `tick` has something to do before its time.
  void on_hurry(std::function<void()> ring) { ring_ = std::move(ring); }

  // ChangeTracker
  [[nodiscard]] JobDurability durability(std::string_view kind) const noexcept override;
  [[nodiscard]] JobDurability record_durability() const noexcept override { return options_.durability; }
  void await(std::uint64_t generation) override;
  void enough_changed() noexcept override;

 private:
  class Capture;
  void restore();
  /// Leads one write. `lock` is held at first and in the end.
  void lead(std::unique_lock<std::mutex>& lock) noexcept;

  StoragePort& durable_;
  BackupPort& backup_;
  TrackedPort& memory_;
  const WriteBehindOptions options_;
  NodeId keeper_{};
  std::function<void()> ring_;
  std::atomic<bool> hurry_{false};
  std::atomic<bool> lost_{false};

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable led_;
  bool leading_ = false;
  bool stopped_ = false;
  std::uint64_t written_ = 0;  // the last generation that is
  std::uint64_t failed_ = 0;   // the last one that could not be written
  std::exception_ptr error_{};
  std::string error_text_;
  std::optional<TimePoint> written_at_{};
  int failures_ = 0;

  SteadyTime write_at_{0};  // used by `tick` alone
  Random random_;

  std::mutex ids_mutex_;  // guards what follows
  std::uint64_t next_id_ = 0;
  std::uint64_t ids_left_ = 0;
  std::uint64_t id_block_;
};

}  // namespace detail
}  // namespace quern::inline v1
