#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "quern/queue/event_bus.hpp"

namespace quern::inline v1::detail {

/// One subscriber's way to its events, whatever these are. The publisher only appends; the callback runs outside the
/// lock.
class EventChannel {
 public:
  EventChannel() = default;
  EventChannel(const EventChannel&) = delete;
  EventChannel& operator=(const EventChannel&) = delete;
  virtual ~EventChannel() = default;

  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      clear();
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
    while (!closed_ && !empty()) {
      deliver_one(lock);
      ++count;
    }
    return count;
  }

  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return closed_ || !empty(); });
      if (closed_) return;
      deliver_one(lock);
    }
  }

  [[nodiscard]] bool wait_delivered(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    const std::uint64_t target = published_;
    return changed_.wait_for(lock, patience, [&] { return closed_ || delivered_ >= target; });
  }

  /// So many events never came here.
  void lose(std::uint64_t count) noexcept { dropped_.fetch_add(count, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t failures() const noexcept { return failures_.load(std::memory_order_relaxed); }

  std::thread thread;  ///< Owned by the subscription; empty when it is pumped by hand.

 protected:
  // All under the mutex, but that `deliver_one` lets go of it for the callback.
  [[nodiscard]] virtual bool empty() const = 0;
  virtual void clear() = 0;
  virtual void deliver_one(std::unique_lock<std::mutex>& lock) = 0;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t published_ = 0;
  std::uint64_t delivered_ = 0;
  bool closed_ = false;
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<std::uint64_t> failures_{0};
};

/// The same for events of one type.
template <class Event>
class EventChannelOf final : public EventChannel {
 public:
  using Callback = std::function<void(const Event&)>;

  EventChannelOf(Callback callback, std::size_t capacity)
      : callback_(std::move(callback)), capacity_(std::max<std::size_t>(capacity, 1)) {}

  void publish(std::span<const Event> events) noexcept {
    {
      const std::lock_guard lock(mutex_);
      if (closed_) return;
      for (const Event& event : events) append(event);
    }
    changed_.notify_all();
  }

 private:
  [[nodiscard]] bool empty() const override { return waiting_.empty(); }
  void clear() override { waiting_.clear(); }

  void append(const Event& event) noexcept {
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

  void deliver_one(std::unique_lock<std::mutex>& lock) override {
    const Event event = std::move(waiting_.front());
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

  const Callback callback_;
  const std::size_t capacity_;
  std::deque<Event> waiting_;
};

/// Who gets events of one type. Thread-safe.
template <class Event>
class EventChannels {
 public:
  [[nodiscard]] Subscription subscribe(std::function<void(const Event&)> callback, SubscribeOptions options) {
    auto channel = std::make_shared<EventChannelOf<Event>>(std::move(callback), options.capacity);
    if (options.own_thread) channel->thread = std::thread([channel] { channel->run(); });
    {
      const std::lock_guard lock(mutex_);
      channels_.push_back(channel);
      any_.store(true, std::memory_order_release);
    }
    return Subscription(std::move(channel));
  }

  /// True while somebody may listen.
  [[nodiscard]] bool any() const noexcept { return any_.load(std::memory_order_acquire); }

  void publish(std::span<const Event> events) noexcept {
    const std::lock_guard lock(mutex_);
    // Ended subscriptions are found here, so that ending one needs no way back.
    std::erase_if(channels_, [&](const std::weak_ptr<EventChannelOf<Event>>& weak) {
      const auto channel = weak.lock();
      if (!channel || channel->closed()) return true;
      channel->publish(events);
      return false;
    });
    if (channels_.empty()) any_.store(false, std::memory_order_release);
  }

  /// Counts events that there was no memory for.
  void lose(std::uint64_t count) noexcept {
    const std::lock_guard lock(mutex_);
    for (const auto& weak : channels_)
      if (const auto channel = weak.lock()) channel->lose(count);
  }

 private:
  std::mutex mutex_;
  std::vector<std::weak_ptr<EventChannelOf<Event>>> channels_;
  std::atomic<bool> any_{false};
};

}  // namespace quern::inline v1::detail
