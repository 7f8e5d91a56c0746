#pragma once

#include "quern/core/detail/crash_point.hpp"
#include "quern/storage/sqlite_crash_points.hpp"
#include "storage/sqlite/connection.hpp"

namespace quern::inline v1::sqlite {

using detail::SqliteMoment;
using detail::SqliteOp;

/// Passes the crash point of an operation.
inline void crash_point(SqliteOp op, SqliteMoment moment) noexcept {
  detail::crash_point(detail::sqlite_crash_point(op, moment));
}

/// BEGIN IMMEDIATE to COMMIT; rolled back when it goes out of scope without a commit. Who writes passes the
/// crash points.
class WriteTransaction {
 public:
  explicit WriteTransaction(Connection& db);
  WriteTransaction(const WriteTransaction&) = delete;
  WriteTransaction& operator=(const WriteTransaction&) = delete;
  ~WriteTransaction();
  void commit();

 private:
  Connection& db_;
};

/// A part of a host's transaction; undone when it goes out of scope without `keep`, and the rest goes on.
class HostSavepoint {
 public:
  explicit HostSavepoint(Connection& db);
  HostSavepoint(const HostSavepoint&) = delete;
  HostSavepoint& operator=(const HostSavepoint&) = delete;
  ~HostSavepoint();
  void keep() const;

 private:
  Connection& db_;
  std::int64_t last_row_;  // the host's last_insert_rowid, which it may still want to read
  mutable bool kept_ = false;
};

/// One state of the file for several statements, on a connection that reads.
class ReadTransaction {
 public:
  explicit ReadTransaction(Connection& db);
  ReadTransaction(const ReadTransaction&) = delete;
  ReadTransaction& operator=(const ReadTransaction&) = delete;
  ~ReadTransaction();

 private:
  Connection& db_;
};

}  // namespace quern::inline v1::sqlite
