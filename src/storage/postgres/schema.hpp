#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/postgres/connection.hpp"

namespace quern::inline v1::postgres {

/// The version of the schema that this program makes and works with.
inline constexpr int schema_version = 1;

/// One step of the schema: what leads to a version from the one before, in a transaction of its own.
struct Migration {
  int version = 0;
  int oldest_program = 0;            ///< The oldest version whose programs can work with this one.
  std::vector<const char*> parts{};  ///< SQL, in this order, with the placeholders of `fill_in`.
};
/// All there are, by version, from 1 on.
[[nodiscard]] std::span<const Migration> migrations();

/// Throws InvalidArgument.
void check_schema_name(std::string_view name);

/// The SQL that leads from a version to the newest one; each step in a transaction of its own.
[[nodiscard]] std::string migration_script(const std::string& schema, int from,
                                           std::span<const Migration> steps = migrations());

/// Looks which version the schema has, and brings it up to date where that is wanted, step by step; what a
/// process that died has left undone the next one goes on with. Throws StorageError.
void prepare_schema(Connection& connection, const Server& server, bool migrate, SteadyTime deadline,
                    std::span<const Migration> steps = migrations());

}  // namespace quern::inline v1::postgres
