#pragma once

#include <string>
#include <string_view>

#include "quern/schedule/detail/cron_fields.hpp"

namespace quern::inline v1::detail {

/// In English: "at 09:30 on weekdays".
[[nodiscard]] std::string describe_cron(const CronFields& fields);
/// A zone as people say it: "New York", "UTC".
[[nodiscard]] std::string describe_zone(std::string_view name);

}  // namespace quern::inline v1::detail
