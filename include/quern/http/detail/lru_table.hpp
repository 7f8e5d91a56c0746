#pragma once

#include <cassert>
#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace quern::inline v1::http::detail {

/// Values by key, of which the one that was longest not asked for makes room. Not thread-safe.
template <class T>
class LruTable {
 public:
  /// `most` must not be 0.
  explicit LruTable(std::size_t most) : most_(most) { assert(most > 0); }

  /// The key's value, made if there is none. Valid until the next call.
  T& get(std::string_view key) {
    if (T* const there = find(key)) return *there;
    if (order_.size() == most_) {
      places_.erase(order_.back().first);
      order_.pop_back();
    }
    order_.emplace_front(std::string(key), T{});
    // The list's nodes stay where they are, so the index borrows their keys.
    places_.emplace(order_.front().first, order_.begin());
    return order_.front().second;
  }
  /// Null: there is none.
  T* find(std::string_view key) {
    const auto found = places_.find(key);
    if (found == places_.end()) return nullptr;
    order_.splice(order_.begin(), order_, found->second);
    return &order_.front().second;
  }
  void erase(std::string_view key) {
    const auto found = places_.find(key);
    if (found == places_.end()) return;
    const auto place = found->second;
    places_.erase(found);
    order_.erase(place);
  }
  [[nodiscard]] std::size_t size() const noexcept { return order_.size(); }

 private:
  using Order = std::list<std::pair<const std::string, T>>;
  std::size_t most_;
  Order order_;  // the last asked for first
  std::unordered_map<std::string_view, typename Order::iterator> places_;
};

}  // namespace quern::inline v1::http::detail
