#pragma once

#include "quern/schedule/schedule.hpp"
#include "quern/service/service_events.hpp"

namespace quern::inline v1 {

/// What a scheduler has decided, as an event of a service.
[[nodiscard]] inline SystemEvent system_event(const ScheduleEvent& event) {
  const bool executed = event.run.reason == SkipReason::none;
  SystemEvent made;
  made.type = executed ? SystemEventType::schedule_executed : SystemEventType::schedule_skipped;
  made.at = event.run.decided;
  made.schedule = event.schedule;
  made.job = JobId{event.run.job};
  made.instant = event.run.instant;
  if (executed) {
    made.message = "added its job " + to_text(event.lateness) + " after its instant";
  } else {
    made.message = std::to_string(event.run.count) + (event.run.count == 1 ? " instant" : " instants") +
                   " left out: " + std::string(to_string(event.run.reason));
  }
  return made;
}

/// For `SchedulerOptions::on_event`: tells the subscribers of a service, which must outlive the scheduler.
///
///     options.on_event = quern::publish_to(service.events());
[[nodiscard]] inline auto publish_to(ServiceEvents& events) {
  return [&events](const ScheduleEvent& event) { events.publish(system_event(event)); };
}

}  // namespace quern::inline v1
