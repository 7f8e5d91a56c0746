// How runs end: handlers' results, alarms, stops.
#include <fmt/format.h>

#include <algorithm>

#include "core/thread_time.hpp"
#include "processor_shared.hpp"
#include "quern/core/trace_context.hpp"
#include "quern/work/detail/run_end.hpp"
#if defined(__linux__)
#include "isolation_run.hpp"
#endif

namespace quern::inline v1::detail {
namespace {

/// How long a stopping processor waits for its storage beyond the handlers' grace.
constexpr Duration storage_patience = std::chrono::seconds(5);
std::string_view name_of(Outcome outcome) noexcept {
  switch (outcome) {
    case Outcome::completed:
      return "completed";
    case Outcome::failed:
      return "failed";
    case Outcome::discarded:
      return "discarded";
    case Outcome::snoozed:
      return "snoozed";
    case Outcome::cancelled:
      return "cancelled";
    case Outcome::released:
      break;
  }
  return "released";
}

/// The engine whose handler runs on this thread.
thread_local const void* engine_of_this_thread = nullptr;

}  // namespace

void ProcessorCore::Run::run(std::shared_ptr<ExecutorTask> keeps) noexcept {
  engine_of_this_thread = engine;
  const bool watched = shared->watched.load(std::memory_order_relaxed);
  if (watched) began.store(shared->clock.steady(), std::memory_order_relaxed);
  // An isolated handler can't take this process along.
  FlightRecord* const flight = entry->options.isolation == Isolation::none ? shared->flight.get() : nullptr;
  if (flight != nullptr) flight->begin(token);
  if (tracer != nullptr) begin_span();
  result = call_handler();
  if (tracer != nullptr) end_span();
  if (flight != nullptr) flight->end(token);
  if (watched) ended.store(shared->clock.steady(), std::memory_order_relaxed);
  if (has_log()) write_log();
  engine_of_this_thread = nullptr;
  const auto with = shared;  // the run itself may be gone as soon as the engine has seen its result
  with->put_done(std::static_pointer_cast<Run>(std::move(keeps)));
  if (!with->helped.load()) with->waker->wake();
}

JobResult ProcessorCore::Run::call_handler() noexcept {
#if defined(__linux__)
  if (entry->options.isolation == Isolation::process) {
    // The process must be killed before the engine gives its thread up.
    const Duration grace = shared->stop_grace / 4 * 3;
    learn_secrets(*entry, *this);
    RunUsage used;
    JobResult made =
        run_isolated(*shared->handlers.fork_server(), entry->options, *this, shared->limits, grace, used);
    cpu.store(used.cpu, std::memory_order_relaxed);
    peak_memory.store(used.peak_memory, std::memory_order_relaxed);
    return made;
  }
#endif
  if (!shared->watched.load(std::memory_order_relaxed))
    return run_handler(shared->handlers, *entry, *this, shared->limits);
  const Duration before = thread_time();
  JobResult made = run_handler(shared->handlers, *entry, *this, shared->limits);
  cpu.store(thread_time() - before, std::memory_order_relaxed);
  return made;
}

void ProcessorCore::Run::begin_span() noexcept {
  const std::lock_guard lock(span_mutex);
  if (span_closed) return;
  try {
    const Claim& job = claim();
    span = tracer->start({.kind = SpanKind::consumer,
                          .parent = job.trace,
                          .job = job.ref.id,
                          .job_kind = job.kind,
                          .queue = job.queue,
                          .run = job.run,
                          .attempt = job.attempt,
                          .at = shared->clock.now()});
    if (span == nullptr) return;
    if (std::string own = span->trace(); TraceContext::from_text(own)) set_trace(std::move(own));
    span->enter();
  } catch (const std::exception&) {  // as Tracer says
    span.reset();
  }
}

void ProcessorCore::Run::end_span() noexcept {
  {
    const std::lock_guard lock(span_mutex);
    if (span == nullptr) return;
    span->leave();
  }
  const bool failed = result.outcome() == Outcome::failed || result.outcome() == Outcome::discarded;
  std::string message;
  try {
    if (failed) message = redactor().redact(result.message());
  } catch (const std::exception&) {  // no memory for it
  }
  close_span(failed, name_of(result.outcome()), message);
}

void ProcessorCore::Run::close_span(bool failed, std::string_view outcome,
                                    std::string_view message) noexcept {
  const std::lock_guard lock(span_mutex);
  span_closed = true;
  if (span == nullptr) return;
  span->end({.at = shared->clock.now(), .failed = failed, .outcome = outcome, .message = message});
  span.reset();
}

void ProcessorCore::Run::write_log() noexcept {
  try {
    const LogFlush when = ends_job(*this, result) ? LogFlush::job_ends : LogFlush::run_ends;
    static_cast<void>(with_port([&](RunPort& port) { return flush_log(port, when, true); }));
  } catch (const RunLost&) {  // then its lines are dropped with its result
  } catch (const std::exception& e) {
    tell(LogLevel::warning, fmt::format("the lines of job {} ({}) could not be kept: {}",
                                        to_string(claim().ref.id), claim().kind, e.what()));
  }
}

void ProcessorCore::Shared::put_done(std::shared_ptr<Run> run) noexcept {
  Run* const mine = run.get();
  mine->self = std::move(run);
  Run* last = done.load(std::memory_order_relaxed);
  do {
    if (last == closed()) {
      const auto dropped = std::move(mine->self);
      return;
    }
    mine->next_done = last;
  } while (!done.compare_exchange_weak(last, mine));
}

void ProcessorCore::Shared::close() noexcept {
  Run* run = done.exchange(closed());
  while (run != nullptr && run != closed()) {
    Run* const next = run->next_done;
    const auto dropped = std::move(run->self);
    run = next;
  }
}

void ProcessorCore::Shared::take_done(std::vector<std::shared_ptr<Run>>& runs) {
  for (Run* run = done.exchange(nullptr); run != nullptr;) {
    Run* const next = run->next_done;
    runs.push_back(std::move(run->self));
    run = next;
  }
  std::ranges::reverse(runs);
}

bool ProcessorCore::on_handler_thread() const noexcept { return engine_of_this_thread == this; }

void ProcessorCore::let_help(bool help, bool ring_idle) {
  ring_idle_.store(ring_idle);
  const bool helped = executor_.set_helper(help ? this : nullptr) && help;
  shared_->helped.store(helped);
  if (!helped) waker_->wake();  // a result may have counted on a helper
}

SteadyTime ProcessorCore::help() noexcept {
  SteadyTime started{0};
  // One at a time; what comes while one is at it, that one sees before it leaves.
  while (!stopped() && !helping_.exchange(true)) {
    bool ring = false;
    {
      const std::lock_guard lock(tick_mutex_);
      started_at_ = SteadyTime{0};
      if (only_work()) {
        ring = claim_only();
      } else {
        const TimePoint now = storage_.clock().now();
        ring = replan(tick_locked(now).at, now);
      }
      ring = ring || stopped() || (ring_idle_.load() && idle());
      started = started_at_;
    }
    helping_.store(false);
    if (ring) waker_->wake();
    // Where jobs wait it goes and runs one; who drives looks in again soon.
    if (!shared_->anything_new(true) || executor_.backlog()) break;
  }
  return started;
}

void ProcessorCore::results_wait() noexcept {
  if (!shared_->looks_soon.exchange(true)) waker_->wake();
}

void ProcessorCore::set_alarm(Slot& slot, SteadyTime at) {
  slot.alarm = at;
  next_alarm_ = std::min(next_alarm_, at);
}

void ProcessorCore::ask_to_stop(Slot& slot, StopReason reason, SteadyTime steady) {
  if (slot.run->stop_reason() != StopReason::none) return;
  set_alarm(slot, steady + options_.stop_grace);
  slot.run->request_stop(reason);
}

void ProcessorCore::ring_alarms(SteadyTime steady) {
  if (steady < next_alarm_) return;
  // Seldom: mostly the runs that the alarm was set for have ended long ago.
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (!slot.run || steady < slot.alarm) continue;
    if (slot.run->stop_reason() == StopReason::none) {
      ask_to_stop(slot, StopReason::timeout, steady);
      if (options_.stop_grace > Duration::zero()) continue;
    }
    const RunState& state = *slot.run;
    log_to(options_.log, about(*slot.run, LogLevel::error,
                               fmt::format("job {} ({}) ignores its stop for {}; its thread is given up",
                                           to_string(state.claim().ref.id), state.claim().kind,
                                           to_text(options_.stop_grace))));
    const bool lost = state.stop_reason() == StopReason::lost;
    give_up(slot, given_up_finish(state), lost ? RunPlacement::End::other : RunPlacement::End::ignored_stop);
  }
  next_alarm_ = SteadyTime::max();
  for (const Slot& slot : slots_)
    if (slot.run) next_alarm_ = std::min(next_alarm_, slot.alarm);
}

