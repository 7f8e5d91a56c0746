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
  auto& block = page->blocks[block_in_page(id)];
  if (!block) {
    block = std::make_unique<Block>();
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
  auto& block = page->blocks[block_in_page(id)];
  assert(block->slots[id % per_block] != no_slot);
  block->slots[id % per_block] = no_slot;
  if (--block->used > 0) return;
  block.reset();
  if (--page->used > 0) return;
  const std::uint64_t number = id / per_page;
  recent_[number % recent_.size()] = {};
  by_number_.erase(number);
  pages_.erase(number);
}

}  // namespace quern::inline v1::memory
