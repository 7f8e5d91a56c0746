#include <algorithm>

#include "testing/scene.hpp"

namespace quern::inline v1::testing::detail {

void add_durability_cases(Cases& cases) {
  add_durable_case(
      cases, "I01 I33 everything is there when the storage was closed and opened again", [](Scene& s) {
        const JobId parent = s.add(s.job("other"));
        auto blocked = s.child_of({parent});
        blocked.unique = {.key = "key", .period = 1h};
        s.add(blocked);
        auto scheduled = s.job();
        scheduled.run_at = When::after(1min);
        scheduled.deadline = When::after(2h);
        scheduled.tags = {"a", "ü"};
        s.add(scheduled);
        auto failing = s.job("third");
        s.add(failing);
        s.fail(s.start_on(s.node, parent), When::after(30s), "broken");
        auto claim = s.start(failing.id);
        s.progress(claim.ref, 40, "forty");
        s.store().save_step(claim.ref, {.name = "step", .value = Payload::json("1")});
        const JobId done = s.add();
        s.finish({.ref = s.start(done).ref,
                  .result = Payload::json("[1]"),
                  .records = {{.collection = "c", .key = "k", .value = Payload::json("2")}}});
        const JobId cancelled = s.add();
        s.cancel(cancelled, "erin");
        s.store().pause("paused");
        const std::vector ids{parent, blocked.id, scheduled.id, failing.id, done, cancelled};
        const auto before = s.store().find(ids);
        const auto counts = s.store().count();
        const JobId reserved = s.store().reserve_ids(10);

        for (int round = 0; round < 2; ++round) {
          s.fixture.reopen();
          const auto after = s.store().find(ids);
          for (std::size_t i = 0; i < ids.size(); ++i) {
            QUERN_EXPECT(after[i].has_value());
            QUERN_EXPECT_EQ(after[i]->state, before[i]->state);
            QUERN_EXPECT_EQ(after[i]->attempt, before[i]->attempt);
            QUERN_EXPECT_EQ(after[i]->epoch, before[i]->epoch);
            QUERN_EXPECT_EQ(after[i]->run_at, before[i]->run_at);
            QUERN_EXPECT_EQ(after[i]->deadline, before[i]->deadline);
            QUERN_EXPECT_EQ(after[i]->tags, before[i]->tags);
            QUERN_EXPECT_EQ(after[i]->parents, before[i]->parents);
            QUERN_EXPECT_EQ(after[i]->progress, before[i]->progress);
            QUERN_EXPECT_EQ(after[i]->result, before[i]->result);
            QUERN_EXPECT_EQ(after[i]->errors.size(), before[i]->errors.size());
            QUERN_EXPECT_EQ(after[i]->end_message, before[i]->end_message);
            QUERN_EXPECT_EQ(after[i]->node, before[i]->node);
            QUERN_EXPECT_EQ(after[i]->created_at, before[i]->created_at);
            QUERN_EXPECT_EQ(after[i]->finished_at, before[i]->finished_at);
          }
          QUERN_EXPECT_EQ(s.store().count(), counts);
          QUERN_EXPECT_EQ(s.store().get_record("c", "k"), std::optional(Payload::json("2")));
          QUERN_EXPECT_EQ(s.store().steps(failing.id).size(), std::size_t{1});
          QUERN_EXPECT_EQ(s.insert(s.unique_job("key")).holder, blocked.id);
          const auto queues = s.store().queues();
          QUERN_EXPECT(
              std::ranges::any_of(queues, [](const auto& q) { return q.name == "paused" && q.paused; }));
        }
        QUERN_EXPECT(s.store().reserve_ids(1).value >= reserved.value + 10);
        // The run goes on where it was, by the same lease.
        QUERN_EXPECT_EQ(s.store().renew(s.node), RenewResult::renewed);
        QUERN_EXPECT_EQ(s.progress(claim.ref, 30), RunCheck::held);
        QUERN_EXPECT_EQ(s.get(failing.id).progress.percent, 40);
        s.complete(claim);
        s.clock.advance(1min);
        QUERN_EXPECT_EQ(s.store().promote(10).promoted, std::size_t{2});
        const auto claims = s.claim();
        QUERN_EXPECT_EQ(Scene::ids_of(claims), (std::vector{parent, scheduled.id}));
        s.complete(claims[0]);
        QUERN_EXPECT_EQ(s.state(blocked.id), JobState::ready);
      });

  add_durable_case(cases, "I01 I03 jobs of a process that is gone are rescued after it was opened again",
                   [](Scene& s) {
                     for (int i = 0; i < 5; ++i) s.add();
                     const auto claims = s.claim(3);
                     s.fixture.reopen();
                     QUERN_EXPECT_EQ(s.rescue().rescued, std::size_t{0});  // the lease still runs
                     QUERN_EXPECT_EQ(s.crash_node().rescued, std::size_t{3});
                     s.fixture.reopen();
                     QUERN_EXPECT_EQ(s.try_finish(claims[0].ref, Outcome::completed), FinishStatus::lost);
                     QUERN_EXPECT_EQ(s.claim().size(), std::size_t{5});
                     QUERN_EXPECT_EQ(s.get(claims[0].ref.id).epoch, claims[0].ref.epoch + 1);
                   });

  add_durable_case(cases, "I03 a restart of the machine ends leases also over a reopening", [](Scene& s) {
    const JobId id = s.add();
    s.start(id);
    s.clock.reboot(s.clock.steady());
    s.fixture.reopen();
    s.node = s.new_node();
    QUERN_EXPECT_EQ(s.rescue().rescued, std::size_t{1});
    s.complete(s.start(id));
  });

  add_durable_case(cases, "I33 ids and node ids are not given again after a reopening", [](Scene& s) {
    const JobId first = s.store().reserve_ids(100);
    const NodeId node = s.node;
    s.store().retire(node);
    s.fixture.reopen();
    QUERN_EXPECT(s.store().reserve_ids(1).value >= first.value + 100);
    const NodeId fresh = s.new_node();
    QUERN_EXPECT(fresh != node);
    QUERN_EXPECT_EQ(s.store().renew(node), RenewResult::lost);
  });

  add_case(cases, "I33 two objects on the same data see each other's changes at once", [](Scene& s) {
    StoragePort& second = s.fixture.second();
    const JobId id = s.add();
    const auto claims = second.claim(Scene::request(s.node));
    QUERN_EXPECT_EQ(Scene::ids_of(claims), std::vector{id});
    QUERN_EXPECT_EQ(s.state(id), JobState::running);
    QUERN_EXPECT_EQ(s.cancel(id), CancelResult::requested);
    QUERN_EXPECT_EQ(second.cancel_requests(s.node), std::vector{id});
    QUERN_EXPECT_EQ(s.progress(claims[0].ref, 10), RunCheck::held);
    const Finish finish{.ref = claims[0].ref};
    QUERN_EXPECT_EQ(second.finish({&finish, 1}).at(0).status, FinishStatus::recorded);
    QUERN_EXPECT_EQ(s.try_finish(claims[0].ref, Outcome::completed), FinishStatus::lost);
    s.store().pause("default");
    s.add();
    QUERN_EXPECT(second.claim(Scene::request(s.node)).empty());
    second.resume("default");
    QUERN_EXPECT_EQ(s.claim().size(), std::size_t{1});
    second.put_record({.collection = "c", .key = "k"});
    QUERN_EXPECT(s.store().get_record("c", "k").has_value());
    QUERN_EXPECT_EQ(s.store().count(), second.count());
  });

  add_case(cases, "I32 a record that cannot be read is quarantined with a reason, and the others run",
           [](Scene& s) {
             const JobId first = s.add();
             const JobId damaged = s.add();
             const JobId child = s.add(s.child_of({damaged}));
             const JobId last = s.add();
             if (!s.fixture.corrupt(damaged)) return;  // this storage has nothing that could be damaged
             std::vector<JobId> claimed;
             for (int i = 0; i < 5; ++i) {
               for (const Claim& claim : s.claim(2)) {
                 claimed.push_back(claim.ref.id);
                 s.complete(claim);
               }
             }
             QUERN_EXPECT_EQ(claimed, (std::vector{first, last}));
             const Job job = s.get(damaged);
             QUERN_EXPECT_EQ(job.state, JobState::dead);
             QUERN_EXPECT_EQ(job.dead_reason, DeadReason::undecodable);
             QUERN_EXPECT(!job.end_message.empty());
             QUERN_EXPECT_EQ(s.state(child), JobState::cancelled);
             QUERN_EXPECT_EQ(s.store().list({}).jobs.size(), std::size_t{4});
           });
}

}  // namespace quern::inline v1::testing::detail
