#include "schedule/cron_parser.hpp"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "quern/schedule/cron_expression.hpp"
#include "schedule/cron_days.hpp"
#include "schedule/cron_items.hpp"
#include "schedule/cron_text.hpp"

namespace quern::inline v1::detail {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 7> macros{{{"@yearly", "0 0 1 1 *"},
                                                                               {"@annually", "0 0 1 1 *"},
                                                                               {"@monthly", "0 0 1 * *"},
                                                                               {"@weekly", "0 0 * * 0"},
                                                                               {"@daily", "0 0 * * *"},
                                                                               {"@midnight", "0 0 * * *"},
                                                                               {"@hourly", "0 * * * *"}}};

constexpr bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }

bool same_letters(std::string_view text, std::string_view small) noexcept {
  if (text.size() != small.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] - 'A' + 'a') : text[i];
    if (c != small[i]) return false;
  }
  return true;
}

void check_characters(std::string_view text) {
  if (text.size() > CronExpression::max_length)
    throw CronError(
        CronExpression::max_length, text.size() - CronExpression::max_length,
        fmt::format("found {} bytes, where at most {} are allowed", text.size(), CronExpression::max_length));
  for (std::size_t at = 0; at < text.size(); ++at) {
    if ((text[at] >= ' ' && text[at] <= '~') || text[at] == '\t') continue;
    throw CronError(
        at, 1,
        fmt::format("at character {}: found {}, where only printable ASCII, spaces and tabs are allowed",
                    at + 1, quoted(text.substr(at, 1))));
  }
}

struct Fields {
  std::array<CronFieldText, 7> of;
  std::size_t count = 0;
};

Fields split(std::string_view text) {
  Fields fields;
  std::size_t at = 0;
  for (;;) {
    while (at < text.size() && is_blank(text[at])) ++at;
    if (at == text.size()) break;
    const std::size_t begin = at;
    while (at < text.size() && !is_blank(text[at])) ++at;
    if (fields.count == fields.of.size())
      throw CronError(
          begin, at - begin,
          fmt::format("at character {}: found an eighth field {}, where at most seven are allowed", begin + 1,
                      quoted(text.substr(begin, at - begin))));
    fields.of[fields.count++] = {.text = text.substr(begin, at - begin), .at = begin};
  }
  return fields;
}

[[noreturn]] void fail_count(std::string_view text, std::size_t count) {
  const std::string found = count == 0 ? "nothing" : fmt::format("{} field{}", count, count == 1 ? "" : "s");
  throw CronError(
      text.size(), 0,
      fmt::format("found {}, where five are needed (minute, hour, day of the month, month, day of the week), "
                  "six with the second first, or seven with a year last; or a macro like @daily",
                  found));
}

[[noreturn]] void fail_macro(CronFieldText macro) {
  std::string hint;
  if (same_letters(macro.text, "@every"))
    hint = "; an interval is a schedule of its own, not a cron expression";
  if (same_letters(macro.text, "@reboot")) hint = "; a start of the machine is not a time";
  throw CronError(
      macro.at, macro.text.size(),
      fmt::format("at character {}: found {}, where @yearly, @annually, @monthly, @weekly, @daily, @midnight "
                  "or @hourly is allowed{}",
                  macro.at + 1, quoted(macro.text), hint));
}

/// The fields of a macro's meaning, all of them where the macro stands.
Fields expand_macro(const Fields& fields) {
  const CronFieldText& macro = fields.of[0];
  for (const auto& [name, meaning] : macros) {
    if (!same_letters(macro.text, name)) continue;
    if (fields.count > 1)
      throw CronError(fields.of[1].at, fields.of[1].text.size(),
                      fmt::format("at character {}: found {} after a macro, where the end is allowed",
                                  fields.of[1].at + 1, quoted(fields.of[1].text)));
    return split(meaning);
  }
  fail_macro(macro);
}

void check_dates(const CronFields& fields, CronFieldText day, CronFieldText month, CronFieldText weekday,
                 CronFieldText year) {
  for (const std::uint64_t word : fields.years)
    if (word != 0) return;
  std::string problem = fmt::format("at character {}: no year has such a date (day of the month {}, month {}",
                                    day.at + 1, quoted(day.text), quoted(month.text));
  if (!fields.any_weekday) problem += fmt::format(", day of the week {}", quoted(weekday.text));
  if (!fields.any_year) problem += fmt::format(", year {}", quoted(year.text));
  throw CronError(day.at, month.at + month.text.size() - day.at, problem + ")");
}

}  // namespace

CronFields parse_cron(std::string_view text, std::string_view name) {
  check_characters(text);
  Fields found = split(text);
  if (found.count > 0 && found.of[0].text.starts_with('@')) found = expand_macro(found);
  if (found.count < 5) fail_count(text, found.count);

  CronFields fields;
  const std::size_t minute = found.count == 5 ? 0 : 1;
  fields.seconds = 1;
  if (minute == 1) fields.seconds = read_set(cron_field_kinds[0], found.of[0], name).bits[0];
  const CronSet minutes = read_set(cron_field_kinds[1], found.of[minute], name);
  const CronSet hours = read_set(cron_field_kinds[2], found.of[minute + 1], name);
  fields.minutes = minutes.bits[0];
  fields.hours = static_cast<std::uint32_t>(hours.bits[0]);
  fields.wildcard_time = minutes.star || hours.star;
  read_day_of_month(found.of[minute + 2], name, fields);
  fields.months =
      static_cast<std::uint32_t>(read_set(cron_field_kinds[4], found.of[minute + 3], name).bits[0]) << 1;
  read_day_of_week(found.of[minute + 4], name, fields);
  const CronFieldText year = found.count == 7 ? found.of[6] : CronFieldText{"*", text.size()};
  const CronSet years = read_set(cron_field_kinds[6], year, name);
  fields.any_year = years.any;
  fields.written_years = years.bits;

  fields.years = years_with_dates(fields);
  check_dates(fields, found.of[minute + 2], found.of[minute + 3], found.of[minute + 4], year);
  return fields;
}

}  // namespace quern::inline v1::detail
