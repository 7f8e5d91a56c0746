#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/clock.hpp"
#include "quern/storage/backup_store.hpp"
#include "quern/storage/job_store.hpp"

struct sqlite3;

namespace quern::inline v1 {

/// When SQLite tells the disk to make a commit durable.
enum class Durability : std::uint8_t {
  full,    ///< At every commit (synchronous=FULL): what a call has acknowledged survives a power loss.
  normal,  ///< At checkpoints (synchronous=NORMAL): a power loss or a crash of the operating system can undo
           ///< the last commits, as a whole and in order. It never damages the file, and a crash of the
           ///< process loses nothing. Commits are 5 to 10 times as fast where each holds one job, hardly
           ///< faster with 100 jobs or more.
};

struct SqliteOptions {
  Durability durability = Durability::full;
  Duration busy_timeout = std::chrono::seconds(5);  ///< How long to wait for another process's write; then a
                                                    ///< transient StorageError. 0 to 1 h.
  ClockRef clock{};                                 ///< Must outlive the storage.
  int readers = 4;  ///< Connections for find, list and the like, opened as needed. 1 to 64.
  int wal_autocheckpoint =
      4000;            ///< Pages in the write-ahead log before it is moved into the file. Fewer keep the log
                       ///< small, more make the slowest commits rarer. 1 to 1'000'000.
  int cache_mib = 64;  ///< Page cache of each connection at most; filled as needed. 1 to 65536.
  std::string vfs{};   ///< The name of a registered sqlite3_vfs that stands in for the operating system: all
                       ///< file I/O goes through it, so that a test can fail, delay or cut off each call.
                       ///< Empty: SQLite's own.
};

/// Jobs in a SQLite file, in WAL mode; the default storage. Several objects and processes may share one file,
/// which may be the host's own: all tables are named quern_..., everything else in the file is left alone.
///
/// Threads  every call may be made from any thread; readers run beside the writers. Calls that write and
///          come while another one's commit is under way share the next transaction (group commit): each
///          is still atomic, fails alone, and returns when it is durable. A lone caller waits for nobody.
/// Errors   StorageError that names the file and what helps. After a full disk, a lock held too long or a
///          failure of the disk the object works again when the cause is gone; nothing was acknowledged
///          that is not in the file. A commit that fails is an error for every call that shared it. A
///          file that was deleted or replaced while open is refused until it is back or the storage is
///          opened again.
/// Time     civil times and leases are those of `options.clock`. All processes that share a file run on
///          one machine.
/// Forks    a child process must open its own; one that was open before the fork may only be left alone
///          in the child.
class SqliteStorage {
 public:
  /// Opens the file and makes it where it does not exist; its directory must. Brings an older schema up to
  /// date, in one transaction: from version 1 that reads every job once, while other writers wait. Who
  /// opens it too meanwhile waits for `busy_timeout`, and then gets a transient StorageError. Throws
  /// StorageError for a file that can't be used (a newer schema, damage, not a database, no right to write)
  /// and InvalidArgument for faulty options; ":memory:" is one: use MemoryStorage.
  explicit SqliteStorage(std::string path, SqliteOptions options = {});
  SqliteStorage(const SqliteStorage&) = delete;
  SqliteStorage& operator=(const SqliteStorage&) = delete;
  ~SqliteStorage();

  // The contracts of these stand in job_store.hpp.
  JobId reserve_ids(std::size_t count);
  std::vector<InsertResult> insert(std::span<const NewJob> jobs);
  std::vector<Claim> claim(const ClaimRequest& request);
  std::vector<FinishResult> finish(std::span<const Finish> finishes);
  Turnover finish_and_claim(std::span<const Finish> finishes, const ClaimRequest& request);
  PromoteResult promote(std::size_t limit);
  std::vector<CancelResult> cancel(std::span<const JobId> ids, std::string_view who);
  std::vector<RetryResult> retry(std::span<const JobId> ids, std::string_view who);
  std::vector<ChangeResult> reschedule(std::span<const JobId> ids, When when, std::string_view who);
  std::vector<ChangeResult> set_priority(std::span<const JobId> ids, Priority priority, std::string_view who);
  std::vector<EraseResult> erase(std::span<const JobId> ids);
  std::optional<JobId> key_holder(const std::string& key);
  std::vector<std::optional<Job>> find(std::span<const JobId> ids);
  JobPage list(const JobFilter& filter);
  std::vector<JobCount> count();
  std::vector<ReadyAge> oldest_ready();
  std::vector<CountFault> recount();
  PruneResult prune(const PruneRequest& request);

