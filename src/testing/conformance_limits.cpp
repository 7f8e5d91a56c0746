// Rules for how many jobs run at once: see LimitStore.
#include <atomic>
#include <exception>

#include "testing/scene.hpp"

namespace quern::inline v1::testing::detail {
namespace {

LimitRule at_once(std::uint64_t most, std::string queue = {}, std::string kind = {},
                  std::string name = "rule") {
  return {.name = std::move(name), .queue = std::move(queue), .kind = std::move(kind), .max_running = most};
}

NewJob job_in(const Scene& s, std::string queue, std::string kind = "work") {
  NewJob job = s.job(std::move(kind));
  job.queue = std::move(queue);
  return job;
}

std::vector<JobId> claim_ids_on(const Scene& s, NodeId node, std::size_t limit = 1000) {
  return Scene::ids_of(s.store().claim(Scene::request(node, limit)));
}

LimitStatus status_of(const Scene& s, std::string_view name = "rule") {
  for (LimitStatus& status : s.store().limits())
    if (status.rule.name == name) return std::move(status);
  throw ConformanceFailure("there is no such rule");
}

std::vector<Claim> turn_over(const Scene& s, const Claim& ended) {
  const Finish finish{.ref = ended.ref};
  Turnover done = s.store().finish_and_claim({&finish, 1}, Scene::request(s.node));
  return done.claimed ? std::move(*done.claimed) : s.claim();
}

/// Tells the other threads when one of them throws.
struct StopAll {
  std::atomic<bool>& flag;
  ~StopAll() {
    if (std::uncaught_exceptions() > 0) flag = true;
  }
};

/// The storage object that the thread uses: half of them the second one, where there is one.
StoragePort& store_for(const Scene& s, int thread) {
  return thread % 2 == 0 ? s.store() : s.fixture.second();
}

void add_cases_of_rules(Cases& cases) {
  add_case(cases, "rules are kept as they were set, by name, and are gone when they are erased",
           [](Scene& s) {
             QUERN_EXPECT(s.store().limits().empty());
             LimitRule b = at_once(3, "mail", "work", "b");
             b.rate = {.count = 7, .per = 2s, .algorithm = RateAlgorithm::token_bucket, .burst = 9};
             const LimitRule a = at_once(1, "", "", "a");
             LimitRule c{.name = "c", .kind = "other"};
             c.rate = {.count = 100'000, .per = 24h * 366, .algorithm = RateAlgorithm::sliding_window};
             for (const LimitRule& rule : {b, c, a}) s.store().set_limit(rule);
             auto all = s.store().limits();
             QUERN_EXPECT_EQ(all.size(), 3U);
             QUERN_EXPECT(all[0].rule == a && all[1].rule == b && all[2].rule == c);
             QUERN_EXPECT(all[0].free == 1U && !all[0].starts && all[0].wait == 0us && all[0].running == 0);
             QUERN_EXPECT(all[1].free == 3U && all[1].starts == 9U);
             QUERN_EXPECT(!all[2].free && all[2].starts == 100'000U);
             b.max_running = 0;
             b.queue = "other";
             s.store().set_limit(b);
             QUERN_EXPECT(status_of(s, "b").rule == b);
             QUERN_EXPECT_EQ(s.store().erase_limit("a"), true);
             QUERN_EXPECT_EQ(s.store().erase_limit("a"), false);
             all = s.store().limits();
             QUERN_EXPECT_EQ(all.size(), 2U);
             QUERN_EXPECT(all[0].rule == b);
           });

  add_case(cases, "rules that say nothing or too much are refused", [](Scene& s) {
    const auto refused = [&](const LimitRule& rule) {
      QUERN_EXPECT_THROWS(InvalidArgument, s.store().set_limit(rule));
    };
    refused({.name = "", .max_running = 1});
    refused({.name = std::string(129, 'x'), .max_running = 1});
    refused({.name = "rule", .queue = std::string(129, 'x'), .max_running = 1});
    refused({.name = "rule", .kind = "\n", .max_running = 1});
    refused({.name = "rule"});
    refused({.name = "rule", .max_running = 1'000'000'001});
    refused({.name = "rule", .rate = {.count = -1, .per = 1s}});
    refused({.name = "rule", .rate = {.count = 100'001, .per = 1s}});
    refused({.name = "rule", .rate = {.count = 1, .per = 999us}});
    refused({.name = "rule", .rate = {.count = 1, .per = 24h * 366 + 1us}});
    refused({.name = "rule", .rate = {.count = 1, .per = 1s, .burst = 100'001}});
    refused({.name = "rule",
             .rate = {.count = 1, .per = 1s, .algorithm = RateAlgorithm::sliding_window, .burst = 1}});
    QUERN_EXPECT(s.store().limits().empty());
  });

  add_case(cases, "so many rules are kept and no more, and each can still be changed", [](Scene& s) {
    for (std::size_t i = 0; i < max_limit_rules; ++i)
      s.store().set_limit(at_once(1, "", "", std::to_string(i)));
    QUERN_EXPECT_THROWS(InvalidArgument, s.store().set_limit(at_once(1, "", "", "more")));
    s.store().set_limit(at_once(2, "", "", "999"));
    QUERN_EXPECT_EQ(s.store().limits().size(), max_limit_rules);
    s.add();
    s.add();
    QUERN_EXPECT_EQ(s.claim().size(), 1U);
    QUERN_EXPECT(s.store().erase_limit("0"));
    s.store().set_limit(at_once(1, "", "", "more"));
  });
}

void add_cases_of_running(Cases& cases) {
  add_case(cases, "I19 two nodes together run no more jobs of a queue than its rule says", [](Scene& s) {
    const NodeId other = s.new_node();
    std::vector<JobId> ids;
    for (int i = 0; i < 8; ++i) ids.push_back(s.add());
    s.store().set_limit(at_once(3, "default"));
    const auto first = s.claim(2);
    const auto second = s.store().claim(Scene::request(other));
    QUERN_EXPECT_EQ(Scene::ids_of(first), (std::vector{ids[0], ids[1]}));
    QUERN_EXPECT_EQ(Scene::ids_of(second), std::vector{ids[2]});
    QUERN_EXPECT(s.claim().empty());
    QUERN_EXPECT(claim_ids_on(s, other).empty());
    const LimitStatus full = status_of(s);
    QUERN_EXPECT(full.running == 3 && full.free == 0U);
    s.complete(second[0]);
    QUERN_EXPECT_EQ(claim_ids_on(s, other), std::vector{ids[3]});
    s.fail(first[0]);
    s.snooze(first[1]);
    QUERN_EXPECT_EQ(status_of(s).running, 1U);
    QUERN_EXPECT_EQ(s.claim_ids(), (std::vector{ids[4], ids[5]}));
  });

  add_case(cases, "I19 a rule is for its queue, its kind, both, or all", [](Scene& s) {
    const auto add_all = [&] {
      for (const char* const queue : {"a", "b"})
        for (const char* const kind : {"work", "other"})
          for (int i = 0; i < 2; ++i) s.add(job_in(s, queue, kind));
    };
    const auto expect_claimed = [&](const LimitRule& rule, std::size_t count) {
      add_all();
      s.store().set_limit(rule);
      const auto claims = s.claim();
      QUERN_EXPECT_EQ(claims.size(), count);
      std::size_t under = 0;
      for (const Claim& claim : claims) under += rule.is_for(claim.queue, claim.kind) ? 1U : 0U;
      QUERN_EXPECT_EQ(under, 1U);
      QUERN_EXPECT_EQ(status_of(s).running, 1U);
      s.store().erase_limit("rule");
      for (const Claim& claim : claims) s.complete(claim);
      for (const Claim& claim : s.claim()) s.complete(claim);
    };
    expect_claimed(at_once(1, "a"), 5);
    expect_claimed(at_once(1, "", "work"), 5);
    expect_claimed(at_once(1, "b", "other"), 7);
    expect_claimed(at_once(1), 1);
  });

  add_case(cases, "I19 a job needs room under all of its rules", [](Scene& s) {
    for (int i = 0; i < 5; ++i) s.add(job_in(s, "a"));
    for (int i = 0; i < 5; ++i) s.add(job_in(s, "b"));
    for (int i = 0; i < 5; ++i) s.add(job_in(s, "b", "other"));
    s.store().set_limit(at_once(3, "", "work", "work"));
    s.store().set_limit(at_once(2, "a", "", "a"));
    s.store().set_limit(at_once(4, "b", "", "b"));
    const auto claims = s.claim();
    // Two of a, one more of the kind, and three others of b.
    QUERN_EXPECT_EQ(claims.size(), 6U);
    QUERN_EXPECT_EQ(status_of(s, "work").running, 3U);
    QUERN_EXPECT_EQ(status_of(s, "a").running, 2U);
    QUERN_EXPECT_EQ(status_of(s, "b").running, 4U);
    QUERN_EXPECT(s.claim().empty());
    s.complete(claims[0]);
    QUERN_EXPECT(claims[0].queue == "a");
    const auto next = s.claim();
    QUERN_EXPECT_EQ(next.size(), 1U);
    QUERN_EXPECT(next[0].queue == "a");
  });

  add_case(cases, "what a rule holds back keeps nothing else from starting, in order", [](Scene& s) {
    std::vector<JobId> held;
    NewJob urgent = job_in(s, "mail");
    urgent.priority = Priority::critical;
    s.add(urgent);
    for (int i = 0; i < 300; ++i) {
      NewJob job = job_in(s, "mail");
      job.priority = Priority{i % 3};
      held.push_back(s.add(job));
    }
    NewJob low = job_in(s, "mail", "other");
    low.priority = Priority{9};
    s.add(low);
    const JobId elsewhere = s.add(job_in(s, "slow"));
    NewJob middle = job_in(s, "mail", "other");
    middle.priority = Priority{1};
    s.add(middle);
    s.store().set_limit(at_once(1, "mail", "work"));
    QUERN_EXPECT_EQ(s.claim_ids(1), std::vector{urgent.id});
    QUERN_EXPECT_EQ(s.claim_ids(1), std::vector{middle.id});
    QUERN_EXPECT_EQ(s.claim_ids(), (std::vector{elsewhere, low.id}));
    QUERN_EXPECT(s.claim().empty());
  });

  add_case(cases, "I13 those that have room start in their order, also where only some have it",
           [](Scene& s) {
             std::vector<JobId> free;
             std::vector<JobId> ruled;
             for (int i = 0; i < 40; ++i) {
               ruled.push_back(s.add(job_in(s, "mail")));
               free.push_back(s.add(job_in(s, "slow")));
             }
             s.store().set_limit(at_once(3, "mail"));
             std::vector<JobId> expected;
             for (std::size_t i = 0; i < 3; ++i) {
               expected.push_back(ruled[i]);
               expected.push_back(free[i]);
             }
             for (std::size_t i = 3; i < 20; ++i) expected.push_back(free[i]);
             const auto claims = s.claim(23);
             QUERN_EXPECT_EQ(Scene::ids_of(claims), expected);
             QUERN_EXPECT_EQ(s.claim_ids(5), (std::vector{free[20], free[21], free[22], free[23], free[24]}));
             s.complete(claims[0]);
             s.complete(claims[2]);
             QUERN_EXPECT_EQ(s.claim_ids(3), (std::vector{ruled[3], ruled[4], free[25]}));
           });

  add_case(cases, "I19 a rule that is changed holds for the next claim, up, down and erased", [](Scene& s) {
    for (int i = 0; i < 20; ++i) s.add();
    s.store().set_limit(at_once(2));
    auto claims = s.claim();
    QUERN_EXPECT_EQ(claims.size(), 2U);
    s.store().set_limit(at_once(5));
    for (Claim& claim : s.claim()) claims.push_back(std::move(claim));
    QUERN_EXPECT_EQ(claims.size(), 5U);
    // Below what runs: nothing is stopped, and nothing starts before enough has ended.
    s.store().set_limit(at_once(3));
    QUERN_EXPECT(status_of(s).running == 5 && status_of(s).free == 0U);
    for (std::size_t ended = 0; ended < 2; ++ended) {
      QUERN_EXPECT(s.claim().empty());
      s.complete(claims[ended]);
    }
    QUERN_EXPECT(s.claim().empty());
    s.complete(claims[2]);
    QUERN_EXPECT_EQ(s.claim().size(), 1U);
    s.store().set_limit(at_once(3, "elsewhere"));
    QUERN_EXPECT_EQ(status_of(s).running, 0U);
    QUERN_EXPECT_EQ(s.claim(1).size(), 1U);
    s.store().set_limit(at_once(4));
    QUERN_EXPECT(s.claim().empty());
    s.store().erase_limit("rule");
    QUERN_EXPECT_EQ(s.claim().size(), 13U);
  });

  add_case(cases, "I19 the slots of a node that died come back when its jobs are rescued, not before",
           [](Scene& s) {
             std::vector<JobId> ids;
             for (int i = 0; i < 4; ++i) ids.push_back(s.add());
             s.store().set_limit(at_once(2, "", "work"));
             QUERN_EXPECT_EQ(s.claim_ids(), (std::vector{ids[0], ids[1]}));
             s.clock.advance(lease + 1s);
             s.node = s.new_node();
             QUERN_EXPECT(s.claim().empty());
             QUERN_EXPECT_EQ(s.rescue(1).rescued, 1U);
             QUERN_EXPECT_EQ(status_of(s).running, 1U);
             QUERN_EXPECT_EQ(s.claim().size(), 1U);
             QUERN_EXPECT(s.claim().empty());
             s.rescue();
             QUERN_EXPECT_EQ(s.claim().size(), 1U);
             QUERN_EXPECT_EQ(status_of(s).running, 2U);
           });

  add_case(cases, "I19 a call that ends a run takes no more than the slot that it frees", [](Scene& s) {
    std::vector<JobId> ids;
    for (int i = 0; i < 6; ++i) ids.push_back(s.add());
    s.store().set_limit(at_once(2, "default"));
    auto running = s.claim();
    QUERN_EXPECT_EQ(running.size(), 2U);
    for (std::size_t i = 2; i < 6; ++i) {
      auto next = turn_over(s, running[i % 2]);
      QUERN_EXPECT_EQ(Scene::ids_of(next), std::vector{ids[i]});
      QUERN_EXPECT_EQ(status_of(s).running, 2U);
      running[i % 2] = next[0];
    }
    // One that is handed back leaves its slot to whoever is next, itself.
    const Finish back{.ref = running[0].ref, .outcome = Outcome::released};
    const auto done = s.store().finish_and_claim({&back, 1}, Scene::request(s.node));
    QUERN_EXPECT_EQ((done.claimed ? *done.claimed : s.claim()).size(), 1U);
    QUERN_EXPECT_EQ(status_of(s).running, 2U);
  });

  add_case(cases, "I18 I19 a paused queue uses up no rule, and after its pause the rule holds", [](Scene& s) {
    for (int i = 0; i < 3; ++i) s.add(job_in(s, "paused"));
    const JobId here = s.add();
    s.store().set_limit(at_once(1));
    s.store().pause("paused");
    const auto claims = s.claim();
    QUERN_EXPECT_EQ(Scene::ids_of(claims), std::vector{here});
    s.store().resume("paused");
    QUERN_EXPECT(s.claim().empty());
    s.complete(claims[0]);
    QUERN_EXPECT_EQ(s.claim().size(), 1U);
  });

  add_case(cases, "I13 I19 jobs age while a rule holds them back", [](Scene& s) {
    NewJob low = job_in(s, "mail");
    low.priority = Priority{5};
    s.add(low);
    s.clock.advance(1h);
    const JobId high = s.add(job_in(s, "mail"));
    const JobId elsewhere = s.add(job_in(s, "slow"));
    s.store().set_limit(at_once(1, "mail"));
    auto request = Scene::request(s.node);
    request.ageing = 1min;
    const auto claims = s.store().claim(request);
    QUERN_EXPECT_EQ(Scene::ids_of(claims), (std::vector{low.id, elsewhere}));
    QUERN_EXPECT(s.store().claim(request).empty());
    s.complete(claims[0]);
    QUERN_EXPECT_EQ(Scene::ids_of(s.store().claim(request)), std::vector{high});
  });

  add_case(cases, "I19 a rule and the limits of a claim hold together", [](Scene& s) {
    for (int i = 0; i < 4; ++i) s.add(job_in(s, "a"));
    for (int i = 0; i < 4; ++i) s.add(job_in(s, "b", "other"));
    s.store().set_limit(at_once(5));
    s.store().set_limit(at_once(3, "a", "", "a"));
    auto request = Scene::request(s.node);
    request.kinds = {{"work", 4, kind_attempts}, {"other", 1, kind_attempts}};
    request.queues = {{.name = "a", .limit = 4}, {.name = "b", .limit = 4}};
    QUERN_EXPECT_EQ(s.store().claim(request).size(), 4U);
    QUERN_EXPECT_EQ(s.store().claim(request).size(), 1U);
    QUERN_EXPECT_EQ(s.store().claim(request).size(), 0U);
  });

  add_case(cases, "I19 jobs that expire in a claim take no slot", [](Scene& s) {
    NewJob late = s.job();
    late.deadline = When::after(1s);
    s.add(late);
    const JobId next = s.add();
    s.add();
    s.store().set_limit(at_once(1));
    s.clock.advance(2s);
    std::vector<JobId> started = s.claim_ids();
    if (started.empty()) started = s.claim_ids();  // its bounds are not promised where jobs expire
    QUERN_EXPECT_EQ(started, std::vector{next});
    QUERN_EXPECT_EQ(s.state(late.id), JobState::dead);
    QUERN_EXPECT(s.claim().empty());
  });

  add_case(cases, "I19 jobs of a lane that is new when the rule is old count", [](Scene& s) {
    s.store().set_limit(at_once(1, "new", "work"));
    s.store().set_limit(at_once(2, "", "", "all"));
    s.add(job_in(s, "new"));
    s.add(job_in(s, "new"));
    s.add(job_in(s, "newer"));
    s.add(job_in(s, "newer"));
    QUERN_EXPECT_EQ(s.claim().size(), 2U);
    QUERN_EXPECT_EQ(status_of(s).running, 1U);
    QUERN_EXPECT_EQ(status_of(s, "all").running, 2U);
  });
}

void add_cases_of_sharing(Cases& cases) {
  add_case(cases, "I19 a rule that one object sets holds for the claims of another", [](Scene& s) {
    StoragePort& second = s.fixture.second();
    for (int i = 0; i < 5; ++i) s.add();
    second.claim(Scene::request(s.node, 0));
    s.store().set_limit(at_once(1));
    QUERN_EXPECT_EQ(second.claim(Scene::request(s.node)).size(), 1U);
    QUERN_EXPECT(s.claim().empty());
    second.set_limit(at_once(3));
    QUERN_EXPECT_EQ(s.claim().size(), 2U);
    QUERN_EXPECT_EQ(second.limits().at(0).running, 3U);
    second.erase_limit("rule");
    QUERN_EXPECT_EQ(s.claim().size(), 2U);
  });

  add_case(cases, "I19 at no instant do more jobs run than the rules say, whoever claims", [](Scene& s) {
    constexpr std::size_t size = 240;
    const JobId first = s.store().reserve_ids(size);
    std::vector<NewJob> jobs;
    for (std::size_t i = 0; i < size; ++i) {
      jobs.push_back({.id = JobId{first.value + i}, .kind = i % 3 == 0 ? "other" : "work"});
      jobs.back().queue.assign(1, i % 2 == 0 ? 'a' : 'b');  // g++ 12 warns of assigning one of two literals
    }
    s.store().insert(jobs);
    s.store().set_limit(at_once(5));
    s.store().set_limit(at_once(3, "a", "", "a"));
    s.store().set_limit(at_once(1, "", "other", "other"));
    std::atomic<int> running = 0;
    std::atomic<int> of_a = 0;
    std::atomic<int> of_other = 0;
    std::atomic<std::size_t> done = 0;
    std::atomic<bool> failed = false;
    in_parallel(4, [&](int thread) {
      StoragePort& store = store_for(s, thread);
      const NodeId node = store.register_node({.name = "node", .host = "h"});
      const StopAll stop_all{failed};
      while (done < size && !failed) {
        auto claims = store.claim(Scene::request(node, 1 + static_cast<std::size_t>(thread)));
        bool fits = true;
        for (const Claim& claim : claims) {
          if (claim.queue == "a") fits = ++of_a <= 3 && fits;
          if (claim.kind == "other") fits = ++of_other <= 1 && fits;
          fits = ++running <= 5 && fits;
        }
        QUERN_EXPECT(fits);
        std::vector<Finish> finishes;
        for (const Claim& claim : claims) {
          finishes.push_back({.ref = claim.ref});
          // From here on it may well have ended.
          --running;
          if (claim.queue == "a") --of_a;
          if (claim.kind == "other") --of_other;
        }
        if (finishes.empty()) continue;
        for (const auto& result : store.finish(finishes))
          QUERN_EXPECT_EQ(result.status, FinishStatus::recorded);
        done += finishes.size();
      }
    });
    QUERN_EXPECT_EQ(done.load(), size);
    for (const LimitStatus& status : s.store().limits()) QUERN_EXPECT_EQ(status.running, 0U);
    expect_counts_equal_a_recount(s.store());
  });

  add_durable_case(cases, "I19 rules are there when the storage was closed and opened again", [](Scene& s) {
    for (int i = 0; i < 5; ++i) s.add();
    s.store().set_limit(at_once(2, "default"));
    QUERN_EXPECT_EQ(s.claim(1).size(), 1U);
    s.fixture.reopen();
    QUERN_EXPECT(status_of(s).rule == at_once(2, "default"));
    QUERN_EXPECT_EQ(status_of(s).running, 1U);
    QUERN_EXPECT_EQ(s.claim().size(), 1U);
    QUERN_EXPECT(s.claim().empty());
  });
}

}  // namespace

void add_rule_cases(Cases& cases) {
  add_cases_of_rules(cases);
  add_cases_of_running(cases);
  add_cases_of_sharing(cases);
}

}  // namespace quern::inline v1::testing::detail
