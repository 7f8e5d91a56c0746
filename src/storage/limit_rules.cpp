#include "quern/storage/limit_rules.hpp"

#include <fmt/format.h>

#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"

namespace quern::inline v1 {
namespace {

constexpr std::int64_t most_starts = 100'000;
constexpr Duration least_per = std::chrono::milliseconds(1);
constexpr Duration most_per = std::chrono::hours(24 * 366);
constexpr std::uint64_t most_running = 1'000'000'000;

void check_rate(const StartRate& rate) {
  if (rate.count < 0 || rate.count > most_starts)
    throw InvalidArgument("rate.count", fmt::format("is {}, allowed are 0 to {}", rate.count, most_starts));
  if (rate.count == 0) return;
  if (rate.per < least_per || rate.per > most_per)
    throw InvalidArgument("rate.per", fmt::format("is {}, allowed are {} to {}", to_text(rate.per),
                                                  to_text(least_per), to_text(most_per)));
  if (rate.algorithm != RateAlgorithm::token_bucket && rate.algorithm != RateAlgorithm::sliding_window)
    throw InvalidArgument("rate.algorithm", fmt::format("is the number {}, which means nothing",
                                                        static_cast<int>(rate.algorithm)));
  if (rate.burst < 0 || rate.burst > most_starts)
    throw InvalidArgument("rate.burst", fmt::format("is {}, allowed are 0 to {}", rate.burst, most_starts));
  if (rate.burst > 0 && rate.algorithm == RateAlgorithm::sliding_window)
    throw InvalidArgument("rate.burst",
                          fmt::format("is {}, but a sliding window has none; it must be 0", rate.burst));
}

}  // namespace

void check(const LimitRule& rule) {
  const JobLimits sizes;
  if (rule.name.empty()) throw InvalidArgument("name", "is empty");
  check_text(rule.name, "name", sizes.name_bytes);
  check_text(rule.queue, "queue", sizes.name_bytes);
  check_text(rule.kind, "kind", sizes.name_bytes);
  if (rule.max_running > most_running)
    throw InvalidArgument("max_running",
                          fmt::format("is {}, allowed are 0 to {}", rule.max_running, most_running));
  check_rate(rule.rate);
  if (rule.max_running == 0 && rule.rate.count == 0)
    throw InvalidArgument(
        "max_running",
        fmt::format("is 0 and so is rate.count; the rule \"{}\" would limit nothing", rule.name));
}

}  // namespace quern::inline v1
