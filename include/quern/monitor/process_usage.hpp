#pragma once

#include <cstdint>

#include "quern/core/time.hpp"

namespace quern::inline v1 {

/// What this process has used of the machine, as the operating system says.
struct ProcessUsage {
  Duration cpu{0};                   ///< User and system time of all of its threads, since it began.
  std::uint64_t resident_bytes = 0;  ///< Memory in use now. 0 where the system does not say (not Linux).
  std::uint64_t peak_bytes = 0;      ///< The most that it has been.
};
/// A few system calls. Never throws; what can't be read is 0.
[[nodiscard]] ProcessUsage process_usage() noexcept;

}  // namespace quern::inline v1
