#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "quern/handlers/http_transport.hpp"
#include "quern/handlers/notify/channel.hpp"
#include "quern/handlers/notify/webhook_signature.hpp"

namespace quern::inline v1::notify {

struct WebhookOptions {
  /// The secrets to sign with for a URL, the current one first; none: no signature. Give each receiver its
  /// own.
  std::function<std::vector<WebhookSecret>(std::string_view url)> secrets{};
  /// Lets webhooks reach this machine and private networks. Off, an address that is not public is refused, so
  /// that whoever may name a recipient can't reach services behind the firewall. Set it for tests, or where
  /// only the operator names recipients.
  bool allow_private_addresses = false;
  /// The ports that may be reached; empty: all.
  std::vector<std::uint16_t> allowed_ports{80, 443, 8080, 8443};
  bool allow_http = true;     ///< False: https only.
  bool include_html = false;  ///< Whether the HTML goes along; it makes a message many times larger.
  Duration connect_timeout = std::chrono::seconds(10);
  Duration timeout = std::chrono::seconds(30);    ///< At most 30 s.
  Duration longest_wait = std::chrono::hours(1);  ///< A longer Retry-After is cut to this.
  std::string user_agent = "quern-webhook";
};

/// Posts notifications to a URL as JSON: {type, id, data: {subject, text, html, url, details}}, with the
/// headers of Standard Webhooks: webhook-id (the notification's, the same in every attempt, so that a
/// receiver can drop what it has), webhook-timestamp (of the attempt), webhook-signature. Recipients:
/// "https://..." and "http://...".
///
/// Delivered is what is answered with 2xx. Redirects are not followed. 408, 425, 429 and 5xx are worth a
/// retry, no sooner than Retry-After says; any other answer is final, and 410 means: never again. No proxy is
/// used. The URL is treated as a secret: an answer names its host only.
class WebhookChannel {
 public:
  /// The transport has to outlive the channel. Throws InvalidArgument for options that can't work.
  explicit WebhookChannel(HttpTransport& transport, WebhookOptions options = {});

  [[nodiscard]] std::vector<std::string> schemes() const { return {"http", "https"}; }
  [[nodiscard]] Delivery deliver(const std::string& recipient, const Notification& notification,
                                 const Attempt& attempt);

 private:
  HttpTransport* transport_;
  WebhookOptions options_;
};

static_assert(Channel<WebhookChannel>);

}  // namespace quern::inline v1::notify
