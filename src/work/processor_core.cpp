#include "quern/work/detail/processor_core.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <utility>

#include "processor_shared.hpp"
#include "quern/work/detail/run_end.hpp"

namespace quern::inline v1::detail {
namespace {

/// How long a result may wait for being recorded while its thread goes on with another job.
constexpr Duration soon = std::chrono::milliseconds(1);
/// By how much the same time may differ when it is told from two readings of the clocks.
constexpr Duration clock_jitter = std::chrono::microseconds(100);
/// How long a storage that has failed is left alone at first, less jitter, and when it then tells of
/// something.
constexpr Duration first_storage_wait = std::chrono::milliseconds(100);

ProcessorOptions checked(ProcessorOptions options, const JobQueueConfig& config) {
  const auto at_least = [](const char* field, Duration value, Duration least) {
    if (value < least)
      throw InvalidArgument(field,
                            fmt::format("is {}; allowed is {} or more", to_text(value), to_text(least)));
  };
  constexpr auto ms = Duration(std::chrono::milliseconds(1));
  at_least("poll_interval", options.poll_interval, ms);
  at_least("watch_interval", options.watch_interval, ms);
  at_least("progress_interval", options.progress_interval, ms);
  at_least("stop_grace", options.stop_grace, Duration::zero());
  constexpr Duration longest_ageing = std::chrono::days(365);
  if (options.ageing < Duration::zero() || options.ageing > longest_ageing)
    throw InvalidArgument("ageing", fmt::format("is {}; allowed is 0s to 365d", to_text(options.ageing)));
  if (options.max_concurrent_jobs == 0) options.max_concurrent_jobs = config.max_concurrent_jobs;
  if (options.max_concurrent_jobs < 1 || options.max_concurrent_jobs > 100'000)
    throw InvalidArgument("max_concurrent_jobs",
                          fmt::format("is {}; allowed is 1 to 100000", options.max_concurrent_jobs));
  if (options.crash_limit < 1)
    throw InvalidArgument("crash_limit", fmt::format("is {}; allowed is 1 or more", options.crash_limit));
  for (std::size_t i = 0; i < options.queues.size(); ++i) {
    check_text(options.queues[i].name, fmt::format("queues[{}].name", i), config.limits.name_bytes);
    if (options.queues[i].concurrency < 0)
      throw InvalidArgument(fmt::format("queues[{}].concurrency", i),
                            "is negative; allowed is 0 (no limit) or more");
    if (options.queues[i].weight < 1 || options.queues[i].weight > 1000)
      throw InvalidArgument(fmt::format("queues[{}].weight", i),
                            fmt::format("is {}; allowed is 1 to 1000", options.queues[i].weight));
  }
  check(options.job_log);
  if (options.queue_order != QueueOrder::priority && options.queues.empty())
    throw InvalidArgument("queues", "is empty; a weighted or strict order needs the queues' names");
  if (options.seed == 0) options.seed = Random::entropy();
  return options;
}

RunPlacement::End end_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::completed:
      return RunPlacement::End::completed;
    case Outcome::failed:
    case Outcome::discarded:
      return RunPlacement::End::failed;
    case Outcome::snoozed:
    case Outcome::released:
    case Outcome::cancelled:
      break;
  }
  return RunPlacement::End::other;
}

HandlerRegistry checked(HandlerRegistry handlers) {
  for (const auto& [kind, entry] : handlers.entries())
    if (entry.options.isolation == Isolation::process && !handlers.isolation_started())
      throw InvalidArgument(
          fmt::format("handlers[{}].isolation", kind),
          "is `process`, and isolation was not started: call handlers.start_isolation() early in "
          "main, while the program has one thread");
  return handlers;
}

NodeInfo node_info(const ProcessorOptions& options, const HandlerRegistry& handlers) {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host = {"unknown"};
  const auto process = static_cast<std::int64_t>(::getpid());
  const auto slots = static_cast<std::size_t>(options.max_concurrent_jobs);
  const auto most = [slots](int concurrency) {
    return concurrency == 0 ? slots : std::min(slots, static_cast<std::size_t>(concurrency));
  };
  NodeInfo info{.name = options.name.empty() ? fmt::format("{}:{}", host.data(), process) : options.name,
                .host = host.data(),
                .process = process,
                .lease = options.lease,
                .slots = slots};
  for (const auto& [kind, entry] : handlers.entries())
    info.kinds.push_back({kind, most(entry.options.concurrency)});
  if (!options.queues.empty()) {
    info.queues.emplace();
    for (const QueueSlots& queue : options.queues)
      info.queues->push_back({queue.name, most(queue.concurrency)});
  }
  return info;
}

}  // namespace

