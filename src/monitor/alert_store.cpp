#include "monitor/alert_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "quern/core/error.hpp"

namespace quern::inline v1::detail {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view collection = "quern.alerts";
constexpr std::string_view seen_prefix = "seen/";
constexpr std::string_view event_prefix = "event/";
constexpr std::string_view silence_prefix = "silence/";
constexpr std::string_view state_prefix = "state/";
/// A clock that was set back leaves times in the future; beyond this they are not believed.
constexpr Duration most_ahead = 1h;
/// Longer than anybody waits.
constexpr Duration never = std::chrono::hours(24 * 36'500);

std::string key_of(const AlertObservation& seen) {
  return fmt::format("{}{}/{}", seen_prefix, seen.node, seen.alert.text());
}
std::string key_of(const AlertEventTime& event) { return fmt::format("{}{}", event_prefix, event.name); }
std::string key_of(const AlertDecision& decision) {
  return fmt::format("{}{}", state_prefix, decision.alert.text());
}
std::string silence_key(std::uint64_t id) { return fmt::format("{}{:020}", silence_prefix, id); }

template <class T>
Record record_of(std::string key, const T& value) {
  return {std::string(collection), std::move(key), Payload::of(value)};
}

std::string unique_key(const AlertDecision& decision, std::string_view suffix) {
  return fmt::format("quern.alert/{}/{}{}", decision.alert.text(), decision.state.number, suffix);
}

NewJob job_of(const AlertDecision& decision) {
  NewJob job;
  job.kind = alert_decision_kind;
  job.queue = alert_decision_queue;
  job.payload = Payload::of(decision);
  job.run_at = When::after(never);
  job.created_by = fmt::format("alert:{}", decision.alert.rule);
  job.unique.key = unique_key(decision, "");
  return job;
}

}  // namespace

std::string AlertId::text() const { return nlohmann::json::array({rule, queue, kind}).dump(); }

bool AlertObservation::counts(TimePoint now) const noexcept {
  return holds && now < until && seen <= now + most_ahead;
}
bool AlertObservation::remembered(TimePoint now) const noexcept {
  return now < kept && seen <= now + most_ahead;
}

AlertState AlertFleet::state(const AlertId& alert) const {
  const auto found = decided.find(alert);
  return found == decided.end() ? AlertState() : found->second.state;
}

const AlertObservation* AlertFleet::seen_by(std::uint64_t node, const AlertId& alert) const {
  const auto found = seen.find(alert);
  if (found == seen.end()) return nullptr;
  const auto one = std::ranges::find(found->second, node, &AlertObservation::node);
  return one == found->second.end() ? nullptr : &*one;
}

AlertSight AlertFleet::sight(const AlertId& alert, TimePoint now) const {
  AlertSight sight;
  const auto found = seen.find(alert);
  if (found == seen.end()) return sight;
  for (const AlertObservation& one : found->second) {
    if (one.remembered(now)) sight.last = std::max(sight.last.value_or(one.seen), one.seen);
    if (one.counts(now)) sight.since = std::min(sight.since.value_or(one.since), one.since);
  }
  return sight;
}

bool AlertFleet::silenced(const AlertId& alert, TimePoint now) const {
  return std::ranges::any_of(silences, [&](const AlertSilence& silence) {
    return now < silence.until && silence.match.matches(alert.rule, alert.queue, alert.kind);
  });
}

template <class Read>
void AlertStore::each_record(std::string_view prefix, const Read& read) {
  constexpr std::size_t page = 500;
  std::string after(prefix);
  while (true) {
    const std::vector<Record> records = queue_.storage().list_records(collection, after, page);
    for (const Record& record : records) {
      if (!record.key.starts_with(prefix)) return;
      try {
        read(record);
      } catch (const InvalidArgument& e) {  // of another version, or somebody else's
        log_to(log_, LogLevel::warning,
               fmt::format("the record {} of the alerts can't be read: {}", record.key, e.what()));
      }
      after = record.key;
    }
    if (records.size() < page) return;
  }
}

AlertFleet AlertStore::load() {
  AlertFleet fleet;
  each_record("", [&](const Record& record) {
    if (record.key.starts_with(state_prefix)) {
      auto decision = record.value.as<AlertDecision>();
      fleet.recorded[decision.alert] = decision.state.number;
      fleet.decided[decision.alert] = std::move(decision);
    } else if (record.key.starts_with(seen_prefix)) {
      auto seen = record.value.as<AlertObservation>();
      fleet.seen[seen.alert].push_back(std::move(seen));
    } else if (record.key.starts_with(event_prefix)) {
      auto event = record.value.as<AlertEventTime>();
      fleet.events[event.name] = std::move(event);
    } else if (record.key.starts_with(silence_prefix)) {
      fleet.silences.push_back(record.value.as<AlertSilence>());
    }
  });
  read_log(fleet);
  return fleet;
}

void AlertStore::read_log(AlertFleet& fleet) {
  // Ready where somebody has rescheduled all that waits.
  JobFilter filter{.states = {JobState::scheduled, JobState::ready},
                   .queue = std::string(alert_decision_queue),
                   .kind = std::string(alert_decision_kind),
                   .oldest_first = true};
  filter.limit = 1000;
  do {
    const JobPage page = queue_.storage().list(filter);
    for (const Job& job : page.jobs) {
      try {
        auto decision = job.payload.as<AlertDecision>();
        AlertDecision& last = fleet.decided[decision.alert];
        if (last.state.number < decision.state.number) last = decision;
        fleet.log.push_back({job.id, job.created_at, std::move(decision)});
      } catch (const InvalidArgument& e) {
        log_to(log_, {.level = LogLevel::warning,
                      .message = fmt::format("job {} can't be read as a decision about an alert: {}",
                                             job.id.value, e.what()),
                      .job = job.id,
                      .kind = job.kind,
                      .queue = job.queue});
      }
    }
    filter.after = page.next;
  } while (filter.after);
}

void AlertStore::put(const AlertObservation& seen) {
  queue_.storage().put_record(record_of(key_of(seen), seen));
}
void AlertStore::erase(const AlertObservation& seen) {
  queue_.storage().erase_record(collection, key_of(seen));
}
void AlertStore::put(const AlertEventTime& event) {
  queue_.storage().put_record(record_of(key_of(event), event));
}
void AlertStore::erase(const AlertEventTime& event) {
  queue_.storage().erase_record(collection, key_of(event));
}
void AlertStore::put(const AlertSilence& silence) {
  queue_.storage().put_record(record_of(silence_key(silence.id), silence));
}
bool AlertStore::erase_silence(std::uint64_t id) {
  return queue_.storage().erase_record(collection, silence_key(id));
}
void AlertStore::put(const AlertDecision& decision) {
  queue_.storage().put_record(record_of(key_of(decision), decision));
}
void AlertStore::erase(const AlertDecision& decision) {
  queue_.storage().erase_record(collection, key_of(decision));
}
void AlertStore::erase_logged(std::span<const JobId> jobs) { queue_.storage().erase(jobs); }

std::vector<AlertSilence> AlertStore::silences() {
  std::vector<AlertSilence> all;
  each_record(silence_prefix, [&](const Record& record) { all.push_back(record.value.as<AlertSilence>()); });
  return all;
}

void AlertStore::prepare(NewJob& delivery, const AlertDecision& decision) const {
  delivery.id = {};
  if (delivery.created_by.empty()) delivery.created_by = fmt::format("alert:{}", decision.alert.rule);
  // Held beyond its end, so that no node that is late can add it a second time.
  delivery.unique = {};
  delivery.unique.key = unique_key(decision, "/job");
  delivery.unique.while_completed = delivery.unique.while_dead = delivery.unique.while_cancelled = true;
  queue_.prepare(delivery);
}

bool AlertStore::decide(const AlertDecision& decision, std::optional<NewJob>& delivery) {
  std::vector<NewJob> jobs{job_of(decision)};
  if (delivery) jobs.push_back(*delivery);
  auto answer = queue_.enqueue_prepared(std::move(jobs)).front();
  if (answer.status != InsertStatus::queue_full)
    delivery.reset();
  else if (delivery)  // all or none was added: what is decided must not wait for that queue
    answer = queue_.enqueue_prepared({job_of(decision)}).front();
  if (answer.status == InsertStatus::queue_full)
    throw Error(fmt::format("the queue {} is full", alert_decision_queue));
  return answer.added() || answer.status == InsertStatus::repeated;
}

bool AlertStore::deliver(const NewJob& delivery) {
  return queue_.enqueue_prepared({delivery}).front().status != InsertStatus::queue_full;
}

}  // namespace quern::inline v1::detail
