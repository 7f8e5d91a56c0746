#include <fmt/format.h>

#include <algorithm>

#include "quern/core/error.hpp"
#include "storage/memory/jobs.hpp"

namespace quern::inline v1::memory {

PromoteResult Jobs::promote(Call& call, std::size_t limit) {
  PromoteResult result;
  const auto due = [&](const Indexes::Times& times) {
    return !times.empty() && times.begin()->first <= call.now;
  };

  for (; result.promoted < limit && due(indexes_.scheduled()); ++result.promoted) {
    Row& row = rows_.at(indexes_.scheduled().begin()->second);
    make_ready(call, row, row.job.run_at);
  }
  for (; result.expired < limit && due(indexes_.deadlines()); ++result.expired) {
    expire(call, rows_.at(indexes_.deadlines().begin()->second));
    settle(call);
  }

  for (const auto* times : {&indexes_.scheduled(), &indexes_.deadlines()}) {
    if (!times->empty()) result.next = std::min(result.next, times->begin()->first);
    result.more = result.more || due(*times);
  }
  return result;
}

RescueResult Jobs::rescue(Call& call, std::span<const NodeId> lost, std::size_t limit, int crashes) {
  RescueResult result;
  for (const NodeId node : lost) {
    while (!indexes_.running(node).empty()) {
      if (result.rescued + result.dead >= limit) {
        result.more = true;
        return result;
      }
      Row& row = rows_.at(*indexes_.running(node).begin());
      Job& job = row.job;
      auto message = fmt::format("node {} died", node.value);
      remember_error(call, row, AttemptFault::crash, message);
      ++job.crashes;
      ++result.dead;
      if (job.cancel_requested) {
        cancel_now(call, row, row.cancel_reason);
      } else if (job.crashes >= crashes) {
        die(call, row, DeadReason::quarantined,
            fmt::format("was running when its node died, {} times", job.crashes));
      } else if (job.attempt >= row.claimed_max_attempts) {
        die(call, row, DeadReason::out_of_attempts, std::move(message));
      } else {
        make_ready(call, row, call.now);
        event(call, JobEventType::rescued, row, std::move(message));
        --result.dead;
        ++result.rescued;
      }
      settle(call);
    }
  }
  return result;
}

PruneResult Jobs::prune(Call& call, const PruneRequest& request) {
  if (!is_terminal(request.state)) {
    throw InvalidArgument("state",
                          fmt::format("is {}, only ended jobs are pruned", to_string(request.state)));
  }
  if (request.older_than < Duration::zero()) {
    throw InvalidArgument("older_than",
                          fmt::format("is {}, it must not be negative", to_text(request.older_than)));
  }
  const auto is_old = [&](TimePoint finished_at) {
    return When::after(request.older_than).resolve(finished_at) <= call.now;
  };

  const auto is_wanted = [&](JobId id) {
    if (request.kind.empty() && request.except.empty()) return true;
    const std::string& kind = rows_.at(id).job.kind;
    if (!request.kind.empty()) return kind == request.kind;
    return std::ranges::find(request.except, kind) == request.except.end();
  };

  // How many are old enough, as far as the limit; so the walk by id ends with the last of them.
  std::size_t old = 0;
  for (const auto& [finished_at, id] : indexes_.ended_at(request.state)) {
    if (old > request.limit || !is_old(finished_at)) break;
    if (is_wanted(id)) ++old;
  }
  PruneResult result{.pruned = std::min(old, request.limit), .more = old > request.limit};
  std::vector<JobId> doomed;
  for (const JobId id : indexes_.ended(request.state)) {
    if (doomed.size() == result.pruned) break;
    if (is_wanted(id) && is_old(*rows_.at(id).job.finished_at)) doomed.push_back(id);
  }
  for (const JobId id : doomed) {
    const auto it = rows_.find(id);
    release_key(it->second);
    indexes_.remove(it->second);
    rows_.erase(it);
  }
  return result;
}

}  // namespace quern::inline v1::memory
