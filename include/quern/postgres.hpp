#pragma once

// The front door for jobs in PostgreSQL: all of the core, PostgresStorage, and "postgres://..." and
// "postgresql://..." for `open_storage`. Link quern::postgres.

#include "quern/quern.hpp"
#include "quern/storage/any_storage.hpp"
#include "quern/storage/postgres_storage.hpp"

namespace quern::inline v1::detail {

/// Opens "postgres://REST" and "postgresql://REST"; an address says the server's clock goes, unless a clock
/// is handed in that is not the machine's own.
[[nodiscard]] std::unique_ptr<StoragePort> open_postgres(std::string_view rest, ClockRef clock);

inline const bool postgres_registered = register_storage_scheme("postgres", open_postgres);
inline const bool postgresql_registered = register_storage_scheme("postgresql", open_postgres);

}  // namespace quern::inline v1::detail
