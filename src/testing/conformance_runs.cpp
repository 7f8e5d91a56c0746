#include "testing/scene.hpp"

namespace quern::inline v1::testing::detail {

void add_run_cases(Cases& cases) {
  add_case(cases, "progress goes up within a run and never back", [](Scene& s) {
    const auto claim = s.start(s.add());
    const auto shown = [&] { return s.get(claim.ref.id).progress; };
    QUERN_EXPECT_EQ(shown(), Progress{});
    QUERN_EXPECT_EQ(s.progress(claim.ref, 40, "fetched"), RunCheck::held);
    QUERN_EXPECT_EQ(shown(), (Progress{40, "fetched"}));
    s.progress(claim.ref, 30, "again");
    QUERN_EXPECT_EQ(shown().percent, 40);
    s.progress(claim.ref, -5);
    QUERN_EXPECT_EQ(shown().percent, 40);
    s.progress(claim.ref, 1000, "done");
    QUERN_EXPECT_EQ(shown(), (Progress{100, "done"}));
    s.complete(claim);
    QUERN_EXPECT_EQ(shown().percent, 100);
  });

  add_case(cases,
           "progress is shown over retries until the new attempt reports, and begins anew with a new run",
           [](Scene& s) {
             const JobId id = s.add();
             auto claim = s.start(id);
             s.progress(claim.ref, 70, "seventy");
             s.fail(claim, When());
             QUERN_EXPECT_EQ(s.get(id).progress, (Progress{70, "seventy"}));
             claim = s.start(id);
             QUERN_EXPECT_EQ(s.get(id).progress.percent, 70);
             s.progress(claim.ref, 10, "ten");
             QUERN_EXPECT_EQ(s.get(id).progress, (Progress{10, "ten"}));
             s.complete(claim);
             s.retry(id);
             QUERN_EXPECT_EQ(s.get(id).progress, Progress{});
             claim = s.start(id);
             s.progress(claim.ref, 5);
             QUERN_EXPECT_EQ(s.get(id).progress.percent, 5);
           });

  add_case(cases, "I04 in a batch of progress those of lost runs change nothing", [](Scene& s) {
    s.add();
    s.add();
    const auto claims = s.claim();
    s.release(claims[0]);
    const std::vector<ProgressUpdate> updates{
        {claims[0].ref, {50, "lost"}}, {claims[1].ref, {50, "held"}}, {claims[1].ref, {60, "later"}}};
    const auto checks = s.store().progress(updates);
    QUERN_EXPECT_EQ(checks, (std::vector{RunCheck::lost, RunCheck::held, RunCheck::held}));
    QUERN_EXPECT_EQ(s.get(claims[0].ref.id).progress, Progress{});
    QUERN_EXPECT_EQ(s.get(claims[1].ref.id).progress, (Progress{60, "later"}));
  });

  add_case(cases, "a step is kept once, in order, over retries, snoozes and crashes", [](Scene& s) {
    const JobId id = s.add();
    const auto keep = [&](const Claim& claim, std::string name, std::string value) {
      return s.store().save_step(claim.ref,
                                 {.name = std::move(name), .value = Payload::json(std::move(value))});
    };
    auto claim = s.start(id);
    QUERN_EXPECT(s.store().steps(id).empty());
    QUERN_EXPECT_EQ(keep(claim, "zeta", "1"), RunCheck::held);
    s.fail(claim, When());
    claim = s.start(id);
    QUERN_EXPECT_EQ(keep(claim, "zeta", "2"), RunCheck::held);  // is there, stays as it was
    QUERN_EXPECT_EQ(keep(claim, "alpha", "3"), RunCheck::held);
    s.snooze(claim, When());
    s.start(id);
    s.crash_node();
    claim = s.start(id);
    QUERN_EXPECT_EQ(keep(claim, "mid", "4"), RunCheck::held);
    s.complete(claim);
    const auto steps = s.store().steps(id);
    QUERN_EXPECT_EQ(steps.size(), std::size_t{3});
    QUERN_EXPECT_EQ(steps[0].name, std::string("zeta"));
    QUERN_EXPECT_EQ(steps[0].value, Payload::json("1"));
    QUERN_EXPECT_EQ(steps[1].name, std::string("alpha"));
    QUERN_EXPECT_EQ(steps[2].name, std::string("mid"));
    QUERN_EXPECT(s.store().steps(s.add()).empty());
    QUERN_EXPECT(s.store().steps(JobId{987'654'321}).empty());
  });

  add_case(cases, "steps end with their run, and with their job", [](Scene& s) {
    const JobId id = s.add();
    auto claim = s.start(id);
    s.store().save_step(claim.ref, {.name = "fetch", .value = Payload::json("1")});
    s.complete(claim);
    s.retry(id);
    QUERN_EXPECT(s.store().steps(id).empty());
    claim = s.start(id);
    s.store().save_step(claim.ref, {.name = "fetch", .value = Payload::json("2")});
    QUERN_EXPECT_EQ(s.store().steps(id).at(0).value, Payload::json("2"));
    s.complete(claim);
    QUERN_EXPECT_EQ(s.store().prune({}).pruned, std::size_t{1});
    QUERN_EXPECT(s.store().steps(id).empty());
  });
}

}  // namespace quern::inline v1::testing::detail
