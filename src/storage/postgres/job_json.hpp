#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "quern/storage/requests.hpp"

namespace quern::inline v1::postgres {

/// A moment in the two forms in which SQL takes it: at most one of them is set.
struct Moment {
  std::optional<std::int64_t> at{};
  std::optional<std::int64_t> after{};
};
[[nodiscard]] Moment moment_of(When when);

/// Bits: held when completed, dead, cancelled.
[[nodiscard]] int states_of(const Unique& unique) noexcept;

/// A job as the SQL type new_job has it.
[[nodiscard]] nlohmann::json job_json(const NewJob& job, int lane);

/// Tags as one text; the separator is a control character, which no tag contains.
[[nodiscard]] std::string join_tags(const std::vector<std::string>& tags);
[[nodiscard]] std::vector<std::string> split_tags(std::string_view text);
[[nodiscard]] std::vector<JobId> split_ids(std::string_view text);

/// Compact; what is not UTF-8 is replaced, since the server would refuse it.
[[nodiscard]] std::string dump(const nlohmann::json& json);

}  // namespace quern::inline v1::postgres
