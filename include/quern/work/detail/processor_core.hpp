#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/log.hpp"
#include "quern/core/random.hpp"
#include "quern/core/runner.hpp"
#include "quern/queue/queue_core.hpp"
#include "quern/work/detail/queue_turns.hpp"
#include "quern/work/detail/run_placement.hpp"
#include "quern/work/detail/run_state.hpp"
#include "quern/work/executor.hpp"
#include "quern/work/flight_record.hpp"
#include "quern/work/handler_registry.hpp"
#include "quern/work/node_lease.hpp"

namespace quern::inline v1 {

struct ProcessorOptions {
  std::string name{};                ///< For people. Empty: host and process id.
  int max_concurrent_jobs = 0;       ///< Slots. 0: as the configuration says (50).
  std::vector<QueueSlots> queues{};  ///< Which queues to serve. Empty: all.
  /// Whose job is next. `weighted` and `strict` need `queues`, and ask the storage queue by queue: each claim
  /// may be as many transactions as queues have jobs.
  QueueOrder queue_order = QueueOrder::priority;
  /// How long a job is due until it has gained one level of priority on those that come later, so that low
  /// priority can't starve: with 10 min a job of level 3 goes before all of level 2 that are due more than
  /// 10 min after it. 0: it never gains one. Up to 365 days.
  Duration ageing{0};
  Duration lease = std::chrono::seconds(
      30);  ///< Dead after so long without a renewal. Shorter: quicker rescue, more writes.
  Duration poll_interval = std::chrono::seconds(1);  ///< How long a lost wake-up can delay a job.
  Duration watch_interval =
      std::chrono::milliseconds(50);  ///< How soon another process's enqueue is noticed, where the storage
                                      ///< does not watch for it by itself.
  Duration stop_grace =
      std::chrono::seconds(10);  ///< How long a handler may go on after it was asked to stop.
  Duration progress_interval = std::chrono::milliseconds(200);  ///< How often progress is written.
  int crash_limit = 3;  ///< A job that was running at so many deaths of a process is quarantined.
  /// A small file that notes which jobs run here, so that after a crash of this process its next start can
  /// tell them from those that were only claimed: these are handed back at once and at no cost, and only what
  /// was running counts as a crash. See also `note_crash`. For one processor at a time; on a local disk.
  /// Empty: none.
  std::string flight_record{};
  std::uint64_t seed = 0;  ///< For jitter. 0: from the operating system.
  /// Where trouble is reported that no caller can be told, and what handlers log. By default nowhere.
  Logger log{};
  JobLogOptions job_log{};  ///< How much of what handlers log is kept with their jobs.
};

struct StopOptions {
  Duration wait = std::chrono::seconds(30);  ///< How long running jobs may go on undisturbed.
  Duration grace = std::chrono::seconds(
      5);  ///< Then they are asked to stop, and get so long; what is left is handed back.
};

namespace detail {

/// An executor behind virtual functions.
class ExecutorPort {
 public:
  ExecutorPort() = default;
  ExecutorPort(const ExecutorPort&) = delete;
  ExecutorPort& operator=(const ExecutorPort&) = delete;
  virtual ~ExecutorPort() = default;
  virtual void post(TaskToken token, std::function<void()> task) = 0;
  virtual void abandon(TaskToken token) = 0;

