#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "quern/storage/job_image.hpp"

namespace quern::inline v1 {

/// How durable the jobs of a kind are in a storage that works in memory.
enum class JobDurability : std::uint8_t {
  memory_only,     ///< Not at all: they are gone when the process ends.
  written_behind,  ///< A moment later: a crash undoes what was done since the storage last wrote.
  committed,       ///< Each call that changes such a job returns when that is written.
};

/// Decides over, and is told of, the changes in a storage that tracks them.
class ChangeTracker {
 public:
  ChangeTracker() = default;
  ChangeTracker(const ChangeTracker&) = delete;
  ChangeTracker& operator=(const ChangeTracker&) = delete;
  virtual ~ChangeTracker() = default;

  /// Asked once for each kind, from inside a call.
  [[nodiscard]] virtual JobDurability durability(std::string_view kind) const noexcept = 0;
  /// Of records that are put or erased by themselves; those of a completion go with its job.
  [[nodiscard]] virtual JobDurability record_durability() const noexcept = 0;
  /// A call has changed something that must be durable before it returns: comes back when the captures of
  /// that generation or a later one were written. May throw StorageError. Called without locks.
  virtual void await(std::uint64_t generation) = 0;
  /// As many jobs as `track` was told have changed in this generation. Called without locks.
  virtual void enough_changed() noexcept = 0;
};

/// A storage in memory that knows which of its jobs have changed since they were last captured, for who keeps
/// them elsewhere, too.
///
/// What changes belongs to a *generation*. `begin_capture` ends it and freezes its moment: the captures that
/// follow show the changed jobs as they were then, whatever happens to them meanwhile.
template <class S>
concept TrackedStore = requires(S& store, ChangeTracker& tracker, std::size_t count, ImageChunk& chunk,
                                bool written, std::uint64_t number) {
  // From now on changes are tracked, and `enough_changed` is called when `count` jobs have changed. Jobs of
  // kinds that are kept in memory only are left out, and can't be parents of others: InvalidArgument. To be
  // called before the first job.
  { store.track(tracker, count) } -> std::same_as<void>;

  // Ends the generation; the answer is its number. None may be under way.
  { store.begin_capture() } -> std::same_as<std::uint64_t>;
  // Up to `count` more jobs of it, instead of what the chunk holds; the first one holds all else that has
  // changed, too. False: there is nothing more, and the chunk is empty.
  { store.capture(chunk, count) } -> std::same_as<bool>;
  // Ends the capture; what was not written counts as changed again, in the current generation.
  { store.end_capture(written) } -> std::same_as<void>;
  // About how many jobs have changed and are not written.
  { store.unwritten() } -> std::same_as<std::size_t>;

  // Takes jobs, records and queues over from another storage; they count as written. Runs go to nodes that
  // are dead, so that the next `rescue` takes them. Chunks come in any order, before anything else is done.
  { store.restore(chunk) } -> std::same_as<void>;
  // That was the last chunk. A job that waits for a parent that did not come is settled by its policy, as if
  // that had been cancelled.
  { store.restored() } -> std::same_as<void>;
  // Nodes get numbers from this one on.
  { store.number_nodes_from(number) } -> std::same_as<void>;
};

/// The same as virtual functions.
class TrackedPort {
 public:
  TrackedPort() = default;
  TrackedPort(const TrackedPort&) = delete;
  TrackedPort& operator=(const TrackedPort&) = delete;
  virtual ~TrackedPort() = default;

  virtual void track(ChangeTracker& tracker, std::size_t count) = 0;
  virtual std::uint64_t begin_capture() = 0;
  virtual bool capture(ImageChunk& chunk, std::size_t count) = 0;
  virtual void end_capture(bool written) = 0;
  [[nodiscard]] virtual std::size_t unwritten() const = 0;
  virtual void restore(const ImageChunk& chunk) = 0;
  virtual void restored() = 0;
  virtual void number_nodes_from(std::uint64_t first) = 0;
};

}  // namespace quern::inline v1
