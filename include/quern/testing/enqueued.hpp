#pragma once

#include <concepts>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "quern/queue/job_queue.hpp"
#include "quern/testing/finding.hpp"

namespace quern::inline v1::testing {

/// Which jobs are meant, beside their kind. What is empty does not restrict.
struct JobMatch {
  /// Where they stand; by default all that have not started yet.
  std::vector<JobState> states{JobState::blocked, JobState::scheduled, JobState::ready};
  std::string queue{};
  std::optional<Priority> priority{};
  /// When they are due, such as `When::after(24h)`, counted from the storage's clock as it stands now.
  std::optional<When> run_at{};
  /// How far the due time may be off, either way. For storages on a real clock.
  Duration within{0};
  std::string unique_key{};
  std::string tenant{};
  /// Each of these must be among the job's.
  std::vector<std::string> tags{};
  std::string created_by{};
  /// Each of these must be among the job's.
  std::vector<JobId> parents{};
};

/// A waiting job with its payload as the struct that it was made of.
template <TypedJob T>
struct EnqueuedJob {
  T args;
  Job job;
};

/// Decides about jobs by their arguments: takes `(const T&)` or `(const T&, const Job&)`.
template <class P, class T>
concept JobPredicate = std::predicate<const P&, const T&> || std::predicate<const P&, const T&, const Job&>;

namespace detail {

/// Why a job is not meant; empty: it is.
using WhyNot = std::function<std::string(const Job&)>;

/// All jobs of the kind in these states, oldest first.
[[nodiscard]] std::vector<Job> jobs_of_kind(StoragePort& storage, std::string_view kind,
                                            const std::vector<JobState>& states);
/// Why the job is none of those that `match` means; empty: it is one.
[[nodiscard]] std::string mismatch(const Job& job, const JobMatch& match, TimePoint now);
/// Looks for one of `kind` among a storage's jobs, or among those given.
[[nodiscard]] Finding find_enqueued(StoragePort& storage, std::string_view kind, const JobMatch& match,
                                    const WhyNot& why_not);
[[nodiscard]] Finding find_among(const std::vector<Job>& jobs, std::string_view kind, const JobMatch& match,
                                 TimePoint now, const WhyNot& why_not);

template <TypedJob T, class P>
bool accepts(const P& predicate, const T& args, const Job& job) {
  if constexpr (std::predicate<const P&, const T&, const Job&>)
    return predicate(args, job);
  else
    return predicate(args);
}

template <TypedJob T, class P>
WhyNot why_not(const P& predicate) {
  return [&predicate](const Job& job) -> std::string {
    try {
      return accepts<T>(predicate, job.payload.as<T>(), job) ? "" : "the predicate says no";
    } catch (const InvalidArgument& e) {
      return e.what();
    }
  };
}

template <TypedJob T>
std::vector<EnqueuedJob<T>> decoded(std::vector<Job> jobs, const JobMatch& match, TimePoint now) {
  std::vector<EnqueuedJob<T>> found;
  for (Job& job : jobs) {
    if (job.kind != T::kind || !mismatch(job, match, now).empty()) continue;
    T args = job.payload.as<T>();
    found.push_back({std::move(args), std::move(job)});
  }
  return found;
}

/// Accepts all.
struct Any {
  template <class T>
  bool operator()(const T& /*args*/) const noexcept {
    return true;
  }
};

}  // namespace detail

/// The waiting jobs of T that `match` means, oldest first, each decoded.
/// Throws InvalidArgument when one of them holds no T, and StorageError. Reads all waiting jobs of the kind.
template <TypedJob T, Storage S>
[[nodiscard]] std::vector<EnqueuedJob<T>> enqueued(JobQueue<S>& queue, const JobMatch& match = {}) {
  StoragePort& storage = queue.core().storage();
  return detail::decoded<T>(detail::jobs_of_kind(storage, T::kind, match.states), match,
                            storage.clock().now());
}

/// Whether a job of T waits that `match` means and `predicate` accepts:
///
///     CHECK(has_enqueued<SendMail>(queue, [](const SendMail& job) { return job.user_id == 17; }));
///     CHECK(has_enqueued<SendMail>(queue, {.queue = "mail", .run_at = quern::When::after(24h)}));
///
/// When there is none, the message lists the jobs of that kind, each with what it is not. Throws
/// StorageError, and what the predicate throws but InvalidArgument. Works on any queue; reads all jobs of the
/// kind.
template <TypedJob T, Storage S, JobPredicate<T> P>
[[nodiscard]] Finding has_enqueued(JobQueue<S>& queue, const P& predicate, const JobMatch& match = {}) {
  return detail::find_enqueued(queue.core().storage(), T::kind, match, detail::why_not<T>(predicate));
}
template <TypedJob T, Storage S>
[[nodiscard]] Finding has_enqueued(JobQueue<S>& queue, const JobMatch& match = {}) {
  return has_enqueued<T>(queue, detail::Any{}, match);
}

}  // namespace quern::inline v1::testing
