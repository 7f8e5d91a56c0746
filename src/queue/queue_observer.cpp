#include "quern/queue/queue_observer.hpp"

#include <algorithm>
#include <array>

namespace quern::inline v1 {

std::string_view to_string(StorageCall call) noexcept {
  constexpr std::array<std::string_view, storage_calls> names{
      "insert", "claim", "finish", "finish_and_claim", "progress", "promote", "rescue", "prune"};
  return names.at(static_cast<std::size_t>(call));
}

namespace detail {

void QueueObservers::add(std::shared_ptr<QueueObserver> observer) {
  const std::lock_guard lock(mutex_);
  auto next = list_ ? std::make_shared<List>(*list_) : std::make_shared<List>();
  next->push_back(std::move(observer));
  list_ = std::move(next);
  any_ = true;
}

void QueueObservers::remove(const QueueObserver& observer) {
  const std::lock_guard lock(mutex_);
  if (!list_) return;
  auto next = std::make_shared<List>(*list_);
  std::erase_if(*next, [&](const auto& one) { return one.get() == &observer; });
  any_ = !next->empty();
  list_ = next->empty() ? nullptr : std::move(next);
}

std::shared_ptr<const QueueObservers::List> QueueObservers::list() const {
  const std::lock_guard lock(mutex_);
  return list_;
}

}  // namespace detail
}  // namespace quern::inline v1
