#include "http/event_feed.hpp"

#include <algorithm>
#include <array>
#include <variant>

#include "quern/http/access.hpp"

namespace quern::inline v1::http {
namespace {

// Where an event comes from, as a filter and a request name it. In the order of ServiceEvent.
constexpr std::array<std::string_view, 4> sources{"job", "worker", "alert", "system"};

/// What a subscriber may see of them: by `StreamEvent::tenant`, which holds the source.
struct Wanted {
  std::vector<std::string> sources{};
  Scope scope{};

  bool operator()(const StreamEvent& event) const {
    if (!sources.empty() && std::ranges::find(sources, event.tenant) == sources.end()) return false;
    if (event.tenant == "job") return !scope.tenants && scope.reaches("", event.queue);
    return scope.unlimited();
  }
};

}  // namespace

Response EventFeed::subscribe(const Request& request) {
  Query query(request);
  Wanted wanted{.sources = query.list("types"), .scope = scope_of(request)};
  for (const std::string& source : wanted.sources)
    if (std::ranges::find(sources, source) == sources.end())
      query.fault("types", "may have job, worker, alert and system");
  query.end();
  {
    const std::lock_guard lock(mutex_);
    if (!subscription_) subscription_ = host_.subscribe([this](const ServiceEvent& event) { tell(event); });
  }
  return stream_.subscribe(request, std::move(wanted));
}

void EventFeed::tell(const ServiceEvent& event) {
  std::string data = to_json(event);
  auto type = Json::parse(data).at("type").get<std::string>();
  const auto* const job = std::get_if<JobEvent>(&event);
  stream_.publish({.name = std::move(type),
                   .data = std::move(data),
                   .tenant = std::string(sources.at(event.index())),
                   .queue = job != nullptr ? job->queue : std::string()});
}

}  // namespace quern::inline v1::http
