#include "quern/http/token.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "http/crypto.hpp"
#include "http/signature.hpp"
#include "http/text.hpp"
#include "http/token_claims.hpp"
#include "quern/core/error.hpp"
#include "quern/http/message.hpp"

namespace quern::inline v1::http {

struct TokenVerifier::KeySet {
  std::map<std::string, detail::SignatureKey, std::less<>> by_kid{};
};

namespace {

using nlohmann::json;

constexpr std::size_t most_bytes = 8 * 1024;
constexpr std::size_t most_roles = 100;

void check(const TokenOptions& options) {
  const auto need = [](const std::string& value, const char* name) {
    if (value.empty()) throw InvalidArgument(fmt::format("tokens.{}", name), "is empty");
  };
  need(options.issuer, "issuer");
  need(options.audience, "audience");
  need(options.roles_claim, "roles_claim");
  if (options.leeway < Duration::zero() || options.leeway > std::chrono::seconds(60))
    throw InvalidArgument("tokens.leeway",
                          fmt::format("is {}, allowed are 0s to 60s", quern::to_text(options.leeway)));
  for (const std::string* const name :
       {&options.name_claim, &options.roles_claim, &options.tenants_claim, &options.queues_claim}) {
    if (!name->starts_with('/')) continue;
    try {
      (void)json::json_pointer(*name);
    } catch (const json::exception&) {
      throw InvalidArgument("tokens",
                            fmt::format("the claim \"{}\" is no JSON pointer", detail::one_line(*name)));
    }
  }
}

/// A token's three parts, as they are encoded.
struct Parts {
  std::string_view header;
  std::string_view payload;
  std::string_view signature;
  std::string_view is_signed;  ///< The first two with the dot between them.
};

std::optional<Parts> split(std::string_view token) {
  const std::size_t first = token.find('.');
  const std::size_t second = first == token.npos ? first : token.find('.', first + 1);
  if (second == token.npos || token.find('.', second + 1) != token.npos) return std::nullopt;
  return Parts{token.substr(0, first), token.substr(first + 1, second - first - 1), token.substr(second + 1),
               token.substr(0, second)};
}

Authentication refuse(std::string why, std::string id = {}) {
  return {.refused = "token: " + std::move(why), .id = detail::one_line(id)};
}

/// Of access tokens: "JWT" as nearly all say, "at+jwt" (RFC 9068 2.1), or none. Tokens of another kind of the same issuer are not to pass for
/// one (RFC 8725 3.11).
bool is_type_of_ours(const json& header) {
  const auto type = header.find("typ");
  if (type == header.end()) return true;
  if (!type->is_string()) return false;
  constexpr std::array<std::string_view, 4> ours{"JWT", "at+jwt", "application/jwt", "application/at+jwt"};
  return std::ranges::any_of(
      ours, [&](std::string_view one) { return same_name(one, type->get_ref<const std::string&>()); });
}

}  // namespace

TokenVerifier::TokenVerifier(TokenOptions options, Roles& roles, ClockRef clock)
    : options_(std::move(options)), roles_(roles), clock_(clock), keys_(std::make_shared<const KeySet>()) {
  check(options_);
}

TokenVerifier::~TokenVerifier() = default;

void TokenVerifier::set_keys(const std::vector<TokenKey>& keys) {
  auto set = std::make_shared<KeySet>();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const std::string field = fmt::format("token_keys[{}]", i);
    if (!set->by_kid.try_emplace(keys[i].kid, keys[i], field).second)
      throw InvalidArgument(field + ".kid", "is there twice");
  }
  const std::lock_guard lock(mutex_);
  keys_ = std::move(set);
}

Authentication TokenVerifier::verify(std::string_view token) const {
  if (token.size() > most_bytes) return refuse("it is longer than 8 KiB");
  const auto parts = split(token);
  if (!parts) return refuse("it has not three parts");
  const auto header = detail::read_part(parts->header);
  if (!header) return refuse("its header can't be read");
  if (header->contains("crit")) return refuse("it has crit, of which nothing is known here");
  if (!is_type_of_ours(*header)) return refuse("its typ is not that of an access token");

  const auto kid = header->find("kid");
  if (kid != header->end() && !kid->is_string()) return refuse("its kid is no text");
  std::shared_ptr<const KeySet> keys;
  {
    const std::lock_guard lock(mutex_);
    keys = keys_;
  }
  const auto key = keys->by_kid.find(kid == header->end() ? std::string() : kid->get<std::string>());
  if (key == keys->by_kid.end()) return refuse("its key is not known");
  const auto alg = header->find("alg");
  if (alg == header->end() || !alg->is_string() || *alg != to_text(key->second.algorithm()))
    return refuse("its alg is not the one that its key is for");
  const auto signature = detail::from_base64url(parts->signature);
  if (!signature) return refuse("its signature can't be read");
  if (!key->second.verifies(parts->is_signed, *signature)) return refuse("its signature is wrong");
  return judge(parts->payload);
}

// Only of what is signed.
Authentication TokenVerifier::judge(std::string_view payload) const {
  const auto claims = detail::read_part(payload);
  if (!claims) return refuse("its claims can't be read");
  const std::string subject = detail::text_claim(*claims, "sub");
  if (subject.empty()) return refuse("it has no sub of 1 to 256 bytes");
  if (std::string fault = detail::fault_of_claims(*claims, options_, clock_.now()); !fault.empty())
    return refuse(std::move(fault), subject);

  Caller caller{.via = "token", .id = subject};
  const std::string name =
      options_.name_claim.empty() ? std::string() : detail::text_claim(*claims, options_.name_claim);
  caller.name = detail::one_line(name.empty() ? subject : name);
  const std::vector<std::string> given = detail::roles_in(detail::claim(*claims, options_.roles_claim));
  if (given.size() > most_roles) return refuse("it has more than 100 roles", subject);
  for (const std::string& theirs : given) {
    const auto mapped = options_.roles.find(theirs);
    if (mapped == options_.roles.end() && !options_.roles.empty()) continue;
    const auto permissions = roles_.find(mapped == options_.roles.end() ? theirs : mapped->second);
    if (permissions)
      caller.scope.permissions.insert(caller.scope.permissions.end(), permissions->begin(),
                                      permissions->end());
  }
  if (!options_.tenants_claim.empty())
    caller.scope.tenants = detail::reach_in(detail::claim(*claims, options_.tenants_claim));
  if (!options_.queues_claim.empty())
    caller.scope.queues = detail::reach_in(detail::claim(*claims, options_.queues_claim));
  return {.caller = std::move(caller), .id = subject};
}

}  // namespace quern::inline v1::http
