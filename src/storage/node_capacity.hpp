#pragma once

#include <string>

#include "quern/storage/requests.hpp"

namespace quern::inline v1::detail {

/// What a node can run, as JSON: {"slots":8,"kinds":[["mail",4]],"queues":null}.
[[nodiscard]] std::string pack_capacity(const NodeInfo& info);
/// Fills in `info` from it; what cannot be read is left as it is.
void unpack_capacity(const std::string& text, NodeInfo& info);

}  // namespace quern::inline v1::detail
