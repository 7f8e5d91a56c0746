// How runs end: handlers' results, alarms, stops.
#include <fmt/format.h>

#include "processor_shared.hpp"
#include "quern/work/detail/run_end.hpp"

namespace quern::inline v1::detail {
namespace {

/// How long a stopping processor waits for its storage beyond the handlers' grace.
constexpr Duration storage_patience = std::chrono::seconds(5);

}  // namespace

void ProcessorCore::Shared::run(TaskToken token, const HandlerRegistry::Entry& entry,
                                const std::shared_ptr<RunState>& state) noexcept {
  JobResult result = run_handler(handlers, entry, state, limits);
  {
    const std::lock_guard lock(mutex);
    done.push_back({token, std::move(result)});
  }
  waker->wake();
}

void ProcessorCore::set_alarm(TaskToken token, RunState& state, SteadyTime at) {
  const auto [first, last] = alarms_.equal_range(state.alarm);
  for (auto alarm = first; alarm != last; ++alarm)
    if (alarm->second == token) {
      alarms_.erase(alarm);
      break;
    }
  state.alarm = at;
  alarms_.emplace(at, token);
}

void ProcessorCore::ask_to_stop(TaskToken token, RunState& state, StopReason reason, SteadyTime steady) {
  if (state.stop_reason() != StopReason::none) return;
  set_alarm(token, state, steady + options_.stop_grace);
  state.request_stop(reason);
}

void ProcessorCore::ring_alarms(SteadyTime steady) {
  while (!alarms_.empty() && alarms_.begin()->first <= steady) {
    const TaskToken token = alarms_.begin()->second;
    RunState& state = *running_.at(token).state;
    if (state.stop_reason() == StopReason::none) {
      ask_to_stop(token, state, StopReason::timeout, steady);
      if (options_.stop_grace > Duration::zero()) continue;
    }
    log_to(options_.log, LogLevel::error,
           fmt::format("job {} ({}) ignores its stop for {}; its thread is given up",
                       to_string(state.claim().ref.id), state.claim().kind, to_text(options_.stop_grace)));
    give_up(token, given_up_finish(state));
  }
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
          entry != nullptr && entry->options.retry ? *entry->options.retry : default_retry_;
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

void ProcessorCore::give_up(TaskToken token, std::optional<Finish> finish) {
  const auto state = running_.at(token).state;
  state->give_up();
  executor_.abandon(token);
  end_run(token);
  if (finish) finishes_.push_back(std::move(*finish));
}

void ProcessorCore::request_stop(StopOptions options) noexcept {
  {
    const std::lock_guard lock(stop_mutex_);
    // A second wish can hasten the end, never put it off.
    if (!stop_wish_) stop_wish_ = options;
    stop_wish_->wait = std::min(stop_wish_->wait, options.wait);
    stop_wish_->grace = std::min(stop_wish_->grace, options.grace);
  }
  shared_->work.store(true, std::memory_order_release);  // so that no tick decides to sleep on an older state
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
    if (running_.empty()) {
      enter(Phase::leaving, steady);
    } else if (steady >= drain_until_) {
      grace_until_ = steady + wish->grace;
      for (auto& [token, run] : running_) run.state->request_stop(StopReason::shutdown);
      enter(Phase::stopping, steady);
    }
  }
  if (phase_ == Phase::stopping) {
    if (!running_.empty() && steady >= grace_until_) {
      std::vector<TaskToken> rest;
      for (const auto& [token, run] : running_) rest.push_back(token);
      for (const TaskToken token : rest) give_up(token, given_up_finish(*running_.at(token).state));
    }
    if (running_.empty()) enter(Phase::leaving, steady);
  }
}

}  // namespace quern::inline v1::detail
