#include <algorithm>

#include "quern/core/random.hpp"
#include "testing/scene.hpp"

namespace quern::inline v1::testing::detail {

void add_claim_cases(Cases& cases) {
  add_case(cases, "I03 each claim raises the epoch, and a job that runs is not claimed again", [](Scene& s) {
    const JobId id = s.add();
    const NodeId other = s.new_node();
    Epoch last = 0;
    for (int round = 0; round < 4; ++round) {
      const auto claim = s.start(id);
      QUERN_EXPECT(claim.ref.epoch > last);
      QUERN_EXPECT_EQ(claim.ref.node, s.node);
      QUERN_EXPECT_EQ(s.get(id).epoch, claim.ref.epoch);
      QUERN_EXPECT_EQ(s.get(id).node, s.node.value);
      last = claim.ref.epoch;
      QUERN_EXPECT(s.claim().empty());
      QUERN_EXPECT(s.store().claim(Scene::request(other)).empty());
      s.release(claim);
      QUERN_EXPECT_EQ(s.get(id).node, 0U);
    }
    s.start(id);
    s.crash_node();
    QUERN_EXPECT(s.start(id).ref.epoch > last + 1);
    s.cancel(id);
    QUERN_EXPECT(s.claim().empty());
  });

  add_case(cases, "I08 an attempt is counted when it is claimed", [](Scene& s) {
    auto job = s.job();
    job.max_attempts = 5;
    s.add(job);
    for (int attempt = 1; attempt <= 5; ++attempt) {
      const auto claim = s.start(job.id);
      QUERN_EXPECT_EQ(claim.attempt, attempt);
      QUERN_EXPECT_EQ(claim.max_attempts, 5);
      QUERN_EXPECT_EQ(s.get(job.id).attempt, attempt);
      QUERN_EXPECT_EQ(s.fail(claim, When()), attempt < 5 ? JobState::ready : JobState::dead);
    }
    QUERN_EXPECT_EQ(s.get(job.id).attempt, 5);
    QUERN_EXPECT_EQ(s.get(job.id).dead_reason, DeadReason::out_of_attempts);
  });

  add_case(cases, "I08 a job without attempts of its own has those of its kind, as the claim says",
           [](Scene& s) {
             const JobId id = s.add();
             auto request = Scene::request(s.node, 1);
             request.kinds.front().max_attempts = 2;
             const auto first = s.store().claim(request).at(0);
             QUERN_EXPECT_EQ(first.max_attempts, 2);
             QUERN_EXPECT_EQ(s.get(id).max_attempts, 0);
             QUERN_EXPECT_EQ(s.fail(first, When()), JobState::ready);
             QUERN_EXPECT_EQ(s.fail(s.store().claim(request).at(0), When()), JobState::dead);

             auto own = s.job();
             own.max_attempts = 1;
             s.add(own);
             const auto claim = s.store().claim(request).at(0);
             QUERN_EXPECT_EQ(claim.max_attempts, 1);
             QUERN_EXPECT_EQ(s.fail(claim, When()), JobState::dead);
           });

  add_case(cases,
           "I21 a claim takes the lower priority number first, then what is due first, then the smaller id",
           [](Scene& s) {
             struct Wanted {
               int priority;
               Duration age;
               JobId id;
             };
             std::vector<Wanted> wanted;
             const std::vector<std::string> kinds{"work", "other", "third"};
             const TimePoint now = s.clock.now();
             Random random(21);
             for (int i = 0; i < 120; ++i) {
               auto job = s.job(kinds.at(random.below(3)));
               job.queue = "queue-" + std::to_string(random.below(4));
               job.priority = Priority{static_cast<int>(random.below(4)) * 3};
               const Duration age = std::chrono::seconds(random.below(3));
               job.run_at = When::at(now - age);
               wanted.push_back({job.priority.level, age, s.add(job)});
             }
             std::ranges::sort(wanted, [](const Wanted& a, const Wanted& b) {
               return std::tuple(a.priority, -a.age, a.id) < std::tuple(b.priority, -b.age, b.id);
             });
             std::vector<JobId> expected;
             for (const Wanted& job : wanted) expected.push_back(job.id);
             std::vector<JobId> claimed;
             for (const std::size_t limit : {1U, 2U, 7U, 50U, 100U}) {
               for (const JobId id : s.claim_ids(limit)) claimed.push_back(id);
             }
             QUERN_EXPECT_EQ(claimed, expected);
           });

  add_case(cases,
           "I21 with ageing a job gains a level for each such time that it is due, across queues and kinds",
           [](Scene& s) {
             struct Wanted {
               Duration turn;
               JobId id;
             };
             constexpr Duration ageing = 10s;
             std::vector<Wanted> wanted;
             const std::vector<std::string> kinds{"work", "other"};
             Random random(22);
             for (int i = 0; i < 150; ++i) {
               auto job = s.job(kinds.at(random.below(2)));
               job.queue = "queue-" + std::to_string(random.below(3));
               job.priority = Priority{static_cast<int>(random.below(5)) * 2};
               // So that many of them have the same turn, with other priorities.
               const Duration age = std::chrono::seconds(random.below(10)) * 5;
               job.run_at = When::at(s.clock.now() - age);
               wanted.push_back({ageing * job.priority.level - age, s.add(job)});
             }
             std::ranges::sort(wanted, [](const Wanted& a, const Wanted& b) {
               return std::tuple(a.turn, a.id) < std::tuple(b.turn, b.id);
             });
             std::vector<JobId> expected;
             for (const Wanted& job : wanted) expected.push_back(job.id);
             auto request = Scene::request(s.node);
             request.ageing = ageing;
             std::vector<JobId> claimed;
             for (const std::size_t limit : {1U, 2U, 7U, 50U, 100U}) {
               request.limit = limit;
               for (const Claim& claim : s.store().claim(request)) claimed.push_back(claim.ref.id);
             }
             QUERN_EXPECT_EQ(claimed, expected);
           });

  add_case(cases, "I21 with ageing low priority does not starve behind an endless stream of high priority",
           [](Scene& s) {
             auto low = s.job();
             low.priority = Priority{9};
             const JobId patient = s.add(low);
             auto request = Scene::request(s.node, 1);
             request.ageing = 1min;
             int waited = 0;
             for (;; ++waited) {
               QUERN_EXPECT(waited < 20);
               auto urgent = s.job();
               urgent.priority = Priority::critical;
               s.add(urgent);
               const Claim claim = s.store().claim(request).at(0);
               if (claim.ref.id == patient) break;
               s.complete(claim);
               s.clock.advance(1min);
             }
             QUERN_EXPECT_EQ(waited, 9);  // a minute for each level
           });

  add_case(cases, "I21 with ageing the limits of kinds and queues hold", [](Scene& s) {
    std::vector<JobId> expected;
    for (int i = 0; i < 30; ++i) {
      auto job = s.job(i % 2 == 0 ? "work" : "other");
      job.queue =
          std::string(1, i % 3 == 0 ? 'a' : 'b');  // a char: g++ 12 at -O3 warns falsely of a choice of texts
      job.priority = Priority{i % 4};
      const JobId id = s.add(job);
      if (i % 2 == 0 && i % 3 == 0) expected.push_back(id);
    }
    auto request = Scene::request(s.node);
    request.ageing = 1s;
    request.kinds = {{"work", 4, 1}};
    request.queues = {{"a", 3, 0}};
    QUERN_EXPECT_EQ(s.store().claim(request).size(), 3U);
    request.queues = {{"a", 100, 0}};
    request.kinds = {{"work", 1, 1}};
    QUERN_EXPECT_EQ(s.store().claim(request).size(), 1U);
    request.kinds = {{"work", 100, 1}};
    QUERN_EXPECT_EQ(s.store().claim(request).size(), expected.size() - 4);
    QUERN_EXPECT(s.store().claim(request).empty());
  });

  add_case(cases, "I21 a job that was promoted, released or rescued takes its place by the time it is due",
           [](Scene& s) {
             auto later = s.job();
             later.run_at = When::after(2s);
             s.add(later);
             auto sooner = s.job();
             sooner.run_at = When::after(1s);
             s.add(sooner);
             const JobId released = s.add();
             s.release(s.start(released));
             s.clock.advance(5s);
             const JobId newest = s.add();
             s.store().promote(10);
             QUERN_EXPECT_EQ(s.claim_ids(), (std::vector{released, sooner.id, later.id, newest}));
             s.clock.advance(5s);
             s.crash_node();  // ready since the rescue
             const JobId last = s.add();
             QUERN_EXPECT_EQ(s.claim_ids(), (std::vector{later.id, sooner.id, released, newest, last}));
           });

  add_case(cases, "I18 no job of a paused queue starts, and resuming loses nothing", [](Scene& s) {
    auto job = s.job();
    job.queue = "slow";
    s.add(job);
    const JobId other = s.add();
    s.store().pause("slow");
    QUERN_EXPECT_EQ(s.claim_ids(), std::vector{other});
    auto second = s.job();
    second.queue = "slow";
    second.run_at = When::after(1s);
    s.add(second);
    s.clock.advance(1s);
    QUERN_EXPECT_EQ(s.store().promote(10).promoted, std::size_t{1});
    QUERN_EXPECT(s.claim().empty());
    auto request = Scene::request(s.node);
    request.queues = std::vector<ClaimLimit>{{.name = "slow", .limit = 10}};
    QUERN_EXPECT(s.store().claim(request).empty());
    s.store().pause("slow");
    s.store().resume("slow");
    QUERN_EXPECT_EQ(s.claim_ids(), (std::vector{job.id, second.id}));
    s.store().resume("slow");
    s.store().resume("never seen");
  });

  add_case(cases, "I18 a pause leaves running jobs alone, also when they retry", [](Scene& s) {
    const JobId id = s.add();
    const auto claim = s.start(id);
    s.store().pause("default");
    QUERN_EXPECT_EQ(s.progress(claim.ref, 10), RunCheck::held);
    QUERN_EXPECT_EQ(s.fail(claim, When()), JobState::ready);
    QUERN_EXPECT(s.claim().empty());
    s.store().resume("default");
    s.complete(s.start(id));
  });

  add_case(cases, "I18 a queue can be paused before it has a job", [](Scene& s) {
    s.store().pause("default");
    const JobId id = s.add();
    QUERN_EXPECT(s.claim().empty());
    s.store().resume("default");
    QUERN_EXPECT_EQ(s.claim_ids(), std::vector{id});
  });

  add_case(cases, "I22 a job does not start before its time", [](Scene& s) {
    auto job = s.job();
    job.run_at = When::after(10s);
    s.add(job);
    const auto expect_waiting = [&] {
      QUERN_EXPECT_EQ(s.store().promote(10).promoted, std::size_t{0});
      QUERN_EXPECT(s.claim().empty());
      QUERN_EXPECT_EQ(s.state(job.id), JobState::scheduled);
    };
    expect_waiting();
    s.clock.advance(10s - 1us);
    expect_waiting();
    s.clock.set_wall(s.clock.now() - 1h);  // somebody sets the clock back
    expect_waiting();
    s.clock.advance(1h + 1us);
    QUERN_EXPECT_EQ(s.store().promote(10).promoted, std::size_t{1});
    const auto claim = s.start(job.id);
    QUERN_EXPECT(claim.claimed_at >= claim.run_at);
    s.snooze(claim, When::after(5s));
    s.clock.advance(5s - 1us);
    expect_waiting();
    s.clock.advance(1us);
    s.store().promote(10);
    s.fail(s.start(job.id), When::after(7s));
    s.clock.advance(7s - 1us);
    expect_waiting();
    s.clock.advance(1us);
    s.store().promote(10);
    s.start(job.id);
  });

  add_case(cases, "I24 a job never starts at or after its deadline", [](Scene& s) {
    const auto with_deadline = [&](When deadline, int priority) {
      auto job = s.job();
      job.deadline = deadline;
      job.priority = Priority{priority};
      return s.add(job);
    };
    const JobId early = with_deadline(When::after(1min), 1);
    const JobId late = with_deadline(When::after(1min + 1us), 2);
    const JobId past = with_deadline(When::at(s.clock.now() - 1h), 0);
    const JobId none = s.add();
    s.clock.advance(1min);
    QUERN_EXPECT_EQ(s.claim_ids(1), std::vector{late});  // those that expire don't use the limit
    for (const JobId id : {early, past}) {
      const Job job = s.get(id);
      QUERN_EXPECT_EQ(job.state, JobState::dead);
      QUERN_EXPECT_EQ(job.dead_reason, DeadReason::expired);
      QUERN_EXPECT_EQ(job.end_message, std::string("not started by its deadline"));
      QUERN_EXPECT_EQ(job.attempt, 0);
      QUERN_EXPECT_EQ(job.epoch, 0U);
      QUERN_EXPECT_EQ(job.finished_at, std::optional(s.clock.now()));
      QUERN_EXPECT(!job.started_at.has_value());
    }
    QUERN_EXPECT_EQ(s.claim_ids(), std::vector{none});
    expect_counts_equal_a_recount(s.store());
  });

  add_case(cases, "I24 a deadline does not touch a job that runs", [](Scene& s) {
    auto job = s.job();
    job.deadline = When::after(1min);
    s.add(job);
    const auto claim = s.start(job.id);
    s.clock.advance(1h);
    s.store().promote(10);
    QUERN_EXPECT_EQ(s.state(job.id), JobState::running);
    s.complete(claim);
  });

  add_case(cases, "I12 I24 a job that expires at a claim resolves its dependents", [](Scene& s) {
    auto job = s.job();
    job.deadline = When::after(1min);
    s.add(job);
    const JobId cancelled = s.add(s.child_of({job.id}));
    const JobId runs = s.add(s.child_of({job.id}, ParentPolicy::run));
    s.clock.advance(1min);
    auto claimed = s.claim_ids();
    QUERN_EXPECT_EQ(s.state(job.id), JobState::dead);
    QUERN_EXPECT_EQ(s.state(cancelled), JobState::cancelled);
    if (claimed.empty()) claimed = s.claim_ids();  // what the expiry set free may also be for the next claim
    QUERN_EXPECT_EQ(claimed, std::vector{runs});
  });

  add_case(cases, "a claim takes no more than its limits for all, for each kind and for each queue",
           [](Scene& s) {
             for (const char* kind : {"work", "other", "third"}) {
               for (const char* queue : {"a", "b", "c"}) {
                 for (int i = 0; i < 4; ++i) {
                   auto job = s.job(kind);
                   job.queue = queue;
                   s.add(job);
                 }
               }
             }
             const auto claimed = [&](const ClaimRequest& request, auto name, const std::string& value) {
               const auto claims = s.store().claim(request);
               for (const Claim& claim : claims) QUERN_EXPECT_EQ(s.release(claim), JobState::ready);
               return std::ranges::count_if(claims, [&](const Claim& claim) { return name(claim) == value; });
             };
             const auto kind_of = [](const Claim& c) { return c.kind; };
             const auto queue_of = [](const Claim& c) { return c.queue; };

             ClaimRequest request{
                 .node = s.node, .limit = 100, .kinds = {{"work", 5, 3}, {"other", 0, 3}}, .queues = {}};
             QUERN_EXPECT_EQ(claimed(request, kind_of, "work"), 5);
             QUERN_EXPECT_EQ(claimed(request, kind_of, "other"), 0);
             QUERN_EXPECT_EQ(claimed(request, kind_of, "third"), 0);
             request.limit = 3;
             QUERN_EXPECT_EQ(claimed(request, kind_of, "work"), 3);
             request.limit = 0;
             QUERN_EXPECT(s.store().claim(request).empty());

             request = Scene::request(s.node, 100);
             request.queues = std::vector<ClaimLimit>{
                 {.name = "a", .limit = 2}, {.name = "b"}, {.name = "unknown", .limit = 9}};
             QUERN_EXPECT_EQ(claimed(request, queue_of, "a"), 2);
             QUERN_EXPECT_EQ(claimed(request, queue_of, "b"), 0);
             QUERN_EXPECT_EQ(claimed(request, queue_of, "c"), 0);
             request.queues = std::vector<ClaimLimit>{};
             QUERN_EXPECT(s.store().claim(request).empty());

             request.kinds = {{"work", 3, 3}, {"third", 100, 3}};
             request.queues = std::vector<ClaimLimit>{{.name = "a", .limit = 100}, {.name = "c", .limit = 2}};
             QUERN_EXPECT_EQ(claimed(request, kind_of, "work"), 3);
             QUERN_EXPECT_EQ(claimed(request, kind_of, "third"), 6);
             QUERN_EXPECT_EQ(claimed(request, queue_of, "c"), 2);
             QUERN_EXPECT_EQ(s.counted(JobState::ready), 36U);
           });

  add_case(cases, "jobs of other kinds stay where they are", [](Scene& s) {
    const JobId unknown = s.add(s.job("unknown"));
    QUERN_EXPECT(s.claim().empty());
    QUERN_EXPECT(s.store().claim({.node = s.node, .limit = 10, .kinds = {}, .queues = {}}).empty());
    QUERN_EXPECT_EQ(s.state(unknown), JobState::ready);
    QUERN_EXPECT_EQ(Scene::ids_of(s.store().claim(Scene::request(s.node, 10, {"unknown"}))),
                    std::vector{unknown});
  });

  add_case(cases, "a node that is unknown, dead or retired is given nothing", [](Scene& s) {
    const JobId id = s.add();
    const auto expect_nothing = [&](NodeId node) {
      QUERN_EXPECT(s.store().claim(Scene::request(node)).empty());
      QUERN_EXPECT_EQ(s.state(id), JobState::ready);
      QUERN_EXPECT_EQ(s.get(id).attempt, 0);
    };
    expect_nothing(NodeId{});
    expect_nothing(NodeId{987'654'321});
    const NodeId dead = s.node;
    s.crash_node();
    expect_nothing(dead);
    s.store().retire(s.node);
    expect_nothing(s.node);
    s.start_on(s.new_node(), id);
  });

  add_case(cases, "a claim shows what the job was given", [](Scene& s) {
    auto job = s.job("other");
    job.payload = Payload::json(R"({"n": 1})");
    job.queue = "mail";
    job.priority = Priority::high;
    job.run_at = When::after(1min);
    job.max_attempts = 9;
    job.timeout = 42s;
    job.tenant = "tenant";
    job.tags = {"a", "b"};
    job.created_by = "user:1";
    job.digest = "digest-1";
    job.trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const TimePoint created = s.clock.now();
    s.add(job);
    s.clock.advance(2min);
    s.store().promote(1);
    const Claim claim = s.start(job.id);
    QUERN_EXPECT_EQ(claim.kind, job.kind);
    QUERN_EXPECT_EQ(claim.queue, job.queue);
    QUERN_EXPECT_EQ(claim.payload, job.payload);
    QUERN_EXPECT_EQ(claim.priority.level, 1);
    QUERN_EXPECT_EQ(claim.tenant, job.tenant);
    QUERN_EXPECT_EQ(claim.tags, job.tags);
    QUERN_EXPECT_EQ(claim.created_by, job.created_by);
    QUERN_EXPECT_EQ(claim.digest, job.digest);
    QUERN_EXPECT_EQ(claim.trace, job.trace);
    QUERN_EXPECT(claim.parents.empty());
    QUERN_EXPECT_EQ(claim.run, 1);
    QUERN_EXPECT_EQ(claim.attempt, 1);
    QUERN_EXPECT_EQ(claim.max_attempts, 9);
    QUERN_EXPECT_EQ(claim.timeout, Duration(42s));
    QUERN_EXPECT_EQ(claim.run_at, created + 1min);
    QUERN_EXPECT_EQ(claim.created_at, created);
    QUERN_EXPECT_EQ(claim.claimed_at, s.clock.now());
    const Job running = s.get(job.id);
    QUERN_EXPECT_EQ(running.state, JobState::running);
    QUERN_EXPECT_EQ(running.started_at, std::optional(s.clock.now()));
    s.release(claim);
    s.clock.advance(1s);
    s.start(job.id);
    QUERN_EXPECT_EQ(s.get(job.id).started_at, std::optional(s.clock.now()));
  });

  add_case(cases, "a kind without attempts is refused", [](Scene& s) {
    const JobId id = s.add();
    const ClaimRequest request{.node = s.node, .limit = 1, .kinds = {{"work", 1, 0}}, .queues = {}};
    QUERN_EXPECT_THROWS(InvalidArgument, s.store().claim(request));
    QUERN_EXPECT_EQ(s.state(id), JobState::ready);
  });
}

}  // namespace quern::inline v1::testing::detail
