#include "storage/sqlite/connection.hpp"

#include <fmt/core.h>

#include <cassert>
#include <cerrno>
#include <utility>

#include "storage/sqlite/failure.hpp"

namespace quern::inline v1::sqlite {
namespace {

constexpr Statement page_size{"page_size", "PRAGMA page_size"};

// SQLite may be built to read every "file:..." as a URI; a path of ours is only ever a path.
std::string as_plain_path(const std::string& path) { return path.starts_with("file:") ? "./" + path : path; }

}  // namespace

bool Query::step() {
  errno = 0;  // so that a failure's reason is told from an older one's
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  db_->fail(code);
}

void Query::run() {
  while (step()) {
  }
  sqlite3_reset(statement_);
}

std::string_view Query::bytes(int column) const {
  // Asking for the pointer may convert the value, so the size comes second.
  const void* data = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  if (data != nullptr) return {static_cast<const char*>(data), static_cast<std::size_t>(size)};
  if (sqlite3_errcode(db_->handle()) == SQLITE_NOMEM) db_->fail(SQLITE_NOMEM);
  return {};
}

void Query::put(int index, std::string_view text) {
  const char* data = text.data() == nullptr ? "" : text.data();  // a null pointer would bind NULL
  check(sqlite3_bind_text64(statement_, index, data, text.size(), SQLITE_STATIC, SQLITE_UTF8));
}

void Query::put(int index, Blob blob) {
  const char* data = blob.bytes.data() == nullptr ? "" : blob.bytes.data();
  check(sqlite3_bind_blob64(statement_, index, data, blob.bytes.size(), SQLITE_STATIC));
}

void Query::check(int code) {
  if (code != SQLITE_OK) db_->fail(code);
}

Connection::Connection(const OpenSettings& settings) : file_(settings.path) {
  if (sqlite3_threadsafe() == 0)
    throw StorageError(
        "SQLite was built without threads (SQLITE_THREADSAFE=0); quern needs another build of it", false);
  // Our own mutex keeps the threads apart, so SQLite's would only cost time.
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
                    (settings.create ? SQLITE_OPEN_CREATE : 0);
  const char* vfs = settings.vfs.empty() ? nullptr : settings.vfs.c_str();
  const int code = sqlite3_open_v2(as_plain_path(file_).c_str(), &db_, flags, vfs);
  try {
    if (code != SQLITE_OK) {
      if (vfs != nullptr && sqlite3_vfs_find(vfs) == nullptr)
        throw InvalidArgument("vfs",
                              fmt::format("there is no VFS named \"{}\"; register it first", settings.vfs));
      throw open_failure(db_ == nullptr ? code : sqlite3_extended_errcode(db_), db_, file_, vfs == nullptr);
    }
    configure(settings);
  } catch (...) {
    for (const auto& [statement, prepared] : statements_) sqlite3_finalize(prepared);
    sqlite3_close(db_);
    throw;
  }
}

Connection::Connection(sqlite3* host, std::string file) : db_(host), file_(std::move(file)), owned_(false) {}

Connection::~Connection() {
  for (const auto& [statement, prepared] : statements_) sqlite3_finalize(prepared);
  if (owned_) sqlite3_close(db_);
}

void Connection::configure(const OpenSettings& settings) {
  sqlite3_extended_result_codes(db_, 1);
  sqlite3_busy_timeout(db_, settings.busy_timeout_ms);
  if (settings.read_only) {
    execute("PRAGMA query_only=1");
  } else {
    if (sqlite3_db_readonly(db_, "main") == 1) throw open_failure(SQLITE_READONLY, db_, file_, false);
    switch_to_wal(settings.busy_timeout_ms);
    execute(settings.full_sync ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
    log_room_.attach(db_, static_cast<int>(value(page_size).value_or(4096)), settings.wal_autocheckpoint);
    // A burst may let the log grow; it does not have to stay on the disk.
    execute("PRAGMA journal_size_limit=67108864");
    // Some builds overwrite what is deleted with zeros, which costs a write per freed page.
    execute("PRAGMA secure_delete=OFF");
  }
  execute(fmt::format("PRAGMA cache_size=-{}", settings.cache_kib).c_str());
  execute("PRAGMA mmap_size=0");
  execute("PRAGMA temp_store=MEMORY");
}

void Connection::switch_to_wal(int busy_timeout_ms) {
  constexpr int pause_ms = 10;
  static constexpr Statement journal_mode{"journal_mode", "PRAGMA journal_mode=WAL"};
  for (int waited_ms = 0;; waited_ms += pause_ms) {
    Query question = query(journal_mode);
    const int code = sqlite3_step(statements_.at(&journal_mode));
    if (code == SQLITE_ROW) {
      // As text: in a database that keeps text as UTF-16, `bytes` would show it so. That is refused later.
      const auto* const mode =
          reinterpret_cast<const char*>(sqlite3_column_text(statements_.at(&journal_mode), 0));
      if (mode != nullptr && std::string_view(mode) == "wal") return;
      throw StorageError(
          fmt::format("{}: write-ahead logging (WAL) is not possible here, as on a network file system; "
                      "put the file on a local disk",
                      file_),
          false);
    }
    // Two processes that make the same new file get in each other's way here, and SQLite doesn't wait by
    // itself.
    const bool busy = (code & 0xFF) == SQLITE_BUSY || (code & 0xFF) == SQLITE_LOCKED;
    if (!busy || waited_ms >= busy_timeout_ms) throw open_failure(code, db_, file_, true);
    sqlite3_sleep(pause_ms);
  }
}

sqlite3_stmt* Connection::prepare(const char* text, unsigned flags) {
  sqlite3_stmt* prepared = nullptr;
  const int code = sqlite3_prepare_v3(db_, text, -1, flags, &prepared, nullptr);
  if (code != SQLITE_OK) fail(code);
  return prepared;
}

Query Connection::query(const Statement& statement) {
  const auto [place, is_new] = statements_.try_emplace(&statement, nullptr);
  if (is_new) {
    try {
      place->second = prepare(statement.text, owned_ ? SQLITE_PREPARE_PERSISTENT : 0U);
    } catch (...) {
      statements_.erase(place);
      throw;
    }
  }
  assert(sqlite3_stmt_busy(place->second) == 0);  // the same statement twice at once would mix up their rows
  return Query(*this, place->second);
}

void Connection::execute(const char* text) {
  const int code = sqlite3_exec(db_, text, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(code);
}

void Connection::check_in_place() {
  int moved = 0;
  // Another VFS may not know the question; then there is no answer, and nothing to check.
  if (sqlite3_file_control(db_, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved != 0)
    throw failure(SQLITE_READONLY_DBMOVED, db_, file_);
}

void Connection::fail(int code) {
  const int error = errno;  // SQLite doesn't keep it where a COMMIT fails
  // The host may have left extended codes off; they are there all the same.
  const int extended = sqlite3_extended_errcode(db_);
  if ((extended & 0xFF) == (code & 0xFF)) code = extended;
  if (spoils_connection(code)) usable_ = false;
  throw failure(code, db_, file_, error);
}

}  // namespace quern::inline v1::sqlite
