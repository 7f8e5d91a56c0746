#include "storage/sqlite/commit_group.hpp"

#include <algorithm>
#include <cassert>

#include "quern/core/detail/crash_point.hpp"

namespace quern::inline v1::sqlite {
namespace {

// How long a transaction may get that many calls share: each of them waits for all. One call may be larger.
constexpr std::size_t most_calls = 1024;
constexpr std::size_t most_jobs = 1024;

}  // namespace

bool CommitQueue::lead_or_be_served(GroupCall& call) {
  std::shared_ptr<GroupCall::Seat> seat;
  {
    const std::lock_guard lock(mutex_);
    if (led_) call.seat_ = seat = std::make_shared<GroupCall::Seat>();
    (first_ == nullptr ? first_ : last_->next_) = &call;
    last_ = &call;
    if (!led_) {
      led_ = true;
      return true;
    }
  }
  detail::crash_point(detail::sqlite_waiting_point);
  seat->state.wait(GroupCall::Seat::waiting, std::memory_order_acquire);
  return seat->state.load(std::memory_order_acquire) == GroupCall::Seat::leading;
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
  std::shared_ptr<GroupCall::Seat> seat;
  {
    const std::lock_guard lock(mutex_);
    if (first_ == nullptr) {
      led_ = false;
      return;
    }
    seat = std::move(first_->seat_);
  }
  seat->state.store(GroupCall::Seat::leading, std::memory_order_release);
  seat->state.notify_one();
}

void CommitQueue::wake(const CallRange& group, const GroupCall& own) {
  for (auto call = group.begin(); call != group.end();) {
    GroupCall& served = *call;
    ++call;  // now, since the call is gone once its caller is awake
    if (&served == &own) continue;
    const auto seat = std::move(served.seat_);
    seat->state.store(GroupCall::Seat::served, std::memory_order_release);
    seat->state.notify_one();
  }
}

}  // namespace quern::inline v1::sqlite
