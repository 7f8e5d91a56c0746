#include "quern/testing/perform.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <ostream>

#include "quern/core/clock.hpp"
#include "quern/core/random.hpp"
#include "quern/queue/queue_core.hpp"
#include "quern/storage/memory_storage.hpp"
#include "quern/work/detail/run_end.hpp"
#include "quern/work/detail/run_state.hpp"

namespace quern::inline v1::testing {
namespace {

/// A run whose reports are all kept, and which can be asked to stop at one of them.
class PerformedRun final : public quern::detail::RunState {
 public:
  PerformedRun(Claim claim, quern::detail::RunPort& port, const PerformOptions& options,
               const quern::detail::LogSetup& log)
      : RunState(std::move(claim), port, &log), stop_(options.stop), stop_at_(options.stop_at_progress) {}

  void report(int percent, std::string_view message) override {
    bool now = false;
    {
      const std::lock_guard lock(mutex_);
      RunState::report(percent, message);
      if (auto report = fetch_report()) reports_.push_back(std::move(*report));
      now = stop_at_ > 0 && reports_.size() == static_cast<std::size_t>(stop_at_);
    }
    if (now) request_stop(stop_);
  }
  [[nodiscard]] std::vector<Progress> take_reports() {
    const std::lock_guard lock(mutex_);
    return std::move(reports_);
  }
  [[nodiscard]] std::vector<JobLogLine> take_lines() {
    const std::lock_guard lock(mutex_);
    return std::move(lines_);
  }

 private:
  void keep(JobLogLine line) override {
    const std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
  }

  const StopReason stop_;
  const int stop_at_;
  std::mutex mutex_;
  std::vector<Progress> reports_;
  std::vector<JobLogLine> lines_;
};

/// What the run finds behind its context: a queue's rules, and steps that are kept here.
class PerformPort final : public quern::detail::RunPort {
 public:
  PerformPort(const HandlerRegistry& handlers, const PerformOptions& options)
      : clock_(options.now), queue_(storage_, options.config), next_id_(options.id), steps_(options.steps) {
    for (const auto& [kind, entry] : handlers.entries())
      queue_.set_defaults(kind, {.queue = entry.options.queue,
                                 .priority = {},
                                 .max_attempts = entry.options.max_attempts,
                                 .timeout = entry.options.timeout});
  }

  RunCheck save_step(const RunRef& /*run*/, const Step& step) override {
    if (run_->stop_reason() == StopReason::lost) return RunCheck::lost;
    steps_.push_back(step);
    return RunCheck::held;
  }
  std::vector<Step> steps(JobId /*id*/) override { return steps_; }
  void number(NewJob& job) override {
    queue_.prepare(job);
    ++next_id_.value;
    if (!job.id) job.id = next_id_;
  }
  [[nodiscard]] const JobLimits& limits() const override { return queue_.config().limits; }

  [[nodiscard]] const quern::detail::QueueCore& queue() const noexcept { return queue_; }
  void serve(const quern::detail::RunState& run) noexcept { run_ = &run; }
  [[nodiscard]] std::vector<Step> take_steps() noexcept { return std::move(steps_); }

