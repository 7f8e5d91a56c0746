#include "quern/work/job_result.hpp"

#include <nlohmann/json.hpp>

namespace quern::inline v1 {

JobResult JobResult::completed(const nlohmann::json& result) { return completed(Payload::of(result)); }

}  // namespace quern::inline v1
