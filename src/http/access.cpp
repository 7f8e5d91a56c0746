#include "quern/http/access.hpp"

#include <algorithm>
#include <array>

namespace quern::inline v1::http {
namespace {

constexpr std::array<std::string_view, 20> permissions{
    "alerts.manage",    "alerts.read",    "audit.read",        "config.read",    "digests.read",
    "events.read",      "jobs.create",    "jobs.delete",       "jobs.manage",    "jobs.read",
    "jobs.read_secret", "keys.manage",    "metrics.read",      "queues.manage",  "queues.read",
    "schedules.manage", "schedules.read", "schedules.trigger", "workers.manage", "workers.read"};
static_assert(std::ranges::is_sorted(permissions));

bool covers(std::string_view granted, std::string_view permission) {
  if (granted == "*" || granted == permission) return true;
  if (!granted.ends_with(".*")) return false;
  granted.remove_suffix(1);
  return permission.starts_with(granted);
}

bool is_among(const std::optional<std::vector<std::string>>& names, std::string_view name) {
  return !names || std::ranges::find(*names, name) != names->end();
}

}  // namespace

bool Scope::may(std::string_view permission) const noexcept {
  if (permission == any_caller) return true;
  return std::ranges::any_of(this->permissions,
                             [&](const std::string& granted) { return covers(granted, permission); });
}

bool Scope::reaches(std::string_view tenant, std::string_view queue) const noexcept {
  return is_among(tenants, tenant) && is_among(queues, queue);
}

std::span<const std::string_view> all_permissions() noexcept { return permissions; }

const std::vector<Role>& built_in_roles() {
  static const std::vector<Role> roles{
      {"viewer",
       {"alerts.read", "digests.read", "events.read", "jobs.read", "metrics.read", "queues.read",
        "schedules.read", "workers.read"}},
      {"operator",
       {"alerts.*", "digests.read", "events.read", "jobs.create", "jobs.delete", "jobs.manage", "jobs.read",
        "metrics.read", "queues.*", "schedules.*", "workers.*"}},
      {"admin", {"*"}}};
  return roles;
}

}  // namespace quern::inline v1::http
