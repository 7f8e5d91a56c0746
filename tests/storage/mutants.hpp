#pragma once

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "storage/forwarding_storage.hpp"

/// Storages that are wrong in one way each, made of a right one.
namespace quern_test::mutants {

using namespace quern;
using namespace std::chrono_literals;

/// A mutant that changes the jobs that are inserted, also those of a completion.
class ChangedInsert : public ForwardingStorage {
 public:
  using ForwardingStorage::ForwardingStorage;
  std::vector<InsertResult> insert(std::span<const NewJob> jobs) override {
    std::vector<NewJob> changed(jobs.begin(), jobs.end());
    for (NewJob& job : changed) change(job);
    return inner_.insert(changed);
  }

 protected:
  virtual void change(NewJob& job) = 0;
};

/// A mutant that changes the finishes.
class ChangedFinish : public ForwardingStorage {
 public:
  using ForwardingStorage::ForwardingStorage;
  std::vector<FinishResult> finish(std::span<const Finish> finishes) override {
    std::vector<Finish> changed(finishes.begin(), finishes.end());
    for (Finish& finish : changed) change(finish);
    return inner_.finish(changed);
  }

 protected:
  virtual void change(Finish& finish) = 0;
  std::optional<Job> find_one(JobId id) { return inner_.find({&id, 1}).at(0); }
};

/// A mutant that changes the jobs that are found.
class ChangedFind : public ForwardingStorage {
 public:
  using ForwardingStorage::ForwardingStorage;
  std::vector<std::optional<Job>> find(std::span<const JobId> ids) override {
    auto jobs = inner_.find(ids);
    for (auto& job : jobs) {
      if (job) change(*job);
    }
    return jobs;
  }

