#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "quern/schedule/cron_error.hpp"
#include "quern/schedule/detail/cron_fields.hpp"

namespace quern::inline v1 {

/// A cron expression: which seconds of which local dates. What that means in a time zone is `CronSchedule`'s matter.
/// A plain value of some 200 bytes; concurrent reads are safe.
///
///   fields   minute hour day-of-month month day-of-week; six: seconds first; seven: a year (1970-2199) last
///   items    `*`, a number or name, `a-b`, `a/n` (from a to the end), `a-b/n`, `*/n`, in lists
///   days     `?` is `*`; `L` last day, `L-n`, `nW` the weekday next to it, `LW`; `dL` or `d#L` last, `d#k` k-th weekday
///            both restricted: either matches; `+` before the day of the week: both have to
///   `H`      a value drawn from the schedule's name: `H`, `H/n`, `H(a-b)`, `H(a-b)/n`
///   macros   @yearly @annually @monthly @weekly @daily @midnight @hourly
/// docs/cron.md has the whole dialect.
class CronExpression {
 public:
  /// Longer texts are refused.
  static constexpr std::size_t max_length = 256;

  /// Reads an expression. `name` is the schedule's, which `H` is drawn from: the same name gives the same times in every
  /// process and version. Throws CronError where the text is faulty, has `H` without a name, or matches no date of
  /// any year ("30 February"). About a microsecond; memory for the text only.
  [[nodiscard]] static CronExpression parse(std::string_view text, std::string_view name = {});

  /// The text that was read.
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

  /// What it means, in English: "at 09:30 on weekdays".
  [[nodiscard]] std::string describe() const;

  /// True when both match the same local times under every policy, however they are written.
  [[nodiscard]] bool same_times(const CronExpression& other) const noexcept;

  /// The parsed sets, for quern's own use.
  [[nodiscard]] const detail::CronFields& fields() const noexcept { return fields_; }

 private:
  CronExpression(std::string text, const detail::CronFields& fields);

  std::string text_;
  detail::CronFields fields_;
};

}  // namespace quern::inline v1
