#include "storage/sqlite/transaction.hpp"

#include "storage/sqlite/sql.hpp"
#include "storage/sqlite/sql_read.hpp"

namespace quern::inline v1::sqlite {
namespace {

/// After some failures SQLite has rolled back by itself. One that can't be undone spoils the connection,
/// whose end undoes it.
void roll_back(Connection& db) noexcept {
  if (!db.in_transaction()) return;
  try {
    db.run(sql::rollback);
  } catch (...) {
    db.give_up();
  }
}

}  // namespace

WriteTransaction::WriteTransaction(Connection& db) : db_(db) {
  db_.run(sql::begin);
  db_.make_room_in_log();
}

WriteTransaction::~WriteTransaction() { roll_back(db_); }

void WriteTransaction::commit() { db_.run(sql::commit); }

ReadTransaction::ReadTransaction(Connection& db) : db_(db) { db_.run(sql::begin_read); }

ReadTransaction::~ReadTransaction() { roll_back(db_); }

HostSavepoint::HostSavepoint(Connection& db) : db_(db), last_row_(db.last_row()) { db_.run(sql::savepoint); }

void HostSavepoint::keep() const {
  db_.run(sql::release_savepoint);
  kept_ = true;
}

HostSavepoint::~HostSavepoint() {
  if (!kept_ && db_.in_transaction()) {
    try {
      db_.run(sql::undo_savepoint);
      db_.run(sql::release_savepoint);
    } catch (...) {
      db_.give_up();  // the call has failed already; the host's transaction can only be rolled back now
    }
  }
  sqlite3_set_last_insert_rowid(db_.handle(), last_row_);
}

}  // namespace quern::inline v1::sqlite