ProcessorCore::ProcessorCore(QueueCore& queue, HandlerRegistry handlers, ProcessorOptions options,
                             ExecutorPort& executor, RunPlacement* placement)
    : queue_(queue),
      storage_(queue.storage()),
      observers_(queue.observers()),
      options_(checked(std::move(options), queue.config())),
      executor_(executor),
      placement_(placement),
      waker_(std::make_shared<Waker>()),
      lease_waker_(std::make_shared<Waker>()),
      clock_(storage_.clock()),
      shared_(std::make_shared<Shared>(checked(std::move(handlers)), queue.config().limits,
                                       options_.stop_grace, waker_, clock_)),
      lease_(storage_, node_info(options_, shared_->handlers), options_.log),
      random_(options_.seed) {
  if (options_.queue_order != QueueOrder::priority) turns_.emplace(options_.queues, options_.queue_order);
  for (const auto& [kind, entry] : shared_->handlers.entries())
    queue_.set_defaults(kind, {.queue = entry.options.queue,
                               .priority = {},
                               .max_attempts = entry.options.max_attempts,
                               .timeout = entry.options.timeout});
  for (const auto& [kind, entry] : shared_->handlers.entries()) kinds_.push_back({&kind, &entry});
  running_of_queue_.resize(options_.queues.size());
  if (!options_.flight_record.empty()) {
    shared_->flight = std::make_unique<FlightRecord>(options_.flight_record,
                                                     static_cast<std::size_t>(options_.max_concurrent_jobs));
    left_behind_ = shared_->flight->take_left();
  }
  shared_->log = {.sink = options_.log, .keep = options_.job_log, .clock = clock_};
  const SteadyTime steady = storage_.clock().steady();
  logs_at_ = steady + options_.job_log.interval;
  prune_at_ = steady + queue_.config().cleanup_interval;
  storage_.observe(*this);
}

ProcessorCore::~ProcessorCore() {
  let_help(false);
  storage_.unobserve(*this);
  // Handlers that still run keep their RunState, and must not find their way back here.
  for (const Slot& slot : slots_) {
    if (!slot.run) continue;
    slot.run->request_stop(StopReason::lost);
    slot.run->cut();
    executor_.abandon(slot.run->token);
  }
  shared_->close();
  observers_.tell([&](QueueObserver& observer) { observer.on_load(this, 0, 0); });
}

void ProcessorCore::on_work() noexcept {
  shared_->due.store(true);
  on_ready();
}

void ProcessorCore::on_ready() noexcept {
  if (shared_->work.exchange(true)) return;
  if (!shared_->helped.load() || !executor_.nudge()) waker_->wake();
}

void ProcessorCore::on_cancel(std::span<const JobId> /*running*/) noexcept {
  // Which of our runs are meant is read from the storage, as for cancels by other processes.
  shared_->cancel.store(true, std::memory_order_release);
  waker_->wake();
}

void ProcessorCore::on_foreign_change() noexcept {
  shared_->cancel.store(true, std::memory_order_release);
  on_work();
}

RunCheck ProcessorCore::save_step(const RunRef& run, const Step& step) {
  return storage_.save_step(run, step);
}
std::vector<Step> ProcessorCore::steps(JobId id) { return storage_.steps(id); }
void ProcessorCore::number(NewJob& job) {
  queue_.prepare(job);
  if (!job.id) job.id = queue_.take_ids(1);
}
const JobLimits& ProcessorCore::limits() const { return queue_.config().limits; }

NextTick ProcessorCore::tick(TimePoint now) noexcept {
  const std::unique_lock lock(tick_mutex_, std::try_to_lock);
  // A thread of the executor's is at it; what it leaves is looked after soon.
  if (!lock) return {now + soon};
  NextTick next = tick_locked(now);
  if (!stopped() && shared_->anything_new(!shared_->looks_soon.load())) next = {now};
  plan_for(next.at, now);
  return next;
}

void ProcessorCore::plan_for(TimePoint at, TimePoint now) {
  planned_ = at;
  const SteadyTime steady = storage_.clock().steady();
  const Duration wait = at - now;
  planned_steady_ = wait > SteadyTime::max() - steady ? SteadyTime::max() : steady + wait;
}

