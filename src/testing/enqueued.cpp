#include "quern/testing/enqueued.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <ostream>

#include "testing/describe.hpp"

namespace quern::inline v1::testing {

std::ostream& operator<<(std::ostream& out, const Finding& finding) { return out << finding.message(); }

namespace detail {
namespace {

/// Jobs that a message lists; more are only counted.
constexpr std::size_t listed_jobs = 10;

std::string states_text(const std::vector<JobState>& states) {
  std::string text;
  for (const JobState state : states) text += fmt::format("{}{}", text.empty() ? "" : ", ", to_string(state));
  return text;
}

/// "ready, queue mail, tags a b: {...}"
std::string describe(const Job& job) {
  std::string text = fmt::format("job {}, {}, queue {}", to_string(job.id), to_string(job.state), job.queue);
  if (job.state == JobState::scheduled) text += fmt::format(", due {}", to_rfc3339(job.run_at));
  return fmt::format("{}: {}", text, shortened(job.payload.text()));
}

/// Goes through the jobs until one is meant; else lists what each is not.
Finding judge(const std::vector<Job>& jobs, std::string_view kind, const JobMatch& match, TimePoint now,
              const WhyNot& why_not) {
  std::string lines;
  std::size_t listed = 0;
  for (const Job& job : jobs) {
    std::string reason = mismatch(job, match, now);
    if (reason.empty()) reason = why_not(job);
    if (reason.empty()) return {true, fmt::format("there is a job of \"{}\": {}", kind, describe(job))};
    if (listed++ < listed_jobs) lines += fmt::format("\n  {}\n    but {}", describe(job), reason);
  }
  if (listed > listed_jobs) lines += fmt::format("\n  and {} more", listed - listed_jobs);
  return {false, fmt::format("no such job of \"{}\"; there {}{}", kind,
                             listed == 0 ? "is none" : (listed == 1 ? "is" : "are"), lines)};
}

/// What waits besides, when nothing of the kind does: perhaps the kind is another one.
std::string other_kinds(StoragePort& storage, std::string_view kind) {
  std::map<std::string, std::uint64_t> waiting;
  for (const JobCount& count : storage.count())
    if (count.kind != kind && (count.state == JobState::blocked || count.state == JobState::scheduled ||
                               count.state == JobState::ready))
      waiting[count.kind] += count.count;
  std::string text;
  for (const auto& [name, count] : waiting)
    text += fmt::format("{}{} of \"{}\"", text.empty() ? "" : ", ", count, name);
  return text.empty() ? "no job of any kind waits" : "of other kinds there wait " + text;
}

}  // namespace

std::vector<Job> jobs_of_kind(StoragePort& storage, std::string_view kind,
                              const std::vector<JobState>& states) {
  std::vector<Job> jobs;
  JobFilter filter;
  filter.states = states;
  filter.kind = kind;
  filter.oldest_first = true;
  filter.limit = 1000;
  do {
    JobPage page = storage.list(filter);
    std::ranges::move(page.jobs, std::back_inserter(jobs));
    filter.after = page.next;
  } while (filter.after);
  return jobs;
}

std::string mismatch(const Job& job, const JobMatch& match, TimePoint now) {
  if (!match.states.empty() && std::ranges::find(match.states, job.state) == match.states.end())
    return fmt::format("it is {}, not {}", to_string(job.state), states_text(match.states));
  if (!match.queue.empty() && job.queue != match.queue)
    return fmt::format("its queue is \"{}\", not \"{}\"", job.queue, match.queue);
  if (match.priority && job.priority != *match.priority)
    return fmt::format("its priority is {}, not {}", to_string(job.priority), to_string(*match.priority));
  if (match.run_at) {
    const TimePoint wanted = match.run_at->resolve(now);
    const Duration off = job.run_at < wanted ? wanted - job.run_at : job.run_at - wanted;
    if (off > match.within)
      return fmt::format("it is due at {}, not at {}", to_rfc3339(job.run_at), to_rfc3339(wanted));
  }
  if (!match.unique_key.empty() && job.unique_key != match.unique_key)
    return fmt::format("its unique key is \"{}\", not \"{}\"", job.unique_key, match.unique_key);
  if (!match.tenant.empty() && job.tenant != match.tenant)
    return fmt::format("its tenant is \"{}\", not \"{}\"", job.tenant, match.tenant);
  if (!match.created_by.empty() && job.created_by != match.created_by)
    return fmt::format("it was created by \"{}\", not by \"{}\"", job.created_by, match.created_by);
  for (const std::string& tag : match.tags)
    if (std::ranges::find(job.tags, tag) == job.tags.end()) return fmt::format("it has no tag \"{}\"", tag);
  for (const JobId parent : match.parents)
    if (std::ranges::find(job.parents, parent) == job.parents.end())
      return fmt::format("job {} is no parent of it", to_string(parent));
  return {};
}

Finding find_among(const std::vector<Job>& jobs, std::string_view kind, const JobMatch& match, TimePoint now,
                   const WhyNot& why_not) {
  std::vector<Job> of_kind;
  std::ranges::copy_if(jobs, std::back_inserter(of_kind), [&](const Job& job) { return job.kind == kind; });
  return judge(of_kind, kind, match, now, why_not);
}

Finding find_enqueued(StoragePort& storage, std::string_view kind, const JobMatch& match,
                      const WhyNot& why_not) {
  const TimePoint now = storage.clock().now();
  const std::vector<Job> jobs = jobs_of_kind(storage, kind, match.states);
  Finding waiting = judge(jobs, kind, match, now, why_not);
  if (waiting || !jobs.empty()) return waiting;
  // The likeliest reasons for there being none: they ran already, or it is another kind.
  const std::vector<Job> elsewhere = jobs_of_kind(storage, kind, {});
  if (!elsewhere.empty()) return judge(elsewhere, kind, match, now, why_not);
  return {false, fmt::format("{}, and {}", waiting.message(), other_kinds(storage, kind))};
}

}  // namespace detail
}  // namespace quern::inline v1::testing
