#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "quern/storage/observer.hpp"
#include "quern/storage/requests.hpp"
#include "storage/sqlite/claim_book.hpp"
#include "storage/sqlite/connection.hpp"
#include "storage/sqlite/id_runs.hpp"
#include "storage/sqlite/job_more.hpp"
#include "storage/sqlite/lanes.hpp"
#include "storage/sqlite/zones.hpp"

namespace quern::inline v1::sqlite {

/// Where a job stands, and what it takes to move it.
struct Place {
  JobId id{};
  LaneId lane = 0;
  Priority priority{};
  int max_attempts = 0;  ///< Its own: 0 when it names none.
  TimePoint created_at{};
  std::string more{};
  JobState state = JobState::ready;
  TimePoint run_at{};
  std::optional<TimePoint> deadline{};
  bool changed = false;  ///< It has a row in quern_changed.
  int run = 1;
  int attempt = 0;
  Epoch epoch = 0;
  int crashes = 0;
  int snoozes = 0;
  std::optional<TimePoint> started_at{};
  ClaimRow* claim = nullptr;  ///< Of a running job.
  ClaimRow::Spot spot{};
};

/// How a job ends. The views must live as long as the call that takes it.
struct Ending {
  JobId id{};
  LaneId lane = 0;
  JobState state = JobState::completed;
  int attempt = 0;
  Epoch epoch = 0;
  std::optional<TimePoint> started_at{};
  DeadReason reason = DeadReason::none;
  std::string_view message{};
  const Payload* result = nullptr;
  bool keyed = false;  ///< It has a unique key.
};

/// One operation inside one transaction, on whichever connection: the steps that the operations are made of,
/// and what is gathered on the way to be written once at the end (`flush`) or told after the commit. The
/// counts follow every step: `leave...` takes a job off its state's count, `wait...` and `end` add it to
/// another.
class Work {
 public:
  Work(Connection& connection, LaneBook& lane_book, TimePoint time, bool wants_events)
      : db(connection),
        lanes(lane_book),
        now(time),
        events_wanted(wants_events),
        claims(connection),
        zones(connection) {}

  Connection& db;
  LaneBook& lanes;
  const TimePoint now;
  const bool events_wanted;
  ClaimBook claims;
  ZoneBook zones;  ///< Told of each job that is added, ends or is erased.

  // What the observers will be told.
  std::vector<JobEvent> events;
  std::vector<JobId> asked_to_stop;
  bool ready = false;     ///< Something is ready.
  bool has_work = false;  ///< Something may be due earlier than anything before.

  /// Whether the table has any row; `any` is one of the sql::any_... statements. Asked once.
  [[nodiscard]] bool has_any(const Statement& any);
  /// A row was added to that table.
  void now_has(const Statement& any) { any_[&any] = true; }
  [[nodiscard]] bool alive(NodeId node);

  /// Everything about a job but whether it is ready or running, which costs more to know: `state` is ready
  /// then.
  [[nodiscard]] std::optional<Place> look_up(JobId id);
  /// Everything about a job.
  [[nodiscard]] std::optional<Place> locate(JobId id);

  void count(LaneId lane, JobState state, std::int64_t by) { counts_[{state, lane}] += by; }

  /// Takes a job from where it waits.
  void leave(Place& place);
  /// Takes a running job out of its batch.
  void leave_claim(ClaimRow& row, const ClaimRow::Spot& spot);

  /// Lets a job wait: ready when its time has come, else scheduled. Returns which.
  JobState wait_until(const Place& place, TimePoint run_at);
  /// The same for a job of which only this much is known.
  JobState wait_until(JobId id, LaneId lane, Priority priority, TimePoint run_at, bool changed,
                      std::optional<TimePoint> deadline);
  void make_ready(JobId id, LaneId lane, Priority priority, TimePoint run_at, bool changed,
                  std::optional<TimePoint> deadline);
  /// Lets a job wait for its time, also where that has come.
  void schedule(JobId id, LaneId lane, Priority priority, TimePoint run_at, bool changed,
                std::optional<TimePoint> deadline);
  /// Lets a job wait for its parents, which are in quern_deps.
  void block(JobId id, LaneId lane, std::optional<TimePoint> deadline);
  /// Puts ready jobs back that were not counted off: what a claim leaves of a row.
  void put_back(LaneId lane, int priority, TimePoint run_at, const IdRuns& ids, bool changed);

