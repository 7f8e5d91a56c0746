#pragma once

#include <cstddef>
#include <vector>

#include "quern/core/config.hpp"
#include "quern/storage/requests.hpp"

namespace quern::inline v1::detail {

/// The requests that together prune what the retention no longer keeps, each up to `limit` jobs: for each
/// terminal state one for each kind that has a time of its own, and one for all the others. Never empty.
[[nodiscard]] std::vector<PruneRequest> prune_plan(const Retention& keep, std::size_t limit);

}  // namespace quern::inline v1::detail