NextTick ProcessorCore::tick_locked(TimePoint now) noexcept {
  if (stopped()) return {};
  const SteadyTime steady = storage_.clock().steady();
  tick_at_ = steady;
  try {
    if (!lease_threaded_) lease_.tick(now);
    collect_results();
    stop_leaving(steady);
    ring_alarms(steady);
    advance_stop(steady);
    if (steady >= storage_retry_at_) {
      storage_retry_at_ = SteadyTime{0};
      use_storage(now, steady);
    }
  } catch (const std::exception& e) {
    storage_failed(e, steady);
  }
  if (phase_ == Phase::leaving && steady >= leave_until_) {
    say(LogLevel::error,
        fmt::format(
            "stopped while the storage does not answer; {} finished jobs will be rescued and run again",
            finishes_.size()));
    finishes_.clear();
    run_reports_.clear();
    enter(Phase::stopped, steady);
  }
  return plan(now, steady);
}

bool ProcessorCore::only_work() noexcept {
  return calm_ && !shared_->due.load() && !shared_->cancel.load() && shared_->done.load() == nullptr &&
         !lease_.lost() && shared_->work.exchange(false);
}

bool ProcessorCore::claim_only() noexcept {
  want_claim_ = true;
  try {
    claim_jobs();
  } catch (const std::exception& e) {
    storage_failed(e, storage_.clock().steady());
  }
  show_state();
  // Reading the clocks costs as much as all of this, so it is done only where something asks for it.
  if (calm_ && !(want_claim_ && free_slots() > 0) && !executor_.backlog()) {
    const SteadyTime next = busy_ == 0 ? SteadyTime::max() : std::min(next_alarm_, progress_at_);
    shared_->looks_soon.store(false);
    if (next >= planned_steady_ - clock_jitter) return false;
  }
  const TimePoint now = storage_.clock().now();
  return replan(plan(now, storage_.clock().steady()).at, now);
}

bool ProcessorCore::replan(TimePoint at, TimePoint now) {
  const bool sooner = at < planned_ && planned_ - at > clock_jitter;
  if (sooner) plan_for(at, now);
  return sooner;
}

void ProcessorCore::show_state() noexcept {
  calm_ = phase_ == Phase::working && storage_failures_ == 0 && storage_retry_at_ == SteadyTime{0} &&
          finishes_.empty() && reports_.empty() && !want_promote_ && !more_upkeep_ && !cancels_suspected_ &&
          lease_.node();
  running_count_.store(busy_, std::memory_order_release);
  observers_.tell(
      [&](QueueObserver& observer) { observer.on_load(this, busy_, stopped() ? 0 : all_slots()); });
  idle_.store(busy_ == 0 && finishes_.empty() && !want_claim_ && !want_promote_ && !more_upkeep_ &&
                  storage_failures_ == 0 && !shared_->anything_new(true),
              std::memory_order_release);
}

NextTick ProcessorCore::plan(TimePoint now, SteadyTime steady) noexcept {
  show_state();
  if (stopped()) return {};
  bool look_soon = false;
  if (shared_->helped.load()) {
    // While jobs wait for threads, nobody else looks after results, or makes more threads.
    look_soon = executor_.backlog();
    if (look_soon && steady >= stir_at_) {
      stir_at_ = steady + soon;
      executor_.stir();
    }
    shared_->looks_soon.store(look_soon);  // a result that rang no bell before this is seen by who called
  }
  const NextTick next = next_tick(now, steady);
  return look_soon ? earliest(next, NextTick{now + soon}) : next;
}

void ProcessorCore::use_storage(TimePoint now, SteadyTime steady) {
  if (lease_.lost()) handle_lost_node();
  if (!lease_.node() && phase_ != Phase::leaving) {
    lease_.join();
    lease_waker_->wake();
  }
  if (!left_behind_.empty()) settle_flight();
  const std::size_t busy = busy_;
  flush_progress(steady);
  flush_logs(steady);
  flush_finishes(now);
  if (phase_ == Phase::leaving) {
    lease_.leave();
    if (shared_->flight) shared_->flight->clear();
    enter(Phase::stopped, steady);
    return;
  }
  look_for_changes(steady);
  look_for_cancels(steady);
  if (phase_ == Phase::working) {
    // Where only somebody says that something has changed, that is most often a ready job: it is to begin
    // first. So what is not known to be due waits, but never for a second tick.
    if (now >= next_due_ || promote_put_off_) promote(now);
    maintain(steady);
    claim_jobs();
    promote_put_off_ = want_promote_ && busy_ > busy;
    if (!promote_put_off_) promote(now);
  }
  storage_failures_ = 0;
}

