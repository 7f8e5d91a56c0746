#include "testing/scene.hpp"

namespace quern::inline v1::testing::detail {
namespace {

void expect_held(const Scene& s, const std::string& key, JobId holder) {
  const auto result = s.insert(s.unique_job(key));
  QUERN_EXPECT_EQ(result.status, InsertStatus::duplicate);
  QUERN_EXPECT_EQ(result.holder, holder);
}

/// Nobody holds it; the probe is cancelled again, which frees the key.
void expect_free(const Scene& s, const std::string& key) {
  const JobId probe = s.add(s.unique_job(key));
  QUERN_EXPECT_EQ(s.cancel(probe), CancelResult::cancelled);
}

}  // namespace

void add_unique_cases(Cases& cases) {
  add_case(cases, "I10 a unique key is held while its job is blocked, scheduled, ready or running",
           [](Scene& s) {
             const auto parent = s.add(s.job("other"));
             auto job = s.unique_job("key");
             job.parents = {parent};
             job.run_at = When::after(1min);
             s.add(job);
             QUERN_EXPECT_EQ(s.state(job.id), JobState::blocked);
             expect_held(s, "key", job.id);
             s.complete(s.start(parent));
             QUERN_EXPECT_EQ(s.state(job.id), JobState::scheduled);
             expect_held(s, "key", job.id);
             s.clock.advance(1min);
             s.store().promote(10);
             QUERN_EXPECT_EQ(s.state(job.id), JobState::ready);
             expect_held(s, "key", job.id);
             const auto claim = s.start(job.id);
             expect_held(s, "key", job.id);
             s.fail(claim);  // a retry that waits is no end
             expect_held(s, "key", job.id);
             QUERN_EXPECT_EQ(s.counted(JobState::scheduled), 1U);
           });

  add_case(cases, "I10 a unique key is freed in the same write that ends its job, however it ends",
           [](Scene& s) {
             for (const JobState end : {JobState::completed, JobState::dead, JobState::cancelled}) {
               s.run_to(s.add(s.unique_job("key")), end);
               expect_free(s, "key");
             }

             auto expiring = s.unique_job("key");
             expiring.deadline = When::after(1min);
             s.add(expiring);
             s.clock.advance(1min);
             s.store().promote(10);
             QUERN_EXPECT_EQ(s.get(expiring.id).dead_reason, DeadReason::expired);
             expect_free(s, "key");

             expiring = s.unique_job("key");
             expiring.deadline = When::after(1min);
             s.add(expiring);
             s.clock.advance(1min);
             QUERN_EXPECT(s.claim().empty());
             expect_free(s, "key");

             const JobId parent = s.add();
             auto child = s.unique_job("key");
             child.parents = {parent};
             s.add(child);
             s.cancel(parent);
             QUERN_EXPECT_EQ(s.state(child.id), JobState::cancelled);
             expect_free(s, "key");

             auto poison = s.unique_job("key");
             poison.max_attempts = 1;
             s.add(poison);
             s.start(poison.id);
             s.crash_node();
             QUERN_EXPECT_EQ(s.state(poison.id), JobState::dead);
             expect_free(s, "key");

             const JobId stopped = s.add(s.unique_job("key"));
             const auto claim = s.start(stopped);
             QUERN_EXPECT_EQ(s.cancel(stopped), CancelResult::requested);
             expect_held(s, "key", stopped);
             s.fail(claim);
             QUERN_EXPECT_EQ(s.state(stopped), JobState::cancelled);
             expect_free(s, "key");
           });

  add_case(cases, "I10 a unique key is held after the end where its job asked for that, until it is pruned",
           [](Scene& s) {
             for (const JobState end : {JobState::completed, JobState::dead, JobState::cancelled}) {
               auto job = s.unique_job("key");
               job.unique.while_completed = end == JobState::completed;
               job.unique.while_dead = end == JobState::dead;
               job.unique.while_cancelled = end == JobState::cancelled;
               s.add(job);
               s.run_to(job.id, end);
               expect_held(s, "key", job.id);
               s.clock.advance(1s);
               QUERN_EXPECT_EQ(s.store().prune({.state = end}).pruned, std::size_t{1});
               expect_free(s, "key");
               QUERN_EXPECT_EQ(s.store().prune({.state = JobState::cancelled}).pruned,
                               std::size_t{1});  // the probe
             }
           });

  add_case(cases, "I10 each ended state protects a unique key by its own option only", [](Scene& s) {
    auto job = s.unique_job("key");
    job.unique.while_dead = true;
    job.unique.while_cancelled = true;
    s.add(job);
    s.run_to(job.id, JobState::completed);
    expect_free(s, "key");
  });

  add_case(cases, "I10 different keys and jobs without a key do not disturb each other", [](Scene& s) {
    s.add(s.unique_job("a"));
    s.add(s.unique_job("b"));
    s.add(s.unique_job("a "));
    s.add(s.unique_job("A"));
    s.add();
    s.add();
    auto elsewhere = s.unique_job("a");
    elsewhere.queue = "elsewhere";
    elsewhere.kind = "other";
    elsewhere.tenant = "other";
    QUERN_EXPECT_EQ(s.insert(elsewhere).status, InsertStatus::duplicate);  // its scope is the whole storage
  });

  add_case(cases, "I10 the jobs of one batch hold their keys against each other", [](Scene& s) {
    const std::vector jobs{s.unique_job("a"), s.unique_job("b"), s.unique_job("a"),
                           s.unique_job("b", UniqueConflict::replace)};
    const auto results = s.store().insert(jobs);
    QUERN_EXPECT_EQ(results.at(0).status, InsertStatus::added);
    QUERN_EXPECT_EQ(results.at(1).status, InsertStatus::added);
    QUERN_EXPECT_EQ(results.at(2).status, InsertStatus::duplicate);
    QUERN_EXPECT_EQ(results.at(2).holder, jobs[0].id);
    QUERN_EXPECT_EQ(results.at(3).status, InsertStatus::replaced);
    QUERN_EXPECT_EQ(results.at(3).holder, jobs[1].id);
    QUERN_EXPECT_EQ(s.state(jobs[1].id), JobState::cancelled);
    QUERN_EXPECT_EQ(s.claim_ids(), (std::vector{jobs[0].id, jobs[3].id}));
  });

  add_case(cases, "I10 a duplicate is not added and changes nothing", [](Scene& s) {
    const JobId holder = s.add(s.unique_job("key"));
    auto duplicate = s.unique_job("key");
    duplicate.run_at = When::after(1h);
    duplicate.priority = Priority::critical;
    QUERN_EXPECT_EQ(s.insert(duplicate).status, InsertStatus::duplicate);
    QUERN_EXPECT(!s.find(duplicate.id).has_value());
    QUERN_EXPECT_EQ(s.get(holder).run_at, s.clock.now());
    QUERN_EXPECT_EQ(s.store().count(), (std::vector<JobCount>{{"default", "work", JobState::ready, 1}}));
    QUERN_EXPECT_EQ(s.insert(duplicate).status, InsertStatus::duplicate);
    s.complete(s.start(holder));
    s.add(duplicate);
  });

  add_case(cases, "I10 replace cancels a holder that waits and takes its place", [](Scene& s) {
    const JobId parent = s.add(s.job("other"));
    for (const JobState waiting : {JobState::blocked, JobState::scheduled, JobState::ready}) {
      auto holder = s.unique_job("key");
      if (waiting == JobState::blocked) holder.parents = {parent};
      if (waiting == JobState::scheduled) holder.run_at = When::after(1h);
      s.add(holder);
      QUERN_EXPECT_EQ(s.state(holder.id), waiting);
      const auto successor = s.unique_job("key", UniqueConflict::replace);
      const auto result = s.insert(successor);
      QUERN_EXPECT_EQ(result.status, InsertStatus::replaced);
      QUERN_EXPECT_EQ(result.holder, holder.id);
      const Job old = s.get(holder.id);
      QUERN_EXPECT_EQ(old.state, JobState::cancelled);
      QUERN_EXPECT_EQ(old.end_message, "replaced by job " + to_string(successor.id));
      QUERN_EXPECT_EQ(s.state(successor.id), JobState::ready);
      expect_held(s, "key", successor.id);
      s.cancel(successor.id);
    }
    expect_counts_equal_a_recount(s.store());
  });

  add_case(cases, "I10 replace leaves a holder that runs or has ended", [](Scene& s) {
    auto holder = s.unique_job("key");
    holder.unique.while_completed = true;
    s.add(holder);
    const auto claim = s.start(holder.id);
    const auto successor = s.unique_job("key", UniqueConflict::replace);
    auto result = s.insert(successor);
    QUERN_EXPECT_EQ(result.status, InsertStatus::duplicate);
    QUERN_EXPECT_EQ(result.holder, holder.id);
    QUERN_EXPECT_EQ(s.get(holder.id).cancel_requested, false);
    s.complete(claim);
    result = s.insert(successor);
    QUERN_EXPECT_EQ(result.status, InsertStatus::duplicate);
    QUERN_EXPECT_EQ(s.state(holder.id), JobState::completed);
    QUERN_EXPECT(!s.find(successor.id).has_value());
  });

  add_case(cases, "I10 I12 a replaced holder resolves its dependents", [](Scene& s) {
    const JobId holder = s.add(s.unique_job("key"));
    const JobId cancelled = s.add(s.child_of({holder}, ParentPolicy::cancel));
    const JobId runs = s.add(s.child_of({holder}, ParentPolicy::run));
    const auto successor = s.unique_job("key", UniqueConflict::replace);
    QUERN_EXPECT_EQ(s.insert(successor).status, InsertStatus::replaced);
    QUERN_EXPECT_EQ(s.state(cancelled), JobState::cancelled);
    QUERN_EXPECT_EQ(s.state(runs), JobState::ready);
  });

  add_case(cases, "I10 reschedule gives a holder that waits for its time the new time", [](Scene& s) {
    const TimePoint now = s.clock.now();
    auto holder = s.unique_job("key");
    holder.run_at = When::after(1h);
    s.add(holder);
    const auto reschedule = [&](When run_at) {
      auto job = s.unique_job("key", UniqueConflict::reschedule);
      job.run_at = run_at;
      const auto result = s.insert(job);
      QUERN_EXPECT_EQ(result.holder, holder.id);
      QUERN_EXPECT(!s.find(job.id).has_value());
      return result.status;
    };
    QUERN_EXPECT_EQ(reschedule(When::after(2h)), InsertStatus::rescheduled);
    QUERN_EXPECT_EQ(s.get(holder.id).run_at, now + 2h);
    QUERN_EXPECT_EQ(s.state(holder.id), JobState::scheduled);
    QUERN_EXPECT_EQ(reschedule({}), InsertStatus::rescheduled);
    QUERN_EXPECT_EQ(s.state(holder.id), JobState::ready);
    QUERN_EXPECT_EQ(s.get(holder.id).run_at, now);
    QUERN_EXPECT_EQ(reschedule(When::after(1min)), InsertStatus::rescheduled);
    QUERN_EXPECT_EQ(s.state(holder.id), JobState::scheduled);
    QUERN_EXPECT(s.claim().empty());
    QUERN_EXPECT_EQ(s.store().promote(10).next, now + 1min);
    s.clock.advance(1min);
    QUERN_EXPECT_EQ(s.store().promote(10).promoted, std::size_t{1});
    expect_counts_equal_a_recount(s.store());

    const auto claim = s.start(holder.id);
    QUERN_EXPECT_EQ(reschedule(When::after(1h)), InsertStatus::duplicate);
    QUERN_EXPECT_EQ(s.state(holder.id), JobState::running);
    s.complete(claim);
  });

  add_case(cases, "I10 reschedule leaves a holder that is blocked", [](Scene& s) {
    const JobId parent = s.add(s.job("other"));
    auto holder = s.unique_job("key");
    holder.parents = {parent};
    s.add(holder);
    auto job = s.unique_job("key", UniqueConflict::reschedule);
    job.run_at = When::after(1h);
    QUERN_EXPECT_EQ(s.insert(job).status, InsertStatus::duplicate);
    QUERN_EXPECT_EQ(s.get(holder.id).run_at, s.clock.now());
    QUERN_EXPECT_EQ(s.state(holder.id), JobState::blocked);
  });

  add_case(cases, "I10 a period ends the protection, also of a job that still lives", [](Scene& s) {
    auto first = s.unique_job("key");
    first.unique.period = 1h;
    first.unique.while_completed = true;
    s.add(first);
    s.clock.advance(1h - 1us);
    expect_held(s, "key", first.id);
    s.clock.advance(1us);
    const JobId second = s.add(s.unique_job("key"));
    QUERN_EXPECT_EQ(s.state(first.id), JobState::ready);
    expect_held(s, "key", second);
    s.complete(s.start(first.id));  // its end frees nothing that is not its own
    expect_held(s, "key", second);
    s.clock.advance(1s);
    QUERN_EXPECT_EQ(s.store().prune({.state = JobState::completed}).pruned, std::size_t{1});
    expect_held(s, "key", second);
    s.complete(s.start(second));
    expect_free(s, "key");
  });

  add_case(cases, "I10 a period counts from the creation of the holder, not from its end", [](Scene& s) {
    auto job = s.unique_job("key");
    job.unique.period = 1h;
    job.unique.while_completed = true;
    s.add(job);
    s.clock.advance(30min);
    s.complete(s.start(job.id));
    s.clock.advance(29min);
    expect_held(s, "key", job.id);
    s.clock.advance(1min);
    expect_free(s, "key");
  });

  add_case(cases, "I10 a retried job takes its unique key again, or is refused when another holds it",
           [](Scene& s) {
             const JobId first = s.add(s.unique_job("key"));
             s.run_to(first, JobState::dead);
             const JobId second = s.add(s.unique_job("key"));
             QUERN_EXPECT_EQ(s.retry(first), RetryResult::key_taken);
             QUERN_EXPECT_EQ(s.state(first), JobState::dead);
             QUERN_EXPECT_EQ(s.get(first).run, 1);
             s.cancel(second);
             QUERN_EXPECT_EQ(s.retry(first), RetryResult::retried);
             expect_held(s, "key", first);
             QUERN_EXPECT_EQ(s.retry(second), RetryResult::key_taken);
             s.complete(s.start(first));
             expect_free(s, "key");

             const std::vector both{first, second};
             const auto results = s.store().retry(both, "somebody");
             QUERN_EXPECT_EQ(results.at(0), RetryResult::retried);
             QUERN_EXPECT_EQ(results.at(1), RetryResult::key_taken);
           });

  add_case(cases, "I10 a job that still protects its key after its end can be retried", [](Scene& s) {
    auto job = s.unique_job("key");
    job.unique.while_dead = true;
    s.add(job);
    s.run_to(job.id, JobState::dead);
    QUERN_EXPECT_EQ(s.retry(job.id), RetryResult::retried);
    expect_held(s, "key", job.id);
    s.complete(s.start(job.id));
    expect_free(s, "key");
  });
}

}  // namespace quern::inline v1::testing::detail
