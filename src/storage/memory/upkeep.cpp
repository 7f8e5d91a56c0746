#include <fmt/format.h>

#include <algorithm>

#include "quern/core/error.hpp"
#include "storage/memory/jobs.hpp"

namespace quern::inline v1::memory {

PromoteResult Jobs::promote(Call& call, std::size_t limit) {
  PromoteResult result;
  const auto holds_scheduled = [&](const DueHeap::Entry& entry) { return is_due(entry); };
  const auto holds_deadline = [&](const DueHeap::Entry& entry) { return can_expire(entry); };
  const auto is_over = [&](const DueHeap::Entry* entry) { return entry != nullptr && entry->at <= call.now; };

  for (; result.promoted < limit; ++result.promoted) {
    const DueHeap::Entry* const next = scheduled_.top(holds_scheduled);
    if (!is_over(next)) break;
    Row& row = row_at(JobId{next->id});
    make_ready(call, row, row.run_at);
  }
  for (; result.expired < limit; ++result.expired) {
    const DueHeap::Entry* const next = deadlines_.top(holds_deadline);
    if (!is_over(next)) break;
    expire(call, row_at(JobId{next->id}));
    settle(call);
  }

  for (const auto* next : {scheduled_.top(holds_scheduled), deadlines_.top(holds_deadline)}) {
    if (next != nullptr) result.next = std::min(result.next, next->at);
    result.more = result.more || is_over(next);
  }
  if (!names_.rules.empty())
    result.next =
        std::min(result.next, When::after(names_.rules.next_start(nodes_.steady())).resolve(call.now));
  return result;
}

RescueResult Jobs::rescue(Call& call, std::span<const NodeId> lost, std::size_t limit, int crashes) {
  RescueResult result;
  for (const NodeId node : lost) {
    while (running(node) > 0) {
      if (result.rescued + result.dead >= limit) {
        result.more = true;
        return result;
      }
      Row& row = rows_[running_.at(node.value).slots.front()];
      touch(row);
      auto message = fmt::format("node {} died", node.value);
      remember_error(call, row, AttemptFault::crash, message);
      More& rest = more(row);
      ++rest.crashes;
      ++result.dead;
      if (rest.cancel_requested) {
        cancel_now(call, row, rest.cancel_reason);
      } else if (rest.crashes >= crashes) {
        die(call, row, DeadReason::quarantined,
            fmt::format("was running when its node died, {} times", rest.crashes));
      } else if (row.attempt >= row.max_attempts) {
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

  // How many are old enough, as far as the limit; so the walk by id ends with the last of them.
  std::vector<bool> wanted_lanes(names_.lanes().size());
  IdIndex::Wanted wanted{.states = IdIndex::state_bit(request.state), .lanes = 0};
  std::size_t old = 0;
  for (Lane& one : names_.lanes()) {
    const std::string& kind = one.kind->name;
    wanted_lanes[one.id] = request.kind.empty()
                               ? std::ranges::find(request.except, kind) == request.except.end()
                               : kind == request.kind;
    if (!wanted_lanes[one.id]) continue;
    wanted.lanes |= IdIndex::lane_bit(one.id);
    one.ended_line(request.state)
        .walk([&](Slot slot) { return Line::Key{rows_[slot].finished_at(), rows_[slot].id}; },
              [&](Slot slot) {
                if (old > request.limit || !is_old(rows_[slot].finished_at())) return false;
                ++old;
                return true;
              });
  }
  PruneResult result{.pruned = std::min(old, request.limit), .more = old > request.limit};
  std::vector<Slot> doomed;
  if (result.pruned > 0)
    ids_.walk(
        true, 0, wanted, rows_, [&](const Row& row) { return lane(row).id; },
        [&](Slot slot) {
          const Row& row = rows_[slot];
          const bool in_line =
              row.state() == request.state && row.place != no_slot;  // else a blocked job needs it
          if (in_line && wanted_lanes[lane(row).id] && is_old(row.finished_at())) doomed.push_back(slot);
          return doomed.size() < result.pruned;
        });
  for (const Slot slot : doomed) {
    mark_gone(rows_[slot]);
    release_key(rows_[slot]);
    forget(slot);
  }
  return result;
}

}  // namespace quern::inline v1::memory
