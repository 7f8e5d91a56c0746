// `finish_and_claim`, where a storage has it: what `finish` and then `claim` do, at once.
#include <algorithm>

#include "testing/scene.hpp"

namespace quern::inline v1::testing::detail {
namespace {

/// Both in one call, whose finishes must be as many as were given. Where the storage left it at those, the
/// claim is asked for.
struct Both {
  std::vector<FinishResult> finished;
  std::vector<Claim> claimed;
};
Both finish_and_claim(const Scene& s, std::vector<Finish> finishes, const ClaimRequest& request) {
  Turnover done = s.store().finish_and_claim(finishes, request);
  QUERN_EXPECT_EQ(done.finished.size(), finishes.size());
  if (!s.store().joins_finish_and_claim()) QUERN_EXPECT(!done.claimed.has_value());
  return {std::move(done.finished), done.claimed ? std::move(*done.claimed) : s.store().claim(request)};
}
Both finish_and_claim(const Scene& s, std::vector<Finish> finishes, std::size_t limit = 1000) {
  return finish_and_claim(s, std::move(finishes), Scene::request(s.node, limit));
}

/// Keeps the types of all events.
class Types final : public StorageObserver {
 public:
  explicit Types(StoragePort& store) : store_(store) { store_.observe(*this); }
  ~Types() override { store_.unobserve(*this); }
  void on_work() noexcept override {}
  void on_cancel(std::span<const JobId> /*running*/) noexcept override {}
  [[nodiscard]] bool wants_events() const noexcept override { return true; }
  void on_events(std::span<const JobEvent> events) noexcept override {
    for (const JobEvent& event : events) seen.emplace_back(event.type, event.id);
  }
  std::vector<std::pair<JobEventType, JobId>> seen{};

