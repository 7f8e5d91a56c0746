// Rules for how many jobs start in a time: see LimitStore.
#include <algorithm>
#include <atomic>

#include "testing/scene.hpp"

namespace quern::inline v1::testing::detail {
namespace {

LimitRule rate_of(std::int64_t count, Duration per, RateAlgorithm algorithm, std::int64_t burst = 0) {
  LimitRule rule{.name = "rule"};
  rule.rate = {.count = count, .per = per, .algorithm = algorithm, .burst = burst};
  return rule;
}
LimitRule bucket(std::int64_t count, Duration per, std::int64_t burst = 0) {
  return rate_of(count, per, RateAlgorithm::token_bucket, burst);
}
LimitRule window(std::int64_t count, Duration per) {
  return rate_of(count, per, RateAlgorithm::sliding_window);
}

void add_many(const Scene& s, int count) {
  for (int i = 0; i < count; ++i) s.add();
}

LimitStatus status_of(const Scene& s) { return s.store().limits().at(0); }

/// Hears that there may be work.
class Bell final : public StorageObserver {
 public:
  explicit Bell(StoragePort& store) : store_(store) { store_.observe(*this); }
  ~Bell() override { store_.unobserve(*this); }
  void on_work() noexcept override { ++rung; }
  std::atomic<int> rung = 0;

