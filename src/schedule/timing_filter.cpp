#include "schedule/timing_filter.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "quern/core/error.hpp"
#include "quern/schedule/cron_error.hpp"
#include "quern/schedule/cron_expression.hpp"
#include "schedule/civil.hpp"

namespace quern::inline v1::detail {
namespace {

using civil::day_seconds;

/// Digits alone, all of the text.
std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool digits = std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  if (text.empty() || !digits || error != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

std::int64_t day_of(const std::string& text, std::size_t index) {
  const auto part = [&](std::size_t at, std::size_t length) {
    return number(std::string_view(text).substr(at, length));
  };
  if (text.size() == 10 && text[4] == '-' && text[7] == '-') {
    const auto year = part(0, 4);
    const auto month = part(5, 2);
    const auto day = part(8, 2);
    if (year && month && day && *year >= 1970 && *month >= 1 && *month <= 12 && *day >= 1 &&
        *day <= civil::month_length(civil::is_leap(*year), *month))
      return civil::days_from(*year, *month, *day);
  }
  throw InvalidArgument(
      fmt::format("timing.except[{}]", index),
      fmt::format("is \"{}\"; allowed is a date from 1970 on such as \"2026-12-24\"", text));
}

std::int32_t seconds_of(const std::string& text, const std::string& field) {
  const bool with_seconds = text.size() == 8 && text[5] == ':';
  if ((text.size() == 5 || with_seconds) && text[2] == ':') {
    const auto hour = number(std::string_view(text).substr(0, 2));
    const auto minute = number(std::string_view(text).substr(3, 2));
    const auto second = with_seconds ? number(std::string_view(text).substr(6, 2)) : 0;
    if (hour && minute && second && *minute < 60 && *second < 60) {
      const std::int32_t sum = *hour * 3600 + *minute * 60 + *second;
      if (sum <= day_seconds) return sum;
    }
  }
  throw InvalidArgument(
      field,
      fmt::format("is \"{}\"; allowed is a time from \"00:00\" to \"24:00\", also with seconds", text));
}

std::uint8_t weekdays_of(const std::string& text, const std::string& field) {
  try {
    if (text.find_first_of(" \t+L#?") != std::string::npos)
      throw InvalidArgument(field, "has more than days of the week");
    const auto expression = CronExpression::parse("0 0 * * " + text);
    return expression.fields().any_weekday ? std::uint8_t{0x7F} : expression.fields().weekdays;
  } catch (const InvalidArgument&) {
    throw InvalidArgument(
        field, fmt::format("is \"{}\"; allowed are days of the week as cron has them, such as \"MON-FRI\" or "
                           "\"0,6\", or \"*\"",
                           text));
  }
}

}  // namespace

TimingFilter::TimingFilter(const std::vector<std::string>& except, const std::vector<TimeWindow>& within) {
  constexpr std::size_t most_dates = 1000;
  constexpr std::size_t most_windows = 32;
  if (except.size() > most_dates)
    throw InvalidArgument("timing.except",
                          fmt::format("has {} dates; allowed are up to {}", except.size(), most_dates));
  if (within.size() > most_windows)
    throw InvalidArgument("timing.within",
                          fmt::format("has {} windows; allowed are up to {}", within.size(), most_windows));
  for (std::size_t i = 0; i < except.size(); ++i) days_.push_back(day_of(except[i], i));
  std::ranges::sort(days_);
  windowed_ = !within.empty();
  for (std::size_t i = 0; i < within.size(); ++i) add(within[i], i);
  for (std::vector<Piece>& day : pieces_) {
    std::ranges::sort(day, {}, &Piece::begin);
    std::vector<Piece> joined;
    for (const Piece piece : day) {
      if (!joined.empty() && piece.begin <= joined.back().end)
        joined.back().end = std::max(joined.back().end, piece.end);
      else
        joined.push_back(piece);
    }
    day = std::move(joined);
  }
}

void TimingFilter::add(const TimeWindow& window, std::size_t index) {
  const std::string field = fmt::format("timing.within[{}].", index);
  const std::uint8_t days = weekdays_of(window.days, field + "days");
  const std::int32_t from = seconds_of(window.from, field + "from");
  const std::int32_t to = seconds_of(window.to, field + "to");
  constexpr auto whole = static_cast<std::int32_t>(day_seconds);
  if (from == whole)
    throw InvalidArgument(field + "from", "is \"24:00\"; allowed is a time before that, such as \"00:00\"");
  for (std::size_t day = 0; day < pieces_.size(); ++day) {
    if ((days & (1U << day)) == 0) continue;
    pieces_[day].push_back({from, to > from ? to : whole});
    if (to <= from && to > 0) pieces_[(day + 1) % pieces_.size()].push_back({0, to});
  }
}

bool TimingFilter::excepted(std::int64_t day) const noexcept {
  return std::ranges::binary_search(days_, day);
}

bool TimingFilter::takes(std::int64_t local) const noexcept { return next(local) == local; }

std::int64_t TimingFilter::next(std::int64_t local) const noexcept {
  std::int64_t day = civil::floor_div(local, day_seconds);
  // A week has a window, and no more days than are excepted can be without one.
  for (std::size_t looked = 0; looked <= 7 * (days_.size() + 2); ++looked, ++day) {
    if (excepted(day)) continue;
    const std::int64_t midnight = day * day_seconds;
    if (!windowed_) return std::max(local, midnight);
    for (const Piece piece : pieces_[static_cast<std::size_t>(civil::weekday_of(day))])
      if (local < midnight + piece.end) return std::max(local, midnight + piece.begin);
  }
  return day * day_seconds;  // not reached where a window is open at all
}

std::int64_t TimingFilter::previous(std::int64_t local) const noexcept {
  std::int64_t day = civil::floor_div(local, day_seconds);
  for (std::size_t looked = 0; looked <= 7 * (days_.size() + 2) && day >= 0; ++looked, --day) {
    if (excepted(day)) continue;
    const std::int64_t midnight = day * day_seconds;
    if (!windowed_) return std::min(local, midnight + day_seconds - 1);
    const std::vector<Piece>& pieces = pieces_[static_cast<std::size_t>(civil::weekday_of(day))];
    for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece)
      if (local >= midnight + piece->begin) return std::min(local, midnight + piece->end - 1);
  }
  return std::min(local - 1, day * day_seconds);
}

}  // namespace quern::inline v1::detail
