#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/http/access.hpp"
#include "quern/storage/any_storage.hpp"

namespace quern::inline v1::http {

/// A role, and where it comes from.
struct RoleInfo {
  enum class Origin : std::uint8_t { built_in, configured, stored };
  Role role{};
  Origin origin = Origin::stored;
};

/// The roles that there are: the built-in ones, those of the configuration, and those that are stored (collection "quern.roles"), which
/// all nodes share.
///
/// Order    a name means the built-in role, else the configured, else the stored one: nothing that is stored can give another meaning
///          to what the program or its configuration says.
/// Fresh    `find` reads the record each time, so that a change holds at once on all nodes.
/// Threads  every call may be made from any thread. Any may throw StorageError.
class Roles {
 public:
  /// Throws InvalidArgument for a faulty role ("roles[1].permissions[0]"), one that is there twice, or one that is built in.
  explicit Roles(StoragePort& storage, std::vector<Role> configured = {});

  /// What the role may do; none: there is no such role.
  [[nodiscard]] std::optional<std::vector<std::string>> find(std::string_view name);
  /// All, built-in ones first, then by name.
  [[nodiscard]] std::vector<RoleInfo> list();

  /// Adds a role, or puts it in the place of the stored one of that name. Throws InvalidArgument for a faulty one, or where the name
  /// belongs to a built-in or configured role; Problem (403) where it would allow something that `by` may not do.
  void put(const Role& role, const Caller& by);
  /// Keys and tokens that have the role may then do nothing. False: nothing of that name is stored.
  bool erase(std::string_view name);

 private:
  [[nodiscard]] const Role* fixed(std::string_view name) const noexcept;

  StoragePort& storage_;
  const std::vector<Role> configured_;
};

/// Throws InvalidArgument, with `field` before the place of the fault, for what is no permission: "permissions[2]". Allowed are those of
/// `all_permissions`, "AREA.*" and "*".
void check_permissions(const std::vector<std::string>& permissions, std::string_view field);
/// Throws InvalidArgument for a faulty name (1 to 64 of a-z, 0-9, '-', '_', '.') or a faulty permission.
void check(const Role& role, std::string_view field);

/// Whether whoever has `outer` may do, and reach, all that `inner` allows: nobody hands on more than they have.
[[nodiscard]] bool within(const Scope& inner, const Scope& outer) noexcept;

}  // namespace quern::inline v1::http