void ProcessorCore::storage_failed(const std::exception& error, SteadyTime steady) {
  ++storage_failures_;
  failed_at_ = steady;
  const auto wait = RetryPolicy::exponential(first_storage_wait, std::chrono::seconds(10), 2.0, Jitter::equal)
                        .delay(storage_failures_, random_.next());
  storage_retry_at_ = steady + wait;
  // Said at once, and then ever more seldom: 1, 2, 4, 8, ... failures in a row.
  if (std::has_single_bit(static_cast<unsigned>(storage_failures_)))
    say(LogLevel::error, fmt::format("the storage failed ({} in a row), asking again in {}: {}",
                                     storage_failures_, to_text(wait), error.what()));
}

void ProcessorCore::handle_lost_node() {
  tell_lost_runs();
  for (Slot& slot : slots_) {
    if (!slot.run) continue;
    slot.run->request_stop(StopReason::lost);
    give_up(slot, std::nullopt);
  }
  finishes_.clear();  // of the old incarnation: the storage would call each of them lost
  reports_.clear();
  want_claim_ = true;
  lease_.join();
  lease_waker_->wake();
}

void ProcessorCore::collect_results() {
  shared_->take_done(done_);
  for (std::shared_ptr<Run>& run : done_) {
    Slot* const slot = slot_of(run->token);
    if (slot == nullptr) continue;  // given up before: its result is dropped
    const auto& retry = run->entry->options.retry;
    push_finish(
        finish_of(*run, retry ? *retry : queue_.config().retry_policy(), std::move(run->result), random_),
        *run);
    const RunPlacement::End how = end_of(finishes_.back().outcome);
    if (auto report = run->fetch_report()) reports_.push_back({run->claim().ref, std::move(*report)});
    run.reset();
    end_run(*slot, how);
  }
  done_.clear();
  shared_->watched.store(observers_.any(), std::memory_order_relaxed);
  const bool work = shared_->work.exchange(false);
  const bool due = shared_->due.exchange(false);
  const bool cancel = shared_->cancel.exchange(false);
  if (work || due) want_claim_ = true;
  if (due) want_promote_ = true;
  if (cancel) cancels_suspected_ = true;
  // A storage that tells of something is there again.
  if ((work || due || cancel) && storage_failures_ > 0)
    storage_retry_at_ = std::min(storage_retry_at_, failed_at_ + first_storage_wait);
}

