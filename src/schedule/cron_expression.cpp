#include "quern/schedule/cron_expression.hpp"

#include <utility>

#include "schedule/cron_describe.hpp"
#include "schedule/cron_parser.hpp"

namespace quern::inline v1 {

CronExpression::CronExpression(std::string text, const detail::CronFields& fields)
    : text_(std::move(text)), fields_(fields) {}

CronExpression CronExpression::parse(std::string_view text, std::string_view name) {
  const detail::CronFields fields = detail::parse_cron(text, name);
  return {std::string(text), fields};
}

std::string CronExpression::describe() const { return detail::describe_cron(fields_); }

bool CronExpression::same_times(const CronExpression& other) const noexcept {
  return fields_ == other.fields_;
}

}  // namespace quern::inline v1