 private:
  ManualClock clock_;
  StorageAdapter<MemoryStorage> storage_{clock_};  // stays empty; a queue stands before some storage
  quern::detail::QueueCore queue_;
  const quern::detail::RunState* run_ = nullptr;
  JobId next_id_;
  std::vector<Step> steps_;
};

const HandlerRegistry::Entry& entry_of(const HandlerRegistry& handlers, std::string_view kind) {
  if (const auto* entry = handlers.find(kind)) return *entry;
  std::string known;
  for (const auto& [name, entry] : handlers.entries())
    known += fmt::format("{}\"{}\"", known.empty() ? "" : ", ", name);
  throw InvalidArgument("kind",
                        fmt::format("\"{}\" has no handler; {}{}", kind,
                                    known.empty() ? "none is registered" : "those registered are ", known));
}

void check(const PerformOptions& options) {
  if (options.attempt < 1)
    throw InvalidArgument("attempt", fmt::format("is {}; attempts count from 1", options.attempt));
  if (options.max_attempts < 0)
    throw InvalidArgument(
        "max_attempts",
        fmt::format("is {}; allowed is 1 or more, or 0 for the usual number", options.max_attempts));
  if (options.stop_at_progress < 0 || (options.stop_at_progress > 0 && options.stop == StopReason::none))
    throw InvalidArgument(
        "stop_at_progress",
        fmt::format("is {}; it needs a report from 1, and a reason in `stop`", options.stop_at_progress));
}

Claim claim_of(NewJob job, const HandlerOptions& handler, const PerformOptions& options) {
  Claim claim;
  // A run that is not the job's first one looks for steps; see RunState::find_step.
  const auto fence = std::max<Epoch>(static_cast<Epoch>(options.attempt), options.steps.empty() ? 1 : 2);
  claim.ref = {
      .id = options.id, .epoch = options.fence != 0 ? options.fence : fence, .node = {1}, .claim = 0};
  claim.kind = std::move(job.kind);
  claim.queue = std::move(job.queue);
  claim.payload = std::move(job.payload);
  claim.priority = job.priority;
  claim.tenant = std::move(job.tenant);
  claim.tags = std::move(job.tags);
  claim.created_by = std::move(job.created_by);
  claim.digest = std::move(job.digest);
  claim.trace = std::move(job.trace);
  claim.parents = std::move(job.parents);
  claim.attempt = options.attempt;
  claim.max_attempts = options.max_attempts != 0   ? options.max_attempts
                       : job.max_attempts != 0     ? job.max_attempts
                       : handler.max_attempts != 0 ? handler.max_attempts
                                                   : options.config.default_max_retries + 1;
  claim.timeout = job.timeout;
  claim.created_at = claim.claimed_at = options.now;
  claim.run_at = std::min(options.now, job.run_at.resolve(options.now));
  return claim;
}

/// As it would stand once the completion is recorded.
Job follow_up(NewJob job, JobId completed, TimePoint now) {
  Job made;
  made.id = job.id;
  made.kind = std::move(job.kind);
  made.payload = std::move(job.payload);
  made.queue = std::move(job.queue);
  made.priority = job.priority;
  made.tenant = std::move(job.tenant);
  made.tags = std::move(job.tags);
  made.unique_key = std::move(job.unique.key);
  made.on_parent_failure = job.on_parent_failure;
  made.created_by = std::move(job.created_by);
  made.digest = std::move(job.digest);
  made.trace = std::move(job.trace);
  made.max_attempts = job.max_attempts;
  made.timeout = job.timeout;
  made.created_at = now;
  made.run_at = std::max(now, job.run_at.resolve(now));
  if (job.deadline) made.deadline = job.deadline->resolve(now);
  const bool blocked = std::ranges::any_of(job.parents, [&](JobId parent) { return parent != completed; });
  made.parents = std::move(job.parents);
  made.state = blocked ? JobState::blocked : made.run_at > now ? JobState::scheduled : JobState::ready;
  return made;
}

JobState state_after(const Finish& finish, const Claim& claim, StopReason stopped_for) {
  if (finish.outcome == Outcome::completed) return JobState::completed;
  if (stopped_for == StopReason::cancel) return JobState::cancelled;
  switch (finish.outcome) {
    case Outcome::failed:
      return claim.attempt >= claim.max_attempts ? JobState::dead : JobState::scheduled;
    case Outcome::snoozed:
      return JobState::scheduled;
    case Outcome::released:
      return JobState::ready;
    case Outcome::cancelled:
      return JobState::cancelled;
    default:
      return JobState::dead;
  }
}

std::string_view to_text(Outcome outcome) {
  switch (outcome) {
    case Outcome::completed:
      return "completed";
    case Outcome::failed:
      return "failed";
    case Outcome::discarded:
      return "discarded";
    case Outcome::snoozed:
      return "snoozed";
    case Outcome::released:
      return "released";
    case Outcome::cancelled:
      return "cancelled";
  }
  return "?";
}

}  // namespace

Performed perform(const HandlerRegistry& handlers, NewJob job, PerformOptions options) {
  check(options);
  const HandlerRegistry::Entry& entry = entry_of(handlers, job.kind);
  PerformPort port(handlers, options);
  port.queue().prepare(job);
  const ManualClock clock(options.now);
  const quern::detail::LogSetup log{options.sink, {}, clock};
  const auto run =
      std::make_shared<PerformedRun>(claim_of(std::move(job), entry.options, options), port, options, log);
  const Claim& claim = run->claim();
  run->timeout = quern::detail::timeout_of(claim, entry.options, options.config.job_timeout);
  port.serve(*run);
  if (options.stop != StopReason::none && options.stop_at_progress == 0) run->request_stop(options.stop);

  JobResult said = quern::detail::run_handler(handlers, entry, *run, port.limits());
  Random random(1);
  const RetryPolicy retry = entry.options.retry ? *entry.options.retry : options.config.retry_policy();
  Finish finish = quern::detail::finish_of(*run, retry, std::move(said), random);

  Performed done;
  done.id = claim.ref.id;
  done.now = options.now;
  done.outcome = finish.outcome;
  done.state = state_after(finish, claim, run->stop_reason());
  done.message = clean_message(finish.message);
  done.fault = finish.fault;
  done.lost = run->stop_reason() == StopReason::lost;
  done.stop_requested = run->stop_reason() != StopReason::none;
  done.progress = run->take_reports();
  done.log = run->take_lines();
  done.steps = port.take_steps();
  // Whoever keeps the context can't come back to what ends here.
  run->cut();
  if (done.lost) return done;
  if (done.state == JobState::dead)
    done.dead_reason = finish.outcome == Outcome::failed ? DeadReason::out_of_attempts : finish.dead_reason;
  if (done.state == JobState::scheduled) done.run_at = finish.again.resolve(options.now);
  done.result = std::move(finish.result);
  for (NewJob& made : finish.jobs) done.jobs.push_back(follow_up(std::move(made), done.id, done.now));
  done.records = std::move(finish.records);
  return done;
}

const Payload& Performed::require_result() const {
  if (!result) throw Error(fmt::format("job {} has no result: {}", quern::to_string(id), to_string(*this)));
  return *result;
}

const Payload& Performed::require_step(std::string_view name) const {
  const auto found = std::ranges::find(steps, name, &Step::name);
  if (found != steps.end()) return found->value;
  std::string known;
  for (const Step& step : steps) known += fmt::format("{}\"{}\"", known.empty() ? "" : ", ", step.name);
  throw Error(fmt::format("there is no step \"{}\"; stored are {}", name, known.empty() ? "none" : known));
}

std::string to_string(const Performed& performed) {
  if (performed.lost) return "lost: everything is dropped, and another run does it";
  std::string text(to_text(performed.outcome));
  if (performed.state == JobState::dead)
    text = fmt::format("dead ({})", quern::to_string(performed.dead_reason));
  else if (performed.state == JobState::cancelled)
    text = "cancelled";
  if (!performed.message.empty()) text += fmt::format(": {}", performed.message);
  if (performed.run_at) text += fmt::format("; again at {}", to_rfc3339(*performed.run_at));
  return text;
}

std::ostream& operator<<(std::ostream& out, const Performed& performed) {
  return out << to_string(performed);
}

}  // namespace quern::inline v1::testing
