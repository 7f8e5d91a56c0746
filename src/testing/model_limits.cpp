// The model's rules: each question is answered from all that has ever started under one.
#include <algorithm>

#include "testing/model.hpp"

namespace quern::inline v1::testing::detail {
namespace {

/// Microseconds of the bucket's time that are left of all that came in: each start costs what brings one in. Times
/// `count`, so that it is a whole number.
std::int64_t bucket_left(const Model::ModelRule& rule, SteadyTime now) {
  const StartRate& rate = rule.rule.rate;
  const std::int64_t full = (rate.burst > 0 ? rate.burst : rate.count) * rate.per.count();
  std::int64_t left = full;
  SteadyTime at = rule.since;
  const auto pass_to = [&](SteadyTime time) {
    left = std::min(full, left + (time - at).count() * rate.count);
    at = time;
  };
  for (const SteadyTime start : rule.starts) {
    pass_to(start);
    left -= rate.per.count();
  }
  pass_to(now);
  return left;
}

std::uint64_t starts_of(const Model::ModelRule& rule, SteadyTime now) {
  const StartRate& rate = rule.rule.rate;
  if (rate.algorithm == RateAlgorithm::token_bucket)
    return static_cast<std::uint64_t>(bucket_left(rule, now) / rate.per.count());
  const auto recent =
      std::ranges::count_if(rule.starts, [&](SteadyTime start) { return start + rate.per > now; });
  return static_cast<std::uint64_t>(rate.count - recent);
}

Duration wait_of(const Model::ModelRule& rule, SteadyTime now) {
  if (starts_of(rule, now) > 0) return Duration::zero();
  const StartRate& rate = rule.rule.rate;
  if (rate.algorithm == RateAlgorithm::token_bucket) {
    const std::int64_t missing = rate.per.count() - bucket_left(rule, now);
    return Duration((missing + rate.count - 1) / rate.count);
  }
  return rule.starts[rule.starts.size() - static_cast<std::size_t>(rate.count)] + rate.per - now;
}

}  // namespace

void Model::set_limit(const LimitRule& rule) {
  ModelRule& kept = rules_[rule.name];
  if (kept.rule.rate != rule.rate) kept = {.since = clock_.steady()};
  kept.rule = rule;
}

bool Model::erase_limit(const std::string& name) { return rules_.erase(name) > 0; }

std::uint64_t Model::count_under(const LimitRule& rule, JobState state) const {
  return static_cast<std::uint64_t>(std::ranges::count_if(jobs_, [&](const auto& entry) {
    const ModelJob& job = entry.second;
    return job.state == state && rule.is_for(job.given.queue, job.given.kind);
  }));
}

std::vector<LimitStatus> Model::limits() const {
  std::vector<LimitStatus> all;
  for (const auto& [name, rule] : rules_) {
    LimitStatus& status = all.emplace_back();
    status.rule = rule.rule;
    status.running = count_under(rule.rule, JobState::running);
    const std::uint64_t most = rule.rule.max_running;
    if (most > 0) status.free = most > status.running ? most - status.running : 0;
    if (rule.rule.rate.count == 0) continue;
    status.starts = starts_of(rule, clock_.steady());
    status.wait = wait_of(rule, clock_.steady());
  }
  return all;
}

bool Model::may_start(const ModelJob& job) const {
  return std::ranges::all_of(limits(), [&](const LimitStatus& limit) {
    return !limit.rule.is_for(job.given.queue, job.given.kind) || (limit.free != 0U && limit.starts != 0U);
  });
}

void Model::note_start(const ModelJob& job) {
  for (auto& [name, rule] : rules_)
    if (rule.rule.rate.count > 0 && rule.rule.is_for(job.given.queue, job.given.kind))
      rule.starts.push_back(clock_.steady());
}

TimePoint Model::next_start() const {
  TimePoint next = TimePoint::max();
  for (const LimitStatus& limit : limits())
    if (limit.wait > Duration::zero() && count_under(limit.rule, JobState::ready) > 0)
      next = std::min(next, clock_.now() + limit.wait);
  return next;
}

}  // namespace quern::inline v1::testing::detail
