#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "support/catch.hpp"
#include "support/engine.hpp"

using namespace quern_test;
using quern::JobContext;
using quern::JobEvent;
using quern::JobEventType;
using quern::JobResult;
using quern::Payload;

namespace {
constexpr quern::SubscribeOptions by_hand{.own_thread = false};
}

TEST_CASE("a job's life is told in order", "[events]") {
  Engine engine;
  std::vector<std::string> life;
  int calls = 0;
  engine.handlers.on("work", [&](JobContext& context) {
    context.progress(50, "half");
    if (++calls == 1) return JobResult::snoozed(1s);
    if (calls == 2) return JobResult::failed("no luck");
    return JobResult::completed();
  });
  auto subscription = engine.queue.subscribe(
      [&](const JobEvent& event) { life.emplace_back(to_string(event.type)); }, by_hand);
  const auto processor = engine.processor();
  engine.queue.enqueue("work", Payload());
  engine.pass(*processor, 1h);
  subscription.pump();
  CHECK(life == std::vector<std::string>{"job.created", "job.started", "job.progress_updated", "job.snoozed",
                                         "job.started", "job.progress_updated", "job.failed", "job.retrying",
                                         "job.started", "job.progress_updated", "job.completed"});
}

TEST_CASE("the events of jobs that die or are cancelled or rescued carry the reason", "[events]") {
  Engine engine;
  std::vector<JobEvent> events;
  engine.handlers.on("bad", [](JobContext&) { return JobResult::discarded("hopeless"); });
  auto subscription =
      engine.queue.subscribe([&](const JobEvent& event) { events.push_back(event); }, by_hand);
  const auto processor = engine.processor();
  const auto bad = engine.queue.enqueue("bad", Payload()).id;
  const auto waiting = engine.queue.enqueue("none", Payload()).id;
  const auto blocked = engine.queue.enqueue("none", Payload(), {.parents = {waiting}}).id;
  engine.settle(*processor);
  engine.queue.cancel(waiting, "ada");
  subscription.pump();
  const auto types_of = [&](quern::JobId id) {
    std::vector<std::string> types;
    for (const auto& event : events)
      if (event.id == id) types.emplace_back(to_string(event.type));
    return types;
  };
  CHECK(types_of(bad) == std::vector<std::string>{"job.created", "job.started", "job.failed", "job.dead"});
  CHECK(types_of(waiting) == std::vector<std::string>{"job.created", "job.cancelled"});
  CHECK(types_of(blocked) == std::vector<std::string>{"job.created", "job.blocked", "job.cancelled"});
  for (const auto& event : events)
    if (event.type == JobEventType::dead) CHECK(event.message == "hopeless");
}

TEST_CASE("a slow subscriber loses the oldest events and is told how many", "[events]") {
  Engine engine;
  std::vector<std::uint64_t> seen;
  auto subscription = engine.queue.subscribe([&](const JobEvent& event) { seen.push_back(event.id.value); },
                                             {.capacity = 10, .own_thread = false});
  for (int i = 0; i < 25; ++i) engine.queue.enqueue("work", Payload());
  CHECK(subscription.pump() == 10);
  CHECK(subscription.dropped() == 15);
  CHECK(seen.front() == 16);
  CHECK(seen.back() == 25);
}

TEST_CASE("a subscriber that throws is counted and harms nobody", "[events]") {
  Engine engine;
  int others = 0;
  auto thrower = engine.queue.subscribe([](const JobEvent&) { throw std::runtime_error("no"); }, by_hand);
  auto other = engine.queue.subscribe([&](const JobEvent&) { ++others; }, by_hand);
  engine.queue.enqueue("work", Payload());
  CHECK_NOTHROW(thrower.pump());
  other.pump();
  CHECK(thrower.failures() == 1);
  CHECK(others == 1);
}

TEST_CASE("events are delivered by a thread of the subscription's own", "[events]") {
  Engine engine;
  std::atomic<int> count{0};
  std::thread::id deliverer;
  {
    auto subscription = engine.queue.subscribe([&](const JobEvent&) {
      deliverer = std::this_thread::get_id();
      ++count;
    });
    for (int i = 0; i < 100; ++i) engine.queue.enqueue("work", Payload());
    CHECK(subscription.wait_delivered(60s));
    CHECK(count == 100);
  }
  CHECK(deliverer != std::this_thread::get_id());
  engine.queue.enqueue("work", Payload());
  CHECK(count == 100);
}

TEST_CASE("a subscription may end itself within its own callback", "[events]") {
  Engine engine;
  auto subscription = std::make_unique<quern::Subscription>();
  std::mutex mutex;
  std::condition_variable ended;
  bool done = false;
  std::unique_lock lock(mutex);
  *subscription = engine.queue.subscribe([&](const JobEvent&) {
    const std::lock_guard inner(mutex);
    subscription.reset();
    done = true;
    ended.notify_all();
  });
  engine.queue.enqueue("work", Payload());
  CHECK(ended.wait_for(lock, 60s, [&] { return done; }));
}

TEST_CASE("events of one job keep their order while many threads work on the queue", "[events]") {
  quern_test::EngineStorage own;
  quern::AnyStorage& storage = own.storage;
  quern::JobQueue queue{storage};
  std::mutex mutex;
  std::map<std::uint64_t, std::vector<JobEventType>> lives;
  auto subscription = queue.subscribe(
      [&](const JobEvent& event) {
        const std::lock_guard lock(mutex);
        lives[event.id.value].push_back(event.type);
      },
      {.capacity = 100'000});
  quern::HandlerRegistry handlers;
  handlers.on("work", [](JobContext&) {});
  quern::Processor processor{queue, handlers, {.max_concurrent_jobs = 4}};
  processor.start();
  {
    std::vector<std::jthread> producers;
    for (int p = 0; p < 3; ++p)
      producers.emplace_back([&] {
        for (int i = 0; i < 300; ++i) queue.enqueue("work", Payload());
      });
  }
  processor.run_until([&] {
    const auto counts = queue.count();
    return counts.size() == 1 && counts[0].state == quern::JobState::completed && counts[0].count == 900;
  });
  processor.stop();
  REQUIRE(subscription.wait_delivered(60s));
  CHECK(lives.size() == 900);
  const std::vector<JobEventType> whole{JobEventType::created, JobEventType::started,
                                        JobEventType::completed};
  for (const auto& [id, life] : lives) REQUIRE(life == whole);
}
