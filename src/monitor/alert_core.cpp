#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "monitor/alert_local.hpp"
#include "monitor/alert_store.hpp"
#include "monitor/completion_watch.hpp"
#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"
#include "quern/monitor/alert_manager.hpp"
#include "queue/event_channel.hpp"

namespace quern::inline v1::detail {
namespace {

using namespace std::chrono_literals;
using Source = AlertMetric::Source;

/// How long decisions stand as jobs, by whose keys a node that is late finds out that it is.
constexpr Duration log_time = 1h;
/// After so long what nobody has an interest in any more is dropped.
constexpr Duration forgotten_after = std::chrono::hours(24 * 365);
constexpr std::size_t most_notes = 1000;
constexpr std::size_t most_late = 1000;

AlertOptions checked(AlertOptions options) {
  std::vector<std::string> faults;
  try {
    check_alert_rules(options.rules);
  } catch (const ConfigError& e) {
    faults = e.faults();
  }
  if (options.interval < 100ms || options.interval > 1h)
    faults.push_back(fmt::format("interval: is {}; allowed is 100ms to 1h", to_text(options.interval)));
  if (options.most_alerts < 1 || options.most_alerts > 100'000)
    faults.push_back(fmt::format("most_alerts: is {}; allowed is 1 to 100000", options.most_alerts));
  if (!faults.empty()) throw ConfigError(std::move(faults));
  return options;
}

std::set<std::string, std::less<>> watched_kinds(const std::vector<AlertRule>& rules) {
  std::set<std::string, std::less<>> kinds;
  for (const AlertRule& rule : rules)
    if (rule.metric.source() == Source::since_completed) kinds.insert(rule.metric.event());
  return kinds;
}

}  // namespace

AlertCore::AlertCore(QueueCore& queue, std::function<Metrics()> metrics, AlertOptions options)
    : queue_(queue),
      metrics_(std::move(metrics)),
      options_(checked(std::move(options))),
      clock_(queue.storage().clock()),
      waker_(std::make_shared<Waker>()),
      store_(std::make_unique<AlertStore>(queue, options_.log)),
      completions_(std::make_shared<CompletionWatch>(clock_, watched_kinds(options_.rules))),
      channels_(std::make_unique<EventChannels<AlertEvent>>()),
      local_(std::make_unique<Local>()) {
  // Who watches costs the engine a little, so only where somebody wants to know.
  if (completions_->any()) queue_.observers().add(completions_);
}

AlertCore::~AlertCore() { queue_.observers().remove(*completions_); }

void AlertCore::set_rules(std::vector<AlertRule> rules) {
  check_alert_rules(rules);
  {
    const std::lock_guard lock(local_->mutex);
    local_->next_rules = std::move(rules);
  }
  waker_->wake();
}

void AlertCore::take_rules() {
  std::optional<std::vector<AlertRule>> rules;
  {
    const std::lock_guard lock(local_->mutex);
    rules.swap(local_->next_rules);
  }
  if (!rules) return;
  options_.rules = std::move(*rules);
  // The new one listens before the old one ceases to, and then takes over what that has heard.
  const auto before =
      std::exchange(completions_, std::make_shared<CompletionWatch>(clock_, watched_kinds(options_.rules)));
  if (completions_->any()) queue_.observers().add(completions_);
  queue_.observers().remove(*before);
  completions_->adopt(*before);
  tick_at_ = TimePoint::min();
}

NextTick AlertCore::tick(TimePoint now) noexcept {
  try {
    take_rules();
    if (now < tick_at_ && tick_at_ - now <= options_.interval) return {tick_at_};
    tick_at_ = now + options_.interval;
    look(now);
  } catch (const std::exception& e) {
    {
      const std::lock_guard lock(local_->mutex);
      ++local_->failed_ticks;
    }
    log_to(options_.log, LogLevel::warning, fmt::format("the alerts could not be looked at: {}", e.what()));
  }
  return {tick_at_};
}

void AlertCore::look(TimePoint now) {
  if (local_->node == 0) local_->node = queue_.take_ids(1).value;
  AlertFleet fleet = store_->load();
  tell_own(fleet);
  const Metrics metrics = metrics_();
  note_events(fleet, metrics, now);
  observe(fleet, metrics, now);
  decide(fleet, now);
  deliver_late();
  tidy(fleet, now);
}

const AlertRule* AlertCore::rule(std::string_view name) const {
  const auto found = std::ranges::find(options_.rules, name, &AlertRule::name);
  return found == options_.rules.end() ? nullptr : &*found;
}

// --- what the fleet decides

void AlertCore::decide(AlertFleet& fleet, TimePoint now) {
  std::set<AlertId> all;
  for (const auto& [alert, seen] : fleet.seen) all.insert(alert);
  for (const auto& [alert, decision] : fleet.decided)
    if (decision.state.firing) all.insert(alert);
  std::vector<AlertView> views;
  for (const AlertId& alert : all)
    if (auto view = decide_one(fleet, alert, now)) views.push_back(std::move(*view));
  const std::lock_guard lock(local_->mutex);
  local_->views = std::move(views);
}

std::optional<AlertView> AlertCore::decide_one(AlertFleet& fleet, const AlertId& alert, TimePoint now) {
  const AlertSight sight = fleet.sight(alert, now);
  const AlertState state = fleet.state(alert);
  const AlertRule* const its_rule = rule(alert.rule);
  const auto known = fleet.decided.find(alert);
  AlertDecision decision = known == fleet.decided.end() ? AlertDecision() : known->second;
  decision.alert = alert;
  decision.node = local_->node;
  decision.notify = false;
  AlertEvent& event = decision.event;

  AlertStep step;
  if (its_rule != nullptr) {
    step = next_alert_step(*its_rule, state, sight, fleet.silenced(alert, now), now);
    event.severity = its_rule->severity;
    event.description = its_rule->description;
    event.threshold = its_rule->threshold;
    event.when = its_rule->when;
  } else {
    // A rule that only other nodes have is theirs to decide; one that nobody has any more ends by itself.
    step.status = state.firing ? AlertStatus::firing : AlertStatus::inactive;
    step.next = state;
    if (state.firing && !sight.since && !sight.last && now - state.changed_at > log_time) {
      AlertRule gone;
      gone.notify_resolved = false;
      step = next_alert_step(gone, state, sight, false, now);
    }
  }

  event.rule = alert.rule;
  event.queue = alert.queue;
  event.kind = alert.kind;
  if (const auto value = local_->values.find(alert); value != local_->values.end())
    event.value = value->second;
  else if (const auto seen = fleet.seen.find(alert); seen != fleet.seen.end() && !seen->second.empty())
    event.value = seen->second.front().value;

  if (step.change != AlertChange::none) {
    decision.state = step.next;
    decision.notify = step.notify;
    event.type = step.change == AlertChange::resolved ? AlertEventType::resolved : AlertEventType::triggered;
    event.since = step.next.since;
    event.at = now;
    event.number = step.next.number;
    std::optional<NewJob> delivery = delivery_of(decision);
    if (store_->decide(decision, delivery)) {
      if (delivery && local_->late.size() < most_late) local_->late.push_back(std::move(*delivery));
      tell(decision);
      store_->put(decision);
      fleet.recorded[alert] = decision.state.number;
      fleet.decided[alert] = decision;
    }
  }

  if (step.status == AlertStatus::inactive) return std::nullopt;
  AlertView view;
  view.rule = event.rule;
  view.severity = event.severity;
  view.description = event.description;
  view.queue = event.queue;
  view.kind = event.kind;
  view.status = step.status;
  view.value = event.value;
  view.threshold = event.threshold;
  view.since = step.next.firing ? step.next.since : sight.since.value_or(now);
  view.silenced = fleet.silenced(alert, now);
  view.notified = step.next.notified;
  return view;
}

std::optional<NewJob> AlertCore::delivery_of(const AlertDecision& decision) const {
  if (!decision.notify || !options_.job) return std::nullopt;
  const auto failed = [&](std::string_view why) -> std::optional<NewJob> {
    log_to(
        options_.log, LogLevel::error,
        fmt::format("no job could be made of a notice of the alert rule {}: {}", decision.alert.rule, why));
    return std::nullopt;
  };
  try {
    std::optional<NewJob> job = options_.job(decision.event);
    if (job) store_->prepare(*job, decision);
    return job;
  } catch (const std::exception& e) {
    return failed(e.what());
  } catch (...) {
    return failed("it threw something that is no std::exception");
  }
}

void AlertCore::tell_own(const AlertFleet& fleet) {
  // The answer to a decision got lost, but it was ours.
  for (const auto& logged : fleet.log)
    if (logged.decision.node == local_->node) tell(logged.decision);
}

void AlertCore::tell(const AlertDecision& decision) {
  std::uint64_t& told = local_->told[decision.alert];
  if (told >= decision.state.number) return;
  told = decision.state.number;
  if (!decision.notify) return;
  const LogLevel level =
      decision.event.type == AlertEventType::triggered ? LogLevel::warning : LogLevel::info;
  log_to(options_.log, level, decision.event.summary());
  channels_->publish(std::span(&decision.event, 1));
  if (!options_.on_event) return;
  try {
    options_.on_event(decision.event);
  } catch (const std::exception& e) {
    log_to(options_.log, LogLevel::error, fmt::format("who was told of an alert failed: {}", e.what()));
  } catch (...) {
    log_to(options_.log, LogLevel::error, "who was told of an alert failed");
  }
}

void AlertCore::deliver_late() {
  while (!local_->late.empty()) {
    if (!store_->deliver(local_->late.front())) {
      log_to(options_.log, LogLevel::warning,
             fmt::format("{} notices wait, since the queue {} is full", local_->late.size(),
                         local_->late.front().queue));
      return;
    }
    local_->late.erase(local_->late.begin());
  }
}

// --- what is no longer needed

void AlertCore::tidy(AlertFleet& fleet, TimePoint now) {
  for (const auto& [alert, decision] : fleet.decided) {
    if (const auto recorded = fleet.recorded.find(alert);
        (recorded == fleet.recorded.end() || recorded->second < decision.state.number))
      store_->put(decision);
    else if (!decision.state.firing && now - decision.state.changed_at > forgotten_after)
      store_->erase(decision);
  }
  std::vector<JobId> old;
  for (const auto& logged : fleet.log)
    if (now - logged.at > log_time) old.push_back(logged.job);
  if (!old.empty()) store_->erase_logged(old);
  for (const auto& [alert, all] : fleet.seen)
    for (const AlertObservation& seen : all)
      if (seen.node != local_->node && !seen.remembered(now)) store_->erase(seen);
  for (const AlertSilence& silence : fleet.silences)
    if (now >= silence.until) store_->erase_silence(silence.id);
  for (const auto& [name, event] : fleet.events)
    if (now - event.last.value_or(event.first) > forgotten_after &&
        std::ranges::none_of(options_.rules, [&](const AlertRule& rule) {
          return about_an_event(rule) && event_of(rule.metric) == name;
        }))
      store_->erase(event);
}

// --- for anybody

void AlertCore::note(std::string_view event) {
  if (event.empty()) throw InvalidArgument("event", "is empty");
  check_text(event, "event", JobLimits{}.text_bytes);
  const TimePoint now = clock_.now();
  const std::lock_guard lock(local_->mutex);
  auto& notes = local_->notes;
  const auto key = noted(event);
  if (const auto found = notes.find(key); found != notes.end())
    found->second = std::max(found->second, now);
  else if (notes.size() < most_notes)
    notes.emplace(key, now);
}

std::uint64_t AlertCore::silence(AlertMatch match, TimePoint until, std::string reason, std::string who) {
  constexpr std::size_t most = 1000;
  check_text(match.rule, "rule", most);
  check_text(match.queue, "queue", most);
  check_text(match.kind, "kind", most);
  check_text(reason, "reason", most);
  check_text(who, "who", most);
  const TimePoint now = clock_.now();
  if (until <= now)
    throw InvalidArgument("until", fmt::format("is {}, and now is {}", to_rfc3339(until), to_rfc3339(now)));
  AlertSilence made;
  made.id = queue_.take_ids(1).value;
  made.match = std::move(match);
  made.begins = now;
  made.until = until;
  made.reason = std::move(reason);
  made.who = std::move(who);
  store_->put(made);
  return made.id;
}

bool AlertCore::unsilence(std::uint64_t id) { return store_->erase_silence(id); }

std::vector<AlertSilence> AlertCore::silences() {
  auto all = store_->silences();
  const TimePoint now = clock_.now();
  std::erase_if(all, [&](const AlertSilence& silence) { return now >= silence.until; });
  return all;
}

std::vector<AlertView> AlertCore::alerts() const {
  const std::lock_guard lock(local_->mutex);
  return local_->views;
}

std::uint64_t AlertCore::failed_ticks() const {
  const std::lock_guard lock(local_->mutex);
  return local_->failed_ticks;
}

Subscription AlertCore::subscribe(std::function<void(const AlertEvent&)> callback, SubscribeOptions options) {
  return channels_->subscribe(std::move(callback), options);
}

}  // namespace quern::inline v1::detail
