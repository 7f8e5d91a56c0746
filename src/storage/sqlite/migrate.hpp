#pragma once

#include "storage/sqlite/connection.hpp"

namespace quern::inline v1::sqlite {

/// The version of quern's tables in the main database; 0 when there are none. Throws StorageError when there
/// is a table quern_meta that is not ours.
[[nodiscard]] int stored_version(Connection& db);

/// Throws StorageError unless the tables are of the version that this code knows.
void check_version(Connection& db);

/// Makes the tables or brings them up to date, in one transaction. Of several processes that do so at once,
/// one works and the others find it done. Throws StorageError for a newer version, and leaves the file as it
/// is.
void migrate(Connection& db);

}  // namespace quern::inline v1::sqlite
