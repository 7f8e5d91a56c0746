#include "quern/queue/event_bus.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

namespace quern::inline v1 {

namespace detail {

/// One subscriber's waiting events. The publisher only appends; the callback runs outside the lock.
class EventChannel {
 public:
  EventChannel(EventCallback callback, std::size_t capacity)
      : callback_(std::move(callback)), capacity_(std::max<std::size_t>(capacity, 1)) {}

  void publish(std::span<const JobEvent> events) noexcept {
    {
      const std::lock_guard lock(mutex_);
      if (closed_) return;
      for (const JobEvent& event : events) append(event);
    }
    changed_.notify_all();
  }

  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      waiting_.clear();
    }
    changed_.notify_all();
  }

  [[nodiscard]] bool closed() const {
    const std::lock_guard lock(mutex_);
    return closed_;
  }

  std::size_t pump() {
    std::size_t count = 0;
    std::unique_lock lock(mutex_);
    while (!closed_ && !waiting_.empty()) {
      deliver_one(lock);
      ++count;
    }
    return count;
  }

  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return closed_ || !waiting_.empty(); });
      if (closed_) return;
      deliver_one(lock);
    }
  }

  [[nodiscard]] bool wait_delivered(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    const std::uint64_t target = published_;
    return changed_.wait_for(lock, patience, [&] { return closed_ || delivered_ >= target; });
  }

  [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t failures() const noexcept { return failures_.load(std::memory_order_relaxed); }

  std::thread thread;  ///< Owned by the subscription; empty when it is pumped by hand.

 private:
  void append(const JobEvent& event) noexcept {
    if (waiting_.size() == capacity_) {
      waiting_.pop_front();
      ++delivered_;
      dropped_.fetch_add(1, std::memory_order_relaxed);
    }
    try {
      waiting_.push_back(event);
      ++published_;
    } catch (const std::bad_alloc&) {  // this subscriber misses one; the engine goes on
      dropped_.fetch_add(1, std::memory_order_relaxed);
    }
  }

  void deliver_one(std::unique_lock<std::mutex>& lock) {
    const JobEvent event = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    try {
      callback_(event);
    } catch (...) {
      failures_.fetch_add(1, std::memory_order_relaxed);
    }
    lock.lock();
    ++delivered_;
    changed_.notify_all();
  }

  const EventCallback callback_;
  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<JobEvent> waiting_;
  std::uint64_t published_ = 0;
  std::uint64_t delivered_ = 0;
  bool closed_ = false;
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<std::uint64_t> failures_{0};
};

}  // namespace detail

void Subscription::close() noexcept {
  if (!channel_) return;
  channel_->close();
  if (channel_->thread.joinable()) {
    // From within the callback there is nobody to wait for: the thread ends by itself, and holds the channel
    // till then.
    if (channel_->thread.get_id() == std::this_thread::get_id())
      channel_->thread.detach();
    else
      channel_->thread.join();
  }
  channel_.reset();
}

Subscription::~Subscription() { close(); }

Subscription& Subscription::operator=(Subscription&& other) noexcept {
  if (this != &other) {
    close();
    channel_ = std::move(other.channel_);
  }
  return *this;
}

std::size_t Subscription::pump() { return channel_ ? channel_->pump() : 0; }
bool Subscription::wait_delivered(std::chrono::milliseconds patience) const {
  return !channel_ || channel_->wait_delivered(patience);
}
std::uint64_t Subscription::dropped() const noexcept { return channel_ ? channel_->dropped() : 0; }
std::uint64_t Subscription::failures() const noexcept { return channel_ ? channel_->failures() : 0; }

struct EventBus::State {
  std::mutex mutex;
  std::vector<std::weak_ptr<detail::EventChannel>> channels;
  std::atomic<bool> wanted{false};
};

EventBus::EventBus(StoragePort& storage) : storage_(storage), state_(std::make_unique<State>()) {
  storage_.observe(*this);
}

EventBus::~EventBus() { storage_.unobserve(*this); }

Subscription EventBus::subscribe(EventCallback callback, SubscribeOptions options) {
  auto channel = std::make_shared<detail::EventChannel>(std::move(callback), options.capacity);
  if (options.own_thread) channel->thread = std::thread([channel] { channel->run(); });
  {
    const std::lock_guard lock(state_->mutex);
    state_->channels.push_back(channel);
    state_->wanted.store(true, std::memory_order_release);
  }
  return Subscription(std::move(channel));
}

bool EventBus::wants_events() const noexcept { return state_->wanted.load(std::memory_order_acquire); }

void EventBus::on_events(std::span<const JobEvent> events) noexcept {
  const std::lock_guard lock(state_->mutex);
  // Ended subscriptions are found here, so that ending one needs no way back to the bus.
  std::erase_if(state_->channels, [&](const std::weak_ptr<detail::EventChannel>& weak) {
    const auto channel = weak.lock();
    if (!channel || channel->closed()) return true;
    channel->publish(events);
    return false;
  });
  if (state_->channels.empty()) state_->wanted.store(false, std::memory_order_release);
}

}  // namespace quern::inline v1
