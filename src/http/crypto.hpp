#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace quern::inline v1::http::detail {

// What the http component needs of cryptography, but for signatures. Throws Error where OpenSSL fails.

/// SHA-256, 32 bytes.
[[nodiscard]] std::string sha256(std::string_view bytes);
/// HMAC-SHA256, 32 bytes.
[[nodiscard]] std::string hmac_sha256(std::string_view key, std::string_view bytes);
/// Lower-case hexadecimal digits.
[[nodiscard]] std::string to_hex(std::string_view bytes);
/// Base64 for addresses, without padding (RFC 4648 5, RFC 7515 2).
[[nodiscard]] std::string to_base64url(std::string_view bytes);
/// The bytes of such a text. Nothing for padding, blanks, other characters, or bits left over that are not zero: each value has one
/// spelling.
[[nodiscard]] std::optional<std::string> from_base64url(std::string_view text);

/// Whether two texts are equal; takes the same time for all of one length. Whatever decides about a key, a MAC or a token goes through here.
[[nodiscard]] bool same_secret(std::string_view a, std::string_view b) noexcept;
/// Overwrites the text before it is given back to the heap, which the compiler would leave out.
void wipe(std::string& text) noexcept;

}  // namespace quern::inline v1::http::detail
