#include "quern/testing/storage_proxy.hpp"

#include <fmt/format.h>

#include <ostream>

namespace quern::inline v1::testing {

std::string to_string(const StorageCrash& crash) {
  return fmt::format("{} storage call {}{}", crash.side == CrashSide::before ? "before" : "after", crash.call,
                     crash.name.empty() ? "" : fmt::format(" ({})", crash.name));
}

std::ostream& operator<<(std::ostream& out, const StorageCrash& crash) { return out << to_string(crash); }

void StorageProxy::crash_at(std::size_t call, CrashSide side) {
  const std::lock_guard lock(mutex_);
  fatal_call_ = call == 0 ? 0 : calls_ + call;
  crash_ = {.call = call, .side = side, .name = {}};
}

StorageCrash StorageProxy::crash() const {
  const std::lock_guard lock(mutex_);
  return crash_;
}

std::size_t StorageProxy::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

bool StorageProxy::enter(std::string_view name) {
  {
    const std::lock_guard lock(mutex_);
    if (!crashed()) {
      ++calls_;
      if (fatal_call_ == 0 || calls_ < fatal_call_) return false;
      if (calls_ == fatal_call_) {
        crash_.name = name;
        if (crash_.side == CrashSide::after) return true;
      }
    }
  }
  die();  // also behind a fatal call that threw something of its own
}

void StorageProxy::die() {
  crashed_.store(true, std::memory_order_release);
  throw SimulatedCrash(crash());
}

}  // namespace quern::inline v1::testing