  // What ThreadExecutor can do, and others need not.
  /// All or, when it throws, none of them. False: they are to be posted one by one.
  virtual bool post_all(std::span<const std::shared_ptr<ExecutorTask>> /*tasks*/) { return false; }
  virtual void stir() {}
  [[nodiscard]] virtual bool backlog() const { return false; }
  virtual bool nudge() noexcept { return false; }
  /// False: it takes no help.
  virtual bool set_helper(ExecutorHelper* /*helper*/) { return false; }
};

/// The engine: claims jobs for free slots, runs them, records how they ended. All of Processor but its types.
///
/// Data flow   claim -> Run -> executor -> inbox -> pending finishes -> storage, one batch of each per tick; the ends
///             and the next claim in one transaction, where the storage has that.
/// Threads     `tick` under a lock of its own, from whoever drives, and where `let_help` allows it from the
///             executor's threads when they have nothing to run: so a job that comes is claimed by the thread
///             that runs it, and a result is recorded by the thread that made it. While more jobs wait than
///             threads take, who drives looks after results every millisecond.
/// Failure     a storage that fails is asked again after a growing, jittered wait, or as soon as it tells of
///             something; finished runs wait in memory (at most as many as there are slots) and are recorded
///             when it is back.
class ProcessorCore final : private StorageObserver, private RunPort, private ExecutorHelper {
 public:
  /// Where a `placement` is given it says what may begin, instead of `max_concurrent_jobs`; it must outlive this.
  ProcessorCore(QueueCore& queue, HandlerRegistry handlers, ProcessorOptions options, ExecutorPort& executor,
                RunPlacement* placement = nullptr);
  ~ProcessorCore() override;

  NextTick tick(TimePoint now) noexcept;

  /// The next tick asks the storage for work, as after a wake-up that got lost.
  void look_again() noexcept { on_work(); }

  /// Begins to stop; harmless when it has begun. Never waits.
  void request_stop(StopOptions options) noexcept;
  [[nodiscard]] bool stopped() const noexcept {
    return phase_.load(std::memory_order_acquire) == Phase::stopped;
  }
  [[nodiscard]] bool idle() const noexcept { return idle_.load(std::memory_order_acquire); }
  [[nodiscard]] std::size_t running() const noexcept {
    return running_count_.load(std::memory_order_acquire);
  }
  [[nodiscard]] NodeLease& lease() noexcept { return lease_; }
  /// Returns once `stopped()`; somebody else must drive `tick`.
  void wait_stopped();
  /// Rings when there is something to do before the next tick is due.
  [[nodiscard]] const std::shared_ptr<Waker>& waker() const noexcept { return waker_; }
  /// Rings when there is a lease to keep.
  [[nodiscard]] const std::shared_ptr<Waker>& lease_waker() const noexcept { return lease_waker_; }
  [[nodiscard]] ClockRef clock() const { return storage_.clock(); }
  /// Lets the executor's threads do the engine's work beside whoever drives it, or ends that; then it waits
  /// for one that is at it. `ring_idle`: they ring the bell when they leave nothing to do.
  void let_help(bool help, bool ring_idle = false);
  /// While true, `tick` leaves the lease to a thread of its own.
  void lease_has_thread(bool has) noexcept { lease_threaded_ = has; }
  /// True on a thread that runs one of this engine's handlers.
  [[nodiscard]] bool on_handler_thread() const noexcept;

 private:
  enum class Phase : std::uint8_t { working, draining, stopping, leaving, stopped };
  struct Shared;
  struct Run;
  /// A place for one run.
  struct Slot {
    std::shared_ptr<Run> run{};
    std::shared_ptr<Run> spare{};  ///< Of a former run, for the next one.
    SteadyTime alarm{0};           ///< When it has taken too long, to run or to stop.
    std::uint32_t generation = 0;  ///< So that a token names one run.
    int* running_of_kind = nullptr;
    int* running_of_queue = nullptr;
  };
  /// What a claim asks for of one kind.
  struct KindSlots {
    const std::string* name = nullptr;
    const HandlerRegistry::Entry* entry = nullptr;
    int running = 0;
  };

  // ExecutorHelper
  SteadyTime help() noexcept override;
  void results_wait() noexcept override;

  // StorageObserver
  void on_work() noexcept override;
  void on_ready() noexcept override;
  void on_cancel(std::span<const JobId> running) noexcept override;
  [[nodiscard]] bool wants_foreign_changes() const noexcept override { return true; }
  void on_foreign_change() noexcept override;
  // RunPort
  RunCheck save_step(const RunRef& run, const Step& step) override;
  std::vector<Step> steps(JobId id) override;
  void number(NewJob& job) override;
  [[nodiscard]] const JobLimits& limits() const override;

