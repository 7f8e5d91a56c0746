#include "quern/handlers/notify/webhook_channel.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "../retry_after.hpp"
#include "notification_json.hpp"
#include "quern/core/error.hpp"
#include "quern/handlers/detail/url.hpp"

namespace quern::inline v1::notify {
namespace {

constexpr Duration longest_timeout = std::chrono::seconds(30);
constexpr std::size_t max_answer_bytes = 64u << 10;

std::string body_of(const Notification& notification, bool include_html) {
  nlohmann::ordered_json data = {{"subject", notification.subject}, {"text", notification.text}};
  if (include_html && !notification.html.empty()) data["html"] = notification.html;
  if (!notification.url.empty()) data["url"] = notification.url;
  if (!notification.data.empty()) data["details"] = data_of(notification);
  return dump({{"type", notification.topic}, {"id", notification.id}, {"data", std::move(data)}});
}

}  // namespace

WebhookChannel::WebhookChannel(HttpTransport& transport, WebhookOptions options)
    : transport_(&transport), options_(std::move(options)) {
  if (options_.timeout <= Duration{0} || options_.timeout > longest_timeout)
    throw InvalidArgument("timeout", "has to be above 0 and at most 30 s");
  if (options_.longest_wait < Duration{0}) throw InvalidArgument("longest_wait", "can't be negative");
}

Delivery WebhookChannel::deliver(const std::string& recipient, const Notification& notification,
                                 const Attempt& attempt) {
  check(notification);
  const auto url = detail::parse_url(recipient);
  if (!url) return Delivery::permanent("the webhook's URL is not a valid http or https URL");
  const std::string where = fmt::format("webhook at {}", url->host);
  if (url->has_userinfo) return Delivery::permanent(where + ": a URL with a user or password is refused");
  if (url->scheme == "http" && !options_.allow_http)
    return Delivery::permanent(where + ": only https is allowed");
  const auto& ports = options_.allowed_ports;
  if (!ports.empty() && std::ranges::find(ports, url->port) == ports.end())
    return Delivery::permanent(fmt::format("{}: port {} is not allowed", where, url->port));

  HttpRequest request;
  request.method = "POST";
  request.url = url->text;
  request.body = body_of(notification, options_.include_html);
  const std::string timestamp =
      std::to_string(std::chrono::floor<std::chrono::seconds>(attempt.now).time_since_epoch().count());
  request.headers = {{"Content-Type", "application/json"},
                     {"User-Agent", options_.user_agent},
                     {"webhook-id", notification.id},
                     {"webhook-timestamp", timestamp}};
  if (options_.secrets) {
    const auto secrets = options_.secrets(recipient);
    if (!secrets.empty())
      request.headers.add("webhook-signature",
                          sign_webhook(secrets, notification.id, timestamp, request.body));
  }
  request.connect_timeout = options_.connect_timeout;
  request.timeout = options_.timeout;
  request.max_response_bytes = max_answer_bytes;
  request.overflow = Overflow::cut;
  request.reach = options_.allow_private_addresses ? Reach::anywhere : Reach::public_only;
  request.environment_proxy = false;
  request.stop = attempt.stop;

  HttpResponse response;
  try {
    response = transport_->perform(request);
  } catch (const HttpError& error) {
    return error.transient() ? Delivery::retry(error.what()) : Delivery::permanent(error.what());
  }
  const int status = response.status;
  if (status >= 200 && status < 300) return Delivery::delivered(fmt::format("{}: status {}", where, status));
  if (status == 408 || status == 425 || status == 429 || status >= 500) {
    Duration wait{0};
    if (const auto value = response.headers.last("retry-after"))
      wait = std::min(detail::parse_retry_after(*value, attempt.now).value_or(Duration{0}),
                      options_.longest_wait);
    return Delivery::retry(fmt::format("{}: status {}", where, status), wait);
  }
  if (status == 410) return Delivery::permanent(where + ": gone (status 410)", true);
  if (status >= 300 && status < 400)
    return Delivery::permanent(fmt::format("{}: redirects are not followed (status {})", where, status));
  return Delivery::permanent(fmt::format("{}: refused (status {})", where, status));
}

}  // namespace quern::inline v1::notify
