#include "quern/service/service_events.hpp"

#include <exception>
#include <nlohmann/json.hpp>
#include <vector>

#include "quern/core/time.hpp"
#include "queue/event_channel.hpp"

namespace quern::inline v1 {

using Json = nlohmann::ordered_json;

namespace {
/// A message may be of any bytes; what is no UTF-8 is replaced.
std::string dumped(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }
}  // namespace

std::string_view to_string(SystemEventType type) noexcept {
  switch (type) {
    case SystemEventType::service_started:
      return "service_started";
    case SystemEventType::service_stopped:
      return "service_stopped";
    case SystemEventType::kind_without_handler:
      return "kind_without_handler";
    case SystemEventType::config_reloaded:
      return "config_reloaded";
    case SystemEventType::schedule_executed:
      return "schedule_executed";
    case SystemEventType::schedule_skipped:
      break;
  }
  return "schedule_skipped";
}

std::string to_json(const JobEvent& event) {
  Json json{{"type", to_string(event.type)}, {"at", to_rfc3339(event.at)},
            {"job", to_string(event.id)},    {"kind", event.kind},
            {"queue", event.queue},          {"attempt", event.attempt}};
  switch (event.type) {
    case JobEventType::created:
    case JobEventType::retrying:
    case JobEventType::snoozed:
    case JobEventType::rescheduled:
      json["runAt"] = to_rfc3339(event.run_at);
      break;
    case JobEventType::progress_updated:
      json["percent"] = event.progress.percent;
      json["progress"] = event.progress.message;
      break;
    case JobEventType::dead:
      json["reason"] = to_string(event.dead_reason);
      break;
    default:
      break;
  }
  if (!event.message.empty()) json["message"] = event.message;
  return dumped(json);
}

std::string to_json(const SystemEvent& event) {
  Json json{{"type", to_string(event.type)}, {"at", to_rfc3339(event.at)}};
  if (!event.kind.empty()) json["kind"] = event.kind;
  if (!event.schedule.empty()) json["schedule"] = event.schedule;
  if (event.instant) json["instant"] = to_rfc3339(*event.instant);
  if (event.job) json["job"] = to_string(event.job);
  json["message"] = event.message;
  return dumped(json);
}

std::string to_json(const ServiceEvent& event) {
  return std::visit([](const auto& one) { return to_json(one); }, event);
}

/// Who wants jobs' events, too, and who does not: so the storage need not build them for those.
struct ServiceEvents::State {
  detail::EventChannels<ServiceEvent> with_jobs;
  detail::EventChannels<ServiceEvent> others;
};

ServiceEvents::ServiceEvents(StoragePort& storage) : storage_(storage), state_(std::make_unique<State>()) {
  storage_.observe(*this);
}

ServiceEvents::~ServiceEvents() { storage_.unobserve(*this); }

Subscription ServiceEvents::subscribe(std::function<void(const ServiceEvent&)> callback,
                                      SubscribeOptions options) {
  return subscribe_to(true, std::move(callback), options);
}

Subscription ServiceEvents::subscribe_to(bool jobs, std::function<void(const ServiceEvent&)> callback,
                                         SubscribeOptions options) {
  return (jobs ? state_->with_jobs : state_->others).subscribe(std::move(callback), options);
}

void ServiceEvents::publish(ServiceEvent event) noexcept {
  const std::span<const ServiceEvent> one(&event, 1);
  state_->with_jobs.publish(one);
  if (!std::holds_alternative<JobEvent>(event)) state_->others.publish(one);
}

bool ServiceEvents::wants_events() const noexcept { return state_->with_jobs.any(); }

void ServiceEvents::on_events(std::span<const JobEvent> events) noexcept {
  try {
    const std::vector<ServiceEvent> all(events.begin(), events.end());
    state_->with_jobs.publish(all);
  } catch (const std::exception&) {
    state_->with_jobs.lose(events.size());
  }
}

}  // namespace quern::inline v1
