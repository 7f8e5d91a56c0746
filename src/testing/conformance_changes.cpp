// What an operator may change of jobs that wait, their deletion, and the limits of queues.
#include "testing/scene.hpp"

namespace quern::inline v1::testing::detail {
namespace {

ChangeResult reschedule(const Scene& s, JobId id, When when) {
  return s.store().reschedule({&id, 1}, when, "somebody").at(0);
}
ChangeResult prioritize(const Scene& s, JobId id, Priority priority) {
  return s.store().set_priority({&id, 1}, priority, "somebody").at(0);
}
EraseResult erase(const Scene& s, JobId id) { return s.store().erase({&id, 1}).at(0); }

NewJob delayed(const Scene& s, Duration delay) {
  auto job = s.job();
  job.run_at = When::after(delay);
  return job;
}

void add_reschedule_cases(Cases& cases) {
  add_case(cases, "a rescheduled job waits for its new time, and for no other", [](Scene& s) {
    const TimePoint begin = s.clock.now();
    const JobId sooner = s.add(delayed(s, 1h));
    const JobId later = s.add(delayed(s, 1min));
    const JobId put_off = s.add();
    QUERN_EXPECT_EQ(reschedule(s, sooner, When::after(10s)), ChangeResult::changed);
    QUERN_EXPECT_EQ(reschedule(s, later, When::at(begin + 2h)), ChangeResult::changed);
    QUERN_EXPECT_EQ(reschedule(s, put_off, When::after(20s)), ChangeResult::changed);
    QUERN_EXPECT_EQ(s.get(later).run_at, begin + 2h);
    QUERN_EXPECT(s.claim().empty());
    s.clock.advance(10s);
    const auto promoted = s.store().promote(10);
    QUERN_EXPECT_EQ(promoted.promoted, 1U);
    QUERN_EXPECT_EQ(promoted.next, begin + 20s);
    QUERN_EXPECT_EQ(s.claim_ids(), std::vector{sooner});
    s.clock.advance(1h);
    s.store().promote(10);
    QUERN_EXPECT_EQ(s.claim_ids(), std::vector{put_off});
    QUERN_EXPECT_EQ(s.state(later), JobState::scheduled);
    expect_counts_equal_a_recount(s.store());
  });

  add_case(cases, "a job that is rescheduled to now or before is ready at once", [](Scene& s) {
    const JobId now = s.add(delayed(s, 1h));
    const JobId before = s.add(delayed(s, 1h));
    reschedule(s, now, When());
    reschedule(s, before, When::at(s.clock.now() - 1h));
    QUERN_EXPECT_EQ(s.claim_ids(), (std::vector{before, now}));
  });

  add_case(cases, "a blocked job that is rescheduled waits for its parents first", [](Scene& s) {
    const JobId parent = s.add();
    const JobId child = s.add(s.child_of({parent}));
    QUERN_EXPECT_EQ(reschedule(s, child, When::after(1min)), ChangeResult::changed);
    QUERN_EXPECT_EQ(s.state(child), JobState::blocked);
    s.complete(s.start(parent));
    QUERN_EXPECT_EQ(s.state(child), JobState::scheduled);
    s.clock.advance(1min);
    s.store().promote(10);
    QUERN_EXPECT_EQ(s.claim_ids(), std::vector{child});
  });

  add_case(cases, "only a job that waits is rescheduled or gets another priority", [](Scene& s) {
    const JobId running = s.add();
    s.start(running);
    const JobId ended = s.add();
    s.run_to(ended, JobState::completed);
    const JobId unknown{123'456'789};
    const std::vector ids{running, ended, unknown};
    const std::vector expected{ChangeResult::running, ChangeResult::ended, ChangeResult::unknown};
    QUERN_EXPECT_EQ(s.store().reschedule(ids, When::after(1h), {}), expected);
    QUERN_EXPECT_EQ(s.store().set_priority(ids, Priority::low, {}), expected);
    QUERN_EXPECT_EQ(s.state(running), JobState::running);
    QUERN_EXPECT_EQ(s.get(ended).priority, Priority::normal);
    expect_counts_equal_a_recount(s.store());
  });

  add_case(cases, "a rescheduled job keeps its attempts, its errors and its deadline", [](Scene& s) {
    auto job = s.job();
    job.deadline = When::after(1h);
    s.add(job);
    s.fail(s.start(job.id), When::after(10min), "broken");
    reschedule(s, job.id, When());
    const Job again = s.get(job.id);
    QUERN_EXPECT_EQ(again.state, JobState::ready);
    QUERN_EXPECT_EQ(again.attempt, 1);
    QUERN_EXPECT_EQ(again.errors.size(), 1U);
    QUERN_EXPECT(again.deadline.has_value());
    QUERN_EXPECT_EQ(s.start(job.id).attempt, 2);
  });
}

void add_priority_cases(Cases& cases) {
  add_case(cases, "I21 a job with another priority is claimed in its new place", [](Scene& s) {
    const JobId first = s.add();
    const JobId second = s.add();
    const JobId third = s.add();
    QUERN_EXPECT_EQ(prioritize(s, third, Priority::critical), ChangeResult::changed);
    QUERN_EXPECT_EQ(prioritize(s, first, Priority::low), ChangeResult::changed);
    QUERN_EXPECT_EQ(s.get(third).priority, Priority::critical);
    QUERN_EXPECT_EQ(s.claim_ids(), (std::vector{third, second, first}));
    expect_counts_equal_a_recount(s.store());
  });

  add_case(cases, "a new priority is kept while a job is blocked or scheduled, and over retries",
           [](Scene& s) {
             const JobId parent = s.add();
             const JobId child = s.add(s.child_of({parent}));
             const JobId scheduled = s.add(delayed(s, 1min));
             prioritize(s, child, Priority{7});
             prioritize(s, scheduled, Priority{8});
             s.complete(s.start(parent));
             s.clock.advance(1min);
             s.store().promote(10);
             const auto claims = s.claim();
             QUERN_EXPECT_EQ(Scene::ids_of(claims), (std::vector{child, scheduled}));
             QUERN_EXPECT_EQ(claims.at(0).priority, Priority{7});
             QUERN_EXPECT_EQ(claims.at(1).priority, Priority{8});
             s.fail(claims[0], When());
             s.release(claims[1]);
             QUERN_EXPECT_EQ(s.get(child).priority, Priority{7});
             QUERN_EXPECT_EQ(s.get(scheduled).priority, Priority{8});
             QUERN_EXPECT_EQ(s.claim_ids(), (std::vector{child, scheduled}));
           });
}

void add_erase_cases(Cases& cases) {
  add_case(cases, "an erased job is gone with all that belonged to it, wherever it stood", [](Scene& s) {
    const JobId parent = s.add(delayed(s, 1h));
    const JobId blocked = s.add(s.child_of({parent}));
    const JobId scheduled = s.add(delayed(s, 1h));
    const JobId failed = s.add();
    s.fail(s.start(failed), When(), "broken");
    std::vector<JobId> ids{blocked, scheduled, failed};
    for (const JobState end : {JobState::completed, JobState::dead, JobState::cancelled}) {
      ids.push_back(s.add());
      s.cancel(failed);  // so that it is not started before the other
      s.run_to(ids.back(), end);
    }
    for (const EraseResult result : s.store().erase(ids)) QUERN_EXPECT_EQ(result, EraseResult::erased);
    for (const JobId id : ids) {
      QUERN_EXPECT(!s.find(id).has_value());
      QUERN_EXPECT_EQ(erase(s, id), EraseResult::unknown);
    }
    expect_counts_equal_a_recount(s.store());
    s.clock.advance(2h);
    s.store().promote(10);
    QUERN_EXPECT_EQ(s.claim_ids(), std::vector{parent});
    s.store().erase(std::vector{parent});
  });

  add_case(cases, "I25 neither a running job nor one that a blocked job waits for is erased", [](Scene& s) {
    const JobId running = s.add();
    const auto claim = s.start(running);
    QUERN_EXPECT_EQ(erase(s, running), EraseResult::running);
    const JobId parent = s.add(delayed(s, 1h));
    const JobId dead = s.add();
    s.run_to(dead, JobState::dead);
    const JobId child = s.add(s.child_of({parent}));
    const JobId waits_for_dead = s.add(s.child_of({dead}, ParentPolicy::stay_blocked));
    QUERN_EXPECT_EQ(erase(s, parent), EraseResult::needed);
    QUERN_EXPECT_EQ(erase(s, dead), EraseResult::needed);
    QUERN_EXPECT_EQ(erase(s, child), EraseResult::erased);
    QUERN_EXPECT_EQ(erase(s, waits_for_dead), EraseResult::erased);
    QUERN_EXPECT_EQ(erase(s, parent), EraseResult::erased);
    QUERN_EXPECT_EQ(erase(s, dead), EraseResult::erased);
    s.complete(claim);
    QUERN_EXPECT_EQ(erase(s, running), EraseResult::erased);
  });

  add_case(cases, "I10 an erased job frees its unique key", [](Scene& s) {
    const JobId waits = s.add(s.unique_job("key"));
    QUERN_EXPECT_EQ(s.store().key_holder("key"), std::optional(waits));
    erase(s, waits);
    QUERN_EXPECT(!s.store().key_holder("key").has_value());
    auto kept = s.unique_job("key");
    kept.unique.while_completed = true;
    s.add(kept);
    s.run_to(kept.id, JobState::completed);
    QUERN_EXPECT_EQ(s.store().key_holder("key"), std::optional(kept.id));
    erase(s, kept.id);
    s.add(s.unique_job("key"));
  });

  add_case(cases, "I10 the holder of a key is known while it holds it", [](Scene& s) {
    QUERN_EXPECT(!s.store().key_holder("key").has_value());
    auto job = s.unique_job("key");
    job.unique.period = 1min;
    s.add(job);
    QUERN_EXPECT_EQ(s.store().key_holder("key"), std::optional(job.id));
    QUERN_EXPECT(!s.store().key_holder("other").has_value());
    s.clock.advance(1min);
    QUERN_EXPECT(!s.store().key_holder("key").has_value());
  });
}

InsertStatus try_add(const Scene& s, NewJob job, std::string queue = "small") {
  job.queue = std::move(queue);
  return s.insert(job).status;
}

void add_limit_cases(Cases& cases) {
  add_case(cases, "a full queue answers so, and takes jobs again when one has left", [](Scene& s) {
    s.store().limit_queue("small", 2);
    QUERN_EXPECT_EQ(try_add(s, s.job()), InsertStatus::added);
    QUERN_EXPECT_EQ(try_add(s, delayed(s, 1h)), InsertStatus::added);
    const auto refused = s.job();
    QUERN_EXPECT_EQ(try_add(s, refused), InsertStatus::queue_full);
    QUERN_EXPECT(!s.find(refused.id).has_value());
    QUERN_EXPECT_EQ(try_add(s, s.job(), "default"), InsertStatus::added);
    QUERN_EXPECT_EQ(s.claim().size(), 2U);  // a running job does not wait
    QUERN_EXPECT_EQ(try_add(s, s.job()), InsertStatus::added);
    QUERN_EXPECT_EQ(try_add(s, s.job()), InsertStatus::queue_full);
    s.store().limit_queue("small", 0);
    QUERN_EXPECT_EQ(try_add(s, s.job()), InsertStatus::added);
    expect_counts_equal_a_recount(s.store());
  });

  add_case(cases, "I02 a batch that does not fit into a queue adds nothing", [](Scene& s) {
    s.store().limit_queue("small", 2);
    std::vector<NewJob> jobs{s.job(), s.job(), s.job(), s.job()};
    for (const std::size_t i : {0U, 1U, 2U}) jobs[i].queue = "small";
    for (const InsertResult& result : s.store().insert(jobs))
      QUERN_EXPECT_EQ(result.status, InsertStatus::queue_full);
    QUERN_EXPECT(s.store().count().empty());
    jobs.erase(jobs.begin());
    for (const InsertResult& result : s.store().insert(jobs))
      QUERN_EXPECT_EQ(result.status, InsertStatus::added);
    for (const InsertResult& result : s.store().insert(jobs))  // sent again: there is nothing to add
      QUERN_EXPECT_EQ(result.status, InsertStatus::repeated);
  });

  add_case(cases, "a full queue still answers a job whose unique key is held", [](Scene& s) {
    s.store().limit_queue("small", 1);
    auto holder = s.unique_job("key");
    QUERN_EXPECT_EQ(try_add(s, holder), InsertStatus::added);
    QUERN_EXPECT_EQ(try_add(s, s.unique_job("key")), InsertStatus::duplicate);
    QUERN_EXPECT_EQ(try_add(s, s.unique_job("key", UniqueConflict::reschedule)), InsertStatus::rescheduled);
    QUERN_EXPECT_EQ(try_add(s, s.unique_job("key", UniqueConflict::replace)), InsertStatus::replaced);
    QUERN_EXPECT_EQ(try_add(s, s.unique_job("other")), InsertStatus::queue_full);
    s.add(s.unique_job("elsewhere"));
    QUERN_EXPECT_EQ(try_add(s, s.unique_job("elsewhere", UniqueConflict::replace)), InsertStatus::queue_full);
  });

  add_case(cases, "what comes back or is added by a completion is let into a full queue", [](Scene& s) {
    s.store().limit_queue("default", 1);
    const auto first = s.start(s.add());
    const auto second = s.start(s.add());
    const auto third = s.start(s.add());
    s.add();
    QUERN_EXPECT_EQ(s.fail(first, When()), JobState::ready);
    QUERN_EXPECT_EQ(s.snooze(second), JobState::scheduled);
    const auto follow_up = s.job();
    s.finish({.ref = third.ref, .jobs = {follow_up}});
    QUERN_EXPECT_EQ(s.state(follow_up.id), JobState::ready);
    QUERN_EXPECT_EQ(s.insert(s.job()).status, InsertStatus::queue_full);
    QUERN_EXPECT_EQ(s.retry(third.ref.id), RetryResult::retried);
  });

  add_case(cases, "the limit of a queue is listed with it", [](Scene& s) {
    s.store().limit_queue("small", 7);
    s.store().pause("small");
    s.add();
    const auto queues = s.store().queues();
    QUERN_EXPECT_EQ(queues.size(), 2U);
    QUERN_EXPECT_EQ(queues.at(0).max_waiting, 0U);
    QUERN_EXPECT_EQ(queues.at(1).name, std::string("small"));
    QUERN_EXPECT_EQ(queues.at(1).max_waiting, 7U);
    QUERN_EXPECT(queues.at(1).paused);
    s.store().resume("small");
    QUERN_EXPECT_EQ(s.store().queues().at(1).max_waiting, 7U);
  });
}

}  // namespace

void add_change_cases(Cases& cases) {
  add_reschedule_cases(cases);
  add_priority_cases(cases);
  add_erase_cases(cases);
  add_limit_cases(cases);
}

}  // namespace quern::inline v1::testing::detail
