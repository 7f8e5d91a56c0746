// One schedule's decision, and what a node keeps of schedules.
#include "schedule/scheduler_local.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "quern/core/error.hpp"

namespace quern::inline v1::detail {
namespace {

// Longer than a commit takes as a rule, so that who stands back finds it done; and not so long that anybody minds.
constexpr Duration least_patience = std::chrono::milliseconds(30);
constexpr Duration more_patience = std::chrono::milliseconds(60);

/// The state of the last job; none: there is none, or it has gone.
std::optional<JobState> last_state(QueueCore& queue, std::uint64_t last_job) {
  if (last_job == 0) return std::nullopt;
  const JobId id{last_job};
  const auto job = queue.storage().find({&id, 1}).front();
  return job ? std::optional(job->state) : std::nullopt;
}

/// Goes through the instants of a plan, as they follow each other.
class Deciding {
 public:
  Deciding(QueueCore& queue, const ScheduleEntry& entry, TimePoint now, BusyQueues& busy)
      : queue_(queue), entry_(entry), now_(now), busy_(busy), spec_(entry.record.value->spec) {
    decision_.before = entry.record;
    decision_.after = *entry.record.value;
    if (spec_.when_busy != WhenBusy::allow) last_ = last_state(queue, decision_.after.state.last_job);
  }

  /// Of an instant that gets a job, or of some that get none.
  void decided(const ScheduleRun& run) {
    note(decision_.after.state, run);
    decision_.runs.push_back(run);
  }

  void run(TimePoint instant) {
    ScheduleState& state = decision_.after.state;
    if (spec_.skip_if_queue_busy && busy_.has(spec_.queue)) {
      decided({.instant = instant, .last = instant, .decided = now_, .reason = SkipReason::conflict});
      return;
    }
    NewJob job = job_of(spec_);
    if (last_ && !is_terminal(*last_)) {
      const bool waits = *last_ != JobState::running;
      if (spec_.when_busy == WhenBusy::skip || (spec_.when_busy == WhenBusy::queue_one && waits)) {
        decided({.instant = instant, .last = instant, .decided = now_, .reason = SkipReason::busy});
        return;
      }
      const JobId last{state.last_job};
      if (spec_.when_busy == WhenBusy::cancel) decision_.cancel.push_back(last);
      job.parents = {last};
      job.on_parent_failure = ParentPolicy::run;
    }
    job.id = queue_.take_ids(1);
    job.run_at = When::at(entry_.timing->due(instant));
    if (spec_.when_busy != WhenBusy::allow) last_ = JobState::blocked;
    decided({.instant = instant, .last = instant, .decided = now_, .job = job.id.value});
    busy_.add(spec_.queue);
    decision_.jobs.push_back(std::move(job));
  }

  ScheduleDecision take(TimePoint handled) && {
    decision_.after.state.handled = handled;
    return std::move(decision_);
  }

