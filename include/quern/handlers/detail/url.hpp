#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace quern::inline v1::detail {

/// The parts of an http or https URL that decisions are made on. Read by libcurl's own parser, so that what
/// is checked and what is connected to are the same.
struct Url {
  std::string scheme{};  ///< "http" or "https".
  std::string host{};    ///< Lower case; an IPv6 address in brackets.
  std::uint16_t port = 0;
  bool has_userinfo = false;
  std::string text{};  ///< The whole URL, normalised.

  /// "https://host:port": what a browser would call its origin.
  [[nodiscard]] std::string origin() const;
  /// Whether the host is this machine by its name or number: localhost, 127.0.0.0/8, [::1].
  [[nodiscard]] bool loopback() const;
};

/// Reads an absolute URL. Nothing, when it is not http or https, has no host, or holds a blank or control
/// character.
[[nodiscard]] std::optional<Url> parse_url(std::string_view text);

/// `reference` seen from `base`, as in a Location header. Nothing when the result is not http or https.
[[nodiscard]] std::optional<Url> resolve_url(std::string_view base, std::string_view reference);

}  // namespace quern::inline v1::detail
