#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/job.hpp"

namespace quern::inline v1::sqlite {

/// The fields of a job that most jobs leave alone, in one column: quern_jobs.more, NULL when all are.
/// Packed as a list of (field number, bytes); a reader skips numbers that it does not know.
struct JobMore {
  Duration timeout{0};
  std::string tenant{};
  std::vector<std::string> tags{};
  Unique unique{};  ///< Without on_conflict, which matters only to the insert.
  std::vector<JobId> parents{};
  ParentPolicy on_parent_failure = ParentPolicy::cancel;
  std::string created_by{};
  std::string digest{};
  std::string trace{};

  /// Whether a job in that state holds its key, if it has one.
  [[nodiscard]] bool protects_key(JobState state) const noexcept;
};

/// The rare fields of a job; `parents` are the real ones. Empty: it has none.
[[nodiscard]] std::string pack_more(const NewJob& job, const std::vector<JobId>& parents);

/// Reads what `pack_more` wrote; empty when it is malformed.
[[nodiscard]] std::optional<JobMore> unpack_more(std::string_view bytes);

}  // namespace quern::inline v1::sqlite
