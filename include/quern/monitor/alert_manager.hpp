#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "quern/core/log.hpp"
#include "quern/core/runner.hpp"
#include "quern/monitor/alert_event.hpp"
#include "quern/monitor/alert_rule.hpp"
#include "quern/monitor/job_monitor.hpp"
#include "quern/queue/event_bus.hpp"
#include "quern/queue/job_queue.hpp"

namespace quern::inline v1 {

struct AlertOptions {
  std::vector<AlertRule> rules = default_alert_rules();
  /// How often the rules are looked at. What one node sees, the others take for true for three times as long, and
  /// 10 s at least. 100 ms to 1 h.
  Duration interval = std::chrono::seconds(15);
  /// Alerts that one node watches at once; a rule that is told apart by names made at run time can't fill the storage.
  /// 1 to 100,000.
  std::size_t most_alerts = 1000;
  /// For `AlertMetric::healthy_workers`. Called by each tick; what it throws is logged, and counts as no value.
  std::function<std::size_t()> healthy_workers{};
  /// Makes a notice into a job, which is added in the same transaction in which the fleet decides to give it: once for all
  /// nodes, whatever dies meanwhile. None: no job for this one. Its unique key is set; what it throws is logged.
  std::function<std::optional<NewJob>(const AlertEvent&)> job{};
  /// Told of each notice that this node gives, by `tick`: it should be quick. What it throws is logged and dropped.
  std::function<void(const AlertEvent&)> on_event{};
  Logger log{};  ///< Also told each notice that this node gives.
};

namespace detail {

class AlertStore;
struct AlertFleet;
struct AlertDecision;
struct AlertId;
class CompletionWatch;
template <class Event>
class EventChannels;

/// All of AlertManager but its types.
class AlertCore {
 public:
  /// Throws ConfigError. The queue must outlive it.
  AlertCore(QueueCore& queue, std::function<Metrics()> metrics, AlertOptions options);
  AlertCore(const AlertCore&) = delete;
  AlertCore& operator=(const AlertCore&) = delete;
  ~AlertCore();

  NextTick tick(TimePoint now) noexcept;
  void set_rules(std::vector<AlertRule> rules);
  void note(std::string_view event);
  std::uint64_t silence(AlertMatch match, TimePoint until, std::string reason, std::string who);
  bool unsilence(std::uint64_t id);
  [[nodiscard]] std::vector<AlertSilence> silences();
  [[nodiscard]] std::vector<AlertView> alerts() const;
  [[nodiscard]] std::uint64_t failed_ticks() const;
  [[nodiscard]] Subscription subscribe(std::function<void(const AlertEvent&)> callback,
                                       SubscribeOptions options);
  [[nodiscard]] ClockRef clock() const { return clock_; }
  [[nodiscard]] const std::shared_ptr<Waker>& waker() const noexcept { return waker_; }

 private:
  struct Local;

  void take_rules();
  void look(TimePoint now);
  void note_events(AlertFleet& fleet, const Metrics& metrics, TimePoint now);
  [[nodiscard]] std::vector<AlertValue> values_of_rule(const AlertRule& rule, AlertFleet& fleet,
                                                       const Metrics& metrics, TimePoint now) const;
  void observe(AlertFleet& fleet, const Metrics& metrics, TimePoint now);
  void say(AlertFleet& fleet, const std::map<AlertId, double>& held, TimePoint now);
  void decide(AlertFleet& fleet, TimePoint now);
  [[nodiscard]] std::optional<AlertView> decide_one(AlertFleet& fleet, const AlertId& alert, TimePoint now);
  void tell_own(const AlertFleet& fleet);
  void tell(const AlertDecision& decision);
  void tidy(AlertFleet& fleet, TimePoint now);
  void deliver_late();
  [[nodiscard]] std::optional<TimePoint> happened(const std::string& event) const;
  [[nodiscard]] std::optional<NewJob> delivery_of(const AlertDecision& decision) const;
  [[nodiscard]] const AlertRule* rule(std::string_view name) const;

