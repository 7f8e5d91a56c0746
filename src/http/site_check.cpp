#include "http/site_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "quern/core/error.hpp"

namespace quern::inline v1::http::detail {
namespace {

/// Without the port: "[::1]:8080" gives "[::1]".
std::string_view without_port(std::string_view host) {
  const std::size_t bracket = host.rfind(']');
  const std::size_t colon = host.rfind(':');
  if (colon == host.npos || (bracket != host.npos && colon < bracket)) return host;
  return host.substr(0, colon);
}

/// What follows "http://" or "https://"; empty for anything else, as "null".
std::string_view authority_of(std::string_view origin) {
  for (const std::string_view scheme : {"https://", "http://"})
    if (origin.starts_with(scheme)) return origin.substr(scheme.size());
  return {};
}

}  // namespace

bool is_allowed_host(const Request& request, const std::vector<std::string>& hosts) {
  constexpr std::array<std::string_view, 3> loopback{"localhost", "127.0.0.1", "[::1]"};
  if (request.headers.count("Host") != 1) return false;
  const std::string_view host = without_port(*request.headers.find("Host"));
  const auto same = [&](std::string_view one) { return same_name(one, host); };
  return std::ranges::any_of(loopback, same) || std::ranges::any_of(hosts, same);
}

bool is_same_site(const Request& request, const std::vector<std::string>& origins) {
  const auto origin = request.headers.find("Origin");
  if (request.headers.count("Origin") > 1) return false;
  if (origin && std::ranges::find(origins, *origin) != origins.end()) return true;
  if (const auto site = request.headers.find("Sec-Fetch-Site"))
    return request.headers.count("Sec-Fetch-Site") == 1 && (*site == "same-origin" || *site == "none");
  if (!origin) return true;
  const std::string_view authority = authority_of(*origin);
  return !authority.empty() && same_name(authority, request.headers.find("Host").value_or(""));
}

void check_origins(const std::vector<std::string>& origins, std::string_view field) {
  for (std::size_t i = 0; i < origins.size(); ++i) {
    const std::string_view authority = authority_of(origins[i]);
    const bool fits = !authority.empty() && std::ranges::none_of(authority, [](char c) {
      return c == '/' || c == '?' || c == '#' || c == '*' || c <= ' ' || (c >= 'A' && c <= 'Z');
    });
    if (!fits)
      throw InvalidArgument(fmt::format("{}[{}]", field, i),
                            "is not of the form \"https://HOST\" or \"https://HOST:PORT\", in lower case");
  }
}

}  // namespace quern::inline v1::http::detail