 protected:
  virtual void change(Job& job) = 0;
};

struct NoEpochCheck final : ChangedFinish {
  using ChangedFinish::ChangedFinish;
  void change(Finish& finish) override {
    if (const auto job = find_one(finish.ref.id)) finish.ref.epoch = job->epoch;
  }
};
struct NoNodeCheck final : ChangedFinish {
  using ChangedFinish::ChangedFinish;
  void change(Finish& finish) override {
    if (const auto job = find_one(finish.ref.id)) finish.ref.node = NodeId{job->node};
  }
};
struct LostFinishIsRecorded final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::vector<FinishResult> finish(std::span<const Finish> finishes) override {
    auto results = inner_.finish(finishes);
    for (auto& result : results) result.status = FinishStatus::recorded;
    return results;
  }
};
struct LostProgressIsHeld final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::vector<RunCheck> progress(std::span<const ProgressUpdate> updates) override {
    return std::vector(inner_.progress(updates).size(), RunCheck::held);
  }
};
struct StepOfAnyEpoch final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  RunCheck save_step(const RunRef& run, const Step& step) override {
    auto current = run;
    if (const auto job = inner_.find({&run.id, 1}).at(0)) current.epoch = job->epoch;
    return inner_.save_step(current, step);
  }
};
struct ForgetsParents final : ChangedInsert {
  using ChangedInsert::ChangedInsert;
  void change(NewJob& job) override { job.parents.clear(); }
};
struct ForgetsParentPolicy final : ChangedInsert {
  using ChangedInsert::ChangedInsert;
  void change(NewJob& job) override { job.on_parent_failure = ParentPolicy::cancel; }
};
struct ForgetsUniqueKey final : ChangedInsert {
  using ChangedInsert::ChangedInsert;
  void change(NewJob& job) override { job.unique.key.clear(); }
};
struct ForgetsUniquePeriod final : ChangedInsert {
  using ChangedInsert::ChangedInsert;
  void change(NewJob& job) override { job.unique.period = Duration(0); }
};
struct HoldsKeyAfterCompletion final : ChangedInsert {
  using ChangedInsert::ChangedInsert;
  void change(NewJob& job) override { job.unique.while_completed = true; }
};
struct NeverReplaces final : ChangedInsert {
  using ChangedInsert::ChangedInsert;
  void change(NewJob& job) override { job.unique.on_conflict = UniqueConflict::skip; }
};
struct StartsEarly final : ChangedInsert {
  using ChangedInsert::ChangedInsert;
  void change(NewJob& job) override { job.run_at = {}; }
};
struct StartsABitEarly final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::vector<FinishResult> finish(std::span<const Finish> finishes) override {
    std::vector<Finish> changed(finishes.begin(), finishes.end());
    for (Finish& finish : changed) finish.again = When::at(finish.again.resolve(clock().now()) - 1ms);
    return inner_.finish(changed);
  }
};
struct ForgetsDeadline final : ChangedInsert {
  using ChangedInsert::ChangedInsert;
  void change(NewJob& job) override { job.deadline.reset(); }
};
struct ForgetsPriority final : ChangedInsert {
  using ChangedInsert::ChangedInsert;
  void change(NewJob& job) override { job.priority = Priority::normal; }
};
struct InsertsOneByOne final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::vector<InsertResult> insert(std::span<const NewJob> jobs) override {
    std::vector<InsertResult> results;
    for (const NewJob& job : jobs) results.push_back(inner_.insert({&job, 1}).at(0));
    return results;
  }
};
struct InsertsTwice final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::vector<InsertResult> insert(std::span<const NewJob> jobs) override {
    std::vector<NewJob> changed(jobs.begin(), jobs.end());
    for (NewJob& job : changed) {
      if (inner_.find({&job.id, 1}).at(0)) job.id = inner_.reserve_ids(1);
    }
    return inner_.insert(changed);
  }
};
struct ClaimsPausedQueues final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::vector<Claim> claim(const ClaimRequest& request) override {
    const auto queues = inner_.queues();
    for (const auto& queue : queues) inner_.resume(queue.name);
    auto claims = inner_.claim(request);
    for (const auto& queue : queues) {
      if (queue.paused) inner_.pause(queue.name);
    }
    return claims;
  }
};
struct ReturnsAClaimTwice final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::vector<Claim> claim(const ClaimRequest& request) override {
    auto claims = inner_.claim(request);
    const std::lock_guard lock(mutex_);
    if (claims.empty() && ++empty_ % 3 == 0) claims = last_;
    if (!claims.empty()) last_ = claims;
    return claims;
  }

 private:
  std::mutex mutex_;
  int empty_ = 0;
  std::vector<Claim> last_;
};
struct ClaimsInReverse final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::vector<Claim> claim(const ClaimRequest& request) override {
    auto claims = inner_.claim(request);
    std::ranges::reverse(claims);
    return claims;
  }
};
struct IgnoresKindLimits final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::vector<Claim> claim(const ClaimRequest& request) override {
    auto changed = request;
    for (auto& kind : changed.kinds) kind.limit = request.limit;
    return inner_.claim(changed);
  }
};
struct IgnoresQueueLimits final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::vector<Claim> claim(const ClaimRequest& request) override {
    auto changed = request;
    changed.queues.reset();
    return inner_.claim(changed);
  }
};
struct IgnoresAgeing final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::vector<Claim> claim(const ClaimRequest& request) override {
    auto changed = request;
    changed.ageing = Duration::zero();
    return inner_.claim(changed);
  }
};
struct CountsAttemptsAtTheError final : ChangedFind {
  using ChangedFind::ChangedFind;
  void change(Job& job) override { job.attempt -= job.state == JobState::running ? 1 : 0; }
};
struct SnoozeCostsAnAttempt final : ChangedFinish {
  using ChangedFinish::ChangedFinish;
  void change(Finish& finish) override {
    if (finish.outcome == Outcome::snoozed) finish.outcome = Outcome::failed;
  }
};
struct NeverDiesOfAttempts final : ChangedFinish {
  using ChangedFinish::ChangedFinish;
  void change(Finish& finish) override {
    if (finish.outcome == Outcome::failed) finish.outcome = Outcome::snoozed;
  }
};
struct LosesResults final : ChangedFinish {
  using ChangedFinish::ChangedFinish;
  void change(Finish& finish) override { finish.result.reset(); }
};
struct LosesJobsOfACompletion final : ChangedFinish {
  using ChangedFinish::ChangedFinish;
  void change(Finish& finish) override { finish.jobs.clear(); }
};
struct RecordsBeforeTheFinish final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::vector<FinishResult> finish(std::span<const Finish> finishes) override {
    for (const Finish& finish : finishes) {
      for (const Record& record : finish.records) inner_.put_record(record);
    }
    return inner_.finish(finishes);
  }
};
struct CancelBeatsSuccess final : ChangedFinish {
  using ChangedFinish::ChangedFinish;
  void change(Finish& finish) override {
    const auto job = find_one(finish.ref.id);
    if (job && job->cancel_requested) finish.outcome = Outcome::cancelled;
  }
};
struct ForgetsCancelOfARunningJob final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::vector<CancelResult> cancel(std::span<const JobId> ids, std::string_view who) override {
    std::vector<CancelResult> results;
    for (const JobId id : ids) {
      const auto job = inner_.find({&id, 1}).at(0);
      const bool runs = job && job->state == JobState::running;
      results.push_back(runs ? CancelResult::requested : inner_.cancel({&id, 1}, who).at(0));
    }
    return results;
  }
};
struct NeverQuarantines final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  RescueResult rescue(std::size_t limit, int /*crashes*/) override { return inner_.rescue(limit, 1'000'000); }
};
struct RescuesFromLiveNodes final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  RescueResult rescue(std::size_t limit, int crashes) override {
    for (const auto& node : inner_.nodes()) inner_.retire(node.id);
    return inner_.rescue(limit, crashes);
  }
};
struct UnboundedRescue final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  RescueResult rescue(std::size_t /*limit*/, int crashes) override {
    return inner_.rescue(1'000'000, crashes);
  }
};
struct RenewsTheDead final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  RenewResult renew(NodeId node) override {
    static_cast<void>(inner_.renew(node));
    return RenewResult::renewed;
  }
};
struct RetireDoesNothing final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  void retire(NodeId /*node*/) override {}
};
struct PrunesByStateAlone final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  PruneResult prune(const PruneRequest& request) override {
    auto changed = request;
    changed.older_than = Duration(0);
    return inner_.prune(changed);
  }
};
struct PrunesAllKinds final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  PruneResult prune(const PruneRequest& request) override {
    auto changed = request;
    changed.kind.clear();
    return inner_.prune(changed);
  }
};
struct PrunesWithoutException final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  PruneResult prune(const PruneRequest& request) override {
    auto changed = request;
    changed.except.clear();
    return inner_.prune(changed);
  }
};
struct PromotesWithoutBound final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  PromoteResult promote(std::size_t /*limit*/) override { return inner_.promote(1'000'000); }
};
struct ForgetsWhatIsDueNext final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  PromoteResult promote(std::size_t limit) override {
    auto result = inner_.promote(limit);
    result.next = TimePoint::max();
    return result;
  }
};
struct RecountsWithoutRunning final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::vector<CountFault> recount() override {
    auto faults = inner_.recount();
    for (const JobCount& count : inner_.count()) {
      if (count.state == JobState::running)
        faults.push_back({count.queue, count.kind, count.state, count.count, 0});
    }
    return faults;
  }
};
struct TellsTheYoungestReadyJob final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::vector<ReadyAge> oldest_ready() override {
    auto ages = inner_.oldest_ready();
    for (ReadyAge& one : ages)
      for (const Job& job :
           inner_.list({.states = {JobState::ready}, .queue = one.queue, .kind = one.kind}).jobs)
        one.since = std::max(one.since, job.run_at);
    return ages;
  }
};
struct CountsWithoutRunning final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::vector<JobCount> count() override {
    auto counts = inner_.count();
    std::erase_if(counts, [](const JobCount& count) { return count.state == JobState::running; });
    return counts;
  }
};
struct ListsWithoutFilter final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  JobPage list(const JobFilter& filter) override {
    auto changed = filter;
    changed.tag.clear();
    return inner_.list(changed);
  }
};
struct ListsOfAllTimes final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  JobPage list(const JobFilter& filter) override {
    auto changed = filter;
    changed.created_from.reset();
    return inner_.list(changed);
  }
};
struct ListsTheEndOfATime final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  JobPage list(const JobFilter& filter) override {
    auto changed = filter;
    if (changed.created_before) *changed.created_before += 1us;
    return inner_.list(changed);
  }
};
struct ListsTheLastOfAPageAgain final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  JobPage list(const JobFilter& filter) override {
    auto changed = filter;
    if (changed.after && changed.oldest_first) --changed.after.value;
    return inner_.list(changed);
  }
};
struct ReservesTooFew final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  JobId reserve_ids(std::size_t count) override {
    const auto first = inner_.reserve_ids(count > 0 ? 1 : 0);
    return first;
  }
};
struct RetriesInPlace final : ChangedFind {
  using ChangedFind::ChangedFind;
  void change(Job& job) override { job.run = 1; }
};
struct ForgetsErrors final : ChangedFind {
  using ChangedFind::ChangedFind;
  void change(Job& job) override {
    if (job.errors.size() > 1) job.errors.erase(job.errors.begin(), job.errors.end() - 1);
  }
};
struct SortsSteps final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::vector<Step> steps(JobId id) override {
    auto steps = inner_.steps(id);
    std::ranges::sort(steps, {}, &Step::name);
    return steps;
  }
};
struct RecordsWithoutCase final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::optional<Payload> get_record(std::string_view collection, std::string_view key) override {
    std::string lower(key);
    for (char& c : lower) c = c == 'K' ? 'k' : c;
    return inner_.get_record(collection, lower);
  }
};
struct TellsTwice final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  void observe(StorageObserver& observer) override {
    inner_.observe(observer);
    inner_.observe(observer);
  }
};
struct TellsNothing final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  void observe(StorageObserver& /*observer*/) override {}
};
struct NoticesItself final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::uint64_t foreign_changes() override { return ++changes_; }

 private:
  std::atomic<std::uint64_t> changes_ = 0;
};
struct NotThreadSafeIds final : ForwardingStorage {  // reads, and writes later
  using ForwardingStorage::ForwardingStorage;
  JobId reserve_ids(std::size_t count) override {
    const auto first = inner_.reserve_ids(count);
    if (++calls_ % 2 == 0 && last_ != 0 && first.value > 100) return JobId{last_};
    last_ = first.value;
    return first;
  }

