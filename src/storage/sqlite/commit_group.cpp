#include "storage/sqlite/commit_group.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "quern/core/detail/crash_point.hpp"

namespace quern::inline v1::sqlite {
namespace {

// How long a transaction may get that many calls share: each of them waits for all. One call may be larger.
constexpr std::size_t most_calls = 1024;
constexpr std::size_t most_jobs = 1024;

}  // namespace

void GroupCall::Seat::wake(Turn to) {
  {
    const std::lock_guard lock(mutex);
    turn = to;
  }
  woken.notify_one();
}

GroupCall::Turn GroupCall::Seat::sleep() {
  std::unique_lock lock(mutex);
  woken.wait(lock, [&] { return turn != Turn::waiting; });
  return turn;
}

bool CommitQueue::lead_or_be_served(GroupCall& call) {
  std::shared_ptr<GroupCall::Seat> seat;
  {
    const std::lock_guard lock(mutex_);
    if (led_) call.seat_ = seat = std::make_shared<GroupCall::Seat>();
    (first_ == nullptr ? first_ : last_->next_) = &call;
    last_ = &call;
    if (!std::exchange(led_, true)) return true;
  }
  detail::crash_point(detail::sqlite_waiting_point);
  return seat->sleep() == GroupCall::Turn::leading;
}

CallRange CommitQueue::take() {
  const std::lock_guard lock(mutex_);
  assert(led_ && first_ != nullptr);
  GroupCall& first = *first_;
  std::size_t calls = 0;
  std::size_t jobs = 0;
  do {
    ++calls;
    jobs += std::min(first_->size, most_jobs);
    first_ = first_->next_;
  } while (first_ != nullptr && calls < most_calls && jobs + std::min(first_->size, most_jobs) <= most_jobs);
  return {first, first_};
}

void CommitQueue::hand_over() {
  std::shared_ptr<GroupCall::Seat> next;
  {
    const std::lock_guard lock(mutex_);
    led_ = first_ != nullptr;
    if (led_) next = std::move(first_->seat_);
  }
  if (next) next->wake(GroupCall::Turn::leading);
}

void CommitQueue::wake(const CallRange& group, const GroupCall& own) {
  for (auto call = group.begin(); call != group.end();) {
    GroupCall& served = *call;
    ++call;  // now, since the call is gone once its caller is awake
    if (&served == &own) continue;
    const auto seat = std::move(served.seat_);
    seat->wake(GroupCall::Turn::served);
  }
}

}  // namespace quern::inline v1::sqlite
