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

struct pg_conn;  // PGconn of libpq-fe.h

namespace quern::inline v1 {

struct PostgresOptions {
  std::string schema = "quern";     ///< Everything is in this schema; 1 to 48 of a-z, 0-9 and _, not a digit
                                    ///< first. Several storages may share a database under different schemas.
  std::optional<ClockRef> clock{};  ///< None: the server's clock judges due times and leases, which is what a
                                    ///< fleet needs. A clock given here takes its place, for tests; it must
                                    ///< outlive the storage.
  bool migrate = true;  ///< Makes the schema, or brings it up to date, when the storage is opened. False: it
                        ///< must be there; see `migration_sql`.
  bool pooled = false;  ///< The address leads to a pooler (PgBouncer in transaction mode): no statement is
                        ///< prepared and no setting of a session is relied upon.
  int connections = 8;  ///< At most so many at once, opened as needed; a call that finds none free waits for
                        ///< one. 1 to 1000.
  Duration connect_timeout = std::chrono::seconds(5);  ///< Of one attempt to connect. 100 ms to 1 h.
  Duration call_timeout = std::chrono::seconds(30);  ///< Of one call, with the wait for a connection; then a
                                                     ///< transient StorageError. 100 ms to 1 h.
  Duration lock_timeout = std::chrono::seconds(5);   ///< For a lock that another transaction holds; then a
                                                     ///< transient StorageError. 10 ms to 1 h.
  Duration insert_patience{0};  ///< How long an insert goes on trying while the server can't be reached,
                                ///< before it throws and says so; an attempt under way is waited for. A
                                ///< host whose jobs must not be refused waits longer. 0: for as long as
                                ///< `call_timeout` allows after a broken connection, and not at all where
                                ///< none can be made. At most 1 d.
  bool listen = true;  ///< Hears at once of other objects' changes (LISTEN, on one more connection) while an
                       ///< observer wants that. Never behind a pooler: there they are asked for.
  Duration change_poll = std::chrono::milliseconds(100);  ///< How often at most `foreign_changes` asks the
                                                          ///< server, with some jitter; while listening once
                                                          ///< a second. 0: each time, while not listening.
};

/// Jobs in a PostgreSQL database (13 or later, UTF8), shared by any number of processes and machines.
///
/// Threads  every call may be made from any thread; each uses a connection of its own from a bounded pool.
///          Single inserts of several threads share a statement.
/// Errors   StorageError that names the server and what helps; transient where the server can't be reached,
///          restarts, has no room, or where a lock or an answer took too long. A call whose connection broke
///          before its answer came has an unknown outcome: an insert is then sent again, by its ids; a finish
///          is looked up by its run; a claim is undone before its node claims again; anything else throws.
/// Time     `clock_timestamp()` of the server, whatever the clocks of the nodes say, unless the options give
///          a clock.
/// Prune    a million ids make a partition, which is dropped when it is empty. One that is large (a tenth of
///          the ids or more) is also dropped as a whole when all of its jobs have ended and may be pruned, by
///          what was last asked for of their states and kinds; they are counted in the answer of the `prune`
///          that came to it, beyond the limit. So where that is near, jobs stay for up to a tenth longer than
///          asked for, a day at most.
/// Pooler   each operation is one statement that needs no session, so PgBouncer in transaction mode works;
///          say so in the options.
/// Rights   the user that makes the schema owns it. To others he gives a role: SELECT
///          quern.grant_role('worker', 'app'), and again after a migration. A worker can do all that a storage
///          does but to migrate, a producer only call the SQL function `enqueue`, one who is read_only only
///          look, and an owner all; anybody else nothing.
/// Forks    a child process must open its own.
class PostgresStorage {
 public:
  /// `address`: a libpq connection string, "postgresql://user@host:5432/database?sslmode=verify-full" or
  /// "host=... dbname=...". Connects, and makes the schema or brings it up to date, one process at a time.
  /// Throws StorageError when the server can't be reached, is older than 13, its database is not UTF8, or its
  /// schema is newer than this program can work with; InvalidArgument for faulty options or a faulty address.
  explicit PostgresStorage(std::string address, PostgresOptions options = {});
  PostgresStorage(const PostgresStorage&) = delete;
  PostgresStorage& operator=(const PostgresStorage&) = delete;
  ~PostgresStorage();

  /// What a database administrator runs instead of `options.migrate`: SQL that makes the schema, or brings it
  /// from version `from` up to date. Throws InvalidArgument for a faulty schema name or an unknown version.
  [[nodiscard]] static std::string migration_sql(std::string_view schema = "quern", int from = 0);
  /// The version of the schema that this program makes.
  [[nodiscard]] static int schema_version() noexcept;

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

  // The contracts of these stand in backup_store.hpp. The keeper has one more connection, whose session tells
  // the others that it lives: where that ends, somebody else may take the jobs over. Not behind a pooler.
  NodeId become_keeper(const NodeInfo& info);
  void write_images(NodeId keeper, ImageSource& source);
  std::vector<JobImage> read_images(JobId after, std::size_t limit);
  std::vector<Record> read_records(const RecordKey& after, std::size_t limit);

  void observe(StorageObserver& observer);
  void unobserve(StorageObserver& observer);
  /// Asks the server whether another storage object has changed jobs, at most once per
  /// `options.change_poll`; while this object listens it counts what it hears, and asks once a second, since
  /// nobody says anything while no node waits for work. While the server can't be reached it gives the last
  /// answer.
  std::uint64_t foreign_changes();
  /// While an observer wants to hear of foreign changes, and unless the options say otherwise, a thread
  /// listens and tells it, about 1 ms after another object's commit. False, so that somebody has to ask:
  /// otherwise, and while that connection is being made again.
  [[nodiscard]] bool watches_foreign_changes() const;
  /// The server's clock as far as it is known here, or that of the options.
  [[nodiscard]] ClockRef clock() const;
  /// "postgres://host:port/database schema", without user and password.
  [[nodiscard]] std::string describe() const;

  /// The same as `insert`, but inside a transaction that the host has begun on a connection of its own to the
  /// same database: the jobs exist if and only if the host commits, and who waits for work hears of it then.
  /// Jobs without an id get one. However long the host's transaction goes on, it keeps nobody waiting but
  /// those who want the same unique key, or to end a parent of these jobs; and of a queue with a limit it may
  /// take room that another one takes at the same time. Observers of this object are not told; its
  /// `foreign_changes` moves once the host has committed. Costs three round trips on the host's connection.
  ///
  /// Throws InvalidArgument (field "host") when no transaction is open, when the connection leads to another
  /// database or its client_encoding is not UTF8, StorageError when the server refuses. Then none of the jobs
  /// is in the transaction, which goes on as it was. The connection must not be used by another thread
  /// meanwhile.
  ///
  /// In SQL, for triggers and other languages, the same is the function `enqueue` of the schema, which answers
  /// the id: SELECT quern.enqueue('mail', '{"to": 7}', delay => '10 min', unique_key => 'mail-7').
  std::vector<InsertResult> insert_within(pg_conn* host, std::span<NewJob> jobs);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

static_assert(Storage<PostgresStorage> && BackupStore<PostgresStorage>);

}  // namespace quern::inline v1
