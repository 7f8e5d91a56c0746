#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>

#include "storage/memory/row.hpp"
#include "storage/memory/slab_pool.hpp"

namespace quern::inline v1::memory {

/// Finds rows by id, and walks over them in the order of their ids.
///
/// Ids are given out one after the other, so 64 of them share a block of slots and 64 blocks a page: about 5
/// bytes per job where ids are dense, 800 for one that is alone in its page. Each block and page knows which
/// states and lanes it may hold and each page when its jobs were made, so that a walk passes over what it
/// does not want. Not thread-safe.
class IdIndex {
 public:
  /// What a walk is after; a row outside it may be visited too.
  struct Wanted {
    std::uint8_t states = 0xFF;   ///< A bit for each: `state_bit`.
    std::uint64_t lanes = ~0ULL;  ///< A bit for each: `lane_bit`.
    TimePoint created_from = TimePoint::min();
    TimePoint created_before = TimePoint::max();
  };
  [[nodiscard]] static std::uint8_t state_bit(JobState state) noexcept {
    return static_cast<std::uint8_t>(1U << index_of(state));
  }
  [[nodiscard]] static std::uint64_t lane_bit(LaneId lane) noexcept { return 1ULL << (lane % 64U); }

  /// `no_slot` when there is none.
  [[nodiscard]] Slot find(std::uint64_t id) const noexcept {
    const Page* const page = page_of(id);
    if (page == nullptr) return no_slot;
    const Block* const block = page->blocks[block_in_page(id)];
    return block == nullptr ? no_slot : block->slots[id % per_block];
  }
  /// The id must not be there.
  void add(std::uint64_t id, Slot slot, LaneId lane, TimePoint created);
  /// The id must be there.
  void remove(std::uint64_t id);
  /// The row is in that state now.
  void note(std::uint64_t id, JobState state) noexcept {
    Page& page = *page_of(id);
    const std::uint8_t bit = state_bit(state);
    page.states |= bit;
    page.blocks[block_in_page(id)]->states |= bit;
  }

  /// Calls `visit(slot)` for the wanted rows beyond `after` (0: all), until it says false. Blocks that turn
  /// out to hold nothing that is wanted are remembered as what they are: `rows` says it.
  template <class LaneOf, class Visit>
  void walk(bool ascending, std::uint64_t after, const Wanted& wanted, const Rows& rows,
            const LaneOf& lane_of, const Visit& visit) {
    if (ascending) {
      for (auto at = pages_.lower_bound(after / per_page); at != pages_.end(); ++at)
        if (!walk_page(*at->second, at->first, true, after, wanted, rows, lane_of, visit)) return;
    } else {
      auto at = after == 0 ? pages_.end() : pages_.upper_bound(after / per_page);
      while (at != pages_.begin()) {
        --at;
        if (!walk_page(*at->second, at->first, false, after, wanted, rows, lane_of, visit)) return;
      }
    }
  }

 private:
  static constexpr std::uint64_t per_block = 64;
  static constexpr std::uint64_t blocks_per_page = 64;
  static constexpr std::uint64_t per_page = per_block * blocks_per_page;

  struct Block {
    Block() { slots.fill(no_slot); }
    std::array<Slot, per_block> slots;  // NOLINT(*-member-init): filled above
    std::uint64_t lanes = 0;
    std::uint8_t states = 0;
    std::uint8_t used = 0;
  };
  struct Page {
    std::array<Block*, blocks_per_page> blocks{};  // of the pool
    std::uint64_t lanes = 0;
    TimePoint first_created = TimePoint::max();
    TimePoint last_created = TimePoint::min();
    std::uint8_t states = 0;
    std::uint8_t used = 0;  // blocks
  };

  static std::size_t block_in_page(std::uint64_t id) noexcept { return id / per_block % blocks_per_page; }

  [[nodiscard]] Page* page_of(std::uint64_t id) const noexcept {
    const std::uint64_t number = id / per_page;
    Recent& recent = recent_[number % recent_.size()];
    if (recent.page != nullptr && recent.number == number) return recent.page;
    const auto found = by_number_.find(number);
    if (found == by_number_.end()) return nullptr;
    recent = {number, found->second};
    return found->second;
  }

  static bool may_hold(std::uint8_t states, std::uint64_t lanes, const Wanted& wanted) noexcept {
    return (states & wanted.states) != 0 && (lanes & wanted.lanes) != 0;
  }

  template <class LaneOf, class Visit>
  static bool walk_page(Page& page, std::uint64_t number, bool ascending, std::uint64_t after,
                        const Wanted& wanted, const Rows& rows, const LaneOf& lane_of, const Visit& visit) {
    if (!may_hold(page.states, page.lanes, wanted) || page.last_created < wanted.created_from ||
        page.first_created >= wanted.created_before)
      return true;
    std::uint8_t states = 0;
    std::uint64_t lanes = 0;
    for (std::uint64_t i = 0; i < blocks_per_page; ++i) {
      const std::uint64_t at = ascending ? i : blocks_per_page - 1 - i;
      Block* const block = page.blocks[at];
      if (block == nullptr) continue;
      if (may_hold(block->states, block->lanes, wanted) &&
          !walk_block(*block, (number * blocks_per_page + at) * per_block, ascending, after, rows, lane_of,
                      visit))
        return false;
      states |= block->states;
      lanes |= block->lanes;
    }
    page.states = states;
    page.lanes = lanes;
    return true;
  }

  template <class LaneOf, class Visit>
  static bool walk_block(Block& block, std::uint64_t first_id, bool ascending, std::uint64_t after,
                         const Rows& rows, const LaneOf& lane_of, const Visit& visit) {
    std::uint8_t states = 0;
    std::uint64_t lanes = 0;
    for (std::uint64_t i = 0; i < per_block; ++i) {
      const std::uint64_t at = ascending ? i : per_block - 1 - i;
      const Slot slot = block.slots[at];
      if (slot == no_slot) continue;
      const Row& row = rows[slot];
      states |= state_bit(row.state());
      lanes |= lane_bit(lane_of(row));
      const std::uint64_t id = first_id + at;
      if (after != 0 && (ascending ? id <= after : id >= after)) continue;
      if (!visit(slot)) return false;
    }
    block.states = states;
    block.lanes = lanes;
    return true;
  }

  struct Recent {
    std::uint64_t number = 0;
    Page* page = nullptr;
  };
  SlabPool blocks_{sizeof(Block)};
  std::map<std::uint64_t, std::unique_ptr<Page>> pages_;
  std::unordered_map<std::uint64_t, Page*> by_number_;
  mutable std::array<Recent, 16> recent_{};
};

}  // namespace quern::inline v1::memory
