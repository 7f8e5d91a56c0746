#include "storage/memory/rules.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "quern/core/error.hpp"
#include "storage/memory/names.hpp"

namespace quern::inline v1::memory {
namespace {

void detach(Rule& rule, std::deque<Lane>& lanes) {
  for (Lane& lane : lanes) std::erase(lane.rules, &rule);
}

void attach(Rule& rule, Lane& lane) {
  if (!rule.rule.is_for(lane.queue->name, lane.kind->name)) return;
  lane.rules.push_back(&rule);
  rule.running += lane.count(JobState::running);
  rule.ready += lane.count(JobState::ready);
}

}  // namespace

void Rules::add_to(Lane& lane) {
  for (auto& [name, rule] : by_name_) attach(rule, lane);
}

void Rules::set(const LimitRule& rule, std::deque<Lane>& lanes, SteadyTime now) {
  const auto known = by_name_.find(rule.name);
  if (known == by_name_.end() && by_name_.size() >= max_limit_rules)
    throw InvalidArgument("limits",
                          fmt::format("are {} already, no more rules are kept; \"{}\" is not among them",
                                      max_limit_rules, rule.name));
  Rule& kept = known != by_name_.end() ? known->second : by_name_[rule.name];
  if (known != by_name_.end()) {
    kept.rate = detail::carried_over(kept.rule.rate, kept.rate, rule.rate, now.count());
    detach(kept, lanes);
    kept.running = kept.ready = 0;
  }
  kept.rule = rule;
  for (Lane& lane : lanes) attach(kept, lane);
}

void Rules::restore(const LimitRule& rule, std::deque<Lane>& lanes, SteadyTime now) {
  set(rule, lanes, now);
  by_name_[rule.name].rate = detail::used_up(rule.rate, now.count());
}

bool Rules::erase(std::string_view name, std::deque<Lane>& lanes) {
  const auto known = by_name_.find(name);
  if (known == by_name_.end()) return false;
  detach(known->second, lanes);
  by_name_.erase(known);
  return true;
}

std::vector<LimitStatus> Rules::status(SteadyTime now) const {
  std::vector<LimitStatus> all;
  all.reserve(by_name_.size());
  for (const auto& [name, rule] : by_name_)
    all.push_back(detail::status_of(rule.rule, rule.running, rule.rate, now.count()));
  return all;
}

Duration Rules::next_start(SteadyTime now) const {
  Duration next = Duration::max();
  for (const auto& [name, rule] : by_name_) {
    if (rule.rule.rate.count == 0 || rule.ready == 0) continue;
    const Duration wait(detail::wait_for_start(rule.rule.rate, rule.rate, now.count()));
    if (wait > Duration::zero()) next = std::min(next, wait);
  }
  return next;
}

}  // namespace quern::inline v1::memory
