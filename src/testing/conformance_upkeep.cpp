#include "testing/scene.hpp"

namespace quern::inline v1::testing::detail {

void add_upkeep_cases(Cases& cases) {
  add_case(cases, "I22 a promotion makes due jobs ready, earliest first and as many as asked for",
           [](Scene& s) {
             const TimePoint start = s.clock.now();
             std::vector<JobId> ids;
             for (int i = 0; i < 5; ++i) {
               auto job = s.job();
               job.run_at = When::after(std::chrono::seconds(50 - 10 * i));  // the last is due first
               ids.push_back(s.add(job));
             }
             auto result = s.store().promote(10);
             QUERN_EXPECT_EQ(result.promoted, std::size_t{0});
             QUERN_EXPECT_EQ(result.more, false);
             QUERN_EXPECT_EQ(result.next, start + 10s);
             s.clock.advance(40s);
             result = s.store().promote(3);
             QUERN_EXPECT_EQ(result.promoted, std::size_t{3});
             QUERN_EXPECT_EQ(result.more, true);
             QUERN_EXPECT_EQ(s.state(ids[1]), JobState::scheduled);
             QUERN_EXPECT_EQ(s.state(ids[2]), JobState::ready);
             QUERN_EXPECT_EQ(s.get(ids[2]).run_at, start + 30s);
             result = s.store().promote(3);
             QUERN_EXPECT_EQ(result.promoted, std::size_t{1});
             QUERN_EXPECT_EQ(result.more, false);
             QUERN_EXPECT_EQ(result.next, start + 50s);
             QUERN_EXPECT_EQ(s.claim_ids(), (std::vector{ids[4], ids[3], ids[2], ids[1]}));
             s.clock.advance(10s);
             result = s.store().promote(3);
             QUERN_EXPECT_EQ(result.promoted, std::size_t{1});
             QUERN_EXPECT_EQ(result.next, TimePoint::max());
           });

  add_case(cases, "I24 a promotion lets jobs expire that wait in any state, as many as asked for",
           [](Scene& s) {
             const JobId parent = s.add(s.job("other"));
             const auto add = [&](NewJob job) {
               job.deadline = When::after(1min);
               return s.add(job);
             };
             const JobId ready = add(s.job());
             auto delayed = s.job();
             delayed.run_at = When::after(1h);
             const JobId scheduled = add(delayed);
             const JobId blocked = add(s.child_of({parent}));
             const JobId below = s.add(s.child_of({blocked}));
             auto result = s.store().promote(10);
             QUERN_EXPECT_EQ(result.expired, std::size_t{0});
             QUERN_EXPECT_EQ(result.next, s.clock.now() + 1min);
             s.clock.advance(1min);
             result = s.store().promote(2);
             QUERN_EXPECT_EQ(result.expired, std::size_t{2});
             QUERN_EXPECT_EQ(result.more, true);
             result = s.store().promote(2);
             QUERN_EXPECT_EQ(result.expired, std::size_t{1});
             QUERN_EXPECT_EQ(result.more, false);
             QUERN_EXPECT_EQ(result.next, TimePoint::max());
             for (const JobId id : {ready, scheduled, blocked}) {
               QUERN_EXPECT_EQ(s.state(id), JobState::dead);
               QUERN_EXPECT_EQ(s.get(id).dead_reason, DeadReason::expired);
             }
             QUERN_EXPECT_EQ(s.state(below), JobState::cancelled);
             s.complete(s.start(parent));
             QUERN_EXPECT(s.claim().empty());
             expect_counts_equal_a_recount(s.store());
           });

  add_case(cases, "the next due time knows retries, snoozes and deadlines, and forgets what has ended",
           [](Scene& s) {
             const TimePoint now = s.clock.now();
             const auto next = [&] { return s.store().promote(10).next; };
             QUERN_EXPECT_EQ(next(), TimePoint::max());
             const JobId failed = s.add();
             s.fail(s.start(failed), When::after(30s));
             QUERN_EXPECT_EQ(next(), now + 30s);
             const JobId snoozed = s.add();
             s.snooze(s.start(snoozed), When::after(20s));
             QUERN_EXPECT_EQ(next(), now + 20s);
             auto expiring = s.job();
             expiring.deadline = When::after(10s);
             s.add(expiring);
             QUERN_EXPECT_EQ(next(), now + 10s);
             const auto claim = s.start(expiring.id);
             QUERN_EXPECT_EQ(next(), now + 20s);  // what runs no longer expires
             s.complete(claim);
             s.cancel(snoozed);
             QUERN_EXPECT_EQ(next(), now + 30s);
             s.cancel(failed);
             QUERN_EXPECT_EQ(next(), TimePoint::max());
           });

  add_case(
      cases, "pruning deletes ended jobs older than asked for, with all that belongs to them", [](Scene& s) {
        const auto end_one = [&](JobState end) {
          const JobId id = s.add();
          const auto claim = s.start(id);
          s.store().save_step(claim.ref, {.name = "step"});
          s.progress(claim.ref, 50);
          if (end == JobState::completed) s.complete(claim);
          if (end == JobState::dead) s.discard(claim);
          if (end == JobState::cancelled) s.finish({.ref = claim.ref, .outcome = Outcome::cancelled});
          return id;
        };
        for (const JobState end : {JobState::completed, JobState::dead, JobState::cancelled}) {
          const JobId old = end_one(end);
          s.clock.advance(1h);
          const JobId fresh = end_one(end);
          const JobId waiting = s.add();
          QUERN_EXPECT_EQ(s.store().prune({.state = end, .older_than = 1h + 1us}).pruned, std::size_t{0});
          const auto result = s.store().prune({.state = end, .older_than = 1h});
          QUERN_EXPECT_EQ(result.pruned, std::size_t{1});
          QUERN_EXPECT_EQ(result.more, false);
          QUERN_EXPECT(!s.find(old).has_value());
          QUERN_EXPECT(s.store().steps(old).empty());
          QUERN_EXPECT_EQ(s.state(fresh), end);
          QUERN_EXPECT_EQ(s.retry(old), RetryResult::unknown);
          QUERN_EXPECT_EQ(s.cancel(old), CancelResult::unknown);
          s.cancel(waiting);
          expect_counts_equal_a_recount(s.store());
          for (const JobState other : {JobState::completed, JobState::dead, JobState::cancelled}) {
            s.store().prune({.state = other});
          }
          QUERN_EXPECT(s.store().count().empty());
        }
      });

  add_case(cases, "pruning goes by the time of the end, from the smallest id on, within its limit",
           [](Scene& s) {
             for (int i = 0; i < 6; ++i) s.add();
             const auto claims = s.claim();
             for (const std::size_t i : {5U, 1U, 3U}) s.complete(claims[i]);
             s.clock.advance(1h);
             for (const std::size_t i : {0U, 2U}) s.complete(claims[i]);
             auto result = s.store().prune({.older_than = 30min, .limit = 2});
             QUERN_EXPECT_EQ(result.pruned, std::size_t{2});
             QUERN_EXPECT_EQ(result.more, true);
             QUERN_EXPECT(!s.find(claims[1].ref.id) && !s.find(claims[3].ref.id));
             QUERN_EXPECT_EQ(s.state(claims[5].ref.id), JobState::completed);
             result = s.store().prune({.older_than = 30min, .limit = 2});
             QUERN_EXPECT_EQ(result.pruned, std::size_t{1});
             QUERN_EXPECT_EQ(result.more, false);
             QUERN_EXPECT_EQ(s.counted(JobState::completed), 2U);
             QUERN_EXPECT_EQ(s.state(claims[4].ref.id), JobState::running);
           });

  add_case(cases, "pruning can be asked for one kind, or for all kinds but some", [](Scene& s) {
    for (const JobState end : {JobState::completed, JobState::dead, JobState::cancelled}) {
      const auto end_one = [&](const char* kind, const char* queue) {
        auto job = s.job(kind);
        job.queue = queue;
        s.add(job);
        if (end == JobState::cancelled) {
          s.cancel(job.id);
        } else {
          s.run_to(job.id, end);
        }
        return job.id;
      };
      const JobId work = end_one("work", "a");
      const JobId other = end_one("other", "a");
      const JobId also_other = end_one("other", "b");
      const JobId third = end_one("third", "b");
      s.clock.advance(1h);
      const JobId fresh = end_one("other", "a");
      const auto prune = [&](std::string kind, std::vector<std::string> except, std::size_t limit = 10) {
        return s.store()
            .prune({.state = end,
                    .older_than = 30min,
                    .limit = limit,
                    .kind = std::move(kind),
                    .except = std::move(except)})
            .pruned;
      };
      QUERN_EXPECT_EQ(prune("no such kind", {}), std::size_t{0});
      QUERN_EXPECT_EQ(prune("", {"work", "other", "third"}), std::size_t{0});
      QUERN_EXPECT_EQ(prune("", {"other", "third"}), std::size_t{1});
      QUERN_EXPECT(!s.find(work) && s.find(other) && s.find(third));
      QUERN_EXPECT_EQ(prune("other", {"other"}, 1), std::size_t{1});  // `except` is for all kinds
      QUERN_EXPECT(!s.find(other) && s.find(also_other));
      QUERN_EXPECT_EQ(prune("other", {}, 1), std::size_t{1});
      QUERN_EXPECT_EQ(prune("other", {}), std::size_t{0});
      QUERN_EXPECT(!s.find(also_other) && s.find(third) && s.find(fresh));
      QUERN_EXPECT_EQ(prune("", {"no such kind"}), std::size_t{1});
      QUERN_EXPECT(!s.find(third) && s.find(fresh));
      expect_counts_equal_a_recount(s.store());
    }
  });

  add_case(cases, "I25 a parent that a blocked job waits for is pruned with its kind once nobody waits",
           [](Scene& s) {
             const JobId parent = s.add(s.job("other"));
             const JobId child = s.add(s.child_of({parent}, ParentPolicy::stay_blocked));
             s.run_to(parent, JobState::dead);
             const PruneRequest request{.state = JobState::dead, .kind = "other"};
             QUERN_EXPECT_EQ(s.store().prune(request).pruned, std::size_t{0});
             QUERN_EXPECT_EQ(s.state(parent), JobState::dead);
             s.cancel(child);
             QUERN_EXPECT_EQ(s.store().prune(request).pruned, std::size_t{1});
             QUERN_EXPECT(!s.find(parent) && s.find(child));
           });

  add_case(cases, "I25 many ended jobs that others wait for do not keep younger ones from being pruned",
           [](Scene& s) {
             constexpr std::size_t many = 1'100;
             std::vector<NewJob> jobs;
             for (std::size_t i = 0; i < many; ++i) {
               jobs.push_back({.id = s.store().reserve_ids(300), .kind = "other"});
               jobs.push_back(s.child_of({jobs.back().id}, ParentPolicy::stay_blocked));
             }
             s.store().insert(jobs);
             std::vector<Finish> finishes;
             for (const Claim& claim : s.claim(many))
               finishes.push_back({.ref = claim.ref, .outcome = Outcome::discarded});
             s.store().finish(finishes);
             QUERN_EXPECT_EQ(s.counted(JobState::dead), std::uint64_t{many});
             const JobId free = s.add(s.job("other"));
             s.run_to(free, JobState::dead);
             for (int calls = 0; s.find(free); ++calls) {
               QUERN_EXPECT(calls < 3);
               s.store().prune({.state = JobState::dead, .limit = 1});
             }
             const auto result = s.store().prune({.state = JobState::dead, .limit = 10});
             QUERN_EXPECT_EQ(result.pruned, std::size_t{0});
             QUERN_EXPECT_EQ(result.more, false);
             QUERN_EXPECT_EQ(s.counted(JobState::dead), std::uint64_t{many});
           });

  add_case(cases, "only ended jobs can be pruned", [](Scene& s) {
    s.add();
    QUERN_EXPECT_THROWS(InvalidArgument, s.store().prune({.state = JobState::ready}));
    QUERN_EXPECT_THROWS(InvalidArgument, s.store().prune({.older_than = -1s}));
    QUERN_EXPECT_EQ(s.counted(JobState::ready), 1U);
  });

  add_case(cases, "queues are known once they had a job or were paused", [](Scene& s) {
    QUERN_EXPECT(s.store().queues().empty());
    auto job = s.job();
    job.queue = "mail";
    s.add(job);
    s.store().pause("archive");
    s.store().resume("never seen");
    auto queues = s.store().queues();
    QUERN_EXPECT_EQ(queues.size(), std::size_t{2});
    QUERN_EXPECT_EQ(queues[0].name, std::string("archive"));
    QUERN_EXPECT_EQ(queues[0].paused, true);
    QUERN_EXPECT_EQ(queues[1].name, std::string("mail"));
    QUERN_EXPECT_EQ(queues[1].paused, false);
    s.store().resume("archive");
    s.store().pause("mail");
    s.cancel(job.id);
    s.store().prune({.state = JobState::cancelled});
    queues = s.store().queues();
    QUERN_EXPECT_EQ(queues.size(), std::size_t{2});
    QUERN_EXPECT_EQ(queues[0].paused, false);
    QUERN_EXPECT_EQ(queues[1].paused, true);
  });
}

}  // namespace quern::inline v1::testing::detail
