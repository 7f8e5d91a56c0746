#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "quern/core/fields.hpp"
#include "quern/core/time.hpp"
#include "quern/monitor/alert_rule.hpp"

namespace quern::inline v1 {

enum class AlertStatus : std::uint8_t {
  inactive = 0,
  pending = 1,  ///< Beyond the threshold, not yet for long enough.
  firing = 2,
};
/// "inactive", "pending", "firing"
[[nodiscard]] std::string_view to_string(AlertStatus status) noexcept;

/// What was last decided about one alert. Whether it is pending follows from what is seen, and is not decided.
struct AlertState {
  std::uint64_t number = 0;  ///< Of decisions so far.
  bool firing = false;
  TimePoint changed_at{};  ///< When it began to fire, or was resolved.
  TimePoint since{};       ///< firing: from when on the value was beyond the threshold.
  bool notified = false;   ///< firing: somebody was told, and it was not silenced since.
  std::optional<TimePoint>
      notified_at{};  ///< When somebody was last told that it fires; kept when it is resolved.

  friend bool operator==(const AlertState&, const AlertState&) = default;
};
QUERN_FIELDS(AlertState, number, firing, changed_at, since, notified, notified_at)

/// What is seen of the value now.
struct AlertSight {
  std::optional<TimePoint> since{};  ///< From when on it is beyond the threshold; none: it is not.
  std::optional<TimePoint> last{};   ///< When it was last; none: not lately.
};

/// What is to be decided.
enum class AlertChange : std::uint8_t {
  none,
  fires,     ///< It begins to fire.
  reminds,   ///< It goes on firing, and somebody is to be told: again, or at last.
  silenced,  ///< It goes on firing, and who was told is no longer: a silence has begun.
  resolved,
};

struct AlertStep {
  AlertStatus status = AlertStatus::inactive;  ///< Now.
  AlertChange change = AlertChange::none;
  bool notify = false;  ///< Somebody is to be told of the change.
  AlertState next{};    ///< Once it is decided; its number is one more where there is a change.
};

/// What follows for one alert from what was decided and what is seen. Nothing else goes in, so any two nodes that
/// know the same decide the same. Requires a rule that `check_alert_rules` takes.
///
/// Silence  a silenced alert fires and is resolved without notice. Where it still fires afterwards, one notice is given, also
///          where there was one before the silence.
/// Resolve  is told only where the last word was that it fires.
[[nodiscard]] AlertStep next_alert_step(const AlertRule& rule, const AlertState& state,
                                        const AlertSight& sight, bool silenced, TimePoint now);

}  // namespace quern::inline v1
