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

GroupCall::Turn CommitQueue::sleep(const GroupCall& call, GroupCall::Seats& seats) {
  std::unique_lock lock(seats.mutex);
  seats.woken.wait(lock, [&] { return call.turn_ != GroupCall::Turn::waiting; });
  return call.turn_;
}

bool CommitQueue::lead_or_be_served(GroupCall& call) {
  std::shared_ptr<GroupCall::Seats> seats;
  {
    const std::lock_guard lock(mutex_);
    if (led_ && first_ == nullptr) {
      seats = std::make_shared<GroupCall::Seats>();
    } else if (led_) {
      if (!gathering_) gathering_ = std::make_shared<GroupCall::Seats>();
      seats = gathering_;
    }
    call.seats_ = seats;
    (first_ == nullptr ? first_ : last_->next_) = &call;
    last_ = &call;
    if (!std::exchange(led_, true)) return true;
  }
  detail::crash_point(detail::sqlite_waiting_point);
  return sleep(call, *seats) == GroupCall::Turn::leading;
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
  if (first_ == nullptr) gathering_.reset();
  return {first, first_};
}

void CommitQueue::hand_over() {
  GroupCall* next = nullptr;
  {
    const std::lock_guard lock(mutex_);
    led_ = first_ != nullptr;
    next = first_;
  }
  if (next == nullptr) return;
  const auto seats = next->seats_;
  {
    const std::lock_guard lock(seats->mutex);
    next->turn_ = GroupCall::Turn::leading;
  }
  seats->woken.notify_all();  // one, unless a group was too large and has left some behind
}

void CommitQueue::wake(const CallRange& group, const GroupCall& own) {
  std::shared_ptr<GroupCall::Seats> seats;
  std::unique_lock<std::mutex> lock;
  const auto ring = [&] {
    if (!seats) return;
    lock.unlock();
    seats->woken.notify_all();
  };
  for (auto call = group.begin(); call != group.end();) {
    GroupCall& served = *call;
    ++call;  // now, since the call may be gone once the lock is free
    if (&served == &own) continue;
    if (served.seats_ != seats) {
      ring();
      seats = served.seats_;
      lock = std::unique_lock(seats->mutex);
    }
    served.turn_ = GroupCall::Turn::served;
  }
  ring();
}

}  // namespace quern::inline v1::sqlite
