#pragma once

#include <mutex>

#include "http/api_context.hpp"
#include "quern/http/event_stream.hpp"

namespace quern::inline v1::http {

/// What happens to a service, for who asks for `/api/events`.
///
/// Begins with the first request for it, so that a storage builds no events of jobs while nobody has ever listened. Names are those of the
/// events' "type"; who is limited to tenants gets none of jobs, since an event does not say whose job it is.
class EventFeed {
 public:
  explicit EventFeed(ApiHost& host) : host_(host) {}
  EventFeed(const EventFeed&) = delete;
  EventFeed& operator=(const EventFeed&) = delete;

  [[nodiscard]] Response subscribe(const Request& request);
  /// Ends all streams.
  void close() noexcept { stream_.close(); }

 private:
  void tell(const ServiceEvent& event);

  ApiHost& host_;
  EventStream stream_;
  std::mutex mutex_;
  std::optional<Subscription> subscription_;  // guarded; goes before the stream
};

}  // namespace quern::inline v1::http
