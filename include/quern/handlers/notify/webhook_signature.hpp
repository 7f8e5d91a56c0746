#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/time.hpp"

namespace quern::inline v1::notify {

/// A key shared with a receiver of webhooks, as Standard Webhooks writes it: "whsec_" and base64 of 24 to 64
/// bytes.
class WebhookSecret {
 public:
  /// Throws InvalidArgument, without the secret in its message.
  explicit WebhookSecret(std::string_view text);

  /// The signature of a message: "v1," and the base64 of HMAC-SHA256 over "ID.TIMESTAMP.BODY".
  [[nodiscard]] std::string sign(std::string_view id, std::string_view timestamp,
                                 std::string_view body) const;

 private:
  std::string key_;
};

/// The value of "webhook-signature": one signature for each secret, the current one first. During a change of
/// secrets, sign with both.
[[nodiscard]] std::string sign_webhook(std::span<const WebhookSecret> secrets, std::string_view id,
                                       std::string_view timestamp, std::string_view body);

/// For receivers: whether one of the message's signatures was made with one of the secrets, and its timestamp
/// is within `tolerance` of now. Takes the headers' values and the exact bytes of the body. Compares in
/// constant time.
[[nodiscard]] bool verify_webhook(std::span<const WebhookSecret> secrets, std::string_view id,
                                  std::string_view timestamp, std::string_view signatures,
                                  std::string_view body, TimePoint now,
                                  Duration tolerance = std::chrono::seconds(300));

}  // namespace quern::inline v1::notify
