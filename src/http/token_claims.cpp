#include "http/token_claims.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "http/crypto.hpp"
#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"

namespace quern::inline v1::http::detail {
namespace {

using nlohmann::json;

constexpr std::size_t most_text = 256;

/// A NumericDate (RFC 7519 2) of the years 1970 to 9999, its fraction cut off. None: it is no such number, whatever it looks like.
std::optional<TimePoint> time_of(const json& value) {
  constexpr double end = 253'402'300'800.0;
  if (!value.is_number()) return std::nullopt;
  const auto seconds = value.get<double>();
  // In this form it also refuses NaN. Below it every whole number is exact, and none overflows microseconds.
  if (!(seconds >= 0 && seconds < end)) return std::nullopt;
  return TimePoint(std::chrono::seconds(static_cast<std::int64_t>(std::floor(seconds))));
}

bool is_for(const json* audience, const std::string& us) {
  if (audience == nullptr) return false;
  if (audience->is_string()) return *audience == us;
  const auto list = list_claim(audience);
  return list && std::ranges::find(*list, us) != list->end();
}

}  // namespace

std::optional<json> read_part(std::string_view part) {
  constexpr int most_depth = 16;
  std::optional<std::string> text = from_base64url(part);
  if (!text) return std::nullopt;
  JobLimits limits;
  limits.json_depth = most_depth;
  try {
    check_json(*text, "token", limits);
  } catch (const InvalidArgument&) {
    return std::nullopt;  // the caller says which part it was
  }
  json value = json::parse(*text);
  if (!value.is_object()) return std::nullopt;
  return value;
}

std::string fault_of_claims(const json& claims, const TokenOptions& options, TimePoint now) {
  const json* const issuer = claim(claims, "iss");
  if (issuer == nullptr || !issuer->is_string() || *issuer != options.issuer) return "the issuer is another";
  if (!is_for(claim(claims, "aud"), options.audience)) return "it is for another audience";

  const json* const exp = claim(claims, "exp");
  if (exp == nullptr) return "it has no exp";
  const auto expires = time_of(*exp);
  if (!expires) return "exp is no time";
  if (now >= *expires + options.leeway) return "it has expired";

  for (const char* const name : {"nbf", "iat"}) {
    const json* const value = claim(claims, name);
    if (value == nullptr) continue;
    const auto from = time_of(*value);
    if (!from) return fmt::format("{} is no time", name);
    if (now + options.leeway < *from) return fmt::format("it is not valid yet, by its {}", name);
  }
  return {};
}

const json* claim(const json& claims, const std::string& name) {
  if (name.starts_with('/')) {
    const json::json_pointer pointer(name);
    return claims.contains(pointer) ? &claims.at(pointer) : nullptr;
  }
  const auto found = claims.find(name);
  return found == claims.end() ? nullptr : &*found;
}

std::string text_claim(const json& claims, const std::string& name) {
  const json* const value = claim(claims, name);
  if (value == nullptr || !value->is_string()) return {};
  auto text = value->get<std::string>();
  return text.size() <= most_text ? text : std::string();
}

std::optional<std::vector<std::string>> list_claim(const json* value) {
  constexpr std::size_t most = 1000;
  if (value == nullptr || !value->is_array() || value->size() > most) return std::nullopt;
  std::vector<std::string> texts;
  for (const json& one : *value) {
    if (!one.is_string()) return std::nullopt;
    texts.push_back(one.get<std::string>());
  }
  return texts;
}

std::vector<std::string> roles_in(const json* value) {
  if (value == nullptr || !value->is_string()) return list_claim(value).value_or(std::vector<std::string>());
  std::vector<std::string> roles;
  const auto text = value->get<std::string>();
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view role = rest.substr(0, std::min(rest.find(' '), rest.size()));
    rest.remove_prefix(std::min(role.size() + 1, rest.size()));
    if (!role.empty()) roles.emplace_back(role);
  }
  return roles;
}

std::optional<std::vector<std::string>> reach_in(const json* value) {
  if (value != nullptr && value->is_string() && *value == "*") return std::nullopt;
  return list_claim(value).value_or(std::vector<std::string>());
}

}  // namespace quern::inline v1::http::detail
