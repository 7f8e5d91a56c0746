#include "storage/memory/nodes.hpp"

#include <algorithm>

namespace quern::inline v1::memory {

void Nodes::begin_lease(Node& node) const {
  node.boot = clock_.boot_id();
  node.expires = clock_.steady() + node.status.info.lease;
}

NodeId Nodes::add(const NodeInfo& info, TimePoint now) {
  const NodeId id{next_};
  Node node{.status = {.id = id, .info = info, .state = NodeState::alive, .started_at = now}, .boot = {}};
  begin_lease(node);
  nodes_.emplace(id, std::move(node));
  ++next_;
  return id;
}

void Nodes::add_dead(NodeId id) {
  nodes_.try_emplace(id, Node{.status = {.id = id, .state = NodeState::dead}, .boot = {}});
  number_from(id.value + 1);
}

RenewResult Nodes::renew(NodeId node) {
  if (!alive(node)) return RenewResult::lost;
  begin_lease(nodes_.at(node));
  return RenewResult::renewed;
}

void Nodes::retire(NodeId node) {
  if (alive(node)) nodes_.at(node).status.state = NodeState::retired;
}

std::size_t Nodes::declare_dead() {
  const auto now = clock_.steady();
  const auto boot = clock_.boot_id();
  std::size_t dead = 0;
  for (auto& [id, node] : nodes_) {
    if (node.status.state != NodeState::alive || (node.boot == boot && now < node.expires)) continue;
    node.status.state = NodeState::dead;
    ++dead;
  }
  return dead;
}

bool Nodes::alive(NodeId node) const {
  const auto it = nodes_.find(node);
  return it != nodes_.end() && it->second.status.state == NodeState::alive;
}

std::vector<NodeId> Nodes::lost() const {
  std::vector<NodeId> lost;
  for (const auto& [id, node] : nodes_) {
    if (node.status.state != NodeState::alive) lost.push_back(id);
  }
  return lost;
}

std::vector<NodeStatus> Nodes::all() const {
  std::vector<NodeStatus> all;
  all.reserve(nodes_.size());
  const auto now = clock_.steady();
  const auto boot = clock_.boot_id();
  for (const auto& [id, node] : nodes_) {
    all.push_back(node.status);
    if (node.status.state == NodeState::alive && node.boot == boot)
      all.back().lease_left = std::max(node.expires - now, Duration::zero());
  }
  return all;
}

}  // namespace quern::inline v1::memory
