#pragma once

#include <cstddef>
#include <functional>
#include <limits>
#include <span>
#include <stop_token>
#include <string>

#include "quern/storage/any_storage.hpp"

namespace quern::inline v1 {

/// How far an operation on many jobs has come.
struct BulkResult {
  std::size_t matched = 0;  ///< Jobs that the filter gave, and `BulkOptions::only` wants.
  std::size_t changed =
      0;  ///< Those that the operation did something to; not, say, a running one to be erased.
  /// Where to go on: pass it as `JobFilter::after`. Zero: all jobs were looked at.
  JobId next{};
};

struct BulkOptions {
  std::string who{};        ///< Who asks for it; kept with each job where the operation keeps it.
  std::size_t batch = 500;  ///< Jobs per transaction: 1 to 10000.
  std::size_t limit = std::numeric_limits<std::size_t>::max();  ///< No more jobs than these.
  /// Where it is set, only jobs for which it is true; asked on the calling thread, once for each that the filter
  /// gives.
  std::function<bool(const Job&)> only{};
  std::stop_token stop{};                             ///< Asked after each batch.
  std::function<void(const BulkResult&)> progress{};  ///< Called after each batch, on the calling thread.
};

namespace detail {
/// Calls `apply` with the ids of the jobs that the filter gives, a batch at a time, newest job first, so that
/// jobs that are added meanwhile are left alone; `apply` says how many it changed. `filter.oldest_first` and
/// `filter.limit` are not used. Throws InvalidArgument (field "batch") for a batch out of range.
BulkResult for_each_batch(StoragePort& storage, JobFilter filter, const BulkOptions& options,
                          const std::function<std::size_t(std::span<const JobId>)>& apply);

// Each on jobs in the states where it can do something, unless the filter names others.
BulkResult cancel_all(StoragePort& storage, JobFilter filter, const BulkOptions& options);
BulkResult retry_all(StoragePort& storage, JobFilter filter, const BulkOptions& options);
BulkResult erase_all(StoragePort& storage, JobFilter filter, const BulkOptions& options);
BulkResult reschedule_all(StoragePort& storage, JobFilter filter, When when, const BulkOptions& options);
BulkResult set_priority_all(StoragePort& storage, JobFilter filter, Priority priority,
                            const BulkOptions& options);
}  // namespace detail

}  // namespace quern::inline v1
