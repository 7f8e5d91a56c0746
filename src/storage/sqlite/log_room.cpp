#include "storage/sqlite/log_room.hpp"

#include <algorithm>
#include <array>

namespace quern::inline v1::sqlite {
namespace {

constexpr sqlite3_int64 log_header = 32;
constexpr sqlite3_int64 frame_header = 24;
// So many commits, or so many bytes, before the first step.
constexpr sqlite3_int64 first_commits = 24;
constexpr sqlite3_int64 first_bytes = sqlite3_int64{4} << 20U;
constexpr sqlite3_int64 least_room = sqlite3_int64{256} << 10U;
constexpr sqlite3_int64 step = sqlite3_int64{2} << 20U;

}  // namespace

void LogRoom::attach(sqlite3* db, int page_size, int checkpoint_at) noexcept {
  db_ = db;
  frame_ = page_size + frame_header;
  checkpoint_at_ = checkpoint_at;
  sqlite3_wal_hook(db, &LogRoom::committed, this);
}

int LogRoom::committed(void* self, sqlite3* db, const char* name, int pages) noexcept {
  auto& room = *static_cast<LogRoom*>(self);
  const sqlite3_int64 used = log_header + pages * room.frame_;
  // Less than before: the log was begun anew. More than ours: others wrote, too.
  room.last_ = used > room.used_ ? used - room.used_ : used;
  room.written_ += room.last_;
  ++room.commits_;
  if (used < room.used_) room.size_ = 0;  // and may have been cut: look again
  room.used_ = used;
  // What SQLite's own hook does. One that fails leaves the log as it is, for the next commit to try again.
  if (pages >= room.checkpoint_at_)
    sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  return SQLITE_OK;
}

void LogRoom::make_room() noexcept {
  if (commits_ < first_commits && written_ < first_bytes) return;
  // Bounded, so that a large commit does not make the next one write zeros for it.
  const sqlite3_int64 ahead = std::clamp(2 * last_, least_room, step);
  const sqlite3_int64 most = log_header + (checkpoint_at_ * frame_) + ahead;
  if (size_ >= std::min(used_ + ahead, most)) return;
  sqlite3_file* log = nullptr;
  if (sqlite3_file_control(db_, "main", SQLITE_FCNTL_JOURNAL_POINTER, static_cast<void*>(&log)) !=
          SQLITE_OK ||
      log == nullptr || log->pMethods == nullptr || log->pMethods->xFileSize(log, &size_) != SQLITE_OK)
    return;
  static constexpr std::array<char, std::size_t{64} << 10U> zeros{};
  const sqlite3_int64 end = std::min(used_ + step, most);
  while (size_ < end) {
    const sqlite3_int64 some = std::min<sqlite3_int64>(zeros.size(), end - size_);
    if (log->pMethods->xWrite(log, zeros.data(), static_cast<int>(some), size_) != SQLITE_OK) {
      size_ = end;  // not again for each commit
      return;
    }
    size_ += some;
  }
}

}  // namespace quern::inline v1::sqlite
