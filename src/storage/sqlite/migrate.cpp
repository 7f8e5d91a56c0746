#include "storage/sqlite/migrate.hpp"

#include <fmt/core.h>

#include "storage/sqlite/schema.hpp"
#include "storage/sqlite/sql.hpp"
#include "storage/sqlite/transaction.hpp"
#include "storage/sqlite/zones.hpp"

namespace quern::inline v1::sqlite {
namespace {

constexpr Statement has_meta{"has_meta",
                             "SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = 'quern_meta'"};
constexpr Statement has_tables{"has_tables", "SELECT 1 FROM main.sqlite_master LIMIT 1"};
constexpr Statement read_version{"read_version", "SELECT value FROM main.quern_meta WHERE name = 'schema'"};
constexpr Statement set_version{"set_version", "UPDATE quern_meta SET value = ?1 WHERE name = 'schema'"};
constexpr Statement encoding{"encoding", "PRAGMA encoding"};
constexpr Statement get_application_id{"get_application_id", "PRAGMA application_id"};

[[noreturn]] void refuse_newer(const Connection& db, int version) {
  throw StorageError(
      fmt::format("{}: the jobs in this file have schema version {}, this build of quern knows versions up "
                  "to {}; use a newer quern. The file was left as it is",
                  db.file(), version, schema_version),
      false);
}

void check_encoding(Connection& db) {
  Query row = db.query(encoding);
  if (row.step() && row.bytes(0) != "UTF-8")
    throw StorageError(
        db.file() + ": this database keeps text as UTF-16; quern needs UTF-8, use a file of its own", false);
}

}  // namespace

int stored_version(Connection& db) {
  if (!db.exists(has_meta)) return 0;
  std::optional<std::int64_t> version;
  try {
    version = db.value(read_version);
  } catch (const StorageError& e) {
    if (e.transient() || !db.usable()) throw;  // otherwise its columns are other ones
  }
  if (!version || *version < 1)
    throw StorageError(
        fmt::format("{}: there is a table quern_meta, but not quern's own; use another file", db.file()),
        false);
  return static_cast<int>(*version);
}

void check_version(Connection& db) {
  const int version = stored_version(db);
  if (version > schema_version) refuse_newer(db, version);
  if (version < schema_version)
    throw StorageError(
        fmt::format("{}: the jobs in this file have schema version {}, this build of quern needs {}; open "
                    "a SqliteStorage on it first",
                    db.file(), version, schema_version),
        false);
}

void migrate(Connection& db) {
  check_encoding(db);
  const int before = stored_version(db);
  if (before > schema_version) refuse_newer(db, before);
  if (before == schema_version) return;

  WriteTransaction transaction(db);
  crash_point(SqliteOp::migrate, SqliteMoment::begin);
  const int version = stored_version(db);  // another process may have been faster
  if (version > schema_version) refuse_newer(db, version);
  const bool is_new_file = !db.exists(has_tables) && db.value(get_application_id).value_or(0) == 0;
  for (int next = version; next < schema_version; ++next) {
    db.execute(migrations[static_cast<std::size_t>(next)]);
    if (next == 1) fill_zones(db);
  }
  if (version < schema_version) db.run(set_version, schema_version);
  if (is_new_file) db.execute(fmt::format("PRAGMA application_id={}", application_id).c_str());
  crash_point(SqliteOp::migrate, SqliteMoment::written);
  transaction.commit();
  crash_point(SqliteOp::migrate, SqliteMoment::committed);
}

}  // namespace quern::inline v1::sqlite
