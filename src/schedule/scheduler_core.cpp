// What a scheduler does by itself.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "quern/core/error.hpp"
#include "quern/schedule/scheduler.hpp"
#include "schedule/schedule_plan.hpp"
#include "schedule/scheduler_local.hpp"

namespace quern::inline v1::detail {
namespace {

/// Schedules whose decisions share a transaction.
constexpr std::size_t most_together = 256;

SchedulerOptions checked(SchedulerOptions options) {
  std::vector<std::string> faults;
  const auto range = [&](std::string_view field, Duration value, Duration least, Duration most) {
    if (value < least || value > most)
      faults.push_back(fmt::format("{}: is {}; allowed is {} to {}", field, to_text(value), to_text(least),
                                   to_text(most)));
  };
  using namespace std::chrono_literals;
  range("refresh_interval", options.refresh_interval, 100ms, 1min);
  range("missed_after", options.missed_after, 1s, 1h);
  range("set_back", options.set_back, 1min, 24h * 365);
  range("retry_interval", options.retry_interval, 100ms, 1min);
  if (!faults.empty()) throw ConfigError(std::move(faults));
  return options;
}

}  // namespace

SchedulerCore::SchedulerCore(QueueCore& queue, const ZoneDatabase& zones, SchedulerOptions options)
    : queue_(queue),
      zones_(zones),
      options_(checked(std::move(options))),
      clock_(queue.storage().clock()),
      waker_(std::make_shared<Waker>()),
      local_(std::make_unique<Local>(queue, options_.seed)) {}

SchedulerCore::~SchedulerCore() = default;

NextTick SchedulerCore::tick(TimePoint now) noexcept {
  try {
    refresh(now);
    fire(now);
    local_->failing = false;
    if (local_->due.empty()) return {local_->look_at};
    const TimePoint next = local_->due.begin()->first + local_->stand_back;
    return {std::min(std::max(next, now), local_->look_at)};
  } catch (const std::exception& e) {
    if (!std::exchange(local_->failing, true))
      log_to(options_.log, LogLevel::warning, fmt::format("schedules can't be looked after: {}", e.what()));
    local_->forget();  // what stands in the storage now is not known
    return {now + options_.retry_interval};
  }
}

void SchedulerCore::refresh(TimePoint now) {
  Local& local = *local_;
  // So far that what has been decided may count no more; a small step back changes nothing.
  const bool set_back = local.last_tick != TimePoint::min() && now + options_.set_back < local.last_tick;
  local.last_tick = now;
  if (!reload_.exchange(false) && !set_back && now < local.look_at && local.loaded) return;
  const std::uint64_t generation = zones_.generation();
  std::string revision = local.store.revision();
  if (!local.loaded || set_back || revision != local.revision || generation != local.generation) {
    load(now);
    local.revision = std::move(revision);  // one that changed meanwhile is noticed the next time
    local.generation = generation;
    local.loaded = true;
  }
  // What comes before it is noticed is on time all the same.
  constexpr Duration longest = std::chrono::seconds(30);
  local.look_at = now + (local.entries.empty() ? std::max(options_.refresh_interval,
                                                          std::min(longest, options_.missed_after / 2))
                                               : options_.refresh_interval);
}

void SchedulerCore::load(TimePoint now) {
  constexpr std::size_t page = 1000;
  Local& local = *local_;
  const bool same_zones = zones_.generation() == local.generation;
  std::set<std::string> found;
  std::string after;
  while (true) {
    std::vector<ScheduleRecord> records = local.store.list(after, page);
    const bool last = records.size() < page;
    if (!records.empty()) after = records.back().name;
    for (ScheduleRecord& record : records) {
      found.insert(record.name);
      ScheduleEntry entry{.record = std::move(record)};
      const auto known = local.entries.find(entry.record.name);
      // Made of the same, and of the same zone data, it is as good as a new one.
      if (same_zones && known != local.entries.end() && known->second.timing && entry.record.value &&
          known->second.timing->spec() == entry.record.value->spec.timing)
        entry.timing = known->second.timing;
      local.take(std::move(entry), zones_, now, options_);
    }
    if (last) break;
  }
  for (auto entry = local.entries.begin(); entry != local.entries.end();) {
    const std::string name = (entry++)->first;
    if (!found.contains(name)) local.erase(name);
  }
}

void SchedulerCore::fire(TimePoint now) {
  Local& local = *local_;
  std::vector<std::string> names;
  const TimePoint until = now - local.stand_back;
  for (auto next = local.due.begin();
       next != local.due.end() && next->first <= until && names.size() < most_together; ++next)
    names.push_back(next->second);
  if (names.empty()) return;
  if (local.stand_back > Duration::zero() && catch_up(names, now))
    std::erase_if(names, [&](const std::string& name) {
      const auto entry = local.entries.find(name);
      return entry == local.entries.end() || !entry->second.next || *entry->second.next > until;
    });
  // Where they must not run beside each other, the more urgent ones are first.
  std::ranges::sort(names, {}, [&](const std::string& name) {
    const ScheduleEntry& entry = local.entries.at(name);
    return std::tuple(entry.record.value ? entry.record.value->spec.priority : 0, entry.next,
                      std::string_view(name));
  });
  BusyQueues busy(queue_);
  std::vector<ScheduleDecision> decisions;
  for (const std::string& name : names) {
    ScheduleEntry& entry = local.entries.at(name);
    if (auto decision = decide(queue_, entry, now, options_, busy))
      decisions.push_back(std::move(*decision));
    else
      local.put_off(entry, entry.timing->next(std::max(now, entry.record.value->state.handled)));
  }
  if (decisions.size() > 1) {
    if (commit(queue_, decisions)) {
      for (ScheduleDecision& decision : decisions) local.settle(decision, now, options_, queue_);
      local.stand_back = Duration::zero();
      return;
    }
    std::vector<std::string> together;
    for (const ScheduleDecision& decision : decisions) together.push_back(decision.before.name);
    if (catch_up(std::move(together), now)) {
      // Who was first with some of them most likely has the others, too.
      local.stand_back = local.patience;
      return;
    }
  }
  for (ScheduleDecision& decision : decisions) fire_one(decision, now);
}

/// Reads schedules again, and takes over what others have made of them since; false: nothing.
bool SchedulerCore::catch_up(std::vector<std::string> names, TimePoint now) {
  Local& local = *local_;
  std::ranges::sort(names);
  const auto span =
      std::distance(local.entries.lower_bound(names.front()), local.entries.upper_bound(names.back()));
  std::vector<ScheduleRecord> records = local.store.get_all(names, static_cast<std::size_t>(span));
  bool changed = false;
  auto record = records.begin();
  for (const std::string& name : names) {
    if (record == records.end() || record->name != name) {
      local.erase(name);
      changed = true;
      continue;
    }
    const ScheduleEntry& known = local.entries.at(name);
    if (record->seen.text() != known.record.seen.text()) {
      ScheduleEntry entry{.record = std::move(*record)};
      if (entry.record.value && known.timing->spec() == entry.record.value->spec.timing)
        entry.timing = known.timing;
      local.take(std::move(entry), zones_, now, options_);
      changed = true;
    }
    ++record;
  }
  return changed;
}

/// Alone, or after they could not be committed together: a queue is full, say.
void SchedulerCore::fire_one(ScheduleDecision& decision, TimePoint now) {
  Local& local = *local_;
  const std::string name = decision.before.name;
  try {
    if (commit(queue_, {&decision, 1})) {
      local.settle(decision, now, options_, queue_);
      local.stand_back = Duration::zero();
      return;
    }
  } catch (const InvalidArgument& e) {
    log_to(options_.log, LogLevel::error,
           fmt::format("the schedule \"{}\" can't add its job: {}", name, e.what()));
    local.put_off(local.entries.at(name), now + options_.refresh_interval);
    return;
  }
  if (catch_up({name}, now)) {
    local.stand_back = local.patience;
  } else {
    // Its queue is full, or its last job has gone.
    local.put_off(local.entries.at(name), now + options_.retry_interval);
  }
}

}  // namespace quern::inline v1::detail
