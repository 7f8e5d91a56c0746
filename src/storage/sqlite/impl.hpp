#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "quern/storage/sqlite_storage.hpp"
#include "storage/sqlite/change_watch.hpp"
#include "storage/sqlite/commit_group.hpp"
#include "storage/sqlite/connection.hpp"
#include "storage/sqlite/keeper.hpp"
#include "storage/sqlite/lanes.hpp"
#include "storage/sqlite/reader_pool.hpp"
#include "storage/sqlite/transaction.hpp"
#include "storage/sqlite/work.hpp"

namespace quern::inline v1 {

/// The connections of a SqliteStorage, and who is told of its changes.
class SqliteStorage::Impl {
 public:
  Impl(std::string path, SqliteOptions options);

  /// Runs `body(work)` in a write transaction, and returns its answer once that is committed and the
  /// observers were told. Calls of other threads may share the transaction; to each it is as if it had one of
  /// its own. `size`: about how many jobs it touches at most. `body` may be run more than once; see
  /// GroupCall.
  template <class Body>
  auto write(sqlite::SqliteOp op, std::size_t size, const Body& body) {
    sqlite::PlainCall<Body> call(op, size, body);
    pass(call);
    return call.take();
  }

  /// The same, but only if `is_needed(connection)`, which reads; otherwise the answer is
  /// `otherwise(connection)`. So that a call which finds nothing to do takes no lock from others.
  template <class Needed, class Otherwise, class Body>
  auto write_if(sqlite::SqliteOp op, std::size_t size, const Needed& is_needed, const Otherwise& otherwise,
                const Body& body) {
    sqlite::ConditionalCall<Needed, Otherwise, Body> call(op, size, is_needed, otherwise, body);
    pass(call);
    return call.take();
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
  [[nodiscard]] bool watches_foreign_changes() const;
  std::vector<InsertResult> insert_within(sqlite3* host, std::span<NewJob> jobs);

  NodeId become_keeper(const NodeInfo& info);
  /// Within a transaction: throws where the file belongs to a keeper that is not this object.
  void check_may_set_rules(sqlite::Connection& db);
  void write_images(NodeId keeper, ImageSource& source);
  void retire(NodeId node);

  [[nodiscard]] const ClockRef& clock() const noexcept { return options_.clock; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] sqlite::LaneBook& lanes() noexcept { return lanes_; }
  /// See `sqlite::claim`. For the calls of a group alone.
  [[nodiscard]] SteadyTime& told_start() noexcept { return told_start_; }

 private:
  struct Identity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    friend bool operator==(const Identity&, const Identity&) = default;
  };

  /// Brings the call into a group; throws what it failed with.
  void pass(sqlite::GroupCall& call);
  /// Answers the calls of a group, with an error where one failed.
  void serve(const sqlite::CallRange& group) noexcept;
  enum class Together : std::uint8_t {
    answered,
    one_by_one,  ///< One of them failed after it had written something: nothing was changed.
    not_begun,   ///< All of them have the error for which no transaction could begin.
  };
  /// Runs the calls in one transaction, and commits it.
  Together run_together(const sqlite::CallRange& group) noexcept;
  class GroupRun;
  /// Within a transaction: throws where the file belongs to a keeper and the call is not that one's. False: it
  /// belongs to this object, so the next call has to be looked at, too.
  bool pass_keeper(sqlite::Connection& db, sqlite::SqliteOp op);
  void look_for_changes();
  /// Starts or ends the thread that watches for foreign changes, as the observers want it. Does not touch the
  /// file. Where the thread can't be had there is none, and `watches_foreign_changes` is false.
  void watch_if_wanted() noexcept;

  [[nodiscard]] std::unique_ptr<sqlite::Connection> open(bool create, bool read_only) const;
  /// The writing connection, opened anew where it was spoiled.
  [[nodiscard]] sqlite::Connection& writer();
  [[nodiscard]] std::optional<Identity> identity() const;
  [[nodiscard]] bool is_our_file(sqlite3* host) const;
  [[nodiscard]] bool wants_events() const;
  void tell(const sqlite::Work& work) const noexcept;

  const std::string path_;
  const SqliteOptions options_;
  std::string full_path_;             // as SQLite gives it
  std::optional<Identity> identity_;  // of the file that was opened first

  sqlite::CommitQueue queue_;
  std::mutex mutex_;  // guards what follows, and the order of what the observers hear; a group holds it
  sqlite::LaneBook lanes_;
  SteadyTime told_start_{0};
  std::unique_ptr<sqlite::Connection> writer_;
  std::uint64_t generation_ = 0;  // of the writer
  std::vector<StorageObserver*> observers_;
  NodeId keeper_{};  // which this object is, if any
  std::unique_ptr<sqlite::KeeperLock> keeper_lock_;
  std::atomic<std::uint64_t> last_version_{0};
  std::atomic<bool> version_wanted_{false};  // somebody asked for it while the mutex was held
  std::atomic<std::uint64_t> own_writes_{
      0};  // raised before and after each group, so odd while one is at work

  sqlite::ReaderPool readers_;  // its connections are closed before the writer's

  mutable std::mutex watch_mutex_;              // guards what follows; taken before mutex_
  std::unique_ptr<sqlite::ChangeWatch> watch_;  // the last member: its thread uses the others
};

}  // namespace quern::inline v1
