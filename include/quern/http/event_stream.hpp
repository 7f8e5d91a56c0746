#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "quern/core/clock.hpp"
#include "quern/http/message.hpp"

namespace quern::inline v1::http {

/// What is told to those who listen.
struct StreamEvent {
  std::string
      name{};  ///< What `addEventListener` takes: "job.finished". At most 128 bytes, no control characters.
  std::string data{};  ///< JSON, as a rule; any text that is UTF-8.
  // Not sent: for filters.
  std::string tenant{};
  std::string queue{};
  /// Which one it is: EventStream gives it.
  std::uint64_t id = 0;
};

struct EventStreamOptions {
  /// Events that are kept for a client that comes back, the last so many ...
  std::size_t kept = 1000;
  /// ... within so many bytes.
  std::size_t kept_bytes = std::size_t{4} << 20U;
  /// Events that wait for one subscriber; of more, the oldest are dropped and counted.
  std::size_t waiting = 1000;
  std::size_t waiting_bytes = std::size_t{1} << 20U;
  std::size_t subscribers = 200;          ///< At once; further ones get 503.
  std::chrono::milliseconds retry{2000};  ///< After which a client that was cut off comes back.
};

/// Tells events to everybody who listens, as server-sent events.
///
///     quern::http::EventStream events;
///     router.add({.pattern = "/events", .handler = [&](const Request& request) { return events.subscribe(request, filter); }});
///     events.publish({.name = "job.finished", .data = R"({"id":"12"})"});
///
/// Order    each subscriber gets what its filter lets through, in the order of the ids. These grow, also over restarts: they begin at the
///          clock's microseconds.
/// Resuming a client that sends Last-Event-ID gets what it has missed, as far as that is kept.
/// Gaps     where it isn't, or a client is too slow, it gets the event `gap` instead: {"lost":12}, or {"lost":null} where nobody knows
///          how many. What it shows may be wrong from then on, so it should ask anew.
/// Cost     publishing asks each subscriber's filter; a subscriber that waits costs no thread. The text of an event is shared.
/// Threads  everything may be called from any thread.
class EventStream {
 public:
  /// Whether a subscriber may see an event. Called by whoever publishes or subscribes, one at a time;
  /// must not call back. One that throws lets nothing through.
  using Filter = std::function<bool(const StreamEvent& event)>;

  /// Throws InvalidArgument for a limit of 0 or a negative time. The clock is read here alone.
  explicit EventStream(EventStreamOptions options = {}, ClockRef clock = {});
  EventStream(const EventStream&) = delete;
  EventStream& operator=(const EventStream&) = delete;
  ~EventStream();

  /// Returns the event's id; what `event.id` says is ignored. Throws InvalidArgument for a faulty name or data that is not UTF-8.
  std::uint64_t publish(StreamEvent event);
  std::uint64_t publish(std::string_view name, std::string_view data);

  /// The answer to a request for events: from now on, or from where its field Last-Event-ID says. Without a filter: all of them. 503
  /// when there are too many subscribers, or it is closed.
  [[nodiscard]] Response subscribe(const Request& request, Filter filter = {});

  /// Ends all streams, and takes no more subscribers.
  void close() noexcept;

  [[nodiscard]] std::size_t subscribers() const;

 private:
  class Subscriber;
  struct State;
  std::shared_ptr<State> state_;
};

/// An event in the form of server-sent events, which end with an empty line. The data's lines may end in LF, CR LF or CR.
[[nodiscard]] std::string to_text(const StreamEvent& event);

}  // namespace quern::inline v1::http
