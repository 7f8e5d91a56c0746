#include "quern/schedule/schedule.hpp"

#include <fmt/format.h>

#include "quern/core/error.hpp"
#include "schedule/scheduler_local.hpp"
#include "schedule/timing_check.hpp"

namespace quern::inline v1 {

std::string_view to_string(SkipReason reason) noexcept {
  switch (reason) {
    case SkipReason::none:
      return "none";
    case SkipReason::missed:
      return "missed";
    case SkipReason::busy:
      return "busy";
    case SkipReason::conflict:
      return "conflict";
    case SkipReason::ended:
      return "ended";
    case SkipReason::paused:
      return "paused";
    case SkipReason::clock_set_back:
      break;
  }
  return "clock_set_back";
}

void check(const ScheduleSpec& spec, const JobLimits& limits) {
  if (spec.name.empty()) throw InvalidArgument("name", "is empty; a schedule needs one");
  check_text(spec.name, "name", limits.name_bytes);
  const auto range = [](std::string_view field, std::uint64_t value, std::uint64_t least,
                        std::uint64_t most) {
    if (value < least || value > most)
      throw InvalidArgument(std::string(field),
                            fmt::format("is {}; allowed is {} to {}", value, least, most));
  };
  range("missed", static_cast<std::uint64_t>(spec.missed), 0, static_cast<std::uint64_t>(MissedRuns::all));
  range("when_busy", static_cast<std::uint64_t>(spec.when_busy), 0,
        static_cast<std::uint64_t>(WhenBusy::cancel));
  range("missed_limit", spec.missed_limit, 1, 1000);
  if (spec.missed_within < Duration::zero())
    throw InvalidArgument("missed_within",
                          fmt::format("is {}; it must not be negative", to_text(spec.missed_within)));
  constexpr std::size_t most_tags = 31;
  if (spec.tags.size() > most_tags)
    throw InvalidArgument("tags", fmt::format("are {}; allowed are up to {}", spec.tags.size(), most_tags));
  NewJob job = detail::job_of(spec);
  if (job.queue.empty()) job.queue = "default";
  check(job, limits);
  detail::check_timing(spec.timing, spec.name);
}

}  // namespace quern::inline v1
