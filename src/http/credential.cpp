#include "http/credential.hpp"

#include <algorithm>
#include <array>

#include "http/crypto.hpp"
#include "quern/core/error.hpp"
#include "quern/http/api_keys.hpp"

namespace quern::inline v1::http::detail {
namespace {

/// Longer ones are neither a key nor a token that is accepted.
constexpr std::size_t most_bytes = 8 * 1024;

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  return text;
}

/// The token behind "Bearer", whose letters may be of either case (RFC 9110 11.1); empty for another scheme.
std::string_view bearer(std::string_view field) {
  constexpr std::string_view scheme = "Bearer";
  const std::string_view text = trimmed(field);
  if (!same_name(text.substr(0, scheme.size()), scheme)) return {};
  const std::string_view rest = text.substr(scheme.size());
  return rest.starts_with(' ') ? trimmed(rest) : std::string_view();
}

bool is_credential_name(std::string_view name) {
  constexpr std::array<std::string_view, 9> names{"access_token", "api-key",       "api_key",
                                                  "apikey",       "authorization", "bearer",
                                                  "token",        "x-api-key",     "x_api_key"};
  return std::ranges::any_of(names, [&](std::string_view one) { return same_name(one, name); });
}

}  // namespace

Credential::~Credential() { wipe(value); }

Credential find_credential(const Request& request) {
  Credential found;
  const auto authorization = request.headers.find("Authorization");
  const auto key = request.headers.find("X-API-Key");
  if (request.headers.count("Authorization") + request.headers.count("X-API-Key") > 1) {
    found.fault = "there is more than one credential: send one Authorization or one X-API-Key";
    return found;
  }
  const std::string_view value = authorization ? bearer(*authorization)
                                 : key         ? trimmed(*key)
                                               : std::string_view();
  if (value.size() > most_bytes) {
    found.fault = "the credential is longer than 8 KiB";
    return found;
  }
  found.value = value;
  return found;
}

bool has_credential_in_query(const Request& request) {
  if (request.target.find('?') == std::string::npos) return false;
  std::vector<Parameter> query;
  try {
    query = request.query();
  } catch (const InvalidArgument&) {
    return false;  // no handler will read it either; it says so to those who may ask
  }
  return std::ranges::any_of(query, [](const Parameter& one) {
    return is_credential_name(one.name) || looks_like_api_key(one.value);
  });
}

}  // namespace quern::inline v1::http::detail
