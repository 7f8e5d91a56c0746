#include "quern/work/detail/prune_plan.hpp"

#include <utility>

namespace quern::inline v1::detail {

std::vector<PruneRequest> prune_plan(const Retention& keep, std::size_t limit) {
  std::vector<PruneRequest> plan;
  const auto add = [&](JobState state, Duration usual, std::optional<Duration> KindRetention::* own) {
    std::vector<std::string> except;
    for (const auto& [kind, durations] : keep.kinds) {
      const auto& older_than = durations.*own;
      if (!older_than || *older_than == usual) continue;
      plan.push_back({.state = state, .older_than = *older_than, .limit = limit, .kind = kind});
      except.push_back(kind);
    }
    plan.push_back({.state = state, .older_than = usual, .limit = limit, .except = std::move(except)});
  };
  add(JobState::completed, keep.completed, &KindRetention::completed);
  add(JobState::cancelled, keep.cancelled, &KindRetention::cancelled);
  add(JobState::dead, keep.dead, &KindRetention::dead);
  return plan;
}

}  // namespace quern::inline v1::detail