 private:
  std::atomic<std::uint64_t> calls_ = 0;
  std::atomic<std::uint64_t> last_ = 0;
};

struct ReschedulesEndedJobs final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::vector<ChangeResult> reschedule(std::span<const JobId> ids, When when, std::string_view who) override {
    inner_.retry(ids, who);
    return inner_.reschedule(ids, when, who);
  }
};
struct ReschedulesForNow final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::vector<ChangeResult> reschedule(std::span<const JobId> ids, When, std::string_view who) override {
    return inner_.reschedule(ids, When(), who);
  }
};
struct PrioritizesTheFirst final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::vector<ChangeResult> set_priority(std::span<const JobId> ids, Priority,
                                         std::string_view who) override {
    return inner_.set_priority(ids, Priority::critical, who);
  }
};
/// Instead of deleting.
struct ErasesByCancelling final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::vector<EraseResult> erase(std::span<const JobId> ids) override {
    inner_.cancel(ids, {});
    return std::vector<EraseResult>(ids.size(), EraseResult::erased);
  }
};
struct LimitsNothing final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  void limit_queue(std::string_view, std::uint64_t) override {}
};
struct LimitsOneLess final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  void limit_queue(std::string_view queue, std::uint64_t max_waiting) override {
    inner_.limit_queue(queue, max_waiting > 1 ? max_waiting - 1 : max_waiting);
  }
};
/// What fits is added, one job at a time.
struct FillsUpToTheLimit final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::vector<InsertResult> insert(std::span<const NewJob> jobs) override {
    auto results = inner_.insert(jobs);
    if (results.empty() || results[0].status != InsertStatus::queue_full) return results;
    for (std::size_t i = 0; i < jobs.size(); ++i) results[i] = inner_.insert(jobs.subspan(i, 1)).at(0);
    return results;
  }
};

