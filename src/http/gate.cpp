#include "quern/http/gate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "http/credential.hpp"
#include "http/crypto.hpp"
#include "http/site_check.hpp"
#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"
#include "quern/http/problem.hpp"

namespace quern::inline v1::http {
namespace {

Problem unauthenticated(bool tried) {
  Problem problem{.status = 401, .name = "unauthenticated"};
  // RFC 6750 3.1: a request without a credential is told no error.
  problem.headers.set("WWW-Authenticate",
                      tried ? R"(Bearer realm="quern", error="invalid_token")" : R"(Bearer realm="quern")");
  return problem;
}

Problem forbidden(std::string detail) {
  return {.status = 403, .name = "forbidden", .detail = std::move(detail)};
}

Problem too_many(const RatePolicy& policy, const RateDecision& decision) {
  Problem problem{.status = 429, .name = "too-many-requests"};
  add_rate_fields(problem.headers, policy, decision);
  return problem;
}

Problem too_many_failures(Duration wait) {
  Problem problem{.status = 429, .name = "too-many-requests"};
  problem.headers.set("Retry-After",
                      fmt::format("{}", std::chrono::ceil<std::chrono::seconds>(wait).count()));
  return problem;
}

std::string rate_key(const Caller& caller) {
  return fmt::format("{}:{}", caller.via, caller.id.empty() ? caller.name : caller.id);
}

std::shared_ptr<const Caller> open_caller(const GateOptions& options) {
  if (!options.open) return nullptr;
  const auto& roles = built_in_roles();
  const auto role = std::ranges::find(roles, options.open_role, &Role::name);
  if (role == roles.end())
    throw InvalidArgument("gate.open_role",
                          fmt::format("\"{}\" is no built-in role; there are viewer, operator and admin",
                                      clean_message(options.open_role, 64)));
  return std::make_shared<const Caller>(
      Caller{.name = "anyone", .via = "open", .scope = {.permissions = role->permissions}});
}

/// What only reads is sent by POST where its question is long.
bool is_change(const Request& request, const Route* route) {
  return route != nullptr && changes_something(request.method) && !route->permission.ends_with(".read");
}

/// What may come often without anything having happened, so that the log counts it where it does.
bool is_refusal(int status) { return status == 401 || status == 403 || status == 429; }

bool is_json(std::string_view content_type) {
  std::string_view type = content_type.substr(0, std::min(content_type.find(';'), content_type.size()));
  while (type.ends_with(' ') || type.ends_with('\t')) type.remove_suffix(1);
  return same_name(type, "application/json");
}

}  // namespace

bool changes_something(Method method) noexcept {
  return method != Method::get && method != Method::head && method != Method::options;
}

Gate::Gate(GateOptions options, Authenticate keys, Authenticate tokens)
    : options_(std::move(options)),
      keys_(std::move(keys)),
      tokens_(std::move(tokens)),
      open_caller_(open_caller(options_)),
      per_caller_(options_.per_caller),
      per_address_(options_.per_address),
      jobs_per_tenant_(options_.jobs_per_tenant),
      failures_(options_.failures) {
  if (!options_.open && !keys_ && !tokens_)
    throw InvalidArgument("gate", "has neither keys nor tokens, so nobody could get in; or it is to be open");
  detail::check_origins(options_.origins, "gate.origins");
}

Gate::~Gate() = default;

std::optional<Problem> Gate::authenticate(Request& request, const std::string& address) {
  if (open_caller_) {
    request.caller = open_caller_;
    return std::nullopt;
  }
  detail::Credential credential = detail::find_credential(request);
  if (!credential.fault.empty()) {
    request.refused = credential.fault;
    return Problem::malformed(std::move(credential.fault));
  }
  if (credential.value.empty()) {
    request.refused = "no credential";
    return unauthenticated(false);
  }
  const std::string hash = detail::sha256(credential.value);
  const Duration wait = failures_.wait(address, hash, request.received);
  if (wait > Duration::zero()) {
    request.refused = "too many wrong credentials from this address";
    return too_many_failures(wait);
  }
  const bool is_token =
      !looks_like_api_key(credential.value) && std::ranges::count(credential.value, '.') == 2;
  const Authenticate& check = is_token && tokens_ ? tokens_ : keys_;
  Authentication answer{.refused = "there is nothing to check a credential of this kind with"};
  if (check) answer = check(credential.value);
  if (!answer.caller) {
    failures_.failed(address, request.received);
    request.refused = std::move(answer.refused);
    if (!answer.id.empty()) request.refused += fmt::format(" ({})", clean_message(answer.id, 128));
    return unauthenticated(true);
  }
  failures_.succeeded(address, hash, request.received);
  request.caller = std::make_shared<const Caller>(std::move(*answer.caller));
  return std::nullopt;
}

std::optional<Problem> Gate::check_site(Request& request) const {
  // Where nobody has to show a credential, a page that a browser loads must not even read, by a name that it lets point here.
  const bool strict = options_.open;
  if (strict || !options_.hosts.empty()) {
    if (!detail::is_allowed_host(request, options_.hosts)) {
      request.refused = "the Host is not one of this server";
      return forbidden("the Host is not one that this server is asked for by");
    }
  }
  if ((strict || changes_something(request.method)) && !detail::is_same_site(request, options_.origins)) {
    request.refused = "it comes from a page of another origin";
    return forbidden("requests from pages of other origins are not accepted");
  }
  return std::nullopt;
}

std::optional<Problem> Gate::judge(Request& request, const Route* route) {
  const std::string address = address_key(request.peer);
  const RateDecision of_address = per_address_.decide(address, request.received);
  if (!of_address.allowed) {
    request.refused = "too many requests from this address";
    return too_many(per_address_.policy(), of_address);
  }
  if (detail::has_credential_in_query(request)) {
    request.refused = "a credential in the query";
    return Problem::malformed(
        "a key or token stands in the address, where histories and logs keep it: send it as \"Authorization: "
        "Bearer ...\", and "
        "revoke that one");
  }
  if (auto problem = authenticate(request, address)) return problem;
  if (auto problem = check_site(request)) return problem;
  const RateDecision of_caller = per_caller_.decide(rate_key(*request.caller), request.received);
  if (!of_caller.allowed) {
    request.refused = "too many requests of this caller";
    return too_many(per_caller_.policy(), of_caller);
  }
  if (route == nullptr) return std::nullopt;  // the router says what is missing
  if (!request.caller->scope.may(route->permission)) {
    request.refused = fmt::format("not allowed: {}", route->permission);
    return forbidden(fmt::format("this needs the permission {}", route->permission));
  }
  if (!request.body.empty() && !is_json(request.headers.find("Content-Type").value_or(""))) {
    request.refused = "the body is not JSON";
    return Problem{
        .status = 415, .name = "unsupported-media-type", .detail = "Content-Type must be application/json"};
  }
  return std::nullopt;
}

std::optional<Response> Gate::check(Request& request, const Route* route) {
  if (route != nullptr && route->permission.empty()) return std::nullopt;
  const auto problem = judge(request, route);
  if (problem) {
    Response refused = to_response(*problem);
    if (audit_ != nullptr) audit_->add_refusal(audit_entry(request, route, &refused));
    return refused;
  }
  if (audit_ != nullptr && audit_->changes_wait() && is_change(request, route))
    audit_->write(audit_entry(request, route, nullptr));
  return std::nullopt;
}

void Gate::finish(const Request& request, const Route* route, Response& response) {
  // Nobody was asked, or whoever it was did not get through, which is noted.
  if (request.caller == nullptr || !request.refused.empty()) return;
  add_rate_fields(response.headers, per_caller_.policy(),
                  per_caller_.look(rate_key(*request.caller), request.received));
  if (audit_ == nullptr) return;
  if (is_refusal(response.status))
    audit_->add_refusal(audit_entry(request, route, &response));
  else if (response.noted || is_change(request, route))
    audit_->add(audit_entry(request, route, &response));
}

void Gate::charge_jobs(std::string_view tenant, std::uint32_t count, SteadyTime now) {
  const RateDecision decision = jobs_per_tenant_.decide(tenant, now, count);
  if (!decision.allowed) throw too_many(jobs_per_tenant_.policy(), decision);
}

}  // namespace quern::inline v1::http
