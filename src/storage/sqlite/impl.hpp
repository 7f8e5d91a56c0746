#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "quern/storage/sqlite_storage.hpp"
#include "storage/sqlite/connection.hpp"
#include "storage/sqlite/lanes.hpp"
#include "storage/sqlite/reader_pool.hpp"
#include "storage/sqlite/transaction.hpp"
#include "storage/sqlite/work.hpp"

namespace quern::inline v1 {

/// The connections of a SqliteStorage, and who is told of its changes.
class SqliteStorage::Impl {
 public:
  Impl(std::string path, SqliteOptions options);

  /// Runs `body(work)` in a write transaction, commits, and tells the observers.
  template <class Body>
  auto write(sqlite::SqliteOp op, const Body& body) {
    const std::lock_guard lock(mutex_);
    return write_locked(op, body);
  }

  /// The same, but only if `is_needed(connection)`, which reads; otherwise the answer is
  /// `otherwise(connection)`. So that a call which finds nothing to do takes no lock from others.
  template <class Needed, class Otherwise, class Body>
  auto write_if(sqlite::SqliteOp op, const Needed& is_needed, const Otherwise& otherwise, const Body& body) {
    const std::lock_guard lock(mutex_);
    sqlite::Connection& db = writer();
    if (!is_needed(db)) return otherwise(db);
    return write_locked(op, body);
  }

  /// Runs `body(connection)` on one state of the file, beside the writers.
  template <class Body>
  auto read(const Body& body) {
    return readers_.read([&](sqlite::Connection& db) {
      db.check_in_place();
      const sqlite::ReadTransaction transaction(db);
      return body(db);
    });
  }

  void observe(StorageObserver& observer);
  void unobserve(StorageObserver& observer);
  std::uint64_t foreign_changes();
  std::vector<InsertResult> insert_within(sqlite3* host, std::span<NewJob> jobs);

  [[nodiscard]] const ClockRef& clock() const noexcept { return options_.clock; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] sqlite::LaneBook& lanes() noexcept { return lanes_; }

 private:
  struct Identity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    friend bool operator==(const Identity&, const Identity&) = default;
  };

  template <class Body>
  auto write_locked(sqlite::SqliteOp op, const Body& body) {
    sqlite::Connection& db = writer();
    const NewLanes new_lanes(lanes_);
    sqlite::WriteTransaction transaction(db, op);
    sqlite::Work work(db, lanes_, options_.clock.now(), wants_events());
    auto answer = body(work);
    work.flush();
    transaction.commit();
    lanes_.keep_new();
    tell(work);
    return answer;
  }

  /// Lanes made by a transaction that did not come to its end are forgotten.
  struct NewLanes {
    explicit NewLanes(sqlite::LaneBook& in) : lanes(in) {}
    NewLanes(const NewLanes&) = delete;
    NewLanes& operator=(const NewLanes&) = delete;
    ~NewLanes() { lanes.forget_new(); }
    sqlite::LaneBook& lanes;
  };

  [[nodiscard]] std::unique_ptr<sqlite::Connection> open(bool create, bool read_only) const;
  /// The writing connection, opened anew where it was spoiled.
  [[nodiscard]] sqlite::Connection& writer();
  [[nodiscard]] std::optional<Identity> identity() const;
  [[nodiscard]] bool is_our_file(sqlite3* host) const;
  [[nodiscard]] bool wants_events() const;
  void tell(const sqlite::Work& work) const;

  const std::string path_;
  const SqliteOptions options_;
  std::string full_path_;             // as SQLite gives it
  std::optional<Identity> identity_;  // of the file that was opened first

  std::mutex mutex_;  // guards what follows, and the order of what the observers hear
  sqlite::LaneBook lanes_;
  std::unique_ptr<sqlite::Connection> writer_;
  std::uint64_t generation_ = 0;  // of the writer
  std::vector<StorageObserver*> observers_;
  std::atomic<std::uint64_t> last_version_{0};

  sqlite::ReaderPool readers_;  // the last member: its connections are closed before the writer's
};

}  // namespace quern::inline v1
