#include <fmt/core.h>

#include <algorithm>

#include "storage/node_capacity.hpp"
#include "storage/sqlite/operations.hpp"
#include "storage/sqlite/sql.hpp"

namespace quern::inline v1::sqlite {
namespace {

/// Takes jobs away from nodes that are gone.
class Rescue {
 public:
  Rescue(Work& work, std::size_t limit, int crashes) : work_(work), limit_(limit), crashes_(crashes) {}

  /// False when the limit was reached before the node's last job.
  bool take_from(NodeId node) {
    std::vector<std::pair<ClaimRow*, JobId>> held;
    for (ClaimRow* const row : work_.claims.all()) {
      if (row->node() != node) continue;
      row->each([&](JobId id, const ClaimRow::Spot&) {
        held.emplace_back(row, id);
        return true;
      });
    }
    std::sort(held.begin(), held.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    for (const auto& [row, id] : held) {
      if (result.rescued + result.dead >= limit_) {
        result.more = true;
        return false;
      }
      take(*row, id);
    }
    return true;
  }

  RescueResult result;

 private:
  void take(ClaimRow& row, JobId id) {
    const ClaimRow::Spot spot = row.find(id).value();
    const ClaimGroup& group = *spot.group;
    const std::string message = fmt::format("node {} died", row.node().value);
    work_.leave_claim(row, spot);
    work_.remember_error(id, group.attempt, group.epoch, AttemptFault::crash, message);
    auto place = work_.look_up(id);
    if (!place || place->lane != group.lane) {
      work_.mend(id, group.lane, Priority{}, row.claimed_at());
      place = Place{.id = id, .lane = group.lane, .run_at = row.claimed_at()};
    }
    place->attempt = group.attempt;
    place->epoch = group.epoch;
    place->started_at = row.claimed_at();
    ++place->crashes;
    const auto cancelled = take_cancel_reason(id);
    const bool again = !cancelled && place->crashes < crashes_ && group.attempt < group.max_attempts;
    if (again) place->run_at = work_.now;
    work_.save_changed(*place);
    if (cancelled) {
      end(*place, JobState::cancelled, DeadReason::none, *cancelled, group.keyed);
    } else if (place->crashes >= crashes_) {
      end(*place, JobState::dead, DeadReason::quarantined,
          fmt::format("was running when its node died, {} times", place->crashes), group.keyed);
    } else if (!again) {
      end(*place, JobState::dead, DeadReason::out_of_attempts, message, group.keyed);
    } else {
      work_.wait_until(*place, work_.now);
      if (JobEvent* told =
              work_.event(JobEventType::rescued, id, place->lane, place->attempt, place->epoch)) {
        told->run_at = work_.now;
        told->message = message;
      }
      ++result.rescued;
    }
    work_.settle();
  }

  std::optional<std::string> take_cancel_reason(JobId id) {
    if (!work_.has_any(sql::any_cancel)) return std::nullopt;
    Query row = work_.db.query(sql::cancel_reason);
    if (!row.bind(id).step()) return std::nullopt;
    std::string reason = row.string(0);
    row.reset();
    work_.db.run(sql::delete_cancel, id);
    return reason;
  }

  void end(const Place& place, JobState state, DeadReason reason, std::string_view message, bool keyed) {
    work_.end({.id = place.id,
               .lane = place.lane,
               .state = state,
               .attempt = place.attempt,
               .epoch = place.epoch,
               .started_at = place.started_at,
               .reason = reason,
               .message = message,
               .keyed = keyed});
    ++result.dead;
  }

  Work& work_;
  std::size_t limit_;
  int crashes_;
};

}  // namespace

NodeId register_node(Work& work, const NodeInfo& info, const ClockRef& clock) {
  const auto id =
      static_cast<std::uint64_t>(work.db.value(sql::meta, std::string_view("next_node")).value_or(1));
  work.db.run(sql::set_meta, std::string_view("next_node"), id + 1);
  work.db.run(sql::add_node, id, clock.boot_id(), (clock.steady() + info.lease).count(), info.lease.count(),
              work.now, info.name, info.host, info.process, detail::pack_capacity(info));
  return NodeId{id};
}

RenewResult renew(Work& work, NodeId node, const ClockRef& clock) {
  const bool alive = work.db.run(sql::renew_node, node.value, clock.boot_id(), clock.steady().count()) != 0;
  return alive ? RenewResult::renewed : RenewResult::lost;
}

void retire(Work& work, NodeId node) {
  if (work.db.run(sql::retire_node, node.value) == 0) return;
  if (!work.db.exists(sql::node_holds, node.value)) work.db.run(sql::delete_node, node.value);
}

bool anything_lost(Connection& db, const ClockRef& clock) {
  return db.exists(sql::lost_nodes, clock.boot_id(), clock.steady().count());
}

RescueResult rescue(Work& work, std::size_t limit, int crashes, const ClockRef& clock) {
  std::vector<std::pair<NodeId, NodeState>> lost;
  {
    Query node = work.db.query(sql::lost_nodes);
    const std::string boot = clock.boot_id();
    node.bind(boot, clock.steady().count());
    while (node.step()) lost.emplace_back(NodeId{node.id(0).value}, static_cast<NodeState>(node.small(1)));
  }
  std::size_t declared = 0;
  for (const auto& [id, state] : lost) {
    if (state == NodeState::alive)
      declared += static_cast<std::size_t>(work.db.run(sql::declare_dead, id.value));
  }
  Rescue rescue(work, limit, crashes);
  for (const auto& [id, state] : lost) {
    if (!rescue.take_from(id)) break;
    work.db.run(sql::delete_node, id.value);
  }
  rescue.result.nodes = declared;
  return rescue.result;
}

}  // namespace quern::inline v1::sqlite
