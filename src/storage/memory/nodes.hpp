#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "quern/core/clock.hpp"
#include "quern/storage/requests.hpp"

namespace quern::inline v1::memory {

/// The nodes and their leases. A lease is a time of the steady clock within one boot: after a restart of the
/// machine it has passed, and setting the wall clock moves none. Not thread-safe.
class Nodes {
 public:
  explicit Nodes(ClockRef clock) : clock_(clock) {}

  NodeId add(const NodeInfo& info, TimePoint now);
  /// A node of another storage, which is dead; harmless when it is known.
  void add_dead(NodeId id);
  /// From now on nodes get numbers from `first` on, at least.
  void number_from(std::uint64_t first) { next_ = std::max(next_, first); }
  RenewResult renew(NodeId node);
  void retire(NodeId node);
  /// Declares those dead whose lease has passed; says how many.
  std::size_t declare_dead();
  void forget(NodeId node) { nodes_.erase(node); }

  /// True until it is retired or declared dead.
  [[nodiscard]] bool alive(NodeId node) const;
  /// Dead and retired ones that were not forgotten yet, oldest first.
  [[nodiscard]] std::vector<NodeId> lost() const;
  /// All, oldest first; `running` is left for the caller to fill in.
  [[nodiscard]] std::vector<NodeStatus> all() const;
  /// The clock of the leases.
  [[nodiscard]] SteadyTime steady() const { return clock_.steady(); }

 private:
  struct Node {
    NodeStatus status;
    std::string boot;
    SteadyTime expires{};
  };
  void begin_lease(Node& node) const;

  ClockRef clock_;
  std::map<NodeId, Node> nodes_;
  std::uint64_t next_ = 1;
};

}  // namespace quern::inline v1::memory
