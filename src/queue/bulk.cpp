#include "quern/queue/bulk.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "quern/core/error.hpp"

namespace quern::inline v1::detail {
namespace {

void in_states(JobFilter& filter, std::vector<JobState> states) {
  if (filter.states.empty()) filter.states = std::move(states);
}

const std::vector<JobState> waiting{JobState::blocked, JobState::scheduled, JobState::ready};

template <class Result, class... Wanted>
std::size_t count_of(const std::vector<Result>& results, Wanted... wanted) {
  return static_cast<std::size_t>(
      std::ranges::count_if(results, [&](Result result) { return ((result == wanted) || ...); }));
}

}  // namespace

BulkResult for_each_batch(StoragePort& storage, JobFilter filter, const BulkOptions& options,
                          const std::function<std::size_t(std::span<const JobId>)>& apply) {
  constexpr std::size_t most = 10'000;
  if (options.batch < 1 || options.batch > most)
    throw InvalidArgument("batch", fmt::format("is {}, allowed are 1 to {}", options.batch, most));
  filter.oldest_first = false;
  BulkResult result;
  while (result.matched < options.limit && !options.stop.stop_requested()) {
    filter.limit = std::min(options.batch, options.limit - result.matched);
    const JobPage page = storage.list(filter);
    std::vector<JobId> ids;
    ids.reserve(page.jobs.size());
    for (const Job& job : page.jobs)
      if (!options.only || options.only(job)) ids.push_back(job.id);
    if (!ids.empty()) {
      result.changed += apply(ids);
      result.matched += ids.size();
    }
    result.next = page.next;
    if (options.progress) options.progress(result);
    if (!page.next) break;
    filter.after = page.next;
  }
  return result;
}

BulkResult cancel_all(StoragePort& storage, JobFilter filter, const BulkOptions& options) {
  auto states = waiting;
  states.push_back(JobState::running);
  in_states(filter, std::move(states));
  return for_each_batch(storage, std::move(filter), options, [&](std::span<const JobId> ids) {
    return count_of(storage.cancel(ids, options.who), CancelResult::cancelled, CancelResult::requested);
  });
}

BulkResult retry_all(StoragePort& storage, JobFilter filter, const BulkOptions& options) {
  in_states(filter, {JobState::dead, JobState::cancelled});
  return for_each_batch(storage, std::move(filter), options, [&](std::span<const JobId> ids) {
    return count_of(storage.retry(ids, options.who), RetryResult::retried);
  });
}

BulkResult erase_all(StoragePort& storage, JobFilter filter, const BulkOptions& options) {
  auto states = waiting;
  states.insert(states.end(), {JobState::completed, JobState::dead, JobState::cancelled});
  in_states(filter, std::move(states));
  return for_each_batch(storage, std::move(filter), options, [&](std::span<const JobId> ids) {
    return count_of(storage.erase(ids), EraseResult::erased);
  });
}

BulkResult reschedule_all(StoragePort& storage, JobFilter filter, When when, const BulkOptions& options) {
  in_states(filter, waiting);
  return for_each_batch(storage, std::move(filter), options, [&](std::span<const JobId> ids) {
    return count_of(storage.reschedule(ids, when, options.who), ChangeResult::changed);
  });
}

BulkResult set_priority_all(StoragePort& storage, JobFilter filter, Priority priority,
                            const BulkOptions& options) {
  in_states(filter, waiting);
  return for_each_batch(storage, std::move(filter), options, [&](std::span<const JobId> ids) {
    return count_of(storage.set_priority(ids, priority, options.who), ChangeResult::changed);
  });
}

}  // namespace quern::inline v1::detail
