#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "quern/core/time.hpp"

namespace quern::inline v1::memory {

/// Jobs by a time that they wait for: 16 bytes each, the earliest on top, and what no longer holds is thrown
/// away when it comes up or has become most of what is there. A heap of four children to a node, which moves
/// less memory than one of two. Not thread-safe.
class DueHeap {
 public:
  struct Entry {
    TimePoint at{};
    std::uint64_t id = 0;
    friend auto operator<=>(const Entry&, const Entry&) = default;
  };

  void add(Entry entry) {
    heap_.push_back(entry);
    std::size_t at = heap_.size() - 1;
    while (at > 0 && entry < heap_[(at - 1) / 4]) {
      heap_[at] = heap_[(at - 1) / 4];
      at = (at - 1) / 4;
    }
    heap_[at] = entry;
  }

  /// The earliest that `holds(entry)`; null when there is none.
  template <class Holds>
  [[nodiscard]] const Entry* top(const Holds& holds) {
    while (!heap_.empty() && !holds(heap_.front())) pop();
    return heap_.empty() ? nullptr : heap_.data();
  }

  void pop() {
    const Entry last = heap_.back();
    heap_.pop_back();
    if (!heap_.empty()) sink(0, last);
  }

  /// To be called when entries stop holding: throws away those that don't when more than half are such.
  template <class Holds>
  void tidy(std::size_t holding, const Holds& holds) {
    constexpr std::size_t small = 1024;
    if (heap_.size() <= 2 * holding + small) return;
    std::erase_if(heap_, [&](const Entry& entry) { return !holds(entry); });
    std::sort(heap_.begin(), heap_.end());  // a sorted array is a heap
    heap_.erase(std::unique(heap_.begin(), heap_.end()), heap_.end());
  }

 private:
  void sink(std::size_t at, Entry entry) {
    while (true) {
      const std::size_t first = at * 4 + 1;
      if (first >= heap_.size()) break;
      const std::size_t end = std::min(first + 4, heap_.size());
      std::size_t least = first;
      for (std::size_t child = first + 1; child < end; ++child)
        if (heap_[child] < heap_[least]) least = child;
      if (!(heap_[least] < entry)) break;
      heap_[at] = heap_[least];
      at = least;
    }
    heap_[at] = entry;
  }

  std::vector<Entry> heap_;
};

}  // namespace quern::inline v1::memory