 private:
  StoragePort& store_;
};

}  // namespace

void add_turnover_cases(Cases& cases) {
  add_case(cases, "I03 I07 one call ends runs and starts the next jobs", [](Scene& s) {
    const JobId first = s.add();
    const JobId second = s.add();
    const JobId third = s.add();
    const auto run = s.claim(1).at(0);
    QUERN_EXPECT_EQ(run.ref.id, first);
    s.clock.advance(1s);
    auto both = finish_and_claim(s, {{.ref = run.ref, .result = Payload::json("7")}}, 1);
    QUERN_EXPECT_EQ(both.finished.at(0).status, FinishStatus::recorded);
    QUERN_EXPECT_EQ(both.finished.at(0).state, JobState::completed);
    QUERN_EXPECT_EQ(s.get(first).result, std::optional(Payload::json("7")));
    QUERN_EXPECT_EQ(Scene::ids_of(both.claimed), std::vector{second});
    QUERN_EXPECT_EQ(both.claimed.at(0).attempt, 1);
    QUERN_EXPECT_EQ(both.claimed.at(0).claimed_at, s.clock.now());
    QUERN_EXPECT_EQ(s.state(second), JobState::running);
    QUERN_EXPECT_EQ(s.state(third), JobState::ready);
    both = finish_and_claim(s, {{.ref = both.claimed.at(0).ref}});
    QUERN_EXPECT_EQ(Scene::ids_of(both.claimed), std::vector{third});
    both = finish_and_claim(s, {{.ref = both.claimed.at(0).ref}});
    QUERN_EXPECT(both.claimed.empty());
    QUERN_EXPECT_EQ(s.counted(JobState::completed), std::uint64_t{3});
    expect_counts_equal_a_recount(s.store());
  });

  add_case(cases, "I05 I07 what the ends make ready is there for the claim of their call", [](Scene& s) {
    const JobId parent = s.add();
    const auto run = s.start(parent);
    const JobId child = s.add(s.child_of({parent}));
    NewJob next = s.job();
    const JobId follow_up = next.id;
    auto both = finish_and_claim(s, {{.ref = run.ref, .jobs = {next}}});
    QUERN_EXPECT_EQ(Scene::ids_of(both.claimed), (std::vector{child, follow_up}));
    const Finish released{.ref = both.claimed.at(0).ref, .outcome = Outcome::released};
    const Finish failed{
        .ref = both.claimed.at(1).ref, .outcome = Outcome::failed, .message = "no", .again = When()};
    both = finish_and_claim(s, {released, failed});
    QUERN_EXPECT_EQ(both.finished.at(0).state, JobState::ready);
    QUERN_EXPECT_EQ(Scene::ids_of(both.claimed), (std::vector{child, follow_up}));
    QUERN_EXPECT_EQ(both.claimed.at(0).attempt, 1);
    QUERN_EXPECT_EQ(both.claimed.at(1).attempt, 2);
    QUERN_EXPECT(both.claimed.at(1).ref.epoch > failed.ref.epoch);
    QUERN_EXPECT_EQ(s.try_finish(failed.ref, Outcome::completed), FinishStatus::lost);
    expect_counts_equal_a_recount(s.store());
  });

  add_case(cases, "I01 where the ends are refused nothing has changed and nothing starts", [](Scene& s) {
    const auto run = s.start(s.add());
    const JobId waits = s.add();
    NewJob orphan = s.job();
    orphan.parents = {s.job().id};
    const std::vector<Finish> finishes{{.ref = run.ref, .jobs = {orphan}}};
    QUERN_EXPECT_THROWS(InvalidArgument, s.store().finish_and_claim(finishes, Scene::request(s.node)));
    QUERN_EXPECT_EQ(s.state(run.ref.id), JobState::running);
    QUERN_EXPECT_EQ(s.state(waits), JobState::ready);
    s.complete(run);
    QUERN_EXPECT_EQ(s.claim_ids(), std::vector{waits});
  });

  add_case(cases, "where the claim is refused nothing has ended", [](Scene& s) {
    if (!s.store().joins_finish_and_claim()) return;
    const auto run = s.start(s.add());
    const std::vector<Finish> finishes{{.ref = run.ref}};
    auto request = Scene::request(s.node);
    request.ageing = -1s;
    QUERN_EXPECT_THROWS(InvalidArgument, s.store().finish_and_claim(finishes, request));
    QUERN_EXPECT_EQ(s.state(run.ref.id), JobState::running);
    s.complete(run);
  });

  add_case(cases, "I03 I04 a lost run ends nothing and keeps nobody from the next jobs", [](Scene& s) {
    const auto old = s.start(s.add());
    s.crash_node();
    const auto run = s.start(old.ref.id);
    const JobId waits = s.add();
    auto both = finish_and_claim(s, {{.ref = old.ref}});
    QUERN_EXPECT_EQ(both.finished.at(0).status, FinishStatus::lost);
    QUERN_EXPECT_EQ(s.state(run.ref.id), JobState::running);
    QUERN_EXPECT_EQ(Scene::ids_of(both.claimed), std::vector{waits});
    both = finish_and_claim(s, {{.ref = run.ref}, {.ref = run.ref}, {.ref = both.claimed.at(0).ref}});
    QUERN_EXPECT_EQ(both.finished.at(0).status, FinishStatus::recorded);
    QUERN_EXPECT_EQ(both.finished.at(1).status, FinishStatus::lost);
    QUERN_EXPECT_EQ(both.finished.at(2).status, FinishStatus::recorded);
    expect_counts_equal_a_recount(s.store());
  });

  add_case(cases, "I03 a node that has ended ends nothing and starts nothing", [](Scene& s) {
    const auto run = s.start(s.add());
    const JobId waits = s.add();
    s.store().retire(s.node);
    const auto both = finish_and_claim(s, {{.ref = run.ref}});
    QUERN_EXPECT_EQ(both.finished.at(0).status, FinishStatus::lost);
    QUERN_EXPECT(both.claimed.empty());
    QUERN_EXPECT_EQ(s.state(waits), JobState::ready);
    QUERN_EXPECT_EQ(s.state(run.ref.id), JobState::running);
  });

  add_case(cases, "a claim of the same call keeps to its kinds, its queues and their pauses", [](Scene& s) {
    const auto run = s.start(s.add());
    s.add(s.job("other"));
    NewJob elsewhere = s.job();
    elsewhere.queue = "elsewhere";
    s.add(elsewhere);
    NewJob paused = s.job();
    paused.queue = "paused";
    s.add(paused);
    const JobId wanted = s.add();
    s.store().pause("paused");
    auto request = Scene::request(s.node, 10, {"work"});
    request.queues = {{.name = "default", .limit = 10}, {.name = "paused", .limit = 10}};
    const auto both = finish_and_claim(s, {{.ref = run.ref}}, request);
    QUERN_EXPECT_EQ(Scene::ids_of(both.claimed), std::vector{wanted});
  });

  add_case(cases, "the ends of a call are told before what it starts", [](Scene& s) {
    const auto run = s.start(s.add());
    const JobId next = s.add();
    const Types types(s.store());
    finish_and_claim(s, {{.ref = run.ref}});
    using Seen = std::vector<std::pair<JobEventType, JobId>>;
    QUERN_EXPECT(types.seen == (Seen{{JobEventType::completed, run.ref.id}, {JobEventType::started, next}}));
  });

  add_case(cases, "without ends it is a claim, and without room it is a finish", [](Scene& s) {
    const JobId id = s.add();
    const auto none = finish_and_claim(s, {});
    QUERN_EXPECT_EQ(Scene::ids_of(none.claimed), std::vector{id});
    s.add();
    const auto both = finish_and_claim(s, {{.ref = none.claimed.at(0).ref}}, 0);
    QUERN_EXPECT_EQ(both.finished.at(0).state, JobState::completed);
    QUERN_EXPECT(both.claimed.empty());
  });
}

}  // namespace quern::inline v1::testing::detail
