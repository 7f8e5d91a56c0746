#include "testing/scene.hpp"

namespace quern::inline v1::testing::detail {

void add_cancel_cases(Cases& cases) {
  add_case(cases, "I17 a job that waits is cancelled at once and never starts", [](Scene& s) {
    const JobId parent = s.add(s.job("other"));
    const JobId ready = s.add();
    auto scheduled = s.job();
    scheduled.run_at = When::after(1min);
    s.add(scheduled);
    const JobId blocked = s.add(s.child_of({parent}));
    s.clock.advance(1s);
    for (const JobId id : {ready, scheduled.id, blocked}) {
      QUERN_EXPECT_EQ(s.cancel(id, "alice"), CancelResult::cancelled);
      const Job job = s.get(id);
      QUERN_EXPECT_EQ(job.state, JobState::cancelled);
      QUERN_EXPECT_EQ(job.end_message, std::string("cancelled by alice"));
      QUERN_EXPECT_EQ(job.finished_at, std::optional(s.clock.now()));
      QUERN_EXPECT_EQ(s.cancel(id), CancelResult::ended);
    }
    s.complete(s.start(parent));
    s.clock.advance(1h);
    s.store().promote(10);
    QUERN_EXPECT(s.claim().empty());
    expect_counts_equal_a_recount(s.store());
  });

  add_case(cases, "I17 the reason is kept without a name where nobody gave one", [](Scene& s) {
    const JobId id = s.add();
    s.cancel(id, "");
    QUERN_EXPECT_EQ(s.get(id).end_message, std::string("cancelled"));
  });

  add_case(cases, "I17 a running job is asked to stop, and its node can find that out", [](Scene& s) {
    s.add();
    s.add();
    const auto claims = s.claim();
    const NodeId other = s.new_node();
    QUERN_EXPECT(s.store().cancel_requests(s.node).empty());
    QUERN_EXPECT_EQ(s.cancel(claims[1].ref.id), CancelResult::requested);
    QUERN_EXPECT_EQ(s.cancel(claims[1].ref.id), CancelResult::requested);
    QUERN_EXPECT_EQ(s.state(claims[1].ref.id), JobState::running);
    QUERN_EXPECT_EQ(s.get(claims[1].ref.id).cancel_requested, true);
    QUERN_EXPECT_EQ(s.get(claims[0].ref.id).cancel_requested, false);
    QUERN_EXPECT_EQ(s.store().cancel_requests(s.node), std::vector{claims[1].ref.id});
    QUERN_EXPECT(s.store().cancel_requests(other).empty());
    QUERN_EXPECT(s.store().cancel_requests(NodeId{}).empty());
    s.finish({.ref = claims[1].ref, .outcome = Outcome::cancelled});
    QUERN_EXPECT(s.store().cancel_requests(s.node).empty());
  });

  add_case(
      cases, "I17 a running job that was asked to stop ends cancelled unless it completes", [](Scene& s) {
        for (const Outcome outcome : {Outcome::failed, Outcome::discarded, Outcome::snoozed,
                                      Outcome::released, Outcome::cancelled, Outcome::completed}) {
          const JobId id = s.add();
          const auto claim = s.start(id);
          s.cancel(id, "bob");
          const JobState state =
              s.finish({.ref = claim.ref,
                        .outcome = outcome,
                        .result = outcome == Outcome::completed ? std::optional(Payload()) : std::nullopt,
                        .message = "stopped",
                        .again = When::after(1min)});
          const Job job = s.get(id);
          const bool failed = outcome == Outcome::failed || outcome == Outcome::discarded;
          QUERN_EXPECT_EQ(job.errors.size(), std::size_t{failed ? 1U : 0U});
          if (outcome == Outcome::completed) {
            QUERN_EXPECT_EQ(state, JobState::completed);
            QUERN_EXPECT(job.result.has_value() && job.end_message.empty());
          } else {
            QUERN_EXPECT_EQ(state, JobState::cancelled);
            QUERN_EXPECT_EQ(job.end_message, std::string("cancelled by bob"));
            QUERN_EXPECT_EQ(job.dead_reason, DeadReason::none);
          }
        }
        s.clock.advance(1h);
        QUERN_EXPECT_EQ(s.store().promote(10).promoted, std::size_t{0});
        QUERN_EXPECT(s.claim().empty());
      });

  add_case(cases, "I17 a job that was asked to stop is cancelled when its node dies", [](Scene& s) {
    const JobId id = s.add();
    s.start(id);
    s.cancel(id, "carol");
    const auto result = s.crash_node();
    QUERN_EXPECT_EQ(result.rescued, std::size_t{0});
    QUERN_EXPECT_EQ(result.dead, std::size_t{1});
    const Job job = s.get(id);
    QUERN_EXPECT_EQ(job.state, JobState::cancelled);
    QUERN_EXPECT_EQ(job.end_message, std::string("cancelled by carol"));
    QUERN_EXPECT_EQ(job.errors.size(), std::size_t{1});
    QUERN_EXPECT(s.claim().empty());
  });

  add_case(cases, "I17 a success that was committed first stays", [](Scene& s) {
    const JobId id = s.add();
    s.complete(s.start(id));
    QUERN_EXPECT_EQ(s.cancel(id), CancelResult::ended);
    QUERN_EXPECT_EQ(s.state(id), JobState::completed);
  });

  add_case(cases, "I17 the wish to cancel ends with its run", [](Scene& s) {
    const JobId id = s.add();
    const auto claim = s.start(id);
    s.cancel(id);
    s.fail(claim);
    s.retry(id);
    QUERN_EXPECT_EQ(s.get(id).cancel_requested, false);
    const auto again = s.start(id);
    QUERN_EXPECT(s.store().cancel_requests(s.node).empty());
    QUERN_EXPECT_EQ(s.fail(again), JobState::scheduled);
  });

  add_case(cases, "I17 each id of a batch is answered in order", [](Scene& s) {
    const JobId running = s.add();
    s.start(running);
    const JobId waiting = s.add();
    const JobId child = s.add(s.child_of({waiting}));
    const std::vector ids{JobId{987'654'321}, running, waiting, waiting, child};
    const auto results = s.store().cancel(ids, "x");
    QUERN_EXPECT_EQ(results,
                    (std::vector{CancelResult::unknown, CancelResult::requested, CancelResult::cancelled,
                                 CancelResult::ended, CancelResult::ended}));
  });

  add_case(cases, "I06 a retry makes a new run of an ended job and keeps its past errors", [](Scene& s) {
    for (const JobState end : {JobState::completed, JobState::dead, JobState::cancelled}) {
      auto job = s.job();
      job.deadline = When::after(1h);
      job.run_at = When::after(1min);
      s.add(job);
      s.clock.advance(1min);
      s.store().promote(1);
      s.fail(s.start(job.id), When(), "past");
      s.start(job.id);
      s.crash_node();
      auto claim = s.start(job.id);
      s.progress(claim.ref, 50, "half");
      s.store().save_step(claim.ref, {.name = "step"});
      s.snooze(claim, When());
      claim = s.start(job.id);
      if (end == JobState::completed) s.finish({.ref = claim.ref, .result = Payload::json("1")});
      if (end == JobState::dead) s.discard(claim);
      if (end == JobState::cancelled)
        s.cancel(job.id), s.finish({.ref = claim.ref, .outcome = Outcome::cancelled});
      const Job before = s.get(job.id);
      QUERN_EXPECT_EQ(before.state, end);
      QUERN_EXPECT_EQ(before.crashes, 1);
      s.clock.advance(24h);  // far beyond its deadline
      QUERN_EXPECT_EQ(s.retry(job.id), RetryResult::retried);
      const Job after = s.get(job.id);
      QUERN_EXPECT_EQ(after.state, JobState::ready);
      QUERN_EXPECT_EQ(after.run, 2);
      QUERN_EXPECT_EQ(after.attempt, 0);
      QUERN_EXPECT_EQ(after.crashes, 0);
      QUERN_EXPECT_EQ(after.snoozes, 0);
      QUERN_EXPECT_EQ(after.epoch, before.epoch);
      QUERN_EXPECT_EQ(after.run_at, s.clock.now());
      QUERN_EXPECT_EQ(after.progress, Progress{});
      QUERN_EXPECT_EQ(after.dead_reason, DeadReason::none);
      QUERN_EXPECT_EQ(after.cancel_requested, false);
      QUERN_EXPECT_EQ(after.errors.size(), before.errors.size());
      QUERN_EXPECT_EQ(after.errors.at(0).message, std::string("past"));
      QUERN_EXPECT(!after.result && !after.finished_at && !after.deadline);
      QUERN_EXPECT(after.end_message.empty());
      QUERN_EXPECT(s.store().steps(job.id).empty());
      s.store().promote(10);
      const auto fresh = s.start(job.id);
      QUERN_EXPECT_EQ(fresh.run, 2);
      QUERN_EXPECT_EQ(fresh.attempt, 1);
      QUERN_EXPECT(fresh.ref.epoch > claim.ref.epoch);
      s.complete(fresh);
    }
    expect_counts_equal_a_recount(s.store());
  });

  add_case(cases, "I06 only an ended job is retried", [](Scene& s) {
    const JobId parent = s.add(s.job("other"));
    const JobId blocked = s.add(s.child_of({parent}));
    auto scheduled = s.job();
    scheduled.run_at = When::after(1h);
    s.add(scheduled);
    const JobId ready = s.add();
    auto running = s.job();
    running.priority = Priority::critical;
    s.start(s.add(running));
    const JobId dead = s.add(s.job("third"));
    s.store().pause("default");
    s.cancel(dead);
    const std::vector ids{blocked, scheduled.id, ready, running.id, JobId{987'654'321}, dead};
    const auto results = s.store().retry(ids, "x");
    using enum RetryResult;
    QUERN_EXPECT_EQ(results, (std::vector{not_ended, not_ended, not_ended, not_ended, unknown, retried}));
    QUERN_EXPECT_EQ(s.get(ready).run, 1);
  });
}

}  // namespace quern::inline v1::testing::detail
