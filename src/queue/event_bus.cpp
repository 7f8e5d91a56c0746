#include "quern/queue/event_bus.hpp"

#include <thread>

#include "queue/event_channel.hpp"

namespace quern::inline v1 {

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
  detail::EventChannels<JobEvent> channels;
};

EventBus::EventBus(StoragePort& storage) : storage_(storage), state_(std::make_unique<State>()) {
  storage_.observe(*this);
}

EventBus::~EventBus() { storage_.unobserve(*this); }

Subscription EventBus::subscribe(EventCallback callback, SubscribeOptions options) {
  return state_->channels.subscribe(std::move(callback), options);
}

bool EventBus::wants_events() const noexcept { return state_->channels.any(); }

void EventBus::on_events(std::span<const JobEvent> events) noexcept { state_->channels.publish(events); }

}  // namespace quern::inline v1
