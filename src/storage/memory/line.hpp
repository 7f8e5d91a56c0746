#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <set>

#include "storage/memory/arena.hpp"
#include "storage/memory/row.hpp"
#include "storage/memory/slab_pool.hpp"

namespace quern::inline v1::memory {

/// Rows in the order of (time, id): ready ones by when they were due, ended ones by when they ended.
///
/// Nearly all come in that order already. They stand in a ring of slots, 4 bytes each, from which one in the
/// middle is taken by leaving a gap; those that come late stand in a tree beside it. A row's `place` and
/// `late` say where it stands. Not thread-safe.
class Line {
 public:
  struct Key {
    TimePoint time{};
    std::uint64_t id = 0;
    friend auto operator<=>(const Key&, const Key&) = default;
  };

  /// libstdc++ keeps a deque in nodes of so many bytes.
  static constexpr std::size_t node_bytes = 512;

  /// The pool is for nodes of the ring, and outlives the line.
  explicit Line(SlabPool& nodes) : ring_(SlabAllocator<Slot>(nodes)) {}

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  void add(Row& row, Slot slot, Key key) {
    ++size_;
    if (ring_.empty() || key > last_) {
      row.late = 0;
      row.place = first_ + static_cast<std::uint32_t>(ring_.size());
      ring_.push_back(slot);
      last_ = key;
    } else {
      row.late = 1;
      row.place = 0;
      late_.emplace(key, slot);
    }
  }

  void remove(Row& row, Key key) {
    --size_;
    if (row.late != 0) {
      late_.erase(late_.lower_bound({key, 0}));
      row.late = 0;
    } else {
      ring_[row.place - first_] = no_slot;  // the numbers wrap around, and so does the difference
      while (!ring_.empty() && ring_.front() == no_slot) drop_front();
    }
    row.place = no_slot;
  }

  /// The first one; `key_of(slot)` is asked only while there are late ones. The line must not be empty.
  template <class KeyOf>
  [[nodiscard]] Slot front(const KeyOf& key_of) const {
    if (late_.empty()) return ring_.front();
    if (ring_.empty() || late_.begin()->first < key_of(ring_.front())) return late_.begin()->second;
    return ring_.front();
  }

  /// Asks for the row that stands `ahead` behind the first one to be brought near, and for the payload of one
  /// that has come meanwhile.
  void prefetch(const Rows& rows, std::size_t ahead) const noexcept {
    if (ahead < ring_.size() && ring_[ahead] != no_slot) rows.prefetch(ring_[ahead]);
    ahead /= 2;
    if (ahead < ring_.size() && ring_[ahead] != no_slot) Arena::prefetch(rows[ring_[ahead]].payload);
  }

  /// Calls `visit(slot)` from the first on until it says false.
  template <class KeyOf, class Visit>
  void walk(const KeyOf& key_of, const Visit& visit) const {
    auto late = late_.begin();
    for (const Slot slot : ring_) {
      if (slot == no_slot) continue;
      for (; late != late_.end() && late->first < key_of(slot); ++late)
        if (!visit(late->second)) return;
      if (!visit(slot)) return;
    }
    for (; late != late_.end(); ++late)
      if (!visit(late->second)) return;
  }

 private:
  void drop_front() {
    ring_.pop_front();
    ++first_;
  }

  std::deque<Slot, SlabAllocator<Slot>> ring_;  // never begins with a gap
  std::uint32_t first_ = 0;                     // the place of the ring's front
  Key last_{};                                  // of the last one that went into the ring
  std::set<std::pair<Key, Slot>> late_;
  std::size_t size_ = 0;
};

}  // namespace quern::inline v1::memory
