#pragma once

#include "quern/core/time.hpp"

namespace quern::inline v1::detail {

/// Processor time that the calling thread has used so far, in user and kernel mode; 0 where the system does not say. Only
/// differences between two readings on one thread mean anything. A system call, of some 0.2 us.
[[nodiscard]] Duration thread_time() noexcept;

}  // namespace quern::inline v1::detail
