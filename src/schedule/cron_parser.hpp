#pragma once

#include <string_view>

#include "quern/schedule/detail/cron_fields.hpp"

namespace quern::inline v1::detail {

/// What `CronExpression::parse` does. Throws CronError.
[[nodiscard]] CronFields parse_cron(std::string_view text, std::string_view name);

}  // namespace quern::inline v1::detail
