// next and previous beside an oracle that knows nothing but the calendar and, minute by minute, what the clocks show.
#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <utility>

#include "schedule/fixture.hpp"
#include "support/catch.hpp"

using namespace quern;
using namespace std::chrono_literals;

namespace {

/// A local minute, as the calendar has it.
struct Minute {
  int hour = 0;
  int minute = 0;
  unsigned day = 0;
  unsigned month = 0;
  unsigned weekday = 0;
};

struct Rule {
  std::string expression;
  bool wildcard;  ///< A star in the minute or the hour.
  std::function<bool(const Minute&)> matches;
};

const std::vector<Rule>& rules() {
  static const std::vector<Rule> all{
      {"*/20 * * * *", true, [](const Minute& m) { return m.minute % 20 == 0; }},
      {"30 2 * * *", false, [](const Minute& m) { return m.hour == 2 && m.minute == 30; }},
      {"0,15,45 0-3 * * *", false,
       [](const Minute& m) { return m.hour <= 3 && (m.minute == 0 || m.minute == 15 || m.minute == 45); }},
      {"5 */2 * * *", true, [](const Minute& m) { return m.hour % 2 == 0 && m.minute == 5; }},
      {"*/10 1-2 * * SUN", true,
       [](const Minute& m) { return (m.hour == 1 || m.hour == 2) && m.minute % 10 == 0 && m.weekday == 0; }},
      {"0 0 1 * *", false, [](const Minute& m) { return m.hour == 0 && m.minute == 0 && m.day == 1; }},
      {"59 23 13 * 5", false,
       [](const Minute& m) { return m.hour == 23 && m.minute == 59 && (m.day == 13 || m.weekday == 5); }},
      {"0 12 30 12 *", false,
       [](const Minute& m) { return m.hour == 12 && m.minute == 0 && m.day == 30 && m.month == 12; }},
  };
  return all;
}

const std::vector<ShiftPolicy>& policies() {
  static const std::vector<ShiftPolicy> all{{},
                                            {GapPolicy::skip, OverlapPolicy::first},
                                            {GapPolicy::next_valid, OverlapPolicy::second},
                                            {GapPolicy::shift, OverlapPolicy::both}};
  return all;
}

/// Local minutes from two days before a year to two days after it, and which rules match each.
class Calendar {
 public:
  explicit Calendar(int year)
      : begin_(std::chrono::sys_days(std::chrono::year(year) / 1 / 1) - std::chrono::days(2)) {
    const auto end = std::chrono::sys_days(std::chrono::year(year + 1) / 1 / 1) + std::chrono::days(2);
    for (auto day = begin_; day < end; day += std::chrono::days(1)) {
      const std::chrono::year_month_day date(day);
      const auto weekday = std::chrono::weekday(day).c_encoding();
      for (int i = 0; i < 1440; ++i) {
        const Minute minute{i / 60, i % 60, unsigned{date.day()}, unsigned{date.month()}, weekday};
        std::uint32_t matching = 0;
        for (std::size_t rule = 0; rule < rules().size(); ++rule)
          if (rules()[rule].matches(minute)) matching |= 1U << rule;
        matching_.push_back(matching);
      }
    }
  }
  [[nodiscard]] TimePoint begin() const { return begin_; }
  [[nodiscard]] std::size_t size() const { return matching_.size(); }
  [[nodiscard]] std::size_t index(TimePoint local) const {
    return static_cast<std::size_t>((local - begin_) / 1min);
  }
  [[nodiscard]] bool matches(std::size_t index, std::size_t rule) const {
    return (matching_[index] >> rule & 1U) != 0;
  }

 private:
  std::chrono::sys_days begin_;
  std::vector<std::uint32_t> matching_;
};

/// A year of a zone's clocks: the instants at which they show each local minute, and the minutes that they jump over.
class Year {
 public:
  Year(const Calendar& calendar, const TimeZone& zone, int year)
      : calendar_(calendar),
        first_(std::chrono::sys_days(std::chrono::year(year) / 1 / 1)),
        end_(std::chrono::sys_days(std::chrono::year(year + 1) / 1 / 1)),
        shown_(calendar.size()) {
    // A day more on both sides, since a repeat may begin or end in it; no local time leaves the calendar by that.
    auto offset = zone.offset_at(first_ - 24h);
    for (TimePoint instant = first_ - 24h; instant < end_ + 24h; instant += 1min) {
      const auto now = zone.offset_at(instant);
      if (now > offset) gaps_.push_back({instant, offset, now});
      if (now < offset) repeats_.push_back({instant, now, offset});
      offset = now;
      const TimePoint local = instant + now;
      if (local < calendar.begin() || calendar.index(local) >= shown_.size()) continue;
      auto& shown = shown_[calendar.index(local)];
      (shown.first == none ? shown.first : shown.second) = instant;
    }
  }

  /// The instants of a rule under a policy, sorted.
  [[nodiscard]] std::vector<TimePoint> instants(std::size_t rule, ShiftPolicy policy) const {
    std::vector<TimePoint> found;
    for (std::size_t i = 0; i < shown_.size(); ++i) {
      if (!calendar_.matches(i, rule) || shown_[i].first == none) continue;
      if (shown_[i].second == none) {
        found.push_back(shown_[i].first);
        continue;
      }
      const auto overlap = overlap_of(rules()[rule], policy, shown_[i].second - shown_[i].first);
      if (overlap != OverlapPolicy::second) found.push_back(shown_[i].first);
      if (overlap != OverlapPolicy::first) found.push_back(shown_[i].second);
    }
    for (const Shift& gap : gaps_) {
      for (TimePoint local = gap.at + gap.low; local < gap.at + gap.high; local += 1min) {
        const std::size_t i = calendar_.index(local);
        if (i >= calendar_.size() || !calendar_.matches(i, rule)) continue;
        const auto gap_policy = gap_of(rules()[rule], policy, gap.high - gap.low);
        if (gap_policy == GapPolicy::next_valid) found.push_back(gap.at);
        if (gap_policy == GapPolicy::shift) found.push_back(local - gap.low);
      }
    }
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    std::erase_if(found, [&](TimePoint time) { return time < first_ || time >= end_; });
    return found;
  }

