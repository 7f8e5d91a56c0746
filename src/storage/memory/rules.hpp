#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/clock.hpp"
#include "storage/rate_state.hpp"

namespace quern::inline v1::memory {

struct Lane;

/// A rule, what counts for it, and what a claim may still start under it.
struct Rule {
  LimitRule rule{};
  detail::RateState rate{};
  std::uint64_t running = 0;  ///< Jobs of its lanes that run, and
  std::uint64_t ready = 0;    ///< that are ready; kept by each change of a job.
  std::uint64_t claim = 0;    ///< Counts claims: for another one the rest means nothing.
  std::uint64_t left = 0;
  std::int64_t started = 0;

  /// To be called once in a claim.
  void begin(std::uint64_t number, SteadyTime now) {
    claim = number;
    started = 0;
    if (rule.rate.count > 0) static_cast<void>(detail::follow_clock(rule.rate, rate, now.count()));
    left = detail::room_of(rule, running, rate, now.count());
  }
  void note_start() noexcept {
    --left;
    ++started;
  }
};

/// The rules by name. Each lane knows those that are for it. Not thread-safe.
class Rules {
 public:
  [[nodiscard]] bool empty() const noexcept { return by_name_.empty(); }
  [[nodiscard]] const std::map<std::string, Rule, std::less<>>& all() const noexcept { return by_name_; }

  /// A lane is new.
  void add_to(Lane& lane);
  /// Throws InvalidArgument when there are too many.
  void set(const LimitRule& rule, std::deque<Lane>& lanes, SteadyTime now);
  /// A rule that comes from another storage.
  void restore(const LimitRule& rule, std::deque<Lane>& lanes, SteadyTime now);
  bool erase(std::string_view name, std::deque<Lane>& lanes);
  [[nodiscard]] std::vector<LimitStatus> status(SteadyTime now) const;
  /// How long until a rate lets a ready job start that waits for it now; `Duration::max()`: none does.
  [[nodiscard]] Duration next_start(SteadyTime now) const;

 private:
  std::map<std::string, Rule, std::less<>> by_name_;  // the lanes point into it
};

}  // namespace quern::inline v1::memory
