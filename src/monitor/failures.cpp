#include "quern/monitor/failures.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "quern/monitor/fingerprint.hpp"

namespace quern::inline v1 {

std::function<bool(const Job&)> failed_like(std::uint64_t fingerprint) {
  return [fingerprint](const Job& job) {
    return !job.errors.empty() && failure_fingerprint(job.kind, job.errors.back().message) == fingerprint;
  };
}

std::string to_json(std::span<const FailureGroup> groups) {
  using Json = nlohmann::ordered_json;
  Json json = Json::array();
  for (const FailureGroup& group : groups) {
    Json& one = json.emplace_back();
    one["fingerprint"] = fmt::format("{:016x}", group.fingerprint);
    one["kind"] = group.kind;
    one["error"] = group.error;
    one["count"] = group.count;
    one["dead"] = group.dead;
    one["first_seen"] = to_rfc3339(group.first_seen);
    one["last_seen"] = to_rfc3339(group.last_seen);
    one["queues"] = group.queues;
    one["examples"] = Json::array();
    for (const FailureGroup::Example& example : group.examples)
      one["examples"].push_back({{"job", to_string(example.job)},
                                 {"attempt", example.attempt},
                                 {"at", to_rfc3339(example.at)},
                                 {"message", example.message}});
    constexpr std::array<const char*, JobMetrics::windows.size()> names{"10s", "1m", "5m", "15m"};
    for (std::size_t i = 0; i < names.size(); ++i) one["per_second"][names[i]] = group.per_second[i];
  }
  return json.dump();
}

}  // namespace quern::inline v1
