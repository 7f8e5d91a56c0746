#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "quern/http/message.hpp"

namespace quern::inline v1::http::detail {

/// Whether the request names a host that is meant: one of `hosts` or of the loopback. A page whose own name was made to point to this
/// machine (DNS rebinding) names another one.
[[nodiscard]] bool is_allowed_host(const Request& request, const std::vector<std::string>& hosts);

/// Whether a browser has sent it for a page of this server, or one of `origins`, or no browser has: by Sec-Fetch-Site (W3C Fetch
/// Metadata), else by Origin (RFC 6454 7), which then has to have the request's own host and port. Its scheme is not compared, since a
/// proxy may have taken TLS off.
[[nodiscard]] bool is_same_site(const Request& request, const std::vector<std::string>& origins);

/// Throws InvalidArgument for what no browser sends as an Origin: "https://HOST" or with a port, without a path, in lower case.
void check_origins(const std::vector<std::string>& origins, std::string_view field);

}  // namespace quern::inline v1::http::detail
