#include "quern/http/roles.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "http/record_edit.hpp"
#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"
#include "quern/http/problem.hpp"

namespace quern::inline v1::http {
namespace {

constexpr std::string_view collection = "quern.roles";

struct StoredRole {
  std::vector<std::string> permissions{};
  std::string changed_by{};
};
QUERN_FIELDS(StoredRole, permissions, changed_by)

const Role* find_in(const std::vector<Role>& roles, std::string_view name) noexcept {
  const auto found = std::ranges::find(roles, name, &Role::name);
  return found == roles.end() ? nullptr : &*found;
}

/// Whether a pattern of `all_permissions` is one: "*", "AREA.*", or what stands there.
bool is_permission(std::string_view text) {
  const Scope scope{.permissions = {std::string(text)}};
  const bool pattern = text == "*" || text.ends_with(".*");
  return std::ranges::any_of(
      all_permissions(), [&](std::string_view known) { return pattern ? scope.may(known) : known == text; });
}

bool all_among(const std::optional<std::vector<std::string>>& inner,
               const std::optional<std::vector<std::string>>& outer) noexcept {
  if (!outer) return true;
  return inner && std::ranges::all_of(*inner, [&](const std::string& name) {
           return std::ranges::find(*outer, name) != outer->end();
         });
}

}  // namespace

void check_permissions(const std::vector<std::string>& permissions, std::string_view field) {
  for (std::size_t i = 0; i < permissions.size(); ++i) {
    if (is_permission(permissions[i])) continue;
    throw InvalidArgument(fmt::format("{}[{}]", field, i),
                          fmt::format("\"{}\" is no permission; there are {}, and AREA.* and *",
                                      clean_message(permissions[i], 64), fmt::join(all_permissions(), ", ")));
  }
}

void check(const Role& role, std::string_view field) {
  constexpr std::size_t most = 64;
  const bool fits =
      !role.name.empty() && role.name.size() <= most && std::ranges::all_of(role.name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
      });
  if (!fits)
    throw InvalidArgument(fmt::format("{}.name", field), "is not 1 to 64 of a-z, 0-9, '-', '_' and '.'");
  check_permissions(role.permissions, fmt::format("{}.permissions", field));
}

bool within(const Scope& inner, const Scope& outer) noexcept {
  // Permission by permission, so that "jobs.*" and all of its actions, one by one, count the same.
  return std::ranges::all_of(all_permissions(),
                             [&](std::string_view one) { return outer.may(one) || !inner.may(one); }) &&
         all_among(inner.tenants, outer.tenants) && all_among(inner.queues, outer.queues);
}

Roles::Roles(StoragePort& storage, std::vector<Role> configured)
    : storage_(storage), configured_(std::move(configured)) {
  for (std::size_t i = 0; i < configured_.size(); ++i) {
    const std::string field = fmt::format("roles[{}]", i);
    check(configured_[i], field);
    if (find_in(built_in_roles(), configured_[i].name) != nullptr)
      throw InvalidArgument(field + ".name", fmt::format("\"{}\" is built in", configured_[i].name));
    if (find_in(configured_, configured_[i].name) != &configured_[i])
      throw InvalidArgument(field + ".name", fmt::format("\"{}\" is there twice", configured_[i].name));
  }
}

const Role* Roles::fixed(std::string_view name) const noexcept {
  const Role* const built_in = find_in(built_in_roles(), name);
  return built_in != nullptr ? built_in : find_in(configured_, name);
}

std::optional<std::vector<std::string>> Roles::find(std::string_view name) {
  if (name.empty()) return std::nullopt;
  if (const Role* const role = fixed(name)) return role->permissions;
  const auto value = storage_.get_record(collection, name);
  if (!value) return std::nullopt;
  return detail::read_record<StoredRole>(*value, collection, name).permissions;
}

std::vector<RoleInfo> Roles::list() {
  std::vector<RoleInfo> all;
  for (const Role& role : built_in_roles()) all.push_back({role, RoleInfo::Origin::built_in});
  const auto rest = static_cast<std::ptrdiff_t>(all.size());
  for (const Role& role : configured_) all.push_back({role, RoleInfo::Origin::configured});
  detail::each_record(storage_, collection, [&](const Record& record) {
    if (fixed(record.key) != nullptr) return;
    auto stored = detail::read_record<StoredRole>(record.value, collection, record.key);
    all.push_back({{record.key, std::move(stored.permissions)}, RoleInfo::Origin::stored});
  });
  std::ranges::sort(all.begin() + rest, all.end(), {},
                    [](const RoleInfo& info) { return std::string_view(info.role.name); });
  return all;
}

void Roles::put(const Role& role, const Caller& by) {
  check(role, "role");
  if (fixed(role.name) != nullptr)
    throw InvalidArgument("role.name",
                          fmt::format("\"{}\" is built in or stands in the configuration", role.name));
  if (!within(Scope{.permissions = role.permissions}, by.scope))
    throw Problem{.status = 403, .name = "forbidden", .detail = "nobody can give more than they have"};
  detail::edit_record<StoredRole>(storage_, collection, role.name, [&](std::optional<StoredRole>& stored) {
    stored = StoredRole{.permissions = role.permissions, .changed_by = by.name};
    return true;
  });
}

bool Roles::erase(std::string_view name) { return storage_.erase_record(collection, name); }

}  // namespace quern::inline v1::http
