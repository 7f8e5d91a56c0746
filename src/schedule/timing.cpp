#include "quern/schedule/timing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"
#include "quern/core/random.hpp"
#include "quern/schedule/cron_schedule.hpp"
#include "schedule/civil.hpp"
#include "schedule/cron_describe.hpp"
#include "schedule/cron_hash.hpp"
#include "schedule/timing_check.hpp"
#include "schedule/timing_filter.hpp"

namespace quern::inline v1 {
namespace {

constexpr std::int64_t us_per_second = 1'000'000;
constexpr Duration least_every = std::chrono::seconds(1);
constexpr Duration most_every = std::chrono::hours(24 * 3660);
constexpr Duration most_jitter = std::chrono::hours(24);
constexpr std::size_t most_instants = 10'000;

/// Nothing comes outside of these.
constexpr TimePoint first_instant = from_us(0);
const TimePoint last_instant = from_us(civil::days_from(2200, 1, 2) * civil::day_seconds * us_per_second - 1);

void check(const TimingSpec& spec) {
  const int kinds =
      (spec.cron.empty() ? 0 : 1) + (spec.every == Duration::zero() ? 0 : 1) + (spec.at.empty() ? 0 : 1);
  if (kinds != 1)
    throw InvalidArgument("timing", kinds == 0 ? "has none of cron, every and at; one of them is needed"
                                               : "has more than one of cron, every and at; allowed is one");
  if (spec.every != Duration::zero() && (spec.every < least_every || spec.every > most_every))
    throw InvalidArgument("timing.every", fmt::format("is {}; allowed is {} to {}", to_text(spec.every),
                                                      to_text(least_every), to_text(most_every)));
  if (spec.at.size() > most_instants)
    throw InvalidArgument(
        "timing.at", fmt::format("has {} instants; allowed are up to {}", spec.at.size(), most_instants));
  const auto check_instant = [](std::string_view field, TimePoint instant) {
    if (instant < first_instant || instant > last_instant)
      throw InvalidArgument(std::string(field),
                            fmt::format("is {}; allowed is 1970 to 2199", to_rfc3339(instant)));
  };
  for (std::size_t i = 0; i < spec.at.size(); ++i) check_instant(fmt::format("timing.at[{}]", i), spec.at[i]);
  check_instant("timing.anchor", spec.anchor);
  if (spec.start && spec.until && *spec.start > *spec.until)
    throw InvalidArgument("timing.until", fmt::format("is {}, before the start at {}",
                                                      to_rfc3339(*spec.until), to_rfc3339(*spec.start)));
  if (spec.jitter < Duration::zero() || spec.jitter > most_jitter)
    throw InvalidArgument("timing.jitter", fmt::format("is {}; allowed is 0s to {}", to_text(spec.jitter),
                                                       to_text(most_jitter)));
  if (spec.shifts.gap > GapPolicy::shift || spec.shifts.overlap > OverlapPolicy::both)
    throw InvalidArgument("timing.shifts", "has a policy that there is not");
}

}  // namespace

void detail::check_timing(const TimingSpec& spec, std::string_view name) {
  check(spec);
  constexpr std::size_t longest_zone = 255;
  check_text(spec.zone, "timing.zone", longest_zone);
  const TimingFilter filter(spec.except, spec.within);
  if (!spec.cron.empty()) static_cast<void>(CronExpression::parse(spec.cron, name));
}

struct Timing::Parts {
  Parts(TimingSpec given, std::string_view name, const ZoneDatabase& zones)
      : spec(std::move(given)),
        zone(zones.find(spec.zone)),
        filter(spec.except, spec.within),
        seed(detail::cron_hash(name, 7)) {
    if (!spec.cron.empty()) cron.emplace(CronExpression::parse(spec.cron, name), zone, spec.shifts);
    instants = spec.at;
    std::ranges::sort(instants);
    first = std::max(first_instant, spec.start.value_or(first_instant));
    last = std::min(last_instant, spec.until.value_or(last_instant));
  }

  // Of the kind alone: what comes after or before, with neither filter nor bounds.
  [[nodiscard]] std::optional<TimePoint> base_next(TimePoint after) const noexcept {
    if (cron) return cron->next(after);
    if (spec.every != Duration::zero())
      return spec.anchor +
             spec.every * (civil::floor_div((after - spec.anchor).count(), spec.every.count()) + 1);
    const auto found = std::ranges::upper_bound(instants, after);
    return found == instants.end() ? std::nullopt : std::optional(*found);
  }
  [[nodiscard]] std::optional<TimePoint> base_previous(TimePoint before) const noexcept {
    if (cron) return cron->previous(before);
    if (spec.every != Duration::zero())
      return spec.anchor +
             spec.every * civil::floor_div((before - spec.anchor).count() - 1, spec.every.count());
    const auto found = std::ranges::lower_bound(instants, before);
    return found == instants.begin() ? std::nullopt : std::optional(*std::prev(found));
  }

