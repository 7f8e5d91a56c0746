// What others ask of a scheduler.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "quern/core/error.hpp"
#include "quern/schedule/scheduler.hpp"
#include "schedule/scheduler_local.hpp"

namespace quern::inline v1::detail {
namespace {

constexpr std::size_t most_previewed = 10'000;
constexpr std::size_t most_backfilled = 100'000;
constexpr std::size_t most_looked_at = 1'000'000;
constexpr std::size_t most_pile_ups = 100;
constexpr std::size_t most_named = 10;

/// Throws where the spec or the job that it makes is faulty.
Timing check_all(const ScheduleSpec& spec, const QueueCore& queue, const ZoneDatabase& zones) {
  check(spec, queue.config().limits);
  NewJob job = job_of(spec);
  queue.prepare(job);
  return {spec.timing, spec.name, zones};
}

/// From now on there are instants again.
void resume(StoredSchedule& schedule, const ZoneDatabase& zones, TimePoint now) {
  ScheduleState& state = schedule.state;
  std::string fault;
  if (const auto timing = timing_of(schedule.spec, zones, fault)) {
    const ScheduleRun run = left_out(*timing, state.handled, now, now, SkipReason::paused);
    if (run.count > 0) note(state, run);
  }
  state.handled = std::max(state.handled, now);
  state.paused = state.undeclared = false;
}

[[noreturn]] void unknown(std::string_view name) {
  throw InvalidArgument("name", fmt::format("there is no schedule \"{}\"", name));
}

}  // namespace

void SchedulerCore::changed() noexcept {
  reload_.store(true);
  waker_->wake();
}

bool SchedulerCore::put(const ScheduleSpec& spec, bool replace, bool declared) {
  static_cast<void>(check_all(spec, queue_, zones_));
  const TimePoint now = clock_.now();
  const bool done = local_->store.change(spec.name, [&](std::optional<StoredSchedule>& schedule) {
    if (schedule && !replace) return false;
    if (!schedule) {
      schedule.emplace();
      schedule->state.created = schedule->state.handled = now;
    } else if (declared && schedule->state.undeclared) {
      resume(*schedule, zones_, now);
    } else if (schedule->spec == spec && schedule->state.declared == declared) {
      return false;  // as it is
    }
    if (schedule->spec.timing != spec.timing) {
      schedule->state.handled = now;
    }
    schedule->spec = spec;
    schedule->state.declared = declared;
    schedule->state.changed = now;
    return true;
  });
  if (done) changed();
  return done;
}

void SchedulerCore::declare(std::span<const ScheduleSpec> specs, Undeclared others) {
  std::set<std::string_view> names;
  for (const ScheduleSpec& spec : specs) {
    static_cast<void>(check_all(spec, queue_, zones_));
    if (!names.insert(spec.name).second)
      throw InvalidArgument("name", fmt::format("\"{}\" is declared twice", spec.name));
  }
  for (const ScheduleSpec& spec : specs) put(spec, true, true);
  if (others == Undeclared::keep) return;
  std::string after;
  while (true) {
    const auto page = local_->store.list(after, 1000);
    for (const ScheduleRecord& record : page) {
      after = record.name;
      if (!record.value || !record.value->state.declared || names.contains(record.name)) continue;
      if (others == Undeclared::erase)
        erase(record.name);
      else
        set_paused(record.name, true, true);
    }
    if (page.size() < 1000) return;
  }
}

void SchedulerCore::tell_zones() const noexcept {
  try {
    for (const std::string& problem : zones_.report(clock_.now()).problems)
      log_to(options_.log, LogLevel::warning, problem);
  } catch (const std::exception& e) {
    log_to(options_.log, LogLevel::warning,
           fmt::format("the zone data could not be looked at: {}", e.what()));
  }
}

bool SchedulerCore::set_paused(std::string_view name, bool paused, bool undeclared) {
  bool there = false;
  const TimePoint now = clock_.now();
  const bool done = local_->store.change(name, [&](std::optional<StoredSchedule>& schedule) {
    there = schedule.has_value();
    if (!schedule || schedule->state.paused == paused) return false;
    ScheduleState& state = schedule->state;
    if (!paused) resume(*schedule, zones_, now);
    state.paused = paused;
    state.undeclared = undeclared;
    state.changed = now;
    return true;
  });
  if (done) changed();
  return there;
}

bool SchedulerCore::erase(std::string_view name) {
  const bool done = local_->store.change(name, [&](std::optional<StoredSchedule>& schedule) {
    if (!schedule && !local_->store.get(name)) return false;
    schedule.reset();
    return true;
  });
  if (done) changed();
  return done;
}

ScheduleStatus SchedulerCore::status_of(ScheduleSpec spec, ScheduleState state) const {
  ScheduleStatus status{.spec = std::move(spec), .state = std::move(state)};
  const auto timing = timing_of(status.spec, zones_, status.fault);
  if (!timing) return status;
  status.description = timing->describe();
  const bool over = status.spec.max_runs > 0 && status.state.runs >= status.spec.max_runs;
  if (!status.state.paused && !over) status.next = timing->next(status.state.handled);
  return status;
}

std::optional<ScheduleStatus> SchedulerCore::find(std::string_view name) {
  auto record = local_->store.get(name);
  if (!record) return std::nullopt;
  if (record->value) return status_of(std::move(record->value->spec), std::move(record->value->state));
  ScheduleStatus status{.fault = record->fault};
  status.spec.name = record->name;
  return status;
}

std::vector<ScheduleStatus> SchedulerCore::list(std::string_view after, std::size_t limit) {
  std::vector<ScheduleStatus> all;
  for (ScheduleRecord& record : local_->store.list(after, limit)) {
    if (record.value) {
      all.push_back(status_of(std::move(record.value->spec), std::move(record.value->state)));
    } else {
      all.push_back({.fault = record.fault});
      all.back().spec.name = record.name;
    }
  }
  return all;
}

std::vector<ScheduleFault> SchedulerCore::faults() const {
  const std::lock_guard lock(local_->faults_mutex);
  std::vector<ScheduleFault> all;
  for (const auto& [name, fault] : local_->faults) all.push_back({.schedule = name, .fault = fault});
  return all;
}

std::vector<ScheduledTime> SchedulerCore::preview(const ScheduleSpec& spec, TimePoint from,
                                                  std::size_t count) {
  if (count > most_previewed)
    throw InvalidArgument("count", fmt::format("is {}; allowed is up to {}", count, most_previewed));
  const Timing timing = check_all(spec, queue_, zones_);
  std::vector<ScheduledTime> times;
  std::chrono::seconds offset = timing.zone().offset_at(from);
  for (auto instant = timing.next(from); instant && times.size() < count; instant = timing.next(*instant)) {
    const auto now = timing.zone().offset_at(*instant);
    times.push_back(
        {.instant = *instant, .due = timing.due(*instant), .offset = now, .shifted = now != offset});
    offset = now;
  }
  return times;
}

std::string SchedulerCore::describe(const ScheduleSpec& spec) {
  return check_all(spec, queue_, zones_).describe();
}

std::vector<PileUp> SchedulerCore::pile_ups(TimePoint from, TimePoint to, std::size_t least) {
  if (least < 2) throw InvalidArgument("least", fmt::format("is {}; allowed is 2 or more", least));
  std::map<TimePoint, PileUp> by_instant;
  std::size_t looked = 0;
  std::string after;
  while (true) {
    const auto page = list(after, 1000);
    for (const ScheduleStatus& status : page) {
      after = status.spec.name;
      if (!status.next) continue;
      const Timing timing(status.spec.timing, status.spec.name, zones_);
      const TimePoint before = from == TimePoint::min() ? from : from - Duration(1);
      for (auto instant = timing.next(before); instant && *instant <= to; instant = timing.next(*instant)) {
        if (++looked > most_looked_at)
          throw InvalidArgument("to", fmt::format("there are more than {} instants from {} to {}",
                                                  most_looked_at, to_rfc3339(from), to_rfc3339(to)));
        PileUp& here = by_instant[*instant];
        if (++here.schedules <= most_named) here.names.push_back(status.spec.name);
      }
    }
    if (page.size() < 1000) break;
  }
  std::vector<PileUp> found;
  for (auto& [instant, here] : by_instant) {
    if (here.schedules < least) continue;
    here.instant = instant;
    found.push_back(std::move(here));
  }
  std::ranges::sort(found, [](const PileUp& a, const PileUp& b) {
    return a.schedules != b.schedules ? a.schedules > b.schedules : a.instant < b.instant;
  });
  if (found.size() > most_pile_ups) found.resize(most_pile_ups);
  return found;
}

Enqueued SchedulerCore::trigger(std::string_view name, const TriggerOptions& options) {
  auto record = local_->store.get(name);
  if (!record) unknown(name);
  if (!record->value) throw InvalidArgument("name", fmt::format("\"{}\": {}", name, record->fault));
  NewJob job = job_of(record->value->spec);
  if (options.payload) job.payload = Payload::json(*options.payload);
  if (!options.who.empty()) job.created_by = options.who;
  if (!options.key.empty()) {
    check_text(options.key, "key", queue_.config().limits.text_bytes);
    job.unique = {.key = fmt::format("quern.trigger/{}/{}", name, options.key),
                  .while_completed = true,
                  .while_dead = true,
                  .while_cancelled = true};
  }
  return queue_.enqueue_one(job);
}

std::size_t SchedulerCore::backfill(std::string_view name, TimePoint from, TimePoint to, std::size_t limit) {
  if (limit > most_backfilled)
    throw InvalidArgument("limit", fmt::format("is {}; allowed is up to {}", limit, most_backfilled));
  const auto record = local_->store.get(name);
  if (!record) unknown(name);
  if (!record->value) throw InvalidArgument("name", fmt::format("\"{}\": {}", name, record->fault));
  const ScheduleSpec& spec = record->value->spec;
  const Timing timing(spec.timing, spec.name, zones_);
  std::vector<TimePoint> instants;
  const TimePoint before = from == TimePoint::min() ? from : from - Duration(1);
  for (auto instant = timing.next(before); instant && *instant <= to; instant = timing.next(*instant)) {
    if (instants.size() == limit)
      throw InvalidArgument("to", fmt::format("there are more than {} instants from {} to {}", limit,
                                              to_rfc3339(from), to_rfc3339(to)));
    instants.push_back(*instant);
  }
  std::size_t added = 0;
  constexpr std::size_t batch = 1000;
  for (std::size_t begin = 0; begin < instants.size(); begin += batch) {
    std::vector<NewJob> jobs;
    for (std::size_t i = begin; i < std::min(begin + batch, instants.size()); ++i) {
      NewJob& job = jobs.emplace_back(job_of(spec));
      job.run_at = When::at(instants[i]);
      job.unique = {.key = fmt::format("quern.backfill/{}/{}", name, to_us(instants[i])),
                    .while_completed = true,
                    .while_dead = true,
                    .while_cancelled = true};
    }
    for (const Enqueued& one : queue_.enqueue(std::move(jobs))) {
      if (one.status == InsertStatus::queue_full)
        throw InvalidArgument(
            "name", fmt::format("the queue \"{}\" has no room for all; {} were added", spec.queue, added));
      if (one.added()) ++added;
    }
  }
  return added;
}

}  // namespace quern::inline v1::detail
