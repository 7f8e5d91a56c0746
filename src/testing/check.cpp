#include "testing/check.hpp"

#include <fmt/format.h>

#include "quern/testing/storage_conformance.hpp"

namespace quern::inline v1::testing::detail {

void fail(const char* file, int line, std::string_view expression, const std::string& problem) {
  throw ConformanceFailure(fmt::format("{}:{}: {}: {}", file, line, expression, problem));
}

std::string show(bool value) { return value ? "true" : "false"; }
std::string show(std::string_view value) { return fmt::format("\"{}\"", value); }
std::string show(JobState value) { return std::string(to_string(value)); }
std::string show(DeadReason value) { return std::string(to_string(value)); }
std::string show(JobEventType value) { return std::string(to_string(value)); }
std::string show(TimePoint value) { return to_rfc3339(value); }
std::string show(Duration value) { return to_text(value); }
std::string show(JobId value) { return fmt::format("job {}", value.value); }
std::string show(NodeId value) { return fmt::format("node {}", value.value); }
std::string show(const Payload& value) { return value.text(); }
std::string show(Priority value) { return to_string(value); }
std::string show(const Progress& value) { return fmt::format("{} % \"{}\"", value.percent, value.message); }
std::string show(const JobCount& value) {
  return fmt::format("{}/{} {}: {}", value.queue, value.kind, to_string(value.state), value.count);
}
std::string show(const ReadyAge& value) {
  return fmt::format("{}/{} since {}, for {}", value.queue, value.kind, to_rfc3339(value.since),
                     to_text(value.age));
}

}  // namespace quern::inline v1::testing::detail