 private:
  QueueCore& queue_;
  const ScheduleEntry& entry_;
  const TimePoint now_;
  BusyQueues& busy_;
  const ScheduleSpec& spec_;
  std::optional<JobState> last_{};
  ScheduleDecision decision_{};
};

}  // namespace

bool BusyQueues::has(const std::string& name) {
  if (!std::exchange(asked_, true))
    for (const JobCount& count : queue_.storage().count())
      if (!is_terminal(count.state)) got_.insert(count.queue);
  return got_.contains(name);
}

std::optional<Timing> timing_of(const ScheduleSpec& spec, const ZoneDatabase& zones, std::string& fault) {
  try {
    return Timing(spec.timing, spec.name, zones);
  } catch (const Error& e) {
    fault = e.what();
    return std::nullopt;
  }
}

NewJob job_of(const ScheduleSpec& spec) {
  NewJob job;
  job.kind = spec.kind;
  job.payload = Payload::json(spec.payload);
  job.queue = spec.queue;
  job.priority.level = spec.priority;
  job.tenant = spec.tenant;
  job.tags = spec.tags;
  job.tags.push_back("schedule:" + spec.name);
  job.max_attempts = spec.max_attempts;
  job.timeout = spec.timeout;
  job.created_by = "schedule:" + spec.name;
  return job;
}

std::optional<ScheduleDecision> decide(QueueCore& queue, const ScheduleEntry& entry, TimePoint now,
                                       const SchedulerOptions& options, BusyQueues& busy) {
  if (!entry.timing || !entry.record.value) return std::nullopt;
  const StoredSchedule& stored = *entry.record.value;
  SchedulePlan plan =
      plan_of(*entry.timing, stored.spec, stored.state, now, options.missed_after, options.set_back);
  if (plan.run.empty() && plan.skipped.empty()) return std::nullopt;
  Deciding deciding(queue, entry, now, busy);
  // In the order of time, as they are remembered.
  auto skipped = plan.skipped.begin();
  for (const TimePoint instant : plan.run) {
    for (; skipped != plan.skipped.end() && skipped->instant < instant; ++skipped) deciding.decided(*skipped);
    deciding.run(instant);
  }
  for (; skipped != plan.skipped.end(); ++skipped) deciding.decided(*skipped);
  return std::move(deciding).take(plan.handled);
}

bool commit(QueueCore& queue, std::span<ScheduleDecision> decisions) {
  std::vector<NewJob> jobs;
  std::vector<RecordChange> changes;
  for (const ScheduleDecision& decision : decisions) {
    jobs.insert(jobs.end(), decision.jobs.begin(), decision.jobs.end());
    changes.push_back(ScheduleStore::decided(decision.before, decision.after));
  }
  try {
    const auto added = queue.enqueue_if(std::move(jobs), changes);
    return added && (added->empty() || added->front().status != InsertStatus::queue_full);
  } catch (const InvalidArgument&) {
    // A parent that was erased a moment ago; or a spec that the limits of this process don't allow, which its own
    // turn tells.
    if (decisions.size() > 1) return false;
    const ScheduleDecision& one = decisions.front();
    if (std::ranges::none_of(one.jobs, [](const NewJob& job) { return !job.parents.empty(); })) throw;
    return false;
  }
}

SchedulerCore::Local::Local(QueueCore& queue, std::uint64_t seed)
    : store(queue),
      patience(least_patience + Duration(static_cast<std::int64_t>(
                                    Random(seed == 0 ? Random::entropy() : seed)
                                        .below(static_cast<std::uint64_t>(more_patience.count()))))) {}

void SchedulerCore::Local::note_fault(const std::string& name, const std::string& fault) {
  const std::lock_guard lock(faults_mutex);
  if (fault.empty())
    faults.erase(name);
  else
    faults.insert_or_assign(name, fault);
}

void SchedulerCore::Local::take(ScheduleEntry&& entry, const ZoneDatabase& zones, TimePoint now,
                                const SchedulerOptions& options) {
  const std::string name = entry.record.name;
  const auto known = entries.find(name);
  std::string told;
  if (known != entries.end()) {
    told = known->second.fault;
    erase(name);
  }
  if (!entry.record.value) {
    entry.fault = entry.record.fault;
  } else if (!entry.timing) {
    entry.timing = timing_of(entry.record.value->spec, zones, entry.fault);
  }
  if (!entry.fault.empty() && entry.fault != told)
    log_to(options.log, LogLevel::error, fmt::format("the schedule \"{}\" can't run: {}", name, entry.fault));
  if (!entry.fault.empty()) note_fault(name, entry.fault);
  ScheduleEntry& kept = entries.emplace(name, std::move(entry)).first->second;
  if (!kept.timing || kept.record.value->state.paused) return;
  const StoredSchedule& stored = *kept.record.value;
  if (stored.state.handled > now + options.set_back)
    put_off(kept, now);
  else if (stored.spec.max_runs == 0 || stored.state.runs < stored.spec.max_runs)
    put_off(kept, kept.timing->next(stored.state.handled));
}

void SchedulerCore::Local::put_off(ScheduleEntry& entry, std::optional<TimePoint> next) {
  if (entry.next) due.erase({*entry.next, entry.record.name});
  entry.next = next;
  if (next) due.emplace(*next, entry.record.name);
}

void SchedulerCore::Local::erase(const std::string& name) {
  const auto known = entries.find(name);
  if (known == entries.end()) return;
  put_off(known->second, std::nullopt);
  if (!known->second.fault.empty()) note_fault(name, {});
  entries.erase(known);
}

void SchedulerCore::Local::settle(ScheduleDecision& decision, TimePoint now, const SchedulerOptions& options,
                                  QueueCore& queue) {
  ScheduleEntry& entry = entries.at(decision.before.name);
  entry.record.seen = Payload::of(decision.after);
  entry.record.value = decision.after;
  const StoredSchedule& stored = decision.after;
  const bool over = stored.spec.max_runs > 0 && stored.state.runs >= stored.spec.max_runs;
  put_off(entry, over ? std::nullopt : entry.timing->next(stored.state.handled));
  for (const ScheduleRun& run : decision.runs) {
    if (!options.on_event) break;
    try {
      options.on_event({.schedule = stored.spec.name,
                        .run = run,
                        .lateness = run.job == 0 ? Duration::zero()
                                                 : std::max(Duration::zero(), Duration(now - run.instant))});
    } catch (const std::exception& e) {
      log_to(options.log, LogLevel::warning,
             fmt::format("an event of a schedule was not taken: {}", e.what()));
    }
  }
  if (!decision.cancel.empty())
    static_cast<void>(queue.storage().cancel(decision.cancel, "schedule:" + stored.spec.name));
}

void SchedulerCore::Local::forget() {
  entries.clear();
  due.clear();
  {
    const std::lock_guard lock(faults_mutex);
    faults.clear();
  }
  loaded = false;
  look_at = TimePoint::min();
}

}  // namespace quern::inline v1::detail
