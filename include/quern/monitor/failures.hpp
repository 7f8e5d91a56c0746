#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "quern/monitor/metrics.hpp"

namespace quern::inline v1 {

/// Failed attempts of one kind for the same reason (see `failure_fingerprint`), as one process has seen them.
struct FailureGroup {
  struct Example {
    JobId job{};
    int attempt = 0;
    TimePoint at{};
    std::string message{};  ///< As the job keeps it.
  };

  std::uint64_t fingerprint = 0;
  std::string kind{};
  std::string error{};      ///< What its messages have in common: `normalized_error`.
  std::uint64_t count = 0;  ///< Attempts.
  std::uint64_t dead = 0;   ///< Jobs for which that was the last one.
  TimePoint first_seen{};
  TimePoint last_seen{};
  std::vector<std::string> queues{};  ///< Up to 10, in the order in which they came.
  std::vector<Example> examples{};    ///< The last ones, up to 5, newest first.
  /// Failures a second over `JobMetrics::windows`: rising where a short window has more than a long one.
  std::array<double, JobMetrics::windows.size()> per_second{};
};

/// As JSON of one line: an array of objects.
[[nodiscard]] std::string to_json(std::span<const FailureGroup> groups);

/// Which dead, or waiting, jobs belong to a group: those whose last failed attempt does. For `BulkOptions::only`.
[[nodiscard]] std::function<bool(const Job&)> failed_like(std::uint64_t fingerprint);

}  // namespace quern::inline v1
