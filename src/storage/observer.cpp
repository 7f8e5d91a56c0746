#include "quern/storage/observer.hpp"

namespace quern::inline v1 {

std::string_view to_string(JobEventType type) noexcept {
  switch (type) {
    case JobEventType::created:
      return "job.created";
    case JobEventType::blocked:
      return "job.blocked";
    case JobEventType::started:
      return "job.started";
    case JobEventType::progress_updated:
      return "job.progress_updated";
    case JobEventType::completed:
      return "job.completed";
    case JobEventType::failed:
      return "job.failed";
    case JobEventType::retrying:
      return "job.retrying";
    case JobEventType::snoozed:
      return "job.snoozed";
    case JobEventType::released:
      return "job.released";
    case JobEventType::rescued:
      return "job.rescued";
    case JobEventType::lease_lost:
      return "job.lease_lost";
    case JobEventType::cancel_requested:
      return "job.cancel_requested";
    case JobEventType::cancelled:
      return "job.cancelled";
    case JobEventType::dead:
      return "job.dead";
    case JobEventType::rescheduled:
      return "job.rescheduled";
    case JobEventType::priority_changed:
      return "job.priority_changed";
    case JobEventType::erased:
      return "job.erased";
  }
  return "job.unknown";
}

}  // namespace quern::inline v1