Finish ProcessorCore::given_up_finish(const RunState& state) const {
  Finish finish;
  finish.ref = state.claim().ref;
  switch (state.stop_reason()) {
    case StopReason::cancel:
      finish.outcome = Outcome::cancelled;
      break;
    case StopReason::timeout: {
      finish.outcome = Outcome::failed;
      finish.fault = AttemptFault::timeout;
      finish.message = fmt::format("timed out after {} and ignored its stop", to_text(state.timeout));
      const auto* entry = shared_->handlers.find(state.claim().kind);
      const RetryPolicy& policy =
          entry != nullptr && entry->options.retry ? *entry->options.retry : queue_.config().retry_policy();
      finish.again = When::after(policy.delay(state.claim().attempt, state.claim().ref.id.value));
      break;
    }
    case StopReason::none:
    case StopReason::shutdown:
    case StopReason::lost:
      finish.outcome = Outcome::released;
      break;
  }
  return finish;
}

void ProcessorCore::stop_leaving(SteadyTime steady) {
  if (placement_ == nullptr) return;
  placement_->ticked(steady);
  if (steady < placement_->next_stop()) return;
  placement_->take_stops(steady, stops_);
  for (const TaskToken token : stops_)
    if (Slot* const slot = slot_of(token)) ask_to_stop(*slot, StopReason::shutdown, steady);
  stops_.clear();
}

