#pragma once

#include <string>
#include <string_view>

#include "storage/postgres/connection.hpp"

namespace quern::inline v1::postgres {

/// The version of the schema that this program makes and works with.
inline constexpr int schema_version = 1;
/// The oldest program that can work with it.
inline constexpr int oldest_program = 1;

/// Throws InvalidArgument.
void check_schema_name(std::string_view name);

/// The SQL that leads from a version to the newest one; each step in a transaction of its own.
[[nodiscard]] std::string migration_script(const std::string& schema, int from);

/// Looks which version the schema has, and brings it up to date where that is wanted. Throws StorageError.
void prepare_schema(Connection& connection, const Server& server, bool migrate, SteadyTime deadline);

}  // namespace quern::inline v1::postgres
