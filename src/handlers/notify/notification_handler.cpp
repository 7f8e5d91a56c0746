#include "quern/handlers/notify/notification_handler.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "../json_fields.hpp"
#include "quern/core/error.hpp"

namespace quern::inline v1::notify {

void to_json(nlohmann::json& json, const NotifyJob& job) {
  const Notification& n = job.notification;
  json = {{"recipient", job.recipient}, {"id", n.id}, {"topic", n.topic}, {"subject", n.subject}};
  const auto keep = [&](const char* key, const std::string& value) {
    if (!value.empty()) json[key] = value;
  };
  keep("text", n.text);
  keep("html", n.html);
  keep("url", n.url);
  keep("data", n.data);
  keep("artifact_owner", job.artifact_owner);
  keep("text_artifact", job.text_artifact);
  keep("html_artifact", job.html_artifact);
}

void from_json(const nlohmann::json& json, NotifyJob& job) {
  const detail::JsonFields fields(json, "notification");
  job.recipient = fields.raw_or_empty("recipient");
  if (job.recipient.empty()) throw InvalidArgument("notification.recipient", "is missing");
  Notification& n = job.notification;
  n.id = fields.line("id");
  n.topic = fields.line_or_empty("topic");
  n.subject = fields.line_or_empty("subject");
  n.text = fields.raw_or_empty("text");
  n.html = fields.raw_or_empty("html");
  n.url = fields.raw_or_empty("url");
  n.data = fields.raw_or_empty("data");
  job.artifact_owner = fields.raw_or_empty("artifact_owner");
  job.text_artifact = fields.raw_or_empty("text_artifact");
  job.html_artifact = fields.raw_or_empty("html_artifact");
}

NotificationHandler::NotificationHandler(std::shared_ptr<const ChannelSet> channels, ArtifactReader artifacts,
                                         ClockRef clock)
    : channels_(std::move(channels)), artifacts_(std::move(artifacts)), clock_(clock) {}

HandlerOptions NotificationHandler::options() {
  return {.timeout = std::chrono::minutes(2),
          .retry = RetryPolicy::exponential(std::chrono::seconds(10), std::chrono::hours(6))};
}

JobResult NotificationHandler::operator()(const NotifyJob& job, JobContext& context) const {
  Notification notification = job.notification;
  const auto fill = [&](std::string& into, const std::string& name) {
    if (name.empty()) return true;
    auto found = artifacts_ ? artifacts_(job.artifact_owner, name) : std::nullopt;
    if (found) into = std::move(*found);
    return found.has_value();
  };
  for (const std::string* name : {&job.text_artifact, &job.html_artifact})
    if (!fill(name == &job.text_artifact ? notification.text : notification.html, *name))
      return JobResult::discarded(
          fmt::format("the file {}/{} to be sent is gone", job.artifact_owner, *name));

  const Delivery delivery =
      channels_->deliver(job.recipient, notification, {.now = clock_.now(), .stop = context.stop_token()});
  switch (delivery.outcome) {
    case Outcome::delivered:
      return JobResult::completed({{"delivered", delivery.detail}});
    case Outcome::permanent:
      return JobResult::discarded(delivery.detail);
    case Outcome::retry:
      break;
  }
  if (context.stop_requested()) return JobResult::cancelled(delivery.detail);
  return delivery.wait > Duration::zero() ? JobResult::retry_at(When::after(delivery.wait), delivery.detail)
                                          : JobResult::failed(delivery.detail);
}

}  // namespace quern::inline v1::notify
