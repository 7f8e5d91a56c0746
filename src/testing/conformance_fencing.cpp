#include <algorithm>

#include "testing/scene.hpp"

namespace quern::inline v1::testing::detail {
namespace {

/// Everything that a run can write is refused, and the job stays as it is.
void expect_lost(const Scene& s, const RunRef& run) {
  const auto before = s.find(run.id);
  for (const Outcome outcome : all_outcomes) {
    QUERN_EXPECT_EQ(s.try_finish(run, outcome), FinishStatus::lost);
  }
  QUERN_EXPECT_EQ(s.progress(run, 99, "lost"), RunCheck::lost);
  QUERN_EXPECT_EQ(s.store().save_step(run, {.name = "lost"}), RunCheck::lost);
  const auto after = s.find(run.id);
  QUERN_EXPECT_EQ(after.has_value(), before.has_value());
  if (!before) return;
  QUERN_EXPECT_EQ(after->state, before->state);
  QUERN_EXPECT_EQ(after->attempt, before->attempt);
  QUERN_EXPECT_EQ(after->epoch, before->epoch);
  QUERN_EXPECT_EQ(after->run_at, before->run_at);
  QUERN_EXPECT_EQ(after->snoozes, before->snoozes);
  QUERN_EXPECT_EQ(after->progress, before->progress);
  QUERN_EXPECT_EQ(after->result, before->result);
  QUERN_EXPECT_EQ(after->errors.size(), before->errors.size());
  QUERN_EXPECT(
      std::ranges::none_of(s.store().steps(run.id), [](const Step& step) { return step.name == "lost"; }));
}

}  // namespace

void add_fencing_cases(Cases& cases) {
  add_case(cases, "I04 a run whose epoch is old can neither finish, report progress nor keep a step",
           [](Scene& s) {
             const JobId id = s.add();
             const auto old = s.start(id);
             s.release(old);
             expect_lost(s, old.ref);
             const auto current = s.start(id);  // on the same node
             expect_lost(s, old.ref);
             auto ahead = current.ref;
             ++ahead.epoch;
             expect_lost(s, ahead);
             QUERN_EXPECT_EQ(s.progress(current.ref, 5), RunCheck::held);
             s.complete(current);
             expect_lost(s, current.ref);
             expect_lost(s, old.ref);
           });

  add_case(cases, "I04 a run of a node that was declared dead has lost its job, before and after the rescue",
           [](Scene& s) {
             const JobId first = s.add();
             const JobId second = s.add();
             const auto claims = s.claim();
             s.clock.advance(lease + 1s);
             const NodeId other = s.new_node();
             QUERN_EXPECT_EQ(s.store().rescue(1, crash_limit).more, true);
             QUERN_EXPECT_EQ(s.counted(JobState::running), 1U);
             for (const Claim& claim : claims) expect_lost(s, claim.ref);
             s.rescue();
             for (const Claim& claim : claims) expect_lost(s, claim.ref);
             const auto again = s.store().claim(Scene::request(other));
             QUERN_EXPECT_EQ(Scene::ids_of(again), (std::vector{first, second}));
             for (const Claim& claim : claims) expect_lost(s, claim.ref);
             for (const Claim& claim : again) s.complete(claim);
           });

  add_case(cases, "I04 a run of a node that retired has lost its job at once", [](Scene& s) {
    const auto claim = s.start(s.add());
    s.store().retire(s.node);
    expect_lost(s, claim.ref);
    s.node = s.new_node();
    s.rescue();
    expect_lost(s, claim.ref);
    s.complete(s.start(claim.ref.id));
  });

  add_case(cases, "I04 a run is known by its node too, and a job that is not there has no run", [](Scene& s) {
    const auto claim = s.start(s.add());
    auto forged = claim.ref;
    forged.node = s.new_node();
    expect_lost(s, forged);
    forged = claim.ref;
    forged.id = s.store().reserve_ids(1);
    expect_lost(s, forged);
    const JobId waiting = s.add();
    forged = claim.ref;
    forged.id = waiting;
    forged.epoch = 0;
    expect_lost(s, forged);
    s.complete(claim);
  });

  add_case(cases, "I06 an end is final except for an explicit retry", [](Scene& s) {
    for (const JobState end : {JobState::completed, JobState::dead, JobState::cancelled}) {
      const JobId id = s.add();
      const auto claim = s.start(id);
      if (end == JobState::completed) s.complete(claim);
      if (end == JobState::dead) s.discard(claim);
      if (end == JobState::cancelled) s.finish({.ref = claim.ref, .outcome = Outcome::cancelled});
      const Job before = s.get(id);
      QUERN_EXPECT_EQ(before.state, end);
      expect_lost(s, claim.ref);
      QUERN_EXPECT_EQ(s.cancel(id), CancelResult::ended);
      s.clock.advance(24h);
      s.store().promote(100);
      s.crash_node();
      QUERN_EXPECT(s.claim().empty());
      const Job after = s.get(id);
      QUERN_EXPECT_EQ(after.state, end);
      QUERN_EXPECT_EQ(after.finished_at, before.finished_at);
      QUERN_EXPECT_EQ(after.end_message, before.end_message);
      QUERN_EXPECT_EQ(s.retry(id), RetryResult::retried);
      QUERN_EXPECT_EQ(s.get(id).run, 2);
      s.complete(s.start(id));
    }
  });

  add_case(cases, "I07 the outcome of a run is recorded exactly once", [](Scene& s) {
    const auto claim = s.start(s.add());
    const std::vector<Finish> twice{{.ref = claim.ref, .result = Payload::json("1")},
                                    {.ref = claim.ref, .outcome = Outcome::failed, .message = "second"}};
    const auto results = s.store().finish(twice);
    QUERN_EXPECT_EQ(results.at(0).status, FinishStatus::recorded);
    QUERN_EXPECT_EQ(results.at(0).state, JobState::completed);
    QUERN_EXPECT_EQ(results.at(1).status, FinishStatus::lost);
    QUERN_EXPECT_EQ(s.try_finish(claim.ref, Outcome::completed), FinishStatus::lost);
    const Job job = s.get(claim.ref.id);
    QUERN_EXPECT_EQ(job.result, std::optional(Payload::json("1")));
    QUERN_EXPECT(job.errors.empty());

    const auto second = s.start(s.add());
    const std::vector<Finish> failed_twice{{.ref = second.ref, .outcome = Outcome::failed},
                                           {.ref = second.ref, .outcome = Outcome::failed}};
    s.store().finish(failed_twice);
    QUERN_EXPECT_EQ(s.get(second.ref.id).errors.size(), std::size_t{1});
  });

  add_case(cases, "I04 in a batch of finishes those of lost runs change nothing and the others are recorded",
           [](Scene& s) {
             for (int i = 0; i < 3; ++i) s.add();
             const auto claims = s.claim();
             s.release(claims[1]);
             std::vector<Finish> finishes;
             for (const Claim& claim : claims) finishes.push_back({.ref = claim.ref});
             const auto extra = s.job();
             finishes[1].jobs = {extra};
             finishes[1].records = {{.collection = "c", .key = "k"}};
             const auto results = s.store().finish(finishes);
             QUERN_EXPECT_EQ(results.at(0).status, FinishStatus::recorded);
             QUERN_EXPECT_EQ(results.at(1).status, FinishStatus::lost);
             QUERN_EXPECT_EQ(results.at(2).status, FinishStatus::recorded);
             QUERN_EXPECT_EQ(s.state(claims[1].ref.id), JobState::ready);
             QUERN_EXPECT_EQ(s.counted(JobState::completed), 2U);
             QUERN_EXPECT(!s.find(extra.id).has_value());
             QUERN_EXPECT(!s.store().get_record("c", "k").has_value());
           });
}

}  // namespace quern::inline v1::testing::detail
