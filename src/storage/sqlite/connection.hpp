#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "quern/core/error.hpp"
#include "quern/core/job_id.hpp"
#include "quern/core/time.hpp"
#include "storage/sqlite/log_room.hpp"

namespace quern::inline v1::sqlite {

/// One SQL statement. All of them stand in sql.hpp and sql_read.hpp, as objects that live for ever.
struct Statement {
  const char* name;
  const char* text;
};

/// Bytes to be bound as a BLOB; a plain string_view is bound as TEXT.
struct Blob {
  std::string_view bytes;
};

class Connection;

/// A statement being run. What is bound must live until the statement was run or reset; what a column shows
/// lives until the next step.
class Query {
 public:
  Query(Connection& db, sqlite3_stmt* statement) noexcept : db_(&db), statement_(statement) {}
  Query(Query&& other) noexcept : db_(other.db_), statement_(std::exchange(other.statement_, nullptr)) {}
  Query& operator=(Query&&) = delete;
  ~Query() { sqlite3_reset(statement_); }

  /// Binds the parameters ?1, ?2, ... from the first on.
  template <class... Values>
  Query& bind(const Values&... values) {
    int index = 0;
    (put(++index, values), ...);
    return *this;
  }
  /// True: there is a row. Throws StorageError.
  bool step();
  /// Runs to the end, and makes ready to be bound again.
  void run();
  void reset() noexcept { sqlite3_reset(statement_); }

  [[nodiscard]] std::int64_t number(int column) const noexcept {
    return sqlite3_column_int64(statement_, column);
  }
  [[nodiscard]] int small(int column) const noexcept { return sqlite3_column_int(statement_, column); }
  [[nodiscard]] bool null(int column) const noexcept { return type(column) == SQLITE_NULL; }
  [[nodiscard]] int type(int column) const noexcept { return sqlite3_column_type(statement_, column); }
  [[nodiscard]] JobId id(int column) const noexcept {
    return JobId{static_cast<std::uint64_t>(number(column))};
  }
  [[nodiscard]] TimePoint time(int column) const noexcept { return from_us(number(column)); }
  [[nodiscard]] std::optional<TimePoint> maybe_time(int column) const noexcept {
    return null(column) ? std::nullopt : std::optional(time(column));
  }
  /// The bytes of a BLOB or TEXT; throws StorageError when there is no memory for them.
  [[nodiscard]] std::string_view bytes(int column) const;
  [[nodiscard]] std::string string(int column) const { return std::string(bytes(column)); }

 private:
  void put(int index, std::int64_t value) { check(sqlite3_bind_int64(statement_, index, value)); }
  void put(int index, int value) { check(sqlite3_bind_int64(statement_, index, value)); }
  void put(int index, std::uint64_t value) { put(index, static_cast<std::int64_t>(value)); }
  void put(int index, std::uint32_t value) { put(index, static_cast<std::int64_t>(value)); }
  void put(int index, bool value) { put(index, value ? 1 : 0); }
  void put(int index, JobId id) { put(index, id.value); }
  void put(int index, TimePoint time) { put(index, to_us(time)); }
  void put(int index, std::string_view text);
  void put(int index, const char*) = delete;  // would be bound as a bool or a text by accident of overloads
  void put(int index, const std::string& text) { put(index, std::string_view(text)); }
  void put(int index, Blob blob);
  void put(int index, std::nullopt_t) { check(sqlite3_bind_null(statement_, index)); }
  template <class T>
  void put(int index, const std::optional<T>& value) {
    if (value) {
      put(index, *value);
    } else {
      put(index, std::nullopt);
    }
  }
  void check(int code);

  Connection* db_;
  sqlite3_stmt* statement_;
};

/// How a connection is opened; see SqliteOptions.
struct OpenSettings {
  std::string path;  ///< Never read as a URI.
  std::string vfs;   ///< Empty: SQLite's default.
  bool create = false;
  bool read_only =
      false;  ///< Refuses to write; the file is opened for writing all the same, as WAL needs it.
  bool full_sync = true;
  int busy_timeout_ms = 5000;
  int wal_autocheckpoint = 4000;
  int cache_kib = 65536;
};

/// One SQLite connection and its prepared statements. Used by one thread at a time.
class Connection {
 public:
  /// Opens a file of our own. Throws StorageError that says what is wrong with it.
  explicit Connection(const OpenSettings& settings);
  /// Borrows a host's connection: its statements are prepared anew and given back at the end.
  Connection(sqlite3* host, std::string file);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  [[nodiscard]] Query query(const Statement& statement);
  /// Prepares, binds and runs in one go; returns how many rows it changed.
  template <class... Values>
  int run(const Statement& statement, const Values&... values) {
    query(statement).bind(values...).run();
    return sqlite3_changes(db_);
  }
  /// The first column of the first row; none without a row or where it is NULL.
  template <class... Values>
  std::optional<std::int64_t> value(const Statement& statement, const Values&... values) {
    Query question = query(statement);
    question.bind(values...);
    if (!question.step() || question.null(0)) return std::nullopt;
    return question.number(0);
  }
  template <class... Values>
  bool exists(const Statement& statement, const Values&... values) {
    Query question = query(statement);
    return question.bind(values...).step();
  }
  /// Runs text that isn't worth keeping prepared: a schema, a PRAGMA.
  void execute(const char* text);

  [[nodiscard]] int changes() const noexcept { return sqlite3_changes(db_); }
  /// How many rows were changed since the connection was opened; what was rolled back counts, too.
  [[nodiscard]] int total_changes() const noexcept { return sqlite3_total_changes(db_); }
  [[nodiscard]] std::int64_t last_row() const noexcept { return sqlite3_last_insert_rowid(db_); }
  [[nodiscard]] bool in_transaction() const noexcept { return sqlite3_get_autocommit(db_) == 0; }
  [[nodiscard]] sqlite3* handle() const noexcept { return db_; }
  [[nodiscard]] const std::string& file() const noexcept { return file_; }
  /// False after a failure after which SQLite's or the kernel's idea of the file can't be trusted: open a new
  /// one.
  [[nodiscard]] bool usable() const noexcept { return usable_; }
  void give_up() noexcept { usable_ = false; }
  /// Call at the begin of a write transaction; see LogRoom.
  void make_room_in_log() noexcept { log_room_.make_room(); }
  /// Throws StorageError when the file was deleted or replaced since it was opened. Cost: one stat.
  void check_in_place();

  /// Throws what became of the last call, which returned `code`.
  [[noreturn]] void fail(int code);

 private:
  void configure(const OpenSettings& settings);
  void switch_to_wal(int busy_timeout_ms);
  sqlite3_stmt* prepare(const char* text, unsigned flags);

  sqlite3* db_ = nullptr;
  std::string file_;
  std::unordered_map<const Statement*, sqlite3_stmt*> statements_;
  LogRoom log_room_;
  bool owned_ = true;
  bool usable_ = true;
};

}  // namespace quern::inline v1::sqlite
