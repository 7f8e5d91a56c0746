#include "quern/work/detail/queue_turns.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace quern::inline v1::detail {

QueueTurns::QueueTurns(const std::vector<QueueSlots>& queues, QueueOrder order) : order_(order) {
  assert(order != QueueOrder::priority);
  for (const QueueSlots& queue : queues) queues_.push_back({.weight = static_cast<double>(queue.weight)});
}

void QueueTurns::begin() {
  for (Queue& queue : queues_) queue.active = true;
}

const QueueTurns::Queue* QueueTurns::first_active() const {
  const Queue* first = nullptr;
  for (const Queue& queue : queues_) {
    if (!queue.active) continue;
    if (first == nullptr || (order_ == QueueOrder::weighted && queue.pass < first->pass)) first = &queue;
  }
  return first;
}

std::optional<QueueTurns::Turn> QueueTurns::next(std::size_t left) const {
  assert(left > 0);
  const Queue* const first = first_active();
  if (first == nullptr) return std::nullopt;
  Turn turn{static_cast<std::size_t>(first - queues_.data()), left};
  if (order_ == QueueOrder::strict) return turn;
  double weights = 0;
  for (const Queue& queue : queues_)
    if (queue.active) weights += queue.weight;
  const double share = std::floor(static_cast<double>(left) * first->weight / weights);
  turn.share = std::clamp(static_cast<std::size_t>(share), std::size_t{1}, left);
  return turn;
}

void QueueTurns::took(const Turn& turn, std::size_t count) {
  Queue& queue = queues_.at(turn.queue);
  queue.pass += static_cast<double>(count) / queue.weight;
  if (count >= turn.share) return;
  queue.active = false;
  if (const Queue* const rest = first_active()) queue.pass = std::max(queue.pass, rest->pass);
}

}  // namespace quern::inline v1::detail
