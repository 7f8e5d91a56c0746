#include "quern/work/node_lease.hpp"

#include <fmt/format.h>

#include <chrono>
#include <utility>

namespace quern::inline v1 {

NodeLease::NodeLease(StoragePort& storage, NodeInfo info, Logger log)
    : storage_(storage), info_(std::move(info)), log_(std::move(log)) {
  if (info_.lease < std::chrono::milliseconds(1) || info_.lease > std::chrono::days(1))
    throw InvalidArgument("lease", fmt::format("is {}; allowed is 1ms to 1d", to_text(info_.lease)));
}

NodeId NodeLease::join() {
  const std::lock_guard lock(mutex_);
  const NodeId node = storage_.register_node(info_);
  renew_at_ = storage_.clock().steady() + info_.lease / 3;
  node_.store(node.value, std::memory_order_release);
  lost_.store(false, std::memory_order_release);
  return node;
}

void NodeLease::leave() {
  const std::lock_guard lock(mutex_);
  const NodeId node{node_.exchange(0, std::memory_order_acq_rel)};
  if (node && !lost()) storage_.retire(node);
}

NextTick NodeLease::tick(TimePoint now) noexcept {
  const std::lock_guard lock(mutex_);
  if (!node() || lost()) return {};
  const SteadyTime steady = storage_.clock().steady();
  if (steady >= renew_at_) {
    try {
      if (storage_.renew(node()) == RenewResult::lost) {
        log_to(log_, {.level = LogLevel::error,
                      .message = fmt::format("node {} was declared dead; its runs are lost", node().value),
                      .node = node().value});
        lost_.store(true, std::memory_order_release);
        return {};
      }
      renew_at_ = steady + info_.lease / 3;
    } catch (const std::exception& e) {
      log_to(log_, {.level = LogLevel::warning,
                    .message = fmt::format("node {} could not renew its lease: {}", node().value, e.what()),
                    .node = node().value});
      renew_at_ = steady + info_.lease / 10;
    }
  }
  return {now + (renew_at_ - steady)};
}

}  // namespace quern::inline v1
