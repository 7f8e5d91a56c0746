#pragma once

#include <sqlite3.h>

namespace quern::inline v1::sqlite {

/// Keeps room in the write-ahead log ahead of what is written to it. A commit that makes the file longer has
/// to wait for the file system's own journal, too: measured on ext4, 0.36 ms against 0.21 ms for one that
/// overwrites. So where there is no room left for two more commits like the last one (256 KiB to 2 MiB), the
/// log grows with zeros to 2 MiB beyond what is used, until it is as long as it gets between two checkpoints;
/// from then on SQLite overwrites it anyway. To SQLite the zeros are what is left of an
/// older log. Such a step costs what some 20 commits gain by it, so the first one waits for as many: the log
/// of an idle service stays small, and so does that of one that writes once and closes the file.
///
/// It also moves the log into the file, as `PRAGMA wal_autocheckpoint` would: both need the same hook.
class LogRoom {
 public:
  LogRoom() = default;
  LogRoom(const LogRoom&) = delete;
  LogRoom& operator=(const LogRoom&) = delete;
  ~LogRoom() = default;

  /// From now on, until the connection is closed. `checkpoint_at`: pages in the log.
  void attach(sqlite3* db, int page_size, int checkpoint_at) noexcept;
  /// Call where a write transaction has begun and not written yet: nobody else then writes to the log. Where
  /// there is no room on the disk, the log grows commit by commit, as it would without this.
  void make_room() noexcept;

 private:
  static int committed(void* self, sqlite3* db, const char* name, int pages) noexcept;

  sqlite3* db_ = nullptr;
  sqlite3_int64 frame_ = 0;  // bytes in the log per page
  int checkpoint_at_ = 0;
  sqlite3_int64 used_ = 0;     // bytes of the log after our last commit; 0: not known
  sqlite3_int64 last_ = 0;     // bytes that our last commit wrote
  sqlite3_int64 written_ = 0;  // bytes that our commits wrote
  sqlite3_int64 commits_ = 0;  // of ours
  sqlite3_int64 size_ = 0;     // of the file, when we last looked
};

}  // namespace quern::inline v1::sqlite
