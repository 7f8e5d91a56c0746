#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "quern/storage/postgres_storage.hpp"
#include "storage/postgres/effects.hpp"
#include "storage/postgres/line_hints.hpp"
#include "storage/postgres/listener.hpp"
#include "storage/postgres/pool.hpp"

namespace quern::inline v1 {

/// Calls of SQL functions on connections of a pool, and who is told of what they change. Each operation is in
/// the file that has its name.
class PostgresStorage::Impl {
 public:
  Impl(std::string address, PostgresOptions options);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // insert.cpp
  JobId reserve_ids(std::size_t count);
  std::vector<InsertResult> insert(std::span<const NewJob> jobs);
  // within.cpp
  std::vector<InsertResult> insert_within(PGconn* host, std::span<NewJob> jobs);
  // claim.cpp
  std::vector<Claim> claim(const ClaimRequest& request);
  // finish.cpp
  std::vector<FinishResult> finish(std::span<const Finish> finishes);
  // turnover.cpp
  Turnover finish_and_claim(std::span<const Finish> finishes, const ClaimRequest& request);
  std::vector<RunCheck> progress(std::span<const ProgressUpdate> updates);
  RunCheck save_step(const RunRef& run, const Step& step);
  // commands.cpp
  std::vector<CancelResult> cancel(std::span<const JobId> ids, std::string_view who);
  std::vector<RetryResult> retry(std::span<const JobId> ids, std::string_view who);
  std::vector<ChangeResult> reschedule(std::span<const JobId> ids, When when, std::string_view who);
  std::vector<ChangeResult> set_priority(std::span<const JobId> ids, Priority priority, std::string_view who);
  std::vector<EraseResult> erase(std::span<const JobId> ids);
  // upkeep.cpp
  PromoteResult promote(std::size_t limit);
  PruneResult prune(const PruneRequest& request);
  NodeId register_node(const NodeInfo& info);
  RenewResult renew(NodeId node);
  void retire(NodeId node);
  RescueResult rescue(std::size_t limit, int crashes);
  void set_queue(std::string_view queue, std::optional<bool> paused,
                 std::optional<std::uint64_t> max_waiting);
  // limits.cpp
  void set_limit(const LimitRule& rule);
  bool erase_limit(std::string_view name);
  std::vector<LimitStatus> limits();
  // read.cpp
  std::vector<std::optional<Job>> find(std::span<const JobId> ids);
  JobPage list(const JobFilter& filter);
  std::vector<JobCount> count();
  std::vector<ReadyAge> oldest_ready();
  std::vector<CountFault> recount();
  std::vector<Step> steps(JobId id);
  std::vector<JobId> cancel_requests(NodeId node);
  std::vector<NodeStatus> nodes();
  std::vector<QueueStatus> queues();
  std::optional<JobId> key_holder(const std::string& key);
  void put_record(const Record& record);
  std::optional<Payload> get_record(std::string_view collection, std::string_view key);
  std::vector<Record> list_records(std::string_view collection, std::string_view after, std::size_t limit);
  bool erase_record(std::string_view collection, std::string_view key);
  InsertIfResult insert_if(std::span<const NewJob> jobs, std::span<const RecordChange> changes);

  // images.cpp
  NodeId become_keeper(const NodeInfo& info);
  void write_images(NodeId keeper, ImageSource& source);
  std::vector<JobImage> read_images(JobId after, std::size_t limit);
  std::vector<Record> read_records(const RecordKey& after, std::size_t limit);

  void observe(StorageObserver& observer);
  void unobserve(StorageObserver& observer);
  std::uint64_t foreign_changes();
  [[nodiscard]] bool watches_foreign_changes() const;
  [[nodiscard]] ClockRef clock() const;
  [[nodiscard]] std::string describe() const { return pool_.server().name; }

 private:
  using Statement = postgres::Statement;
  using Params = postgres::Params;
  using Result = postgres::Result;

  /// What may be done when an answer was lost.
  enum class Again : std::uint8_t {
    never,    ///< Nothing: the call throws.
    safe,     ///< The same once more, until the call's deadline.
    patient,  ///< The same; where the host has patience for inserts, for as long as that says.
  };
  struct Answer {
    Result rows;
    bool repeated = false;  ///< It was sent again after an answer was lost.
  };
  /// Runs a statement; again where another transaction was in the way.
  Answer call(const Statement& statement, const Params& params, Again again);
  Answer call(const Statement& statement, const Params& params, Again again, SteadyTime deadline);
  Result read(const Statement& statement, const Params& params) {
    return call(statement, params, Again::safe).rows;
  }
  [[nodiscard]] SteadyTime deadline() const;

  /// The first three parameters of every changing statement, which has ROW($1, $2, $3)::@.ctx there: see
  /// schema_tables.hpp.
  [[nodiscard]] Params context(bool events) const;
  /// Of leases: the boot's name and the steady clock, of a given clock.
  void add_steady(Params& params) const;

  /// A changing call whose function answers rows of type out: hands its results to `result(rows, row)` and
  /// what it changed to the observers.
  class Change {
   public:
    explicit Change(Impl& impl);
    [[nodiscard]] bool events() const noexcept { return events_; }
    Answer run(const Statement& statement, const Params& params, Again again,
               const std::function<void(const Result&, int)>& result);
    /// What `run` does with an answer.
    void take(const Result& rows, const std::function<void(const Result&, int)>& result);
    /// For what the client itself knows of the call.
    [[nodiscard]] postgres::Effects& effects() noexcept { return effects_; }
    /// Tells the observers.
    void tell();

