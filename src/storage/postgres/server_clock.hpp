#pragma once

#include <atomic>
#include <string>

#include "quern/core/clock.hpp"

namespace quern::inline v1::postgres {

/// The server's clock, as far as it is known here: this machine's, with the difference that was last seen.
/// Thread-safe.
class ServerClock {
 public:
  [[nodiscard]] TimePoint now() const noexcept { return machine_.now() + Duration(offset_us_.load()); }
  [[nodiscard]] SteadyTime steady() const noexcept { return machine_.steady(); }
  [[nodiscard]] std::string boot_id() const { return machine_.boot_id(); }

  void set_offset(Duration offset) noexcept { offset_us_ = offset.count(); }

 private:
  SystemClock machine_;
  std::atomic<std::int64_t> offset_us_{0};
};

}  // namespace quern::inline v1::postgres
