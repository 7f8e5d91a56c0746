#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace quern::inline v1::memory {

/// Blocks of one size, cut from slabs that grow with their number, and kept until the pool goes.
///
/// What stays for as long as a job does must not lie between what malloc gives for a moment: else, once there
/// are millions, a call gets its temporary memory from holes all over the heap, each of them far from the
/// processor. Not thread-safe.
class SlabPool {
 public:
  /// At least a pointer's size, up to a few thousand bytes.
  explicit SlabPool(std::size_t block_bytes)
      : block_bytes_((block_bytes + alignment - 1) / alignment * alignment) {
    assert(block_bytes >= sizeof(void*) && block_bytes_ <= smallest_slab);
  }
  SlabPool(const SlabPool&) = delete;
  SlabPool& operator=(const SlabPool&) = delete;
  ~SlabPool() = default;

  [[nodiscard]] std::size_t block_bytes() const noexcept { return block_bytes_; }

  [[nodiscard]] void* take() {
    if (free_ != nullptr) return std::exchange(free_, free_->next);
    if (left_ < block_bytes_) add_slab();
    left_ -= block_bytes_;
    return std::exchange(at_, at_ + block_bytes_);
  }
  void give(void* block) noexcept { free_ = ::new (block) Free{free_}; }

 private:
  static constexpr std::size_t alignment = alignof(std::max_align_t);
  static constexpr std::size_t smallest_slab = std::size_t{4} << 10U;
  static constexpr std::size_t largest_slab = std::size_t{1} << 20U;
  struct Free {
    Free* next;
  };

  void add_slab() {
    const std::size_t bytes = std::clamp(total_ / 8, smallest_slab, largest_slab);
    // Not zeroed: it is written before it is read.
    slabs_.push_back(std::unique_ptr<char[]>(new char[bytes]));  // NOLINT(modernize-avoid-c-arrays)
    total_ += bytes;
    at_ = slabs_.back().get();
    left_ = bytes;
  }

  const std::size_t block_bytes_;
  std::vector<std::unique_ptr<char[]>> slabs_;  // NOLINT(modernize-avoid-c-arrays): blocks of bytes
  std::size_t total_ = 0;
  char* at_ = nullptr;  // in the last slab
  std::size_t left_ = 0;
  Free* free_ = nullptr;
};

/// Takes a container's nodes from a pool where they have the size of its blocks.
template <class T>
class SlabAllocator {
 public:
  using value_type = T;
  explicit SlabAllocator(SlabPool& pool) noexcept : pool_(&pool) {}
  template <class Other>
  SlabAllocator(const SlabAllocator<Other>& other) noexcept
      : pool_(&other.pool()) {}  // NOLINT(google-explicit-constructor): a rebind

  [[nodiscard]] T* allocate(std::size_t count) {
    if (count * sizeof(T) == pool_->block_bytes()) return static_cast<T*>(pool_->take());
    return std::allocator<T>().allocate(count);
  }
  void deallocate(T* at, std::size_t count) noexcept {
    if (count * sizeof(T) == pool_->block_bytes())
      pool_->give(at);
    else
      std::allocator<T>().deallocate(at, count);
  }
  [[nodiscard]] SlabPool& pool() const noexcept { return *pool_; }
  friend bool operator==(const SlabAllocator& a, const SlabAllocator& b) noexcept {
    return a.pool_ == b.pool_;
  }

 private:
  SlabPool* pool_;
};

}  // namespace quern::inline v1::memory
