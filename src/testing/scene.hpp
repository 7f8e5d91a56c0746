#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "quern/testing/storage_conformance.hpp"
#include "testing/check.hpp"

namespace quern::inline v1::testing::detail {

using namespace std::chrono_literals;

/// The attempts of a kind in the suite's claims, for jobs that name none of their own.
inline constexpr int kind_attempts = 3;
/// How many crashes the suite's rescues allow.
inline constexpr int crash_limit = 3;
inline constexpr Duration lease = 30s;

inline constexpr Outcome all_outcomes[] = {Outcome::completed, Outcome::failed,   Outcome::discarded,
                                           Outcome::snoozed,   Outcome::released, Outcome::cancelled};

/// A storage with one live node, and the few words in which the cases are told.
class Scene {
 public:
  explicit Scene(StorageFixture& used) : fixture(used), clock(used.clock()), node(new_node()) {}

  [[nodiscard]] StoragePort& store() const { return fixture.store(); }
  NodeId new_node() const { return store().register_node({.name = "node", .host = "here", .lease = lease}); }

  // Adding. A job gets its id here, so that it can be named before it is inserted.
  [[nodiscard]] NewJob job(std::string kind = "work") const {
    return {.id = store().reserve_ids(1), .kind = std::move(kind)};
  }
  [[nodiscard]] NewJob child_of(std::vector<JobId> parents,
                                ParentPolicy policy = ParentPolicy::cancel) const {
    auto child = job();
    child.parents = std::move(parents);
    child.on_parent_failure = policy;
    return child;
  }
  [[nodiscard]] NewJob unique_job(std::string key, UniqueConflict conflict = UniqueConflict::skip) const {
    auto unique = job();
    unique.unique.key = std::move(key);
    unique.unique.on_conflict = conflict;
    return unique;
  }
  InsertResult insert(const NewJob& job) const { return store().insert({&job, 1}).at(0); }
  /// Inserts what must be added.
  JobId add(const NewJob& job) const {
    QUERN_EXPECT_EQ(insert(job).status, InsertStatus::added);
    return job.id;
  }
  JobId add() const { return add(job()); }

  // Running.
  [[nodiscard]] static ClaimRequest request(NodeId node, std::size_t limit = 1000,
                                            std::vector<std::string> kinds = {"work", "other", "third"});
  std::vector<Claim> claim(std::size_t limit = 1000) const { return store().claim(request(node, limit)); }
  [[nodiscard]] std::vector<JobId> claim_ids(std::size_t limit = 1000) const { return ids_of(claim(limit)); }
  /// Claims one job, which must be this one: for scenes in which no other is ready before it.
  Claim start(JobId id) const { return start_on(node, id); }
  Claim start_on(NodeId node, JobId id) const;

  // Finishing: what is given must be recorded, and the answer is the job's new state.
  JobState finish(const Finish& finish) const;
  JobState complete(const Claim& claim) const { return finish({.ref = claim.ref}); }
  JobState fail(const Claim& claim, When again = When::after(1min), std::string message = "failed") const {
    return finish(
        {.ref = claim.ref, .outcome = Outcome::failed, .message = std::move(message), .again = again});
  }
  JobState discard(const Claim& claim) const {
    return finish({.ref = claim.ref, .outcome = Outcome::discarded, .message = "useless"});
  }
  JobState snooze(const Claim& claim, When again = When::after(1min)) const {
    return finish({.ref = claim.ref, .outcome = Outcome::snoozed, .message = "later", .again = again});
  }
  JobState release(const Claim& claim) const {
    return finish({.ref = claim.ref, .outcome = Outcome::released});
  }
  /// Whatever the answer is.
  [[nodiscard]] FinishStatus try_finish(const RunRef& run, Outcome outcome) const {
    const Finish finish{.ref = run, .outcome = outcome};
    return store().finish({&finish, 1}).at(0).status;
  }
  /// From ready to the end that is named.
  void run_to(JobId id, JobState end) const;

  // The rest of a job's life.
  CancelResult cancel(JobId id, std::string_view who = "somebody") const {
    return store().cancel({&id, 1}, who).at(0);
  }
  RetryResult retry(JobId id, std::string_view who = "somebody") const {
    return store().retry({&id, 1}, who).at(0);
  }
  RescueResult rescue(std::size_t limit = 1000) const { return store().rescue(limit, crash_limit); }
  /// Time passes until this scene's node has lost its lease, a new node takes its place, and its jobs are
  /// rescued.
  RescueResult crash_node();
  RunCheck progress(const RunRef& run, int percent, std::string message = {}) const {
    const ProgressUpdate update{.ref = run, .progress = {percent, std::move(message)}};
    return store().progress({&update, 1}).at(0);
  }

  // Looking.
  [[nodiscard]] std::optional<Job> find(JobId id) const { return store().find({&id, 1}).at(0); }
  /// A job that must be there.
  [[nodiscard]] Job get(JobId id) const;
  [[nodiscard]] JobState state(JobId id) const { return get(id).state; }
  [[nodiscard]] std::uint64_t counted(JobState state) const;
  [[nodiscard]] static std::vector<JobId> ids_of(const std::vector<Claim>& claims);
  [[nodiscard]] static std::vector<JobId> ids_of(const std::vector<Job>& jobs);

  StorageFixture& fixture;
  ManualClock& clock;
  NodeId node;
};

/// Counts by listing everything, and compares with `count`.
void expect_counts_equal_a_recount(StoragePort& store);

/// Calls `work(0)` to `work(threads - 1)` at once, each on a thread of its own; throws what one of them
/// threw.
void in_parallel(int threads, const std::function<void(int)>& work);

using Cases = std::vector<ConformanceCase>;
/// The invariants are the numbers that the name begins with: "I10 I12 a unique key ...".
void add_case(Cases& cases, std::string name, void (*run)(Scene&));
/// One for durable storages.
void add_durable_case(Cases& cases, std::string name, void (*run)(Scene&));

// Each file of cases adds its own.
void add_insert_cases(Cases& cases);
void add_unique_cases(Cases& cases);
void add_parent_cases(Cases& cases);
void add_claim_cases(Cases& cases);
void add_fencing_cases(Cases& cases);
void add_finish_cases(Cases& cases);
void add_turnover_cases(Cases& cases);
void add_insert_if_cases(Cases& cases);
void add_rule_cases(Cases& cases);
void add_rate_cases(Cases& cases);
void add_run_cases(Cases& cases);
void add_cancel_cases(Cases& cases);
void add_change_cases(Cases& cases);
void add_node_cases(Cases& cases);
void add_upkeep_cases(Cases& cases);
void add_read_cases(Cases& cases);
void add_filter_cases(Cases& cases);
void add_event_cases(Cases& cases);
void add_concurrency_cases(Cases& cases);
void add_durability_cases(Cases& cases);
void add_image_cases(Cases& cases);
void add_model_cases(Cases& cases);

}  // namespace quern::inline v1::testing::detail