  std::vector<RunCheck> progress(std::span<const ProgressUpdate> updates);
  RunCheck save_step(const RunRef& run, const Step& step);
  std::vector<Step> steps(JobId id);
  std::vector<JobId> cancel_requests(NodeId node);

  NodeId register_node(const NodeInfo& info);
  RenewResult renew(NodeId node);
  void retire(NodeId node);
  RescueResult rescue(std::size_t limit, int crashes);
  std::vector<NodeStatus> nodes();

  void pause(std::string_view queue);
  void resume(std::string_view queue);
  void limit_queue(std::string_view queue, std::uint64_t max_waiting);
  std::vector<QueueStatus> queues();
  void set_limit(const LimitRule& rule);
  bool erase_limit(std::string_view name);
  std::vector<LimitStatus> limits();

  void put_record(const Record& record);
  std::optional<Payload> get_record(std::string_view collection, std::string_view key);
  std::vector<Record> list_records(std::string_view collection, std::string_view after, std::size_t limit);
  bool erase_record(std::string_view collection, std::string_view key);
  InsertIfResult insert_if(std::span<const NewJob> jobs, std::span<const RecordChange> changes);

  // The contracts of these stand in backup_store.hpp. The keeper holds a lock (flock) on a file named as this
  // one with "-keeper" behind it, which stays; so a process that forks while it keeps the file must not
  // outlive itself in the child.
  NodeId become_keeper(const NodeInfo& info);
  void write_images(NodeId keeper, ImageSource& source);
  std::vector<JobImage> read_images(JobId after, std::size_t limit);
  std::vector<Record> read_records(const RecordKey& after, std::size_t limit);

  void observe(StorageObserver& observer);
  void unobserve(StorageObserver& observer);
  /// Asks SQLite (PRAGMA data_version) whether another connection has committed: a stat, and a lock and an
  /// unlock of one byte of the log's index; about 2 us, and nothing is written. It never waits for a write:
  /// while one is on its way it gives the last answer, and that write ends with a look for the next one.
  std::uint64_t foreign_changes();
  /// On Linux, while an observer wants to hear of foreign changes, a thread watches the write-ahead log
  /// (inotify) and tells it, about 1 ms after another process's commit. It sleeps while nobody writes to the
  /// file. False, so that somebody has to ask: before that, on other systems, on a file system of a network
  /// or with a VFS of your own.
  [[nodiscard]] bool watches_foreign_changes() const;
  [[nodiscard]] ClockRef clock() const;
  [[nodiscard]] std::string describe() const;

  /// The same as `insert`, but inside a transaction that the host has begun on a connection of its own to the
  /// same file: the jobs exist if and only if the host commits. Begin it with BEGIN IMMEDIATE, so that it
  /// can't fail half way with SQLITE_BUSY. Jobs without an id get one, in the same transaction; after a
  /// rollback such an id can come again, for another job. Observers of this object are not told; its
  /// `foreign_changes` moves once the host has committed.
  ///
  /// Throws InvalidArgument (field "host") when no transaction is open or when the connection's main database
  /// is another file, StorageError when SQLite fails. Then none of the jobs is in the transaction, which goes
  /// on as it was. The connection must not be used by another thread meanwhile.
  std::vector<InsertResult> insert_within(sqlite3* host, std::span<NewJob> jobs);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

static_assert(Storage<SqliteStorage> && BackupStore<SqliteStorage>);

}  // namespace quern::inline v1
