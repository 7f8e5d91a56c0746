#include "storage/memory/id_index.hpp"

#include <algorithm>
#include <cassert>

namespace quern::inline v1::memory {

void IdIndex::add(std::uint64_t id, Slot slot, LaneId lane, TimePoint created) {
  Page* page = page_of(id);
  if (page == nullptr) {
    auto& place = pages_[id / per_page];
    place = std::make_unique<Page>();
    page = place.get();
    by_number_.emplace(id / per_page, page);
  }
  Block*& block = page->blocks[block_in_page(id)];
  if (block == nullptr) {
    static_assert(std::is_trivially_destructible_v<Block>);
    block = ::new (blocks_.take()) Block;
    ++page->used;
  }
  assert(block->slots[id % per_block] == no_slot);
  block->slots[id % per_block] = slot;
  ++block->used;
  block->lanes |= lane_bit(lane);
  page->lanes |= lane_bit(lane);
  page->first_created = std::min(page->first_created, created);
  page->last_created = std::max(page->last_created, created);
}

void IdIndex::remove(std::uint64_t id) {
  Page* const page = page_of(id);
  Block*& block = page->blocks[block_in_page(id)];
  assert(block->slots[id % per_block] != no_slot);
  block->slots[id % per_block] = no_slot;
  if (--block->used > 0) return;
  blocks_.give(block);
  block = nullptr;
  if (--page->used > 0) return;
  const std::uint64_t number = id / per_page;
  recent_[number % recent_.size()] = {};
  by_number_.erase(number);
  pages_.erase(number);
}

}  // namespace quern::inline v1::memory
