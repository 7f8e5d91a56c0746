#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/log.hpp"
#include "quern/monitor/alert_event.hpp"
#include "quern/queue/queue_core.hpp"

namespace quern::inline v1::detail {

/// One alert: a rule, and what it is about.
struct AlertId {
  std::string rule{};
  std::string queue{};
  std::string kind{};

  /// As it stands in keys; no two are the same.
  [[nodiscard]] std::string text() const;
  friend auto operator<=>(const AlertId&, const AlertId&) = default;
};
QUERN_FIELDS(AlertId, rule, queue, kind)

/// What one node sees of an alert. Only that node writes it, so it needs no agreement.
struct AlertObservation {
  AlertId alert{};
  std::uint64_t node = 0;
  bool holds = false;  ///< False: it did.
  TimePoint since{};
  TimePoint seen{};   ///< When it held last.
  TimePoint until{};  ///< Until when it is believed to hold, unless the node says so again.
  TimePoint kept{};   ///< Until when it is remembered that it did, for `keep_firing_for`.
  double value = 0;

  [[nodiscard]] bool counts(TimePoint now) const noexcept;
  [[nodiscard]] bool remembered(TimePoint now) const noexcept;
};
QUERN_FIELDS(AlertObservation, alert, node, holds, since, seen, until, kept, value)

/// What was decided about an alert, and by whom.
struct AlertDecision {
  AlertId alert{};
  AlertState state{};
  bool notify = false;
  AlertEvent event{};
  std::uint64_t node = 0;
};
QUERN_FIELDS(AlertDecision, alert, state, notify, event, node)

/// When something happened last, and from when on somebody has been interested in it.
struct AlertEventTime {
  std::string name{};
  TimePoint first{};
  std::optional<TimePoint> last{};
};
QUERN_FIELDS(AlertEventTime, name, first, last)

/// All that a fleet knows about its alerts.
struct AlertFleet {
  struct Logged {
    JobId job{};
    TimePoint at{};
    AlertDecision decision{};
  };
  std::map<AlertId, AlertDecision> decided{};   ///< The last decision about each.
  std::map<AlertId, std::uint64_t> recorded{};  ///< The number of the one that stands in a record.
  std::vector<Logged> log{};                    ///< Decisions of the last hour.
  std::map<AlertId, std::vector<AlertObservation>> seen{};
  std::map<std::string, AlertEventTime> events{};
  std::vector<AlertSilence> silences{};

  /// Zero where nothing was decided.
  [[nodiscard]] AlertState state(const AlertId& alert) const;
  /// None where the node has none.
  [[nodiscard]] const AlertObservation* seen_by(std::uint64_t node, const AlertId& alert) const;
  [[nodiscard]] AlertSight sight(const AlertId& alert, TimePoint now) const;
  [[nodiscard]] bool silenced(const AlertId& alert, TimePoint now) const;
};

/// Keeps what a fleet knows about its alerts in its storage, by the contracts that every storage has.
///
/// Records can't be compared and set, but jobs have unique keys: so a decision *is* a job, which never runs, and whose
/// key is the alert and the decision's number. Of all nodes that want to decide the same, one adds it; the job that delivers
/// the notice is added in the same transaction. A record has the last decision, for when those jobs are erased; it may
/// be behind, and then the jobs say so. Thread-safe.
class AlertStore {
 public:
  AlertStore(QueueCore& queue, Logger log) : queue_(queue), log_(std::move(log)) {}

  [[nodiscard]] AlertFleet load();
  void put(const AlertObservation& seen);
  void erase(const AlertObservation& seen);
  void put(const AlertEventTime& event);
  void erase(const AlertEventTime& event);
  void put(const AlertSilence& silence);
  bool erase_silence(std::uint64_t id);
  [[nodiscard]] std::vector<AlertSilence> silences();
  void put(const AlertDecision& decision);
  void erase(const AlertDecision& decision);
  void erase_logged(std::span<const JobId> jobs);

  /// True: this decision is the fleet's now, and `delivery`, if any, was added with it, once for all nodes. False: another
  /// node was first, or what this one knew is old. `delivery` is left set where its queue was full.
  bool decide(const AlertDecision& decision, std::optional<NewJob>& delivery);
  /// Gives a job that delivers a decision's notice a key of its own, and checks it. Throws InvalidArgument.
  void prepare(NewJob& delivery, const AlertDecision& decision) const;
  /// Adds one whose queue was full. False: it still is.
  bool deliver(const NewJob& delivery);

 private:
  template <class Read>
  void each_record(std::string_view prefix, const Read& read);
  void read_log(AlertFleet& fleet);

  QueueCore& queue_;
  const Logger log_;
};

}  // namespace quern::inline v1::detail
