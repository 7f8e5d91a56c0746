#pragma once

// The front door for jobs in SQLite: all of the core, SqliteStorage, and "sqlite:jobs.db" for `open_storage`.
// Link quern::sqlite.

#include "quern/quern.hpp"
#include "quern/storage/any_storage.hpp"
#include "quern/storage/sqlite_storage.hpp"

namespace quern::inline v1::detail {

/// Opens "sqlite:PATH".
[[nodiscard]] std::unique_ptr<StoragePort> open_sqlite(std::string_view path, ClockRef clock);

inline const bool sqlite_registered = register_storage_scheme("sqlite", open_sqlite);

}  // namespace quern::inline v1::detail
