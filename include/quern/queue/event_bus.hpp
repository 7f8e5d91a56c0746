#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "quern/storage/any_storage.hpp"

namespace quern::inline v1 {

/// Gets events, one after the other. What it throws is counted and dropped.
using EventCallback = std::function<void(const JobEvent&)>;

struct SubscribeOptions {
  /// How many events may wait for a slow subscriber; beyond that the oldest are dropped, and counted.
  std::size_t capacity = 8192;
  /// True: the events are delivered by a thread of the subscription's own. False: by whoever calls `pump`.
  bool own_thread = true;
};

namespace detail {
class EventChannel;
template <class Event>
class EventChannels;
}  // namespace detail

/// Keeps a subscription alive; its end (also from within the callback) ends the delivery. Movable.
/// Outside the callback the destructor waits for a call under way.
class Subscription {
 public:
  Subscription() noexcept = default;
  Subscription(Subscription&&) noexcept = default;
  Subscription& operator=(Subscription&& other) noexcept;
  ~Subscription();

  /// Delivers what waits, on this thread; returns how many. For `own_thread = false`.
  std::size_t pump();
  /// Waits until everything published before this call was delivered or dropped; false when `patience` ended
  /// first.
  [[nodiscard]] bool wait_delivered(std::chrono::milliseconds patience) const;
  /// Events that were dropped because the subscriber was slow.
  [[nodiscard]] std::uint64_t dropped() const noexcept;
  /// Calls that threw.
  [[nodiscard]] std::uint64_t failures() const noexcept;

 private:
  template <class Event>
  friend class detail::EventChannels;
  explicit Subscription(std::shared_ptr<detail::EventChannel> channel) noexcept
      : channel_(std::move(channel)) {}
  void close() noexcept;
  std::shared_ptr<detail::EventChannel> channel_;
};

/// Hands a storage's events to subscribers that can neither slow nor crash who causes them.
///
/// Order    of one job's events, that in which they took effect; every subscriber sees the same order.
/// Cost     nothing when nobody listens: the storage then builds no events.
/// Scope    what happens through this storage object. Other processes' changes are not seen here.
/// Threads  every member may be called from any thread, `subscribe` also from a callback.
class EventBus final : private StorageObserver {
 public:
  /// The storage must outlive the bus.
  explicit EventBus(StoragePort& storage);
  ~EventBus() override;

  /// Delivers every event from now on to `callback`, until the subscription ends.
  [[nodiscard]] Subscription subscribe(EventCallback callback, SubscribeOptions options = {});

 private:
  [[nodiscard]] bool wants_events() const noexcept override;
  void on_events(std::span<const JobEvent> events) noexcept override;

  struct State;
  StoragePort& storage_;
  std::unique_ptr<State> state_;
};

}  // namespace quern::inline v1
