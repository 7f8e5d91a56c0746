#include "testing/scene.hpp"

namespace quern::inline v1::testing::detail {
namespace {

/// Brings a ready job to its end in one of the ways that are no success. It must be the first to be claimed.
enum class Failure { out_of_attempts, discarded, expired, quarantined, cancelled, cancelled_while_running };
constexpr Failure all_failures[] = {Failure::out_of_attempts, Failure::discarded,
                                    Failure::expired,         Failure::quarantined,
                                    Failure::cancelled,       Failure::cancelled_while_running};

NewJob parent_for(const Scene& s, Failure failure) {
  auto parent = s.job();
  parent.priority = Priority::critical;
  if (failure == Failure::out_of_attempts) parent.max_attempts = 1;
  if (failure == Failure::quarantined) parent.max_attempts = 100;
  if (failure == Failure::expired) parent.deadline = When::after(1min);
  return parent;
}

void let_fail(Scene& s, JobId parent, Failure failure) {
  switch (failure) {
    case Failure::out_of_attempts:
      s.fail(s.start(parent));
      break;
    case Failure::discarded:
      s.discard(s.start(parent));
      break;
    case Failure::expired:
      s.clock.advance(1min);
      s.store().promote(10);
      break;
    case Failure::quarantined:
      for (int crash = 0; crash < crash_limit; ++crash) {
        s.start(parent);
        s.crash_node();
      }
      break;
    case Failure::cancelled:
      s.cancel(parent);
      break;
    case Failure::cancelled_while_running: {
      const auto claim = s.start(parent);
      s.cancel(parent);
      s.finish({.ref = claim.ref, .outcome = Outcome::cancelled});
      break;
    }
  }
  QUERN_EXPECT(is_terminal(s.state(parent)) && s.state(parent) != JobState::completed);
}

}  // namespace

void add_parent_cases(Cases& cases) {
  add_case(cases, "I12 a dependent starts only after all its parents completed", [](Scene& s) {
    std::vector<JobId> parents;
    for (int i = 0; i < 3; ++i) parents.push_back(s.add(s.job("other")));
    const JobId child = s.add(s.child_of(parents));
    const auto claims = s.claim();
    QUERN_EXPECT_EQ(Scene::ids_of(claims), parents);
    s.complete(claims[1]);
    QUERN_EXPECT_EQ(s.state(child), JobState::blocked);
    s.fail(claims[0], When());  // an attempt that failed is no end
    s.complete(claims[2]);
    QUERN_EXPECT_EQ(s.state(child), JobState::blocked);
    s.complete(s.start(parents[0]));
    QUERN_EXPECT_EQ(s.state(child), JobState::ready);
    QUERN_EXPECT_EQ(s.get(child).parents, parents);
    QUERN_EXPECT_EQ(s.start(child).parents, parents);
  });

  add_case(cases, "I12 a parent that fails in any way cancels its dependents by the default policy",
           [](Scene& s) {
             for (const Failure failure : all_failures) {
               const JobId parent = s.add(parent_for(s, failure));
               const JobId other = s.add(s.child_of({}));
               const JobId child = s.add(s.child_of({other, parent}));
               const JobId grandchild = s.add(s.child_of({child}));
               let_fail(s, parent, failure);
               QUERN_EXPECT_EQ(s.state(child), JobState::cancelled);
               QUERN_EXPECT(!s.get(child).end_message.empty());
               QUERN_EXPECT_EQ(s.get(child).finished_at, std::optional(s.clock.now()));
               QUERN_EXPECT_EQ(s.state(grandchild), JobState::cancelled);
               s.complete(s.start(other));
               QUERN_EXPECT_EQ(s.state(child), JobState::cancelled);
             }
             expect_counts_equal_a_recount(s.store());
           });

  add_case(cases, "I12 a parent that fails in any way lets its dependents run where they asked for that",
           [](Scene& s) {
             for (const Failure failure : all_failures) {
               const JobId parent = s.add(parent_for(s, failure));
               const JobId child = s.add(s.child_of({parent}, ParentPolicy::run));
               let_fail(s, parent, failure);
               QUERN_EXPECT_EQ(s.state(child), JobState::ready);
               s.complete(s.start(child));
             }
           });

  add_case(cases, "I12 a dependent that stays blocked waits until its parent is retried and completes",
           [](Scene& s) {
             for (const Failure failure : all_failures) {
               const JobId parent = s.add(parent_for(s, failure));
               const JobId child = s.add(s.child_of({parent}, ParentPolicy::stay_blocked));
               let_fail(s, parent, failure);
               QUERN_EXPECT_EQ(s.state(child), JobState::blocked);
               QUERN_EXPECT_EQ(s.retry(parent), RetryResult::retried);
               QUERN_EXPECT_EQ(s.state(child), JobState::blocked);
               s.complete(s.start(parent));
               QUERN_EXPECT_EQ(s.state(child), JobState::ready);
               s.complete(s.start(child));
             }
           });

  add_case(cases, "I12 a dependent that stays blocked can be cancelled, and retried without its parents",
           [](Scene& s) {
             const JobId parent = s.add();
             const JobId child = s.add(s.child_of({parent}, ParentPolicy::stay_blocked));
             s.discard(s.start(parent));
             QUERN_EXPECT_EQ(s.cancel(child), CancelResult::cancelled);
             QUERN_EXPECT_EQ(s.retry(child), RetryResult::retried);
             QUERN_EXPECT_EQ(s.state(child), JobState::ready);
             const auto claim = s.start(child);
             QUERN_EXPECT_EQ(s.retry(parent), RetryResult::retried);
             s.complete(s.start(parent));
             QUERN_EXPECT_EQ(s.state(child), JobState::running);  // it no longer depends on anything
             s.complete(claim);
           });

  add_case(cases, "I12 parents that have ended already count at the insert", [](Scene& s) {
    const JobId completed = s.add();
    s.complete(s.start(completed));
    const JobId dead = s.add();
    s.discard(s.start(dead));
    const JobId cancelled = s.add();
    s.cancel(cancelled);

    QUERN_EXPECT_EQ(s.state(s.add(s.child_of({completed}))), JobState::ready);
    for (const JobId parent : {dead, cancelled}) {
      QUERN_EXPECT_EQ(s.state(s.add(s.child_of({parent}, ParentPolicy::run))), JobState::ready);
      const JobId waits = s.add(s.child_of({completed, parent}, ParentPolicy::stay_blocked));
      QUERN_EXPECT_EQ(s.state(waits), JobState::blocked);
      const JobId lost = s.add(s.child_of({completed, parent}));
      const Job job = s.get(lost);
      QUERN_EXPECT_EQ(job.state, JobState::cancelled);
      QUERN_EXPECT_EQ(job.finished_at, std::optional(s.clock.now()));
      QUERN_EXPECT(!job.end_message.empty());
      QUERN_EXPECT_EQ(s.state(s.add(s.child_of({lost}))), JobState::cancelled);
      QUERN_EXPECT_EQ(s.retry(parent), RetryResult::retried);
      for (const auto& claim : s.claim()) s.complete(claim);
      QUERN_EXPECT_EQ(s.state(waits), JobState::ready);
      s.complete(s.start(waits));
    }
    expect_counts_equal_a_recount(s.store());
  });

  add_case(cases, "I12 a job that is cancelled at its insert frees its unique key at once", [](Scene& s) {
    const JobId dead = s.add();
    s.discard(s.start(dead));
    auto lost = s.unique_job("key");
    lost.parents = {dead};
    s.add(lost);
    QUERN_EXPECT_EQ(s.state(lost.id), JobState::cancelled);
    s.add(s.unique_job("key"));
  });

  add_case(cases, "I12 an unknown parent is refused and nothing is added, so there are no cycles",
           [](Scene& s) {
             QUERN_EXPECT_THROWS(InvalidArgument, s.insert(s.child_of({JobId{987'654'321}})));
             const auto later = s.job();
             const auto child = s.child_of({later.id});
             const std::vector wrong_order{child, later};
             QUERN_EXPECT_THROWS(InvalidArgument, s.store().insert(wrong_order));
             auto own = s.job();
             own.parents = {own.id};
             QUERN_EXPECT_THROWS(InvalidArgument, s.insert(own));
             QUERN_EXPECT(s.store().count().empty());
             const std::vector right_order{later, child};
             s.store().insert(right_order);
             QUERN_EXPECT_EQ(s.state(child.id), JobState::blocked);
           });

  add_case(cases,
           "I12 a parent in the same batch that was not added is stood in for by the holder of its key",
           [](Scene& s) {
             const JobId holder = s.add(s.unique_job("fetch"));
             const auto duplicate = s.unique_job("fetch");
             const auto child = s.child_of({duplicate.id});
             const std::vector jobs{duplicate, child};
             const auto results = s.store().insert(jobs);
             QUERN_EXPECT_EQ(results.at(0).status, InsertStatus::duplicate);
             QUERN_EXPECT_EQ(results.at(1).status, InsertStatus::added);
             QUERN_EXPECT_EQ(s.get(child.id).parents, std::vector{holder});
             QUERN_EXPECT_EQ(s.state(child.id), JobState::blocked);
             s.complete(s.start(holder));
             QUERN_EXPECT_EQ(s.state(child.id), JobState::ready);
           });

  add_case(cases, "I12 a dependent whose time has not come is scheduled when its parents have ended",
           [](Scene& s) {
             const JobId parent = s.add();
             auto child = s.child_of({parent});
             child.run_at = When::after(1h);
             s.add(child);
             QUERN_EXPECT_EQ(s.state(child.id), JobState::blocked);
             s.complete(s.start(parent));
             QUERN_EXPECT_EQ(s.state(child.id), JobState::scheduled);
             QUERN_EXPECT(s.claim().empty());
             s.clock.advance(1h);
             QUERN_EXPECT_EQ(s.store().promote(10).promoted, std::size_t{1});
             s.start(child.id);
           });

  add_case(cases, "I12 a blocked job is not promoted by time alone", [](Scene& s) {
    const JobId parent = s.add(s.job("other"));
    auto child = s.child_of({parent});
    child.run_at = When::after(1min);
    s.add(child);
    s.clock.advance(1h);
    QUERN_EXPECT_EQ(s.store().promote(10).promoted, std::size_t{0});
    QUERN_EXPECT_EQ(s.claim_ids(), std::vector{parent});
    QUERN_EXPECT_EQ(s.state(child.id), JobState::blocked);
  });

  add_case(cases, "I13 two parents that finish in one call start their child once", [](Scene& s) {
    const JobId a = s.add();
    const JobId b = s.add();
    const JobId child = s.add(s.child_of({a, b}));
    const auto claims = s.claim();
    const std::vector<Finish> finishes{{.ref = claims.at(0).ref}, {.ref = claims.at(1).ref}};
    s.store().finish(finishes);
    QUERN_EXPECT_EQ(s.claim_ids(), std::vector{child});
    QUERN_EXPECT(s.claim().empty());
    QUERN_EXPECT_EQ(s.get(child).epoch, 1U);
  });

  add_case(cases,
           "I13 a parent that completed, was retried and completes again does not start its child again",
           [](Scene& s) {
             const JobId parent = s.add();
             const JobId child = s.add(s.child_of({parent}));
             s.complete(s.start(parent));
             s.complete(s.start(child));
             s.retry(parent);
             s.complete(s.start(parent));
             QUERN_EXPECT_EQ(s.state(child), JobState::completed);
             QUERN_EXPECT(s.claim().empty());
           });

  add_case(cases, "I12 I13 a diamond in one batch runs in order and joins once", [](Scene& s) {
    const auto top = s.job();
    const auto left = s.child_of({top.id});
    const auto right = s.child_of({top.id});
    const auto bottom = s.child_of({left.id, right.id});
    const std::vector jobs{top, left, right, bottom};
    s.store().insert(jobs);
    s.complete(s.start(top.id));
    const auto middle = s.claim();
    QUERN_EXPECT_EQ(Scene::ids_of(middle), (std::vector{left.id, right.id}));
    s.complete(middle[1]);
    QUERN_EXPECT_EQ(s.state(bottom.id), JobState::blocked);
    s.complete(middle[0]);
    s.complete(s.start(bottom.id));
    QUERN_EXPECT_EQ(s.counted(JobState::completed), 4U);
  });

  add_case(cases, "I12 a cascade goes down through mixed policies and stops where a job runs anyway",
           [](Scene& s) {
             const JobId root = s.add();
             const JobId cancelled = s.add(s.child_of({root}));
             const JobId below = s.add(s.child_of({cancelled}, ParentPolicy::run));
             const JobId waits = s.add(s.child_of({cancelled}, ParentPolicy::stay_blocked));
             const JobId under_waits = s.add(s.child_of({waits}));
             const JobId joins = s.add(s.child_of({below, cancelled}, ParentPolicy::run));
             s.cancel(root);
             QUERN_EXPECT_EQ(s.state(cancelled), JobState::cancelled);
             QUERN_EXPECT_EQ(s.state(below), JobState::ready);
             QUERN_EXPECT_EQ(s.state(waits), JobState::blocked);
             QUERN_EXPECT_EQ(s.state(under_waits), JobState::blocked);
             QUERN_EXPECT_EQ(s.state(joins), JobState::blocked);
             s.complete(s.start(below));
             QUERN_EXPECT_EQ(s.state(joins), JobState::ready);
           });

  add_case(cases, "I12 a chain of ten thousand jobs is cancelled from its root", [](Scene& s) {
    constexpr std::size_t length = 10'000;
    const JobId first = s.store().reserve_ids(length);
    std::vector<NewJob> jobs;
    for (std::size_t i = 0; i < length; ++i) {
      jobs.push_back({.id = JobId{first.value + i}, .kind = "work"});
      if (i > 0) jobs.back().parents = {JobId{first.value + i - 1}};
    }
    s.store().insert(jobs);
    QUERN_EXPECT_EQ(s.counted(JobState::blocked), length - 1);
    QUERN_EXPECT_EQ(s.cancel(first), CancelResult::cancelled);
    QUERN_EXPECT_EQ(s.store().count(),
                    (std::vector<JobCount>{{"default", "work", JobState::cancelled, length}}));
  });

  add_case(cases, "I12 I13 a thousand dependents of one job, and one dependent of them all", [](Scene& s) {
    constexpr std::size_t width = 1'000;
    const auto root = s.job();
    const JobId first = s.store().reserve_ids(width);
    std::vector<NewJob> jobs{root};
    auto last = s.job();
    for (std::size_t i = 0; i < width; ++i) {
      jobs.push_back({.id = JobId{first.value + i}, .kind = "work", .parents = {root.id}});
      last.parents.push_back(jobs.back().id);
    }
    jobs.push_back(last);
    s.store().insert(jobs);
    s.complete(s.start(root.id));
    const auto claims = s.claim(2 * width);
    QUERN_EXPECT_EQ(claims.size(), width);
    std::vector<Finish> finishes;
    for (const Claim& claim : claims) finishes.push_back({.ref = claim.ref});
    s.store().finish(std::span(finishes).first(width - 1));
    QUERN_EXPECT_EQ(s.state(last.id), JobState::blocked);
    s.store().finish(std::span(finishes).last(1));
    QUERN_EXPECT_EQ(s.claim_ids(), std::vector{last.id});
  });

  add_case(cases, "I12 a parent that a blocked job waits for is not pruned", [](Scene& s) {
    const JobId parent = s.add();
    const JobId child = s.add(s.child_of({parent}, ParentPolicy::stay_blocked));
    s.discard(s.start(parent));
    s.clock.advance(24h);
    QUERN_EXPECT_EQ(s.store().prune({.state = JobState::dead}).pruned, std::size_t{0});
    QUERN_EXPECT_EQ(s.state(parent), JobState::dead);
    s.cancel(child);
    QUERN_EXPECT_EQ(s.store().prune({.state = JobState::dead}).pruned, std::size_t{1});
    QUERN_EXPECT(!s.find(parent).has_value());
    QUERN_EXPECT_EQ(s.get(child).parents, std::vector{parent});
  });
}

}  // namespace quern::inline v1::testing::detail
