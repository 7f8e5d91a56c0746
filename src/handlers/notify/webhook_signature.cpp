#include "quern/handlers/notify/webhook_signature.hpp"

#include <algorithm>

#include "../crypto.hpp"
#include "../retry_after.hpp"
#include "quern/core/error.hpp"

namespace quern::inline v1::notify {
namespace {

constexpr std::string_view secret_prefix = "whsec_";
constexpr std::size_t most_signatures = 16;

}  // namespace

WebhookSecret::WebhookSecret(std::string_view text) {
  const auto key = text.starts_with(secret_prefix) ? detail::from_base64(text.substr(secret_prefix.size()))
                                                   : std::optional<std::string>();
  if (!key || key->size() < 24 || key->size() > 64)
    throw InvalidArgument("secret", "has to be 'whsec_' followed by the base64 of 24 to 64 bytes");
  key_ = *key;
}

std::string WebhookSecret::sign(std::string_view id, std::string_view timestamp,
                                std::string_view body) const {
  std::string message;
  message.reserve(id.size() + timestamp.size() + body.size() + 2);
  message.append(id).append(1, '.').append(timestamp).append(1, '.').append(body);
  return "v1," + detail::base64(detail::hmac_sha256(key_, message));
}

std::string sign_webhook(std::span<const WebhookSecret> secrets, std::string_view id,
                         std::string_view timestamp, std::string_view body) {
  std::string out;
  for (const auto& secret : secrets) {
    if (!out.empty()) out += ' ';
    out += secret.sign(id, timestamp, body);
  }
  return out;
}

bool verify_webhook(std::span<const WebhookSecret> secrets, std::string_view id, std::string_view timestamp,
                    std::string_view signatures, std::string_view body, TimePoint now, Duration tolerance) {
  const auto seconds = detail::parse_seconds(timestamp);
  // The largest number that microseconds can hold; beyond it lies no time that is near now.
  if (!seconds || *seconds > INT64_MAX / 1'000'000 || id.empty()) return false;
  const auto sent = TimePoint(std::chrono::seconds(*seconds));
  if (sent < now - tolerance || sent > now + tolerance) return false;

  bool matches = false;
  std::size_t count = 0;
  while (!signatures.empty() && count++ < most_signatures) {
    const auto blank = signatures.find(' ');
    const std::string_view signature = signatures.substr(0, blank);
    signatures.remove_prefix(blank == std::string_view::npos ? signatures.size() : blank + 1);
    // All are compared, so that the time does not tell which one was right.
    for (const auto& secret : secrets)
      matches = detail::same_secret(secret.sign(id, timestamp, body), signature) || matches;
  }
  return matches;
}

}  // namespace quern::inline v1::notify