   private:
    Impl& impl_;
    std::unique_lock<std::mutex> order_;  // held where somebody wants events, so that they come in order
    bool events_ = false;
    postgres::Effects effects_;
  };

  [[nodiscard]] int lane_number(const std::string& queue, const std::string& kind);
  [[nodiscard]] postgres::Lanes::Names lane_names(int lane);
  [[nodiscard]] bool wants_events() const;
  [[nodiscard]] std::shared_ptr<postgres::Listener> listener() const;
  /// Begins or ends to listen, as the observers want it.
  void listen_if_wanted();
  void hear() noexcept;
  /// Adds up what has changed, about once a second.
  void fold();

  // insert.cpp
  template <class Insert>
  auto with_patience(const Insert& insert);
  std::vector<InsertResult> insert_once(std::span<const NewJob> jobs);
  struct InsertCall {
    std::span<const NewJob> jobs;
    std::vector<InsertResult> results{};
    std::exception_ptr error{};
    bool taken = false;
    bool done = false;
  };
  void join_insert(InsertCall& call);
  void insert_together(const std::vector<InsertCall*>& calls);
  void insert_plain(const std::vector<InsertCall*>& calls);
  std::vector<InsertResult> insert_any(std::span<const NewJob> jobs);
  InsertIfResult insert_json(const postgres::Statement& statement, std::span<const NewJob> jobs,
                             const std::string& changes);
  /// Makes the partitions that these ids need, which may lie far apart.
  void make_partitions(const std::vector<JobId>& ids);
  /// Does `work`; once more where the server says that a partition is missing, after those for `ids()` were
  /// made.
  template <class Ids, class Work>
  auto with_partitions(const Ids& ids, const Work& work);

  // claim.cpp
  struct ClaimCall;
  void undo_lost_claims(NodeId node);
  /// What it fails to set aside, the next claim finds again.
  void set_aside(const std::vector<postgres::SetAside>& jobs) noexcept;

  // finish.cpp
  struct FinishCall;
  [[nodiscard]] bool in_doubt(std::span<const Finish> finishes);
  void doubt(std::span<const Finish> finishes);
  std::vector<FinishResult> finish_once(std::span<const Finish> finishes);
  [[nodiscard]] std::vector<int> run_states(std::span<const Finish> finishes);

  // turnover.cpp
  std::optional<Turnover> try_both(std::span<const Finish> finishes, const ClaimRequest& request);

  // images.cpp
  void hold_keeper_lock();
  void end_keeping(NodeId node);

  // commands.cpp
  template <class Outcome>
  std::vector<Outcome> ask(const Statement& statement, std::span<const JobId> ids,
                           const std::function<void(Params&)>& add);

  // read.cpp
  [[nodiscard]] Job job_of(const Result& rows, int row);

  const PostgresOptions options_;
  postgres::Pool pool_;
  std::int64_t origin_ = 0;  ///< Numbers this object among all on the schema.
  std::int64_t store_ = 0;   ///< Tells this schema from all others.
  postgres::Lanes lanes_;

  mutable std::mutex observers_mutex_;
  std::vector<StorageObserver*> observers_;
  std::mutex order_mutex_;
  /// The earliest due time that the observers know of.
  std::atomic<std::int64_t> known_due_us_;

  std::mutex inserts_mutex_;
  std::condition_variable inserts_done_;
  std::deque<InsertCall*> inserts_;
  int insert_leaders_ = 0;

  std::mutex leases_mutex_;
  std::map<NodeId, Duration> leases_;  ///< Of the nodes that were registered here.

  /// Those that may be used now.
  [[nodiscard]] std::unique_ptr<postgres::LineHints> take_hints();
  postgres::LineHintsPool hints_;
  std::atomic<std::int64_t> next_claim_{1};
  std::mutex lost_mutex_;  // guards what follows
  std::map<NodeId, std::vector<std::int64_t>> lost_claims_;
  std::set<std::pair<JobId, Epoch>> lost_finishes_;

  std::mutex keeper_mutex_;  // guards what follows
  std::unique_ptr<postgres::Connection> keeper_connection_;

  std::atomic<std::int64_t> folded_at_us_{0};
  std::mutex changes_mutex_;  // guards what follows
  std::string seen_snapshot_;
  SteadyTime looked_at_{};
  std::uint64_t changes_seen_ = 0;
  Random jitter_;

  std::atomic<std::uint64_t> changes_heard_{0};
  std::mutex listen_mutex_;            // of whoever begins or ends to listen
  mutable std::mutex listener_mutex_;  // guards what follows
  std::shared_ptr<postgres::Listener> listener_;
};

template <class Ids, class Work>
auto PostgresStorage::Impl::with_partitions(const Ids& ids, const Work& work) {
  constexpr int most_tries = 100;  // one that is still empty may be dropped before it is used
  for (int tries = 0;; ++tries) {
    try {
      return work();
    } catch (const postgres::SqlError& e) {
      constexpr std::string_view no_partition = "23514";
      if (e.state() != no_partition || tries == most_tries) throw;
      make_partitions(ids());
    }
  }
}

}  // namespace quern::inline v1