  NextTick tick_locked(TimePoint now) noexcept;
  /// True: jobs are ready, and there is nothing else that a tick would have to look after before its time.
  [[nodiscard]] bool only_work() noexcept;
  /// What is left of a tick then. True: who drives must look in sooner than it has planned.
  [[nodiscard]] bool claim_only() noexcept;
  /// Who drives will look in at that time.
  void plan_for(TimePoint at, TimePoint now);
  /// The same if that is sooner than planned, which is the answer.
  [[nodiscard]] bool replan(TimePoint at, TimePoint now);
  /// What others may see of a tick, at its end.
  void show_state() noexcept;
  /// The end of each tick: what others may see of it, and when the next one is due.
  NextTick plan(TimePoint now, SteadyTime steady) noexcept;
  void collect_results();
  void handle_lost_node();
  void ring_alarms(SteadyTime steady);
  void use_storage(TimePoint now, SteadyTime steady);
  void advance_stop(SteadyTime steady);
  void flush_progress(SteadyTime steady);
  /// Writes lines of runs that go on.
  void flush_logs(SteadyTime steady);
  /// The last ones of a run that is given up.
  void flush_last_log(Run& run, const Finish& finish);
  void claim_jobs();
  /// What the next claim asks for; null where it can't ask for anything. For an order by priority.
  [[nodiscard]] const ClaimRequest* next_request();
  void start_claimed(const ClaimRequest& request, std::vector<Claim> claims);
  /// What the placement has room for, round by round.
  void claim_in_rounds();
  /// At most `limit` jobs, in the order of the queues' turns; how many came.
  std::size_t claim_in_turns(std::size_t limit);
  /// For at most `limit` jobs, as far as the kinds' limits and the round allow.
  [[nodiscard]] ClaimRequest& claim_request(std::size_t limit);
  /// The place of a kind that was asked for, in `kinds_`.
  [[nodiscard]] std::size_t place_of(std::string_view kind) const;
  /// How many more jobs of the queue may run here, at most `limit`.
  [[nodiscard]] std::size_t room_in(const QueueSlots& queue, std::size_t limit) const;
  /// Records the ends, and where nothing else is to be done first claims with the last of them.
  void flush_finishes(TimePoint now);
  /// The same for up to `batch` of them. False: one of them was refused.
  bool flush_some(std::size_t count, bool may_claim);
  void flush_one_by_one(std::size_t count);
  void look_for_cancels(SteadyTime steady);
  void look_for_changes(SteadyTime steady);
  void promote(TimePoint now);
  void maintain(SteadyTime steady);
  /// Ends what the flight record has of a process that died.
  void settle_flight();
  void start(std::vector<Claim> claims);
  [[nodiscard]] std::shared_ptr<Run> prepare_run(Claim&& claim, SteadyTime steady);
  void post(std::span<const std::shared_ptr<ExecutorTask>> tasks);
  void hand_back(const std::exception& error, std::span<const std::shared_ptr<ExecutorTask>> tasks);
  [[nodiscard]] Finish given_up_finish(const RunState& state) const;
  /// The slot of a run that has not ended; null when it has.
  [[nodiscard]] Slot* slot_of(TaskToken token);
  [[nodiscard]] Slot* slot_of(JobId id);
  void end_run(Slot& slot, RunPlacement::End how);
  /// Asks runs to stop whose worker goes.
  void stop_leaving(SteadyTime steady);
  void give_up(Slot& slot, std::optional<Finish> finish, RunPlacement::End how = RunPlacement::End::other);
  /// To be recorded.
  void push_finish(Finish finish, const Run& run);
  /// So many of them, the first ones, have been.
  void drop_finishes(std::span<const FinishResult> results);
  /// None of them can be any more: their node is lost, with what it runs.
  void tell_lost_runs();
  [[nodiscard]] RunReport report_of(const Run& run) const;
  void set_alarm(Slot& slot, SteadyTime at);
  void ask_to_stop(Slot& slot, StopReason reason, SteadyTime steady);
  void enter(Phase phase, SteadyTime steady);
  [[nodiscard]] std::size_t all_slots() const noexcept;
  [[nodiscard]] std::size_t free_slots() const noexcept;
  [[nodiscard]] NextTick next_tick(TimePoint now, SteadyTime steady) const;
  void storage_failed(const std::exception& error, SteadyTime steady);
  /// To the log, with who it is that says so.
  void say(LogLevel level, std::string_view message) const noexcept;
  /// Calls the storage, and tells who watches how long it took.
  template <class Work>
  auto ask(StorageCall call, const Work& work) {
    return timed(observers_, clock_, call, work);
  }