ProcessorCore::Slot* ProcessorCore::slot_of(TaskToken token) {
  Slot& slot = slots_[(token & 0xFFFF'FFFFU) - 1];
  return slot.run && slot.run->token == token ? &slot : nullptr;
}

ProcessorCore::Slot* ProcessorCore::slot_of(JobId id) {
  const auto found = std::ranges::find_if(
      slots_, [&](const Slot& slot) { return slot.run && slot.run->claim().ref.id == id; });
  return found == slots_.end() ? nullptr : &*found;
}

void ProcessorCore::end_run(Slot& slot, RunPlacement::End how) {
  if (placement_ != nullptr) placement_->end(slot.run->token, how, tick_at_);
  --*slot.running_of_kind;
  if (slot.running_of_queue != nullptr) --*slot.running_of_queue;
  if (slot.run.use_count() == 1) {
    slot.spare = std::move(slot.run);
    slot.spare->rest();
    slot.spare->result = JobResult::completed();
  } else {
    slot.run.reset();
  }
  free_slots_.push_back(static_cast<std::uint32_t>(&slot - slots_.data()));
  --busy_;
  want_claim_ = true;
}

void ProcessorCore::flush_progress(SteadyTime steady) {
  if (steady >= progress_at_) {
    progress_at_ = steady + options_.progress_interval;
    for (const Slot& slot : slots_) {
      if (!slot.run) continue;
      if (auto report = slot.run->fetch_report())
        reports_.push_back({slot.run->claim().ref, std::move(*report)});
    }
  }
  if (reports_.empty()) return;
  const auto checks = ask(StorageCall::progress, [&] { return storage_.progress(reports_); });
  // A run that is lost is told so at its next step; its handler may well be waiting for something else now.
  for (std::size_t i = 0; i < checks.size(); ++i) {
    if (checks[i] == RunCheck::held) continue;
    Slot* const slot = slot_of(reports_[i].ref.id);
    if (slot != nullptr && slot->run->claim().ref == reports_[i].ref)
      ask_to_stop(*slot, StopReason::lost, steady);
  }
  reports_.clear();
}

void ProcessorCore::flush_finishes(TimePoint now) {
  // What is due comes before what is claimed.
  bool may_claim = storage_.joins_finish_and_claim() && phase_ == Phase::working && !turns_ &&
                   now < next_due_ && !promote_put_off_ && (placement_ == nullptr || placement_->uniform());
  while (!finishes_.empty()) {
    const std::size_t count = std::min(finishes_.size(), batch);
    const bool last = count == finishes_.size();
    if (!flush_some(count, may_claim && last)) flush_one_by_one(count);
    may_claim = may_claim && !last;  // once: what could not be started comes back here
  }
}

bool ProcessorCore::flush_some(std::size_t count, bool may_claim) {
  may_claim =
      may_claim && free_slots() > 0 && (placement_ == nullptr || placement_->next_round(true, round_));
  const ClaimRequest* const request = may_claim ? next_request() : nullptr;
  const std::span<const Finish> some(finishes_.data(), count);
  Turnover done;
  try {
    if (request != nullptr)
      done = ask(StorageCall::finish_and_claim, [&] { return storage_.finish_and_claim(some, *request); });
    else
      done.finished = ask(StorageCall::finish, [&] { return storage_.finish(some); });
  } catch (const InvalidArgument&) {
    return false;
  }
  drop_finishes(done.finished);
  if (done.claimed) start_claimed(*request, std::move(*done.claimed));
  return true;
}

void ProcessorCore::flush_one_by_one(std::size_t count) {
  // One of them asks for something impossible, such as a follow-up whose parent is not there: that run has
  // failed.
  for (; count > 0; --count) {
    Finish& finish = finishes_.front();
    const auto record = [&] {
      drop_finishes(ask(StorageCall::finish, [&] { return storage_.finish(std::span(&finish, 1)); }));
    };
    try {
      record();
    } catch (const InvalidArgument& e) {
      finish.outcome = Outcome::failed;
      finish.message = fmt::format("its follow-ups were refused: {}", e.what());
      finish.result.reset();
      finish.jobs.clear();
      finish.records.clear();
      finish.again = When::after(queue_.config().retry_policy().delay(1, random_.next()));
      if (run_reports_.size() == finishes_.size()) {
        run_reports_.front().outcome = Outcome::failed;
        run_reports_.front().message = finish.message;
      }
      record();
    }
  }
}

NextTick ProcessorCore::next_tick(TimePoint now, SteadyTime steady) const {
  SteadyTime next = busy_ == 0 ? SteadyTime::max() : next_alarm_;
  const auto sooner = [&](SteadyTime at) { next = std::min(next, at); };
  if (placement_ != nullptr && busy_ > 0) sooner(placement_->next_stop());
  if (phase_ == Phase::draining) sooner(drain_until_);
  if (phase_ == Phase::stopping) sooner(grace_until_);
  if (phase_ == Phase::leaving) sooner(leave_until_);
  if (!lease_threaded_ && lease_.node()) sooner(steady + options_.lease / 3);
  TimePoint due = TimePoint::max();
  if (storage_retry_at_ > steady) {
    sooner(storage_retry_at_);
  } else {
    if (!finishes_.empty() || lease_.lost() || phase_ == Phase::leaving) return {now};
    sooner(poll_at_);
    if (foreign_seen_ != 0 && !storage_.watches_foreign_changes()) sooner(watch_at_);
    // Also for a while after the last run, so that who drives need not be rung for each one that begins.
    if (busy_ > 0 || steady < busy_until_) sooner(progress_at_);
    if (phase_ == Phase::working) {
      if (want_promote_ || more_upkeep_ || (want_claim_ && free_slots() > 0)) return {now};
      sooner(rescue_at_);
      sooner(prune_at_);
      due = next_due_;
    }
  }
  const TimePoint by_clock =
      next == SteadyTime::max() ? TimePoint::max() : now + std::max(next - steady, Duration::zero());
  return {std::min(by_clock, due)};
}

}  // namespace quern::inline v1::detail
