#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "quern/storage/tracked_store.hpp"
#include "storage/memory/row.hpp"

namespace quern::inline v1::memory {

/// Which jobs, records and queues have changed since they were last captured; see TrackedStore.
///
/// A row has a bit for the current generation and one for the one that is being captured. One that is about
/// to change while it waits to be captured is saved first (`saved`), so a capture shows one moment though it
/// lets others work between its chunks. A slot in a list whose row does not have the list's bit (any more)
/// is passed over: its row was saved or is gone. Not thread-safe.
class ChangeLog {
 public:
  ChangeLog(ChangeTracker& used_tracker, std::size_t enough_rows)
      : tracker(used_tracker), enough_(enough_rows) {}

  /// The bit of the generation that is being captured, where one is.
  [[nodiscard]] unsigned old_bit() const noexcept { return capturing ? bit_of(generation - 1) : 0; }
  [[nodiscard]] unsigned new_bit() const noexcept { return bit_of(generation); }
  [[nodiscard]] std::vector<Slot>& old_slots() noexcept { return slots_[(generation - 1) % 2]; }

  /// The row has not been marked in this generation yet.
  void mark(Slot slot, Row& row) {
    slots_[generation % 2].push_back(slot);
    row.set_changed(row.changed | new_bit());
    if (slots_[generation % 2].size() == enough_) is_enough_ = true;
  }
  /// A record was put or erased, by itself or by a job that was completed.
  void note_record(RecordKey key, bool by_itself) {
    const JobDurability how = tracker.record_durability();
    if (how == JobDurability::memory_only) return;
    if (by_itself && how == JobDurability::committed) urgent = true;
    records.insert(std::move(key));
  }
  void changed_queue(std::string_view name) {
    queues.insert(std::string(name));
    urgent = true;
  }

  /// The generation that the call under way has to wait for; 0: none. Ends the call.
  [[nodiscard]] std::uint64_t take_urgent() noexcept { return std::exchange(urgent, false) ? generation : 0; }
  [[nodiscard]] bool take_enough() noexcept { return std::exchange(is_enough_, false); }
  [[nodiscard]] std::size_t unwritten() const noexcept {
    return slots_[0].size() + slots_[1].size() + erased.size() + captured_erased.size() + records.size() +
           queues.size();
  }

  ChangeTracker& tracker;
  std::uint64_t generation = 1;
  bool urgent = false;  ///< The call under way changes what must be durable before it returns.
  // Of the current generation:
  std::vector<JobId> erased;  ///< Jobs that were captured before.
  std::set<RecordKey> records;
  std::set<std::string> queues;

  // Of the capture under way:
  bool capturing = false;
  bool begun = false;           ///< The first chunk was handed out.
  std::size_t at = 0;           ///< The next of `old_slots`.
  std::vector<JobImage> saved;  ///< Taken before they changed, and not handed out yet.
  ImageChunk beside;            ///< What is no job; handed out with the first chunk.
  std::vector<JobId> captured;  ///< Handed out, or saved.
  std::vector<JobId> captured_erased;
  std::set<RecordKey> captured_records;
  std::set<std::string> captured_queues;

 private:
  [[nodiscard]] static unsigned bit_of(std::uint64_t number) noexcept { return 1U << (number % 2); }

  const std::size_t enough_;
  bool is_enough_ = false;
  std::array<std::vector<Slot>, 2> slots_;  // by generation
};

}  // namespace quern::inline v1::memory
