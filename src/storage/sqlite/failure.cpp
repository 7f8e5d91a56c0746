#include "storage/sqlite/failure.hpp"

#include <fmt/core.h>
#include <sqlite3.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace quern::inline v1::sqlite {
namespace {

bool is_no_space(int error) noexcept { return error == ENOSPC || error == EDQUOT || error == EFBIG; }

std::string system_text(int error) {
  return error == 0 ? std::string() : fmt::format(": {}", std::generic_category().message(error));
}

StorageError no_space(const std::string& file) {
  return StorageError(
      fmt::format("{}: the disk is full or a size limit is reached; make room and call again", file), true);
}

StorageError cannot_open(int error, const std::string& file) {
  const bool shortage = error == EMFILE || error == ENFILE || error == ENOMEM;
  return StorageError(
      fmt::format(
          "{}: cannot open the file or the -wal and -shm files beside it{}; {}", file, system_text(error),
          shortage ? "call again when there are file descriptors and memory"
                   : "the user of this process needs the right to read and write them and their directory"),
      shortage);
}

StorageError read_only(int code, const std::string& file) {
  if (code == SQLITE_READONLY_DBMOVED)
    return StorageError(
        fmt::format("{}: the file was deleted or replaced while it was open; put it back, or open the "
                    "storage again",
                    file),
        false);
  return StorageError(
      fmt::format("{}: the file or its directory is read-only; a storage needs the right to write both",
                  file),
      false);
}

StorageError damaged(int code, const std::string& file) {
  if (code == SQLITE_NOTADB)
    return StorageError(
        fmt::format("{}: the file is not a SQLite database (or it is encrypted); it was left as it is, "
                    "choose another path or move it away",
                    file),
        false);
  return StorageError(
      fmt::format("{}: the database is damaged; it was left as it is, restore it from a backup or save "
                  "what can be read with the sqlite3 shell's .recover",
                  file),
      false);
}

StorageError input_output(int code, int error, const std::string& file) {
  if (is_no_space(error)) return no_space(file);
  const bool sync = code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC;
  return StorageError(fmt::format("{}: {} failed{} (SQLite code {}); nothing was acknowledged. Look after "
                                  "the disk; the storage opens "
                                  "the file anew at the next call",
                                  file, sync ? "making changes durable (fsync)" : "reading or writing",
                                  system_text(error), code),
                      true);
}

}  // namespace

StorageError failure(int code, sqlite3* db, const std::string& file, int error) {
  if (db != nullptr && !is_no_space(error)) error = sqlite3_system_errno(db);
  switch (code & 0xFF) {
    case SQLITE_FULL:
      return no_space(file);
    case SQLITE_IOERR:
      if (code == SQLITE_IOERR_NOMEM) break;
      return input_output(code, error, file);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return StorageError(
          fmt::format("{}: another process or connection keeps the database locked for longer than the "
                      "busy_timeout; nothing was changed, call again",
                      file),
          true);
    case SQLITE_READONLY:
      return read_only(code, file);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return damaged(code & 0xFF, file);
    case SQLITE_CANTOPEN:
      return cannot_open(error, file);
    case SQLITE_NOMEM:
      break;
    default:
      return StorageError(fmt::format("{}: {} (SQLite code {})", file,
                                      db == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(db), code),
                          false);
  }
  return StorageError(fmt::format("{}: SQLite got no memory; nothing was changed, call again", file), true);
}

StorageError open_failure(int code, sqlite3* db, const std::string& file, bool look) {
  namespace fs = std::filesystem;
  const int primary = code & 0xFF;
  if (look && (primary == SQLITE_CANTOPEN || primary == SQLITE_READONLY || primary == SQLITE_IOERR)) {
    std::error_code ignored;
    const fs::path path(file);
    if (fs::is_directory(path, ignored))
      return StorageError(
          fmt::format("{}: this is a directory; name the file in it that shall hold the jobs", file), false);
    const fs::path parent = path.has_parent_path() ? path.parent_path() : fs::path(".");
    if (!fs::exists(path, ignored) && !fs::is_directory(parent, ignored))
      return StorageError(
          fmt::format("{}: the directory {} does not exist; create it first", file, parent.string()), false);
  }
  return failure(code, db, file);
}

bool spoils_connection(int code) noexcept {
  switch (code & 0xFF) {
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_INTERNAL:
    case SQLITE_MISUSE:
      return true;
    default:
      return false;
  }
}

}  // namespace quern::inline v1::sqlite