  /// Makes a job's record that is missing or can't be read one that can, as far as it is known.
  void mend(JobId id, LaneId lane, Priority priority, TimePoint at);

  /// Writes what `place` says into quern_changed.
  void save_changed(Place& place);
  void remember_error(JobId id, int attempt, Epoch epoch, AttemptFault fault, std::string_view message);

  /// Records the end, frees the key, and notes the dependents for `settle`.
  void end(const Ending& ending);
  /// Records the end, and that is all.
  void put_end(const Ending& ending, TimePoint finished_at);
  /// Writes the completed jobs that `end` has gathered, for who looks for them before the end of the call.
  void flush_completed();
  /// Writes the counts that were gathered, for who reads them before the end of the call.
  void flush_counts();
  /// A job that has ended is so no longer: takes it out of quern_completed or quern_failed.
  void forget_end(const Place& place);
  /// Deletes what is kept of ended jobs, but for their ends, keys and counts.
  void erase_rows(const IdRange& ids);
  /// Ends a job that waits.
  void end_waiting(Place& place, JobState state, DeadReason reason, std::string_view message);
  void expire(Place& place);
  /// Resolves the dependents of all that ended, and of what ends because of that. A loop, so that a long
  /// chain needs no stack.
  void settle();
  /// Resolves one dependency of a blocked job.
  void resolve(JobId child, JobId parent, JobState how, ParentPolicy policy);

  /// Null when nobody wants events; else the event, to be filled in further.
  JobEvent* event(JobEventType type, JobId id, LaneId lane, int attempt, Epoch epoch);

  /// Writes what was gathered: before the commit, and before a further operation that looks for it. No `Place`
  /// that was found before is of use after it.
  void flush();

 private:
  struct ReadyGroup {
    LaneId lane = 0;
    int priority = 0;
    TimePoint run_at{};
    IdRuns ids{};
    std::vector<std::uint64_t> strays{};  // ids that came out of order
  };
  struct ReadyRow {
    std::uint64_t first_id = 0;
    IdRuns ids{};
  };
  struct CompletedGroup {
    int attempt = 0;
    Epoch epoch = 0;
    std::optional<TimePoint> started_at{};
    TimePoint finished_at{};
    std::vector<std::uint64_t> ids{};
  };
  void add_to_completed(const Ending& ending, TimePoint finished_at);
  void add_to_ready(LaneId lane, int priority, TimePoint run_at, JobId id);
  void write_ready(LaneId lane, int priority, TimePoint run_at, const IdRuns& ids, bool changed);
  void flush_ready();
  /// The row that holds the job, looking at up to `most` rows.
  [[nodiscard]] std::optional<ReadyRow> ready_row(const Place& place, std::size_t most);
  void take_from_ready(const Place& place);
  void add_expiry(JobId id, std::optional<TimePoint> deadline);
  void notice_wait(const Statement& first, TimePoint at, std::optional<TimePoint>& earliest);

  struct CountKey {
    JobState state;
    LaneId lane;
    friend bool operator<(const CountKey& a, const CountKey& b) {
      return a.state != b.state ? a.state < b.state : a.lane < b.lane;
    }
  };
  std::map<CountKey, std::int64_t> counts_;
  std::vector<ReadyGroup> ready_;
  std::map<std::tuple<LaneId, int, TimePoint>, std::size_t> ready_index_;
  std::vector<CompletedGroup> completed_;
  std::unordered_map<const Statement*, bool> any_;
  std::map<NodeId, bool> alive_;
  std::deque<std::pair<JobId, JobState>> unsettled_;
  std::optional<TimePoint> first_sched_;   // before this call
  std::optional<TimePoint> first_expiry_;  // before this call
};

}  // namespace quern::inline v1::sqlite
