#include <algorithm>

#include "quern/core/limits.hpp"
#include "testing/scene.hpp"

namespace quern::inline v1::testing::detail {
namespace {

void add_outcome_cases(Cases& cases) {
  add_case(cases, "I07 a completed job keeps its result", [](Scene& s) {
    const auto claim = s.start(s.add());
    s.clock.advance(3s);
    QUERN_EXPECT_EQ(s.finish({.ref = claim.ref, .result = Payload::json(R"({"n": 1.0})")}),
                    JobState::completed);
    const Job job = s.get(claim.ref.id);
    QUERN_EXPECT_EQ(job.result, std::optional(Payload::json(R"({"n": 1.0})")));
    QUERN_EXPECT_EQ(job.finished_at, std::optional(s.clock.now()));
    QUERN_EXPECT_EQ(job.started_at, std::optional(s.clock.now() - 3s));
    QUERN_EXPECT_EQ(job.dead_reason, DeadReason::none);
    QUERN_EXPECT_EQ(job.node, 0U);
    QUERN_EXPECT(job.end_message.empty());
    const auto without = s.start(s.add());
    s.complete(without);
    QUERN_EXPECT(!s.get(without.ref.id).result.has_value());
  });

  add_case(cases, "I08 I09 a failed job waits for its next attempt and dies at its last", [](Scene& s) {
    const JobId id = s.add();
    const TimePoint now = s.clock.now();
    QUERN_EXPECT_EQ(s.fail(s.start(id), When::after(10s), "first"), JobState::scheduled);
    Job job = s.get(id);
    QUERN_EXPECT_EQ(job.run_at, now + 10s);
    QUERN_EXPECT_EQ(job.attempt, 1);
    QUERN_EXPECT(!job.finished_at.has_value());
    QUERN_EXPECT_EQ(job.errors.size(), std::size_t{1});
    s.clock.advance(10s);
    s.store().promote(1);
    auto claim = s.start(id);
    QUERN_EXPECT_EQ(claim.attempt, 2);
    QUERN_EXPECT_EQ(s.fail(claim, When(), "second"), JobState::ready);
    claim = s.start(id);
    s.clock.advance(1s);
    QUERN_EXPECT_EQ(s.finish({.ref = claim.ref,
                              .outcome = Outcome::failed,
                              .message = "third",
                              .fault = AttemptFault::timeout,
                              .again = When::after(1h)}),
                    JobState::dead);
    job = s.get(id);
    QUERN_EXPECT_EQ(job.dead_reason, DeadReason::out_of_attempts);
    QUERN_EXPECT_EQ(job.end_message, std::string("third"));
    QUERN_EXPECT_EQ(job.finished_at, std::optional(s.clock.now()));
    QUERN_EXPECT_EQ(job.errors.size(), std::size_t{3});
    QUERN_EXPECT_EQ(job.errors[0].message, std::string("first"));
    QUERN_EXPECT_EQ(job.errors[0].attempt, 1);
    QUERN_EXPECT_EQ(job.errors[0].at, now);
    QUERN_EXPECT_EQ(job.errors[0].fault, AttemptFault::error);
    QUERN_EXPECT_EQ(job.errors[2].message, std::string("third"));
    QUERN_EXPECT_EQ(job.errors[2].attempt, 3);
    QUERN_EXPECT_EQ(job.errors[2].epoch, claim.ref.epoch);
    QUERN_EXPECT_EQ(job.errors[2].fault, AttemptFault::timeout);
  });

  add_case(cases, "I09 a wait beyond the end of time saturates, and one in the past means at once",
           [](Scene& s) {
             const JobId far = s.add();
             QUERN_EXPECT_EQ(s.fail(s.start(far), When::after(Duration::max())), JobState::scheduled);
             QUERN_EXPECT_EQ(s.get(far).run_at, TimePoint::max());
             const JobId past = s.add();
             QUERN_EXPECT_EQ(s.fail(s.start(past), When::at(s.clock.now() - 1h)), JobState::ready);
             QUERN_EXPECT_EQ(s.snooze(s.start(past), When::after(-1h)), JobState::ready);
             QUERN_EXPECT_EQ(s.get(past).run_at, s.clock.now());
             QUERN_EXPECT_EQ(s.store().promote(10).promoted, std::size_t{0});
           });

  add_case(cases, "I07 a discarded job is dead for the reason that it gives", [](Scene& s) {
    const auto claim = s.start(s.add());
    QUERN_EXPECT_EQ(s.discard(claim), JobState::dead);
    Job job = s.get(claim.ref.id);
    QUERN_EXPECT_EQ(job.dead_reason, DeadReason::discarded);
    QUERN_EXPECT_EQ(job.end_message, std::string("useless"));
    QUERN_EXPECT_EQ(job.errors.size(), std::size_t{1});
    const auto other = s.start(s.add());
    s.finish({.ref = other.ref, .outcome = Outcome::discarded, .dead_reason = DeadReason::undecodable});
    QUERN_EXPECT_EQ(s.get(other.ref.id).dead_reason, DeadReason::undecodable);
  });

  add_case(cases, "I08 snoozing and handing back cost no attempt", [](Scene& s) {
    auto job = s.job();
    job.max_attempts = 1;
    s.add(job);
    const TimePoint first = s.clock.now();
    s.clock.advance(1s);
    QUERN_EXPECT_EQ(s.snooze(s.start(job.id), When::after(1min)), JobState::scheduled);
    Job now = s.get(job.id);
    QUERN_EXPECT_EQ(now.attempt, 0);
    QUERN_EXPECT_EQ(now.snoozes, 1);
    QUERN_EXPECT_EQ(now.run_at, first + 1s + 1min);
    QUERN_EXPECT(now.errors.empty());
    s.clock.advance(1min);
    s.store().promote(1);
    const TimePoint due = s.get(job.id).run_at;
    s.clock.advance(1s);
    QUERN_EXPECT_EQ(s.release(s.start(job.id)), JobState::ready);
    now = s.get(job.id);
    QUERN_EXPECT_EQ(now.attempt, 0);
    QUERN_EXPECT_EQ(now.snoozes, 2);
    QUERN_EXPECT_EQ(now.run_at, due);  // it keeps its place
    const auto claim = s.start(job.id);
    QUERN_EXPECT_EQ(claim.attempt, 1);
    QUERN_EXPECT_EQ(s.fail(claim), JobState::dead);
  });

  add_case(cases, "I08 snoozes and hand-backs of one run are bounded", [](Scene& s) {
    const JobId id = s.add();
    for (int i = 0; i < max_snoozes; ++i) {
      const auto claim = s.store().claim(Scene::request(s.node, 1)).at(0);
      const Finish finish{.ref = claim.ref, .outcome = i % 2 == 0 ? Outcome::snoozed : Outcome::released};
      QUERN_EXPECT_EQ(s.store().finish({&finish, 1}).at(0).state, JobState::ready);
    }
    QUERN_EXPECT_EQ(s.get(id).snoozes, max_snoozes);
    QUERN_EXPECT_EQ(s.snooze(s.start(id)), JobState::dead);
    QUERN_EXPECT_EQ(s.get(id).dead_reason, DeadReason::snoozed_too_often);
    s.retry(id);
    QUERN_EXPECT_EQ(s.get(id).snoozes, 0);
    QUERN_EXPECT_EQ(s.release(s.start(id)), JobState::ready);
  });

  add_case(cases, "I07 a job that says so itself ends cancelled", [](Scene& s) {
    const auto claim = s.start(s.add());
    QUERN_EXPECT_EQ(
        s.finish({.ref = claim.ref, .outcome = Outcome::cancelled, .message = "no longer needed"}),
        JobState::cancelled);
    QUERN_EXPECT_EQ(s.get(claim.ref.id).end_message, std::string("no longer needed"));
    QUERN_EXPECT(s.get(claim.ref.id).errors.empty());
  });

  add_case(cases, "the last failed attempts are remembered, as many as the limit says", [](Scene& s) {
    auto job = s.job();
    job.max_attempts = 1000;
    s.add(job);
    const int attempts = static_cast<int>(max_attempt_errors) + 5;
    for (int attempt = 1; attempt <= attempts; ++attempt) {
      s.fail(s.start(job.id), When(), "error " + std::to_string(attempt));
    }
    const auto errors = s.get(job.id).errors;
    QUERN_EXPECT_EQ(errors.size(), max_attempt_errors);
    QUERN_EXPECT_EQ(errors.front().message, std::string("error 6"));
    QUERN_EXPECT_EQ(errors.back().attempt, attempts);
    for (std::size_t i = 1; i < errors.size(); ++i) QUERN_EXPECT(errors[i].epoch > errors[i - 1].epoch);
  });

  add_case(cases, "messages of any bytes are kept as clean text", [](Scene& s) {
    constexpr char bytes[] = "bad \xFF\xC0\x80 nul:\0 esc:\x1B[31m line\ntab\t";
    const std::string dirty(bytes, sizeof bytes - 1);
    auto job = s.job();
    job.max_attempts = 2;
    s.add(job);
    s.fail(s.start(job.id), When(), dirty);
    const auto claim = s.start(job.id);
    s.progress(claim.ref, 1, dirty);
    QUERN_EXPECT_EQ(s.get(job.id).progress.message, clean_message(dirty));
    s.fail(claim, When(), std::string(2 * max_error_bytes, 'x'));
    const Job dead = s.get(job.id);
    QUERN_EXPECT_EQ(dead.errors.at(0).message, clean_message(dirty));
    QUERN_EXPECT_EQ(dead.errors.at(1).message, clean_message(std::string(2 * max_error_bytes, 'x')));
    QUERN_EXPECT(dead.end_message.size() <= max_error_bytes);
    const JobId other = s.add();
    s.cancel(other, dirty);
    QUERN_EXPECT(is_utf8(s.get(other).end_message));
  });
}

void add_transaction_cases(Cases& cases) {
  add_case(cases, "a completion adds its jobs and records in the same transaction", [](Scene& s) {
    const auto claim = s.start(s.add());
    auto child = s.child_of({claim.ref.id});
    const auto grandchild = s.child_of({child.id});
    const Finish finish{.ref = claim.ref,
                        .jobs = {child, grandchild},
                        .records = {{.collection = "c", .key = "a", .value = Payload::json("1")},
                                    {.collection = "c", .key = "a", .value = Payload::json("2")},
                                    {.collection = "d", .key = "a", .value = Payload::json("3")}}};
    s.finish(finish);
    QUERN_EXPECT_EQ(s.state(child.id), JobState::ready);  // its parent has completed
    QUERN_EXPECT_EQ(s.state(grandchild.id), JobState::blocked);
    QUERN_EXPECT_EQ(s.store().get_record("c", "a"), std::optional(Payload::json("2")));
    QUERN_EXPECT_EQ(s.store().get_record("d", "a"), std::optional(Payload::json("3")));
    QUERN_EXPECT_EQ(s.store().finish({&finish, 1}).at(0).status, FinishStatus::lost);
    QUERN_EXPECT_EQ(s.counted(JobState::ready), 1U);
  });

  add_case(cases, "I02 a completion whose jobs are refused changes nothing", [](Scene& s) {
    s.add();
    s.add();
    const auto claims = s.claim();
    const auto good = s.unique_job("key");
    const std::vector<Finish> finishes{
        {.ref = claims[0].ref, .jobs = {good}, .records = {{.collection = "c", .key = "k"}}},
        {.ref = claims[1].ref, .jobs = {s.child_of({JobId{987'654'321}})}}};
    QUERN_EXPECT_THROWS(InvalidArgument, s.store().finish(finishes));
    QUERN_EXPECT_EQ(s.counted(JobState::running), 2U);
    QUERN_EXPECT(!s.find(good.id).has_value());
    QUERN_EXPECT(!s.store().get_record("c", "k").has_value());
    s.add(s.unique_job("key"));
    for (const Claim& claim : claims) s.complete(claim);
  });

  add_case(cases, "only a completion adds jobs and records", [](Scene& s) {
    for (const Outcome outcome : all_outcomes) {
      if (outcome == Outcome::completed) continue;
      const auto claim = s.start(s.add());
      const auto job = s.job();
      s.finish({.ref = claim.ref,
                .outcome = outcome,
                .again = When::after(100h),
                .jobs = {job},
                .records = {{.collection = "c", .key = "k"}}});
      QUERN_EXPECT(!s.find(job.id).has_value());
      QUERN_EXPECT(!s.store().get_record("c", "k").has_value());
      s.cancel(claim.ref.id);
    }
  });

  add_case(cases, "I11 jobs that a completion names and that are there already are not added again",
           [](Scene& s) {
             const JobId there = s.add();
             const auto claim = s.start(there);
             auto notify = s.unique_job("notify");
             s.add(notify);
             const auto second = s.unique_job("notify");
             s.finish({.ref = claim.ref, .jobs = {notify, second}});
             QUERN_EXPECT_EQ(s.counted(JobState::ready), 1U);
             QUERN_EXPECT(!s.find(second.id).has_value());
           });

  add_case(cases, "I12 a parent that another completion of the batch did not add is stood in for",
           [](Scene& s) {
             s.add();
             s.add();
             const JobId holder = s.add(s.unique_job("fetch"));
             const auto claims = s.claim();
             const auto duplicate = s.unique_job("fetch");
             const auto child = s.child_of({duplicate.id});
             const std::vector<Finish> finishes{{.ref = claims[0].ref, .jobs = {duplicate}},
                                                {.ref = claims[1].ref, .jobs = {child}}};
             for (const FinishResult& result : s.store().finish(finishes))
               QUERN_EXPECT_EQ(result.state, JobState::completed);
             QUERN_EXPECT(!s.find(duplicate.id).has_value());
             QUERN_EXPECT_EQ(s.get(child.id).parents, std::vector{holder});
             QUERN_EXPECT_EQ(s.state(child.id), JobState::blocked);
             s.complete(claims[2]);
             QUERN_EXPECT_EQ(s.state(child.id), JobState::ready);
           });

  add_case(cases, "I10 a completion frees its unique key for the jobs that it adds", [](Scene& s) {
    const JobId first = s.add(s.unique_job("chain"));
    const auto next = s.unique_job("chain");
    s.finish({.ref = s.start(first).ref, .jobs = {next}});
    QUERN_EXPECT_EQ(s.state(next.id), JobState::ready);
  });
}

}  // namespace

void add_finish_cases(Cases& cases) {
  add_outcome_cases(cases);
  add_transaction_cases(cases);
}

}  // namespace quern::inline v1::testing::detail
