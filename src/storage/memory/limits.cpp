// Rules for how many jobs run and start.
#include <algorithm>

#include "storage/memory/jobs.hpp"

namespace quern::inline v1::memory {

void Jobs::set_limit(const LimitRule& rule) { names_.rules.set(rule, names_.lanes(), nodes_.steady()); }

bool Jobs::erase_limit(std::string_view name) { return names_.rules.erase(name, names_.lanes()); }

std::vector<LimitStatus> Jobs::limits() const { return names_.rules.status(nodes_.steady()); }

bool Jobs::may_start(Lane& lane) {
  for (Rule* const rule : lane.rules) {
    if (rule->claim != claims_) {
      rule->begin(claims_, nodes_.steady());
      ruled_.push_back(rule);
    }
    if (rule->left == 0) return false;
  }
  return true;
}

void Jobs::note_starts(Call& call) {
  const SteadyTime now = nodes_.steady();
  SteadyTime next = SteadyTime::max();
  for (Rule* const rule : ruled_) {
    const StartRate& rate = rule->rule.rate;
    if (rate.count == 0) continue;
    detail::add_starts(rate, rule->rate, now.count(), rule->started);
    const Duration wait(detail::wait_for_start(rate, rule->rate, now.count()));
    if (wait > Duration::zero() && rule->ready > 0) next = std::min(next, now + wait);
  }
  // Said once for each time: who hears it claims again, and must not hear it for ever.
  if (next != SteadyTime::max() && next != told_start_) {
    told_start_ = next;
    call.work = true;
  }
}

void Jobs::note_end(Call& call, const Lane& lane) {
  for (const Rule* const rule : lane.rules)
    if (rule->rule.max_running > 0 && rule->running + 1 == rule->rule.max_running && rule->ready > 0)
      call.ready = true;
}

}  // namespace quern::inline v1::memory
