#include <algorithm>

#include "http/api_context.hpp"
#include "quern/core/error.hpp"
#include "quern/http/admin_api.hpp"

namespace quern::inline v1::http {
namespace {

Json json_of(const std::optional<TimePoint>& time) { return time ? Json(to_rfc3339(*time)) : Json(nullptr); }

Json json_of(const ApiKeyInfo& info) {
  Json json;
  json["id"] = info.id;
  json["name"] = info.key.name;
  if (!info.key.role.empty()) json["role"] = info.key.role;
  json["permissions"] = info.key.permissions;
  json["tenants"] = info.key.tenants ? Json(*info.key.tenants) : Json(nullptr);
  json["queues"] = info.key.queues ? Json(*info.key.queues) : Json(nullptr);
  json["created_at"] = to_rfc3339(info.created);
  json["created_by"] = info.created_by;
  json["expires_at"] = json_of(info.key.expires);
  json["rotated_at"] = json_of(info.rotated);
  json["old_until"] = json_of(info.old_until);
  json["last_used_at"] = json_of(info.last_used);
  json["revoked"] = info.revoked.has_value();
  if (info.revoked) {
    json["revoked_at"] = to_rfc3339(*info.revoked);
    json["revoked_by"] = info.revoked_by;
  }
  return json;
}

/// Where nobody was asked, everything may be handed on.
const Caller& caller_of(const Request& request) {
  static const Caller nobody{.name = {}, .via = "open", .id = {}, .scope = {.permissions = {"*"}}};
  return request.caller ? *request.caller : nobody;
}

Response issued(const IssuedApiKey& key, int status) {
  Json json;
  json["id"] = key.id;
  json["secret"] = key.secret.reveal();
  return json_response(json, status);
}

Response keys_page(ApiKeys& keys, const Request& request) {
  Query query(request);
  const std::string after = query.text("after");
  constexpr std::uint64_t most = 1000;
  constexpr std::uint64_t usual = 100;
  const std::uint64_t limit = query.count("limit", usual, 1, most);
  query.end();
  const auto found = keys.list(after, limit);
  Json json;
  Json& all = json["keys"] = Json::array();
  for (const ApiKeyInfo& info : found) all.push_back(json_of(info));
  json["next"] = found.size() == limit ? Json(found.back().id) : Json(nullptr);
  return json_response(json);
}

Response create_key(ApiKeys& keys, const Request& request) {
  const nlohmann::json body = object_of(request);
  std::vector<FieldFault> faults;
  Members members(body, "", faults);
  NewApiKey key;
  std::vector<std::string> tenants;
  std::vector<std::string> queues;
  members.required("name");
  members.text("name", key.name);
  members.text("role", key.role);
  members.texts("permissions", key.permissions);
  if (members.texts("tenants", tenants)) key.tenants = tenants;
  if (members.texts("queues", queues)) key.queues = queues;
  members.time("expires_at", key.expires);
  members.end();
  if (key.role.empty() && key.permissions.empty())
    members.fault("role", "is missing; \"permissions\" may stand instead");
  throw_if_any(std::move(faults));
  return issued(with_faults([&] { return keys.create(key, caller_of(request)); }), 201);
}

Response rotate_key(ApiKeys& keys, const Request& request) {
  const nlohmann::json body = object_of(request, true);
  std::vector<FieldFault> faults;
  Members members(body, "", faults);
  Duration grace{0};
  members.duration("grace", grace);
  members.end();
  throw_if_any(std::move(faults));
  return issued(with_faults([&] { return keys.rotate(request.part("id"), grace, caller_of(request)); }), 200);
}

Response roles_page(Roles& roles, const Request& request) {
  Query(request).end();
  Json json;
  Json& all = json["roles"] = Json::array();
  for (const RoleInfo& info : roles.list()) {
    Json& one = all.emplace_back();
    one["name"] = info.role.name;
    one["permissions"] = info.role.permissions;
    one["origin"] = info.origin == RoleInfo::Origin::built_in     ? "built_in"
                    : info.origin == RoleInfo::Origin::configured ? "configured"
                                                                  : "stored";
  }
  return json_response(json);
}

Response put_role(Roles& roles, const Request& request) {
  const nlohmann::json body = object_of(request);
  std::vector<FieldFault> faults;
  Members members(body, "", faults);
  Role role{.name = std::string(request.part("name"))};
  members.required("permissions");
  members.texts("permissions", role.permissions);
  members.end();
  throw_if_any(std::move(faults));
  with_faults([&] { roles.put(role, caller_of(request)); });
  return no_content();
}

}  // namespace

void mount_keys(Router& router, ApiKeys& keys, Roles& roles) {
  router.add({Method::get, "/api/keys", "keys.manage", "The API keys, without their secrets.",
              [&keys](const Request& request) { return keys_page(keys, request); }});
  router.add({Method::post, "/api/keys", "keys.manage", "Makes a key; its secret is shown this once.",
              [&keys](const Request& request) { return create_key(keys, request); }});
  router.add({Method::post, "/api/keys/:id/rotate", "keys.manage", "Gives a key another secret.",
              [&keys](const Request& request) { return rotate_key(keys, request); }});
  router.add({Method::del, "/api/keys/:id", "keys.manage",
              "Revokes a key, or forgets one that counts no more.", [&keys](const Request& request) {
                const auto known = keys.get(request.part("id"));
                if (!known) throw Problem::not_found("there is no such key");
                if (!keys.revoke(known->id, caller_of(request))) keys.erase(known->id);
                return no_content();
              }});
  router.add({Method::get, "/api/roles", "keys.manage", "The roles.",
              [&roles](const Request& request) { return roles_page(roles, request); }});
  router.add({Method::put, "/api/roles/:name", "keys.manage", "Adds a role, or changes it.",
              [&roles](const Request& request) { return put_role(roles, request); }});
  router.add({Method::del, "/api/roles/:name", "keys.manage", "Takes a role away.",
              [&roles](const Request& request) {
                if (!roles.erase(request.part("name"))) throw Problem::not_found("no such role is stored");
                return no_content();
              }});
}

}  // namespace quern::inline v1::http
