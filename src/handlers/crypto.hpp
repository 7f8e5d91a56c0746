#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace quern::inline v1::detail {

/// SHA-256 as 64 hexadecimal digits.
[[nodiscard]] std::string sha256_hex(std::string_view bytes);
/// HMAC-SHA256, 32 bytes.
[[nodiscard]] std::string hmac_sha256(std::string_view key, std::string_view bytes);
/// Standard base64 with padding.
[[nodiscard]] std::string base64(std::string_view bytes);
/// The bytes of standard base64 with its padding; nothing for any other text.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);
/// Whether two texts are equal; takes the same time for all of one length.
[[nodiscard]] bool same_secret(std::string_view a, std::string_view b) noexcept;

}  // namespace quern::inline v1::detail
