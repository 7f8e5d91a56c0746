#include "quern/core/job_id.hpp"

#include <charconv>

namespace quern::inline v1 {

std::string to_string(JobId id) { return std::to_string(id.value); }

std::optional<JobId> parse_job_id(std::string_view text) noexcept {
  if (text.empty() || text.front() == '0') return std::nullopt;
  JobId id;
  const char* const end = text.data() + text.size();
  const auto [stop, fault] = std::from_chars(text.data(), end, id.value);
  if (fault != std::errc{} || stop != end || id.value > max_job_id) return std::nullopt;
  return id;
}

}  // namespace quern::inline v1
