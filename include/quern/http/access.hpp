#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace quern::inline v1::http {

/// What somebody may do, and to which jobs.
///
/// A permission is "AREA.ACTION" ("jobs.read"); "AREA.*" and "*" stand for all of an area and for everything. What is not named is not
/// allowed. The areas and actions are those of `all_permissions`.
struct Scope {
  std::vector<std::string> permissions{};
  /// Only jobs of these tenants; none: of all, and those without one. An empty list: no job.
  std::optional<std::vector<std::string>> tenants{};
  /// Only jobs and matters of these queues; none: of all.
  std::optional<std::vector<std::string>> queues{};

  [[nodiscard]] bool may(std::string_view permission) const noexcept;
  /// Whether a job of that tenant (empty: it has none) and queue is within reach. One that is not looks to the caller as if it did not exist.
  [[nodiscard]] bool reaches(std::string_view tenant, std::string_view queue) const noexcept;
  /// It is limited to neither tenants nor queues: for what concerns all of them.
  [[nodiscard]] bool unlimited() const noexcept { return !tenants && !queues; }
};

/// What every caller may that is known.
inline constexpr std::string_view any_caller = "any";

/// Who a request is from, once that is known.
struct Caller {
  std::string name{};  ///< For people, the audit log and `created_by`: "deploy", "alice@example.org".
  std::string
      via{};  ///< "key", "token", "open" (nobody was asked, since the server is open) or what a host calls it.
  std::string id{};  ///< Of the key or the token's subject.
  Scope scope{};
};

/// Everything that there is to be allowed, sorted.
[[nodiscard]] std::span<const std::string_view> all_permissions() noexcept;

/// A named set of permissions.
struct Role {
  std::string name{};
  std::vector<std::string> permissions{};
};

/// viewer (all that reads, but the audit log, keys and the configuration), operator (that, and what changes jobs, queues, schedules, workers and
/// alerts) and admin (everything).
[[nodiscard]] const std::vector<Role>& built_in_roles();

}  // namespace quern::inline v1::http
