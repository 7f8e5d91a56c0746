// quern-cron: what a cron expression means, and when it comes, in any time zone.
#include <fmt/core.h>

#include <charconv>
#include <cstdio>
#include <exception>
#include <initializer_list>
#include <iostream>
#include <quern/core/clock.hpp>
#include <quern/cron.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/cron_jsonl.hpp"
#include "support/cron_text.hpp"

namespace {

constexpr const char* usage = R"(quern-cron: what a cron expression means, and when it comes

  quern-cron next     EXPRESSION [options]   the next times
  quern-cron previous EXPRESSION [options]   the last times, the latest first
  quern-cron explain  EXPRESSION [options]   in words, with a calendar of the month
  quern-cron --jsonl [--zoneinfo FOLDER]     answers {"expr","tz","from","n"} with {"next":[...]}, line by line

  --zone Z          a time zone like America/New_York (default: UTC)
  -n N              how many times, 1 to 10000 (default: 5)
  --from T          after, or before, this instant, such as 2025-03-08T00:00:00Z (default: now)
  --gap P           for times that the clocks jump over: vixie (default), skip, next-valid, shift
  --overlap P       for times that they show twice: vixie (default), first, second, both
  --name NAME       the schedule's name, which H is drawn from
  --zoneinfo FOLDER where compiled zone files are (default: TZDIR, or the system's)

Exit code: 0 answered, 1 the expression, the zone or an option is wrong.
)";

struct Options {
  std::string command;
  std::string expression;
  std::string zone = "UTC";
  std::string name;
  std::string zoneinfo;
  int count = 5;
  quern::TimePoint from;
  quern::ShiftPolicy policy;
};

template <class Policy>
Policy choose(std::string_view option, std::string_view value,
              std::initializer_list<std::pair<std::string_view, Policy>> choices) {
  std::string allowed;
  for (const auto& [name, policy] : choices) {
    if (name == value) return policy;
    allowed += fmt::format("{}{}", allowed.empty() ? "" : ", ", name);
  }
  throw quern::InvalidArgument(std::string(option), fmt::format("\"{}\" is none of {}", value, allowed));
}

int read_count(std::string_view value) {
  int count = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), count);
  if (error != std::errc() || end != value.data() + value.size() || count < 1 || count > 10'000)
    throw quern::InvalidArgument("-n", fmt::format("\"{}\" is not a number from 1 to 10000", value));
  return count;
}

Options read(const std::vector<std::string>& words, quern::TimePoint now) {
  Options options;
  if (!words.empty()) options.command = words[0];
  options.from = now;
  std::vector<std::string> plain;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (!word.starts_with('-')) {
      plain.push_back(word);
      continue;
    }
    if (i + 1 == words.size())
      throw quern::InvalidArgument(word, "a value is missing, or there is no such option");
    const std::string& value = words[++i];
    using enum quern::GapPolicy;
    using quern::OverlapPolicy;
    if (word == "--zone") {
      options.zone = value;
    } else if (word == "-n") {
      options.count = read_count(value);
    } else if (word == "--from") {
      options.from = quern::parse_rfc3339(value);
    } else if (word == "--gap") {
      options.policy.gap = choose<quern::GapPolicy>(
          word, value, {{"vixie", vixie}, {"skip", skip}, {"next-valid", next_valid}, {"shift", shift}});
    } else if (word == "--overlap") {
      options.policy.overlap = choose<OverlapPolicy>(word, value,
                                                     {{"vixie", OverlapPolicy::vixie},
                                                      {"first", OverlapPolicy::first},
                                                      {"second", OverlapPolicy::second},
                                                      {"both", OverlapPolicy::both}});
    } else if (word == "--name") {
      options.name = value;
    } else if (word == "--zoneinfo") {
      options.zoneinfo = value;
    } else {
      throw quern::InvalidArgument(word, "there is no such option; quern-cron --help lists them");
    }
  }
  // Also without quotation marks around it, if the shell has left it as it is.
  for (const std::string& word : plain) options.expression += (options.expression.empty() ? "" : " ") + word;
  return options;
}

void print_next(const quern::CronSchedule& schedule, const Options& options) {
  fmt::print("{}: {}\n", schedule.expression().text(), schedule.describe());
  quern::TimePoint before = options.from;
  for (int i = 0; i < options.count; ++i) {
    const auto at = schedule.next(before);
    if (!at) {
      fmt::print("  and none after that\n");
      return;
    }
    fmt::print("{}{}", cron_text::shifts_between(schedule.zone(), before, *at),
               cron_text::occurrence_line(schedule, *at));
    before = *at;
  }
}

void print_previous(const quern::CronSchedule& schedule, const Options& options) {
  fmt::print("{}: {}\n", schedule.expression().text(), schedule.describe());
  quern::TimePoint after = options.from;
  for (int i = 0; i < options.count; ++i) {
    const auto at = schedule.previous(after);
    if (!at) {
      fmt::print("  and none before that\n");
      return;
    }
    fmt::print("{}{}", cron_text::shifts_between(schedule.zone(), *at, after),
               cron_text::occurrence_line(schedule, *at));
    after = *at;
  }
}

void explain(const quern::CronSchedule& schedule, const Options& options) {
  fmt::print("{}: {}\n\n{}\n", schedule.expression().text(), schedule.describe(),
             cron_text::calendar(schedule, options.from));
  const auto next = schedule.next(options.from);
  fmt::print("next:\n{}", next ? cron_text::occurrence_line(schedule, *next) : "  none any more\n");
}

int run(const Options& options, quern::TimePoint now) {
  const quern::ZoneDatabase zones({.folder = options.zoneinfo});
  if (options.command == "--jsonl") {
    for (std::string line; std::getline(std::cin, line);)
      std::cout << cron_jsonl::answer(line, zones, now) << std::endl;
    return 0;
  }
  if (options.command != "next" && options.command != "previous" && options.command != "explain") {
    std::fputs(usage, stderr);
    return 1;
  }
  const auto expression = quern::CronExpression::parse(options.expression, options.name);
  const quern::CronSchedule schedule(expression, zones.find(options.zone), options.policy);
  for (const std::string& problem : zones.report(now).problems)
    fmt::print(stderr, "quern-cron: note: {}\n", problem);
  if (options.command == "next") print_next(schedule, options);
  if (options.command == "previous") print_previous(schedule, options);
  if (options.command == "explain") explain(schedule, options);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (!words.empty() && (words[0] == "--help" || words[0] == "-h")) {
    std::fputs(usage, stdout);
    return 0;
  }
  Options options;
  try {
    const quern::TimePoint now = quern::SystemClock().now();
    options = read(words, now);
    return run(options, now);
  } catch (const quern::CronError& e) {
    fmt::print(stderr, "quern-cron: {}\n{}", e.what(), cron_text::pointed(options.expression, e));
  } catch (const std::exception& e) {
    fmt::print(stderr, "quern-cron: {}\n", e.what());
  }
  return 1;
}