  TimingSpec spec;
  TimeZone zone;
  detail::TimingFilter filter;
  std::uint64_t seed;
  std::optional<CronSchedule> cron{};
  std::vector<TimePoint> instants{};
  TimePoint first{};
  TimePoint last{};
};

Timing::Timing(TimingSpec spec, std::string_view name, const ZoneDatabase& zones) {
  check(spec);
  parts_ = std::make_shared<const Parts>(std::move(spec), name, zones);
  if (!next(parts_->first - Duration(1)))
    throw InvalidArgument("timing",
                          "never comes: what it leaves out, its start and its end leave no instant of it");
}

std::optional<TimePoint> Timing::next(TimePoint after) const noexcept {
  const Parts& parts = *parts_;
  after = std::clamp(after, parts.first - Duration(1), parts.last);
  while (true) {
    const auto found = parts.base_next(after);
    if (!found || *found > parts.last) return std::nullopt;
    if (parts.filter.empty()) return found;
    const TimeZone::Span span = parts.zone.span_at(*found);
    const std::int64_t second = civil::floor_div(to_us(*found), us_per_second);
    const std::int64_t local = second + span.offset.count();
    const std::int64_t taken = parts.filter.next(local);
    if (taken == local) return found;
    // Where the clocks shift before that, it may be another instant: looked at again there.
    const TimePoint to = std::min(from_us((taken - span.offset.count()) * us_per_second), span.end);
    if (to > parts.last) return std::nullopt;
    after = to - Duration(1);
  }
}

std::optional<TimePoint> Timing::previous(TimePoint before) const noexcept {
  const Parts& parts = *parts_;
  before = std::clamp(before, parts.first, parts.last + Duration(1));
  while (true) {
    const auto found = parts.base_previous(before);
    if (!found || *found < parts.first) return std::nullopt;
    if (parts.filter.empty()) return found;
    const TimeZone::Span span = parts.zone.span_at(*found);
    const std::int64_t second = civil::floor_div(to_us(*found), us_per_second);
    const std::int64_t local = second + span.offset.count();
    const std::int64_t taken = parts.filter.previous(local);
    if (taken == local) return found;
    // All of that second, and not beyond the span's beginning.
    const TimePoint to = std::max(from_us((taken - span.offset.count() + 1) * us_per_second), span.begin);
    if (to <= parts.first) return std::nullopt;
    before = to;
  }
}

bool Timing::matches(TimePoint instant) const noexcept { return next(instant - Duration(1)) == instant; }

TimePoint Timing::due(TimePoint instant) const noexcept {
  const auto width = static_cast<std::uint64_t>(parts_->spec.jitter.count());
  if (width == 0) return instant;
  Random random(parts_->seed ^ static_cast<std::uint64_t>(to_us(instant)));
  return instant + Duration(static_cast<std::int64_t>(random.below(width + 1)));
}

std::string Timing::describe() const {
  const TimingSpec& spec = parts_->spec;
  std::string text;
  if (parts_->cron) {
    text = parts_->cron->describe();
  } else if (spec.every != Duration::zero()) {
    text = "every " + to_text(spec.every);
  } else if (spec.at.size() == 1) {
    text = "once, at " + to_rfc3339(spec.at.front());
  } else {
    text = fmt::format("{} times, from {} to {}", spec.at.size(), to_rfc3339(parts_->instants.front()),
                       to_rfc3339(parts_->instants.back()));
  }
  if (!parts_->cron && !parts_->filter.empty()) text += ", in " + detail::describe_zone(parts_->zone.name());
  for (std::size_t i = 0; i < spec.within.size(); ++i) {
    const TimeWindow& window = spec.within[i];
    text += fmt::format("{}{}from {} to {}", i == 0 ? ", " : " or ",
                        window.days == "*" ? "" : "on " + window.days + " ", window.from, window.to);
  }
  if (!spec.except.empty()) text += ", not on " + spec.except.front();
  if (spec.except.size() > 1) text += fmt::format(" and {} more", spec.except.size() - 1);
  if (spec.start) text += ", not before " + to_rfc3339(*spec.start);
  if (spec.until) text += ", not after " + to_rfc3339(*spec.until);
  if (spec.jitter > Duration::zero()) text += ", up to " + to_text(spec.jitter) + " later";
  return text;
}

const TimingSpec& Timing::spec() const noexcept { return parts_->spec; }
const TimeZone& Timing::zone() const noexcept { return parts_->zone; }

}  // namespace quern::inline v1
