#pragma once

#include <string>

#include "quern/work/worker.hpp"

namespace quern::inline v1::detail {

/// Throws InvalidArgument where something is out of range; `path` is what its fields' paths begin with.
void check_worker(const WorkerOptions& options, const std::string& path);
void check_resources(const Resources& resources, const std::string& path);

}  // namespace quern::inline v1::detail