  QueueCore& queue_;
  StoragePort& storage_;
  QueueObservers& observers_;
  const ProcessorOptions options_;
  ExecutorPort& executor_;
  RunPlacement* const placement_;
  const std::shared_ptr<Waker> waker_;
  const std::shared_ptr<Waker> lease_waker_;
  const ClockRef clock_;
  const std::shared_ptr<Shared> shared_;
  NodeLease lease_;
  Random random_;

  std::mutex tick_mutex_;
  std::atomic<Phase> phase_{Phase::working};
  std::atomic<bool> lease_threaded_{false};
  std::atomic<bool> idle_{false};
  std::atomic<std::size_t> running_count_{0};

  std::atomic<bool> helping_{false};
  std::atomic<bool> ring_idle_{false};
  TimePoint planned_ = TimePoint::min();  // when who drives will call again
  SteadyTime planned_steady_{0};          // the same, as the other clock tells it
  SteadyTime started_at_{0};              // when this tick handed jobs to the executor; 0: it has not
  SteadyTime stir_at_{0};

  std::vector<Slot> slots_;  // as many as were busy at once
  std::vector<std::uint32_t> free_slots_;
  std::size_t busy_ = 0;
  SteadyTime next_alarm_ = SteadyTime::max();         // no alarm rings before
  std::vector<KindSlots> kinds_;                      // by name
  std::vector<int> running_of_queue_;                 // of options_.queues
  std::vector<std::shared_ptr<Run>> done_;            // only within collect_results
  std::vector<std::shared_ptr<ExecutorTask>> tasks_;  // only within start
  std::vector<TaskToken> stops_;                      // only within stop_leaving
  ClaimRequest request_;                              // kept for its memory
  RunPlacement::Round round_;                         // the same; where there is a placement
  SteadyTime tick_at_{0};                             // of this tick
  std::optional<QueueTurns> turns_;
  std::vector<Finish> finishes_;
  std::vector<RunReport>
      run_reports_;  // of finishes_, where somebody has watched since the first of them came
  std::vector<ProgressUpdate> reports_;
  std::vector<FlightRecord::Left> left_behind_;  // until it is settled

  bool calm_ = false;  // when the last tick ended, nothing waited to be written or looked at
  bool want_claim_ = true;
  bool want_promote_ = true;
  bool promote_put_off_ = false;  // by one tick, since jobs began in this one
  bool cancels_suspected_ = true;
  bool more_upkeep_ = false;
  TimePoint next_due_ = TimePoint::min();  // not known: as good as past
  SteadyTime poll_at_{0};
  int quiet_polls_ = 0;  // that have not looked for jobs
  SteadyTime watch_at_{0};
  SteadyTime rescue_at_{0};
  SteadyTime prune_at_{0};
  std::size_t prune_turn_ = 0;
  SteadyTime progress_at_{0};
  SteadyTime logs_at_{0};
  std::size_t logs_turn_ = 0;      // the slot that is next
  SteadyTime logs_failed_at_{-1};  // the tick in which lines could not be written
  SteadyTime busy_until_{0};
  std::uint64_t foreign_seen_ = 0;

  int storage_failures_ = 0;
  SteadyTime storage_retry_at_{0};
  SteadyTime failed_at_{0};

  std::mutex stop_mutex_;
  std::condition_variable stopped_;
  std::optional<StopOptions> stop_wish_;
  SteadyTime drain_until_{0};
  SteadyTime grace_until_{0};
  SteadyTime leave_until_{0};
};

}  // namespace detail
}  // namespace quern::inline v1