 private:
  StoragePort& store_;
};

}  // namespace

void add_rate_cases(Cases& cases) {
  add_case(cases, "I20 a bucket lets its burst start, and then as many as come in", [](Scene& s) {
    const NodeId other = s.new_node();
    add_many(s, 30);
    s.store().set_limit(bucket(10, 1s, 3));
    QUERN_EXPECT_EQ(s.claim(2).size(), 2U);
    QUERN_EXPECT_EQ(s.store().claim(Scene::request(other)).size(), 1U);
    QUERN_EXPECT(s.claim().empty());
    QUERN_EXPECT(status_of(s).starts == 0U && status_of(s).wait == 100ms);
    s.clock.advance(99'999us);
    QUERN_EXPECT(s.claim().empty());
    QUERN_EXPECT_EQ(status_of(s).wait, Duration(1us));
    s.clock.advance(1us);
    QUERN_EXPECT(status_of(s).starts == 1U && status_of(s).wait == 0us);
    QUERN_EXPECT_EQ(s.claim().size(), 1U);
    s.clock.advance(250ms);
    QUERN_EXPECT_EQ(s.claim().size(), 2U);
    s.clock.advance(50ms);
    QUERN_EXPECT_EQ(s.claim().size(), 1U);
    s.clock.advance(1h);
    s.store().renew(s.node);
    s.node = s.new_node();
    QUERN_EXPECT_EQ(s.claim().size(), 3U);
  });

  add_case(cases, "I20 no window has more starts than its rule says, also not across its borders",
           [](Scene& s) {
             add_many(s, 60);
             s.store().set_limit(window(4, 1s));
             std::vector<std::pair<TimePoint, std::size_t>> starts;
             for (int step = 0; step < 60; ++step) {
               const std::size_t count = s.claim(1 + static_cast<std::size_t>(step % 3)).size();
               starts.emplace_back(s.clock.now(), count);
               s.clock.advance(Duration(137ms + step * 1ms));
               s.store().renew(s.node);
             }
             std::size_t sum = 0;
             for (std::size_t from = 0; from < starts.size(); ++from) {
               std::size_t within = 0;
               for (std::size_t i = from; i < starts.size() && starts[i].first < starts[from].first + 1s; ++i)
                 within += starts[i].second;
               QUERN_EXPECT(within <= 4);
               sum += starts[from].second;
             }
             // It lasted ten seconds: so many windows are nearly full.
             QUERN_EXPECT(sum >= 36);
           });

  add_case(cases, "I20 a start counts until its window has passed, to the microsecond", [](Scene& s) {
    add_many(s, 9);
    s.store().set_limit(window(2, 1s));
    QUERN_EXPECT_EQ(s.claim().size(), 2U);
    s.clock.advance(999'999us);
    QUERN_EXPECT(s.claim().empty());
    s.clock.advance(1us);
    QUERN_EXPECT_EQ(s.claim(1).size(), 1U);
    s.clock.advance(600ms);
    QUERN_EXPECT_EQ(s.claim().size(), 1U);
    QUERN_EXPECT_EQ(status_of(s).wait, Duration(400ms));
    s.clock.advance(400ms);
    QUERN_EXPECT_EQ(s.claim().size(), 1U);
    QUERN_EXPECT(s.claim().empty());
  });

  add_case(cases, "I20 a start counts, whatever becomes of the run", [](Scene& s) {
    add_many(s, 9);
    s.store().set_limit(window(3, 1s));
    const auto claims = s.claim();
    s.complete(claims[0]);
    s.release(claims[1]);
    s.snooze(claims[2], When::after(0s));
    QUERN_EXPECT(s.claim().empty());
    s.clock.advance(1s);
    QUERN_EXPECT_EQ(s.claim().size(), 3U);
  });

  add_case(cases, "I19 I20 a rule for both lets start what both let", [](Scene& s) {
    add_many(s, 20);
    LimitRule rule = window(3, 1s);
    rule.max_running = 2;
    s.store().set_limit(rule);
    auto claims = s.claim();
    QUERN_EXPECT_EQ(claims.size(), 2U);
    QUERN_EXPECT(status_of(s).free == 0U && status_of(s).starts == 1U);
    s.complete(claims[0]);
    QUERN_EXPECT_EQ(s.claim().size(), 1U);
    s.complete(claims[1]);
    QUERN_EXPECT(s.claim().empty());
    QUERN_EXPECT(status_of(s).free == 1U && status_of(s).starts == 0U);
    s.clock.advance(1s);
    QUERN_EXPECT_EQ(s.claim().size(), 1U);
  });

  add_case(cases, "I20 what waits for a rate keeps nothing else from starting", [](Scene& s) {
    LimitRule rule = window(1, 1min);
    rule.kind = "work";
    s.store().set_limit(rule);
    add_many(s, 50);
    const JobId other = s.add(s.job("other"));
    QUERN_EXPECT_EQ(s.claim(1).size(), 1U);
    QUERN_EXPECT_EQ(s.claim_ids(1), std::vector{other});
    QUERN_EXPECT(s.claim().empty());
  });

  add_case(cases, "I20 a clock that is set gives no more than a rate gives after a rest", [](Scene& s) {
    add_many(s, 40);
    for (const LimitRule& rule : {bucket(3, 1min), window(3, 1min)}) {
      s.store().erase_limit("rule");
      s.store().set_limit(rule);
      QUERN_EXPECT_EQ(s.claim().size(), 3U);
      const TimePoint before = s.clock.now();
      s.clock.set_wall(before - 1h);
      QUERN_EXPECT(s.claim().empty());
      s.clock.set_wall(before + 1h);
      std::size_t more = s.claim().size();
      s.clock.set_wall(before - 1h);
      more += s.claim().size();
      QUERN_EXPECT(more <= 3);
      // It goes on, from where the clock is now.
      s.store().renew(s.node);
      s.clock.advance(1min);
      s.node = s.new_node();
      QUERN_EXPECT_EQ(s.claim().size(), 3U);
    }
  });

  add_case(cases, "I20 a changed rate hands out no fresh one", [](Scene& s) {
    add_many(s, 60);
    s.store().set_limit(bucket(10, 1s, 5));
    QUERN_EXPECT_EQ(s.claim().size(), 5U);
    s.store().set_limit(bucket(10, 1s, 5));
    QUERN_EXPECT(s.claim().empty());
    s.store().set_limit(bucket(20, 2s, 50));
    QUERN_EXPECT(s.claim().empty());
    s.store().set_limit(window(10, 1s));
    QUERN_EXPECT(s.claim().empty());
    s.store().set_limit(window(12, 1s));
    QUERN_EXPECT_EQ(s.claim().size(), 2U);
    s.store().set_limit(window(3, 1s));
    s.clock.advance(500ms);
    QUERN_EXPECT(s.claim().empty());
    s.clock.advance(500ms);
    QUERN_EXPECT_EQ(s.claim().size(), 3U);
    s.store().set_limit(bucket(1, 1s, 10));
    QUERN_EXPECT(s.claim().empty());
    s.store().erase_limit("rule");
    QUERN_EXPECT_EQ(s.claim(5).size(), 5U);
  });

  add_case(cases, "I20 a rate that is faster from now on gives the rest of its time as much faster",
           [](Scene& s) {
             add_many(s, 60);
             s.store().set_limit(bucket(1, 10s));
             QUERN_EXPECT_EQ(s.claim().size(), 1U);
             s.clock.advance(5s);
             s.store().set_limit(bucket(10, 10s));
             QUERN_EXPECT_EQ(status_of(s).starts, std::optional<std::uint64_t>(0));
             QUERN_EXPECT_EQ(status_of(s).wait, Duration(500ms));
             s.clock.advance(500ms);
             QUERN_EXPECT_EQ(s.claim().size(), 1U);
             s.clock.advance(1s);
             QUERN_EXPECT_EQ(s.claim().size(), 1U);
           });

  add_case(cases, "while ready jobs wait for a rate it is told when the next one may start", [](Scene& s) {
    s.store().set_limit(window(1, 10s));
    QUERN_EXPECT_EQ(s.store().promote(10).next, TimePoint::max());
    add_many(s, 3);
    QUERN_EXPECT_EQ(s.store().promote(10).next, TimePoint::max());
    const Bell bell(s.store());
    QUERN_EXPECT_EQ(s.claim().size(), 1U);
    QUERN_EXPECT(bell.rung > 0);
    QUERN_EXPECT_EQ(s.store().promote(10).next, s.clock.now() + 10s);
    // Who looks again in vain hears nothing new, and so need not look again.
    const int rung = bell.rung;
    for (int i = 0; i < 5; ++i) {
      s.clock.advance(1s);
      QUERN_EXPECT(s.claim().empty());
      QUERN_EXPECT_EQ(s.store().promote(10).next, s.clock.now() + Duration(9s - i * 1s));
    }
    QUERN_EXPECT_EQ(bell.rung.load(), rung);
    NewJob sooner = s.job();
    sooner.run_at = When::after(2s);
    s.add(sooner);
    QUERN_EXPECT_EQ(s.store().promote(10).next, s.clock.now() + 2s);
    s.clock.advance(5s);
    QUERN_EXPECT_EQ(s.store().promote(10).promoted, 1U);
    const int before = bell.rung;
    QUERN_EXPECT_EQ(s.claim().size(), 1U);
    QUERN_EXPECT(bell.rung > before);
    QUERN_EXPECT_EQ(s.store().promote(10).next, s.clock.now() + 10s);
    s.store().erase_limit("rule");
    QUERN_EXPECT_EQ(s.store().promote(10).next, TimePoint::max());
  });

  add_case(cases, "I20 however many claim at once, no more start than a rate lets", [](Scene& s) {
    constexpr int size = 200;
    add_many(s, size);
    s.store().set_limit(bucket(100, 1s, 30));
    const auto run_all = [&] {
      std::atomic<std::size_t> started = 0;
      in_parallel(4, [&](int thread) {
        StoragePort& store = thread % 2 == 0 ? s.store() : s.fixture.second();
        const NodeId node = store.register_node({.name = "node", .host = "h", .lease = lease});
        for (int i = 0; i < 25; ++i) started += store.claim(Scene::request(node, 3)).size();
      });
      return started.load();
    };
    QUERN_EXPECT_EQ(run_all(), 30U);
    s.clock.advance(200ms);
    QUERN_EXPECT_EQ(run_all(), 20U);
    s.store().set_limit(window(45, 1s));
    // The bucket was empty, so the window is full.
    QUERN_EXPECT_EQ(run_all(), 0U);
    s.clock.advance(1s);
    QUERN_EXPECT_EQ(run_all(), 45U);
  });

  add_durable_case(cases, "I20 a storage that is closed and opened again knows what was started",
                   [](Scene& s) {
                     add_many(s, 20);
                     s.store().set_limit(window(5, 1min));
                     QUERN_EXPECT_EQ(s.claim().size(), 5U);
                     s.fixture.reopen();
                     QUERN_EXPECT(s.claim().empty());
                     s.clock.advance(10s);
                     s.fixture.reopen();
                     QUERN_EXPECT_EQ(status_of(s).wait, Duration(50s));
                     s.store().set_limit(bucket(6, 1min));
                     s.fixture.reopen();
                     QUERN_EXPECT(s.claim().empty());
                     s.clock.advance(10s);
                     QUERN_EXPECT_EQ(s.claim().size(), 1U);
                   });
}

}  // namespace quern::inline v1::testing::detail