struct KeepsRulesToItself final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  void set_limit(const LimitRule& rule) override { rules_[rule.name] = rule; }
  bool erase_limit(std::string_view name) override { return rules_.erase(std::string(name)) > 0; }
  std::vector<LimitStatus> limits() override {
    std::vector<LimitStatus> all;
    for (const auto& [name, rule] : rules_) all.push_back({.rule = rule});
    return all;
  }

 private:
  std::map<std::string, LimitRule> rules_;
};
/// Keeps other rules than it was told, and says that they are those.
class ChangedRules : public ForwardingStorage {
 public:
  using ForwardingStorage::ForwardingStorage;
  void set_limit(const LimitRule& rule) override {
    LimitRule changed = rule;
    change(changed);
    inner_.set_limit(changed);
    rules_[rule.name] = rule;
  }
  std::vector<LimitStatus> limits() override {
    auto all = inner_.limits();
    for (LimitStatus& status : all) status.rule = rules_[status.rule.name];
    return all;
  }

 protected:
  virtual void change(LimitRule& rule) = 0;

 private:
  std::map<std::string, LimitRule> rules_;
};
struct LetsOneMoreRun final : ChangedRules {
  using ChangedRules::ChangedRules;
  void change(LimitRule& rule) override {
    if (rule.max_running > 1 && rule.max_running < 1'000'000'000) ++rule.max_running;
  }
};
struct EndsWindowsEarly final : ChangedRules {
  using ChangedRules::ChangedRules;
  void change(LimitRule& rule) override {
    if (rule.rate.per > 1ms) rule.rate.per -= 1us;
  }
};
struct TakesBucketsForWindows final : ChangedRules {
  using ChangedRules::ChangedRules;
  void change(LimitRule& rule) override { rule.rate.algorithm = RateAlgorithm::token_bucket; }
};
struct ForgetsTheKindOfARule final : ChangedRules {
  using ChangedRules::ChangedRules;
  void change(LimitRule& rule) override { rule.kind.clear(); }
};
struct FillsARateThatIsChanged final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  void set_limit(const LimitRule& rule) override {
    inner_.set_limit(rule);  // what is refused changes nothing
    inner_.erase_limit(rule.name);
    inner_.set_limit(rule);
  }
};
struct StaysSilentAboutTheNextStart final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  PromoteResult promote(std::size_t limit) override {
    PromoteResult result = inner_.promote(limit);
    for (const LimitStatus& limit_now : inner_.limits())
      if (result.next == clock().now() + limit_now.wait) result.next = TimePoint::max();
    return result;
  }
};
struct CountsWhatRunsOnce final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::vector<LimitStatus> limits() override {
    auto all = inner_.limits();
    for (LimitStatus& status : all) status.running = std::min<std::uint64_t>(status.running, 1);
    return all;
  }
};
struct KnowsNoHolder final : ForwardingStorage {
  using ForwardingStorage::ForwardingStorage;
  std::optional<JobId> key_holder(const std::string&) override { return std::nullopt; }
};

}  // namespace quern_test::mutants
