#pragma once

#include <vector>

#include "http/api_context.hpp"
#include "quern/schedule/schedule.hpp"

namespace quern::inline v1::http {

/// A schedule as the body describes it. `name`: that in the path; empty: the body has it.
[[nodiscard]] ScheduleSpec schedule_in(const nlohmann::json& body, std::string name,
                                       std::vector<FieldFault>& faults);

/// The payload as it stands there, for who may see it.
[[nodiscard]] Json json_of(const ApiContext& api, const ScheduleSpec& spec, bool show_secrets);
[[nodiscard]] Json json_of(const ApiContext& api, const ScheduleStatus& status, bool show_secrets);
[[nodiscard]] Json json_of(const ScheduleRun& run);

}  // namespace quern::inline v1::http