  [[nodiscard]] TimePoint first() const { return first_; }
  [[nodiscard]] TimePoint end() const { return end_; }
  [[nodiscard]] bool has_shift() const { return !gaps_.empty() || !repeats_.empty(); }

 private:
  static constexpr TimePoint none = TimePoint::min();
  struct Shown {
    TimePoint first = none;
    TimePoint second = none;
  };
  struct Shift {
    TimePoint at;
    std::chrono::seconds low;
    std::chrono::seconds high;
  };

  static OverlapPolicy overlap_of(const Rule& rule, ShiftPolicy policy, Duration size) {
    if (policy.overlap != OverlapPolicy::vixie) return policy.overlap;
    return rule.wildcard || size > 3h ? OverlapPolicy::both : OverlapPolicy::first;
  }
  static GapPolicy gap_of(const Rule& rule, ShiftPolicy policy, Duration size) {
    if (policy.gap != GapPolicy::vixie) return policy.gap;
    return rule.wildcard || size > 3h ? GapPolicy::skip : GapPolicy::next_valid;
  }

  const Calendar& calendar_;
  TimePoint first_;
  TimePoint end_;
  std::vector<Shown> shown_;
  std::vector<Shift> gaps_;
  std::vector<Shift> repeats_;
};

void compare(const Calendar& calendar, const TimeZone& zone, int year) {
  const Year clocks(calendar, zone, year);
  for (std::size_t rule = 0; rule < rules().size(); ++rule) {
    for (const ShiftPolicy policy : policies()) {
      const auto expected = clocks.instants(rule, policy);
      const CronSchedule schedule(CronExpression::parse(rules()[rule].expression), zone, policy);
      INFO(zone.name() << " " << year << ": " << rules()[rule].expression << ", gap "
                       << static_cast<int>(policy.gap) << ", overlap " << static_cast<int>(policy.overlap));
      TimePoint at = clocks.first() - Duration(1);
      for (const TimePoint time : expected) {
        at = schedule.next(at).value_or(TimePoint::max());
        if (at != time) FAIL("next is " << to_rfc3339(at) << " and not " << to_rfc3339(time));
      }
      if (schedule.next(at).value_or(TimePoint::max()) < clocks.end()) FAIL("one too many");
      at = clocks.end();
      for (std::size_t i = expected.size(); i-- > 0;) {
        at = schedule.previous(at).value_or(TimePoint::min());
        if (at != expected[i])
          FAIL("previous is " << to_rfc3339(at) << " and not " << to_rfc3339(expected[i]));
      }
      if (schedule.previous(at).value_or(TimePoint::min()) >= clocks.first()) FAIL("one too many before");
    }
  }
}

/// One zone of all those whose clocks show the same in a year and around it.
std::vector<TimeZone> different_zones(int year) {
  std::map<std::vector<std::pair<TimePoint, std::chrono::seconds>>, TimeZone> zones;
  const TimePoint begin = std::chrono::sys_days(std::chrono::year(year) / 1 / 1) - 48h;
  for (const std::string& name : quern_test::zones().names()) {
    const TimeZone zone = quern_test::zones().find(name);
    std::vector<std::pair<TimePoint, std::chrono::seconds>> spans;
    for (auto span = zone.span_at(begin);; span = zone.span_at(span.end)) {
      spans.emplace_back(spans.empty() ? begin : span.begin, span.offset);
      if (span.end > begin + 24h * 371) break;
    }
    zones.emplace(spans, zone);
  }
  std::vector<TimeZone> different;
  for (const auto& [spans, zone] : zones) different.push_back(zone);
  return different;
}

}  // namespace

TEST_CASE("a year of every zone under every policy is what enumerating its minutes gives", "[cron]") {
  // 2025 from the files' lists, 2087 from the rules in their footers.
  for (const int year : {2025, 2087}) {
    const Calendar calendar(year);
    const auto zones = different_zones(year);
    CHECK(zones.size() > 40);
    for (const TimeZone& zone : zones) compare(calendar, zone, year);
  }
}

TEST_CASE("years with unusual shifts are what enumerating their minutes gives", "[cron]") {
  const std::vector<std::pair<std::string, int>> unusual{
      {"Pacific/Apia", 2011},      {"Pacific/Kwajalein", 1993},    {"America/Caracas", 2007},
      {"America/Caracas", 2016},   {"Asia/Pyongyang", 2015},       {"Asia/Pyongyang", 2018},
      {"Antarctica/Casey", 2009},  {"Antarctica/Casey", 2010},     {"Australia/Lord_Howe", 1981},
      {"Pacific/Fakaofo", 2011},   {"Africa/Cairo", 2010},         {"Africa/Cairo", 2014},
      {"Asia/Kathmandu", 1986},    {"America/Sao_Paulo", 2018},    {"Antarctica/Troll", 2024},
      {"Africa/Casablanca", 2012}, {"America/Scoresbysund", 2024}, {"Antarctica/Vostok", 1994},
      {"Asia/Gaza", 2011},         {"Europe/Moscow", 1991}};
  for (const auto& [name, year] : unusual) compare(Calendar(year), quern_test::zones().find(name), year);
}