void ProcessorCore::give_up(Slot& slot, std::optional<Finish> finish, RunPlacement::End how) {
  const auto run = slot.run;
  if (finish && run->has_log()) flush_last_log(*run, *finish);
  run->give_up();
  if (run->tracer != nullptr)
    run->close_span(true, "given_up", "the handler did not return; its thread was given up");
  executor_.abandon(run->token);
  end_run(slot, how);
  if (finish) push_finish(std::move(*finish), *run);
}

void ProcessorCore::request_stop(StopOptions options) noexcept {
  {
    const std::lock_guard lock(stop_mutex_);
    // A second wish can hasten the end, never put it off.
    if (!stop_wish_) stop_wish_ = options;
    stop_wish_->wait = std::min(stop_wish_->wait, options.wait);
    stop_wish_->grace = std::min(stop_wish_->grace, options.grace);
  }
  shared_->due.store(true);  // so that no tick decides to sleep on an older state
  waker_->wake();
}

void ProcessorCore::enter(Phase phase, SteadyTime steady) {
  if (phase == Phase::leaving) leave_until_ = steady + storage_patience;
  {
    const std::lock_guard lock(stop_mutex_);
    phase_.store(phase, std::memory_order_release);
  }
  if (phase == Phase::stopped) stopped_.notify_all();
}

void ProcessorCore::wait_stopped() {
  std::unique_lock lock(stop_mutex_);
  stopped_.wait(lock, [&] { return stopped(); });
}

void ProcessorCore::advance_stop(SteadyTime steady) {
  std::optional<StopOptions> wish;
  {
    const std::lock_guard lock(stop_mutex_);
    wish = stop_wish_;
  }
  if (!wish) return;
  if (phase_ == Phase::working) {
    drain_until_ = steady + wish->wait;
    enter(Phase::draining, steady);
  }
  if (phase_ == Phase::draining) {
    drain_until_ = std::min(drain_until_, steady + wish->wait);
    if (busy_ == 0) {
      enter(Phase::leaving, steady);
    } else if (steady >= drain_until_) {
      grace_until_ = steady + wish->grace;
      for (const Slot& slot : slots_)
        if (slot.run) slot.run->request_stop(StopReason::shutdown);
      enter(Phase::stopping, steady);
    }
  }
  if (phase_ == Phase::stopping) {
    if (steady >= grace_until_)
      for (Slot& slot : slots_)
        if (slot.run) give_up(slot, given_up_finish(*slot.run));
    if (busy_ == 0) enter(Phase::leaving, steady);
  }
}

}  // namespace quern::inline v1::detail
