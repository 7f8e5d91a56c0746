#pragma once

#include <string>

#include "quern/core/error.hpp"

struct sqlite3;

namespace quern::inline v1::sqlite {

/// What a failed call of SQLite means for the user: which file, what happened, what helps.
/// `code` is what the call returned; `db` (which may be null) knows the rest, and `error` is errno right
/// after it.
[[nodiscard]] StorageError failure(int code, sqlite3* db, const std::string& file, int error = 0);

/// Why a file could not be opened or created, from looking at its path: a directory, a missing parent,
/// missing rights. Looks at the file system of the machine; for a VFS of its own pass `look` = false.
[[nodiscard]] StorageError open_failure(int code, sqlite3* db, const std::string& file, bool look);

/// True after failures that leave it open what is in the file or in a cache: the connection must be replaced.
[[nodiscard]] bool spoils_connection(int code) noexcept;

}  // namespace quern::inline v1::sqlite
