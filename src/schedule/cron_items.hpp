#pragma once

#include <cstdint>
#include <string_view>

#include "quern/schedule/detail/cron_fields.hpp"
#include "schedule/cron_text.hpp"

namespace quern::inline v1::detail {

/// The values of one field that has no words of its own (second, minute, hour, month, year), bit n for `least` + n.
struct CronSet {
  CronYears bits{};
  bool star = false;  ///< An item is `*` or `H/n`, with or without a step.
  bool any = false;   ///< The field is exactly `*`.
};

/// Reads such a field. Throws CronError.
[[nodiscard]] CronSet read_set(const CronFieldKind& kind, CronFieldText field, std::string_view name);
/// Reads the day of the month, or the day of the week, into `fields`.
void read_day_of_month(CronFieldText field, std::string_view name, CronFields& fields);
void read_day_of_week(CronFieldText field, std::string_view name, CronFields& fields);

}  // namespace quern::inline v1::detail