  QueueCore& queue_;
  const std::function<Metrics()> metrics_;
  AlertOptions options_;  // changed only by tick
  const ClockRef clock_;
  const std::shared_ptr<Waker> waker_;
  const std::unique_ptr<AlertStore> store_;
  std::shared_ptr<CompletionWatch> completions_;  // the same
  const std::unique_ptr<EventChannels<AlertEvent>> channels_;
  const std::unique_ptr<Local> local_;
  TimePoint tick_at_ = TimePoint::min();
};

}  // namespace detail

/// Watches rules over what a monitor knows, and gives notice when they fire and when they are resolved: once for all nodes
/// that share the storage.
///
///     quern::AlertManager alerts{queue, monitor};
///     auto told = alerts.subscribe([](const quern::AlertEvent& e) { std::puts(e.summary().c_str()); });
///     alerts.start();
///
/// Fleet    what a node sees beyond a threshold it says in the storage, and an alert fires while any node says so. What is
///          decided (it fires, is resolved, a notice is given) is a job with a unique key, so one node alone decides it, and a
///          restart knows it. The clocks of the nodes should agree to within a few seconds.
/// Notices  to subscribers of the node that decided, at most once: a process that dies just then takes them along. As a
///          job (`AlertOptions::job`) exactly once. Subscribers with threads of their own never hold up a tick.
/// Storage  one read of records and one list per tick; writes only while something is beyond its threshold. While the storage
///          does not answer nothing is decided: that is what `HealthChecks` are for.
/// Threads  every member but `tick` may be called from any thread; `tick` from one at a time, and not while started.
template <Storage S = AnyStorage>
class AlertManager {
 public:
  /// The queue and the monitor must outlive it; the monitor must be ticked or started by itself. Throws ConfigError
  /// with all that is wrong with the rules and options.
  AlertManager(JobQueue<S>& queue, JobMonitor<S>& monitor, AlertOptions options = {})
      : core_(queue.core(), [&monitor] { return monitor.metrics(); }, std::move(options)) {}
  AlertManager(const AlertManager&) = delete;
  AlertManager& operator=(const AlertManager&) = delete;
  ~AlertManager() { stop(); }

  /// Looks at all rules where that is due; says when it wants to be called next. A storage that fails is asked again after
  /// the same interval.
  NextTick tick(TimePoint now) noexcept { return core_.tick(now); }
  /// Ticks on a thread of its own. Harmless when started. Throws std::system_error where no thread can be had.
  void start() {
    if (!runner_.running()) runner_.start(core_, core_.clock(), core_.waker());
  }
  /// Waits for a call of the storage that is under way. Can be started again.
  void stop() noexcept { runner_.stop(); }

  /// These instead, from the next tick on. A rule of the same name goes on as it stands; what fires by a rule that no
  /// node has any more ends by itself, an hour after its last change and without a notice. Throws ConfigError for faulty ones, and nothing changes.
  void set_rules(std::vector<AlertRule> rules) { core_.set_rules(std::move(rules)); }
  /// Something has happened, now: for `AlertMetric::since_event`. Kept until the next tick, which writes it to the storage;
  /// what a process that dies has not written is forgotten. Up to 1000 names between two ticks; a name that nobody has
  /// noted for a year is dropped. Throws InvalidArgument for a name that is empty, longer than 256 bytes or no text.
  void note(std::string_view event) { core_.note(event); }

  /// No notices until then of alerts that match; they fire nevertheless. What still fires afterwards gives one notice. Kept in
  /// the storage, for all nodes, which see it with their next tick. The answer names it. Throws InvalidArgument for a time that is not
  /// to come and for texts that are no text or longer than 1000 bytes, StorageError.
  std::uint64_t silence(AlertMatch match, TimePoint until, std::string reason, std::string who = {}) {
    return core_.silence(std::move(match), until, std::move(reason), std::move(who));
  }
  /// Ends a silence early. True where there was one. Throws StorageError.
  bool unsilence(std::uint64_t id) { return core_.unsilence(id); }
  /// Those that last, by id. Throws StorageError.
  [[nodiscard]] std::vector<AlertSilence> silences() { return core_.silences(); }

  /// What is pending or firing in the fleet, as of this node's last tick; in the order of (rule, queue, kind). Never
  /// touches the storage.
  [[nodiscard]] std::vector<AlertView> alerts() const { return core_.alerts(); }
  /// Ticks that the storage did not let through.
  [[nodiscard]] std::uint64_t failed_ticks() const { return core_.failed_ticks(); }

  /// Delivers the notices that this node gives from now on, until the subscription ends; see EventBus.
  [[nodiscard]] Subscription subscribe(std::function<void(const AlertEvent&)> callback,
                                       SubscribeOptions options = {}) {
    return core_.subscribe(std::move(callback), options);
  }

 private:
  detail::AlertCore core_;
  Runner runner_;
};

}  // namespace quern::inline v1
