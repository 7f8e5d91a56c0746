// How a processor hears of what other processes do to its storage.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "quern/quern.hpp"
#include "storage/forwarding_storage.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using quern::JobId;
using quern::JobState;

namespace {

/// A storage that others share: its own observers hear of nothing but what the test tells them.
class SharedStorage final : public quern_test::ForwardingStorage {
 public:
  using ForwardingStorage::ForwardingStorage;
  void observe(quern::StorageObserver& told) override {
    if (told.wants_foreign_changes()) observer = &told;
  }
  void unobserve(quern::StorageObserver& /*told*/) override { observer = nullptr; }
  std::uint64_t foreign_changes() override { return changes ? ++asked : asked; }
  [[nodiscard]] bool watches_foreign_changes() const override { return watches; }
  std::vector<quern::Claim> claim(const quern::ClaimRequest& request) override {
    calls.emplace_back("claim");
    return ForwardingStorage::claim(request);
  }
  quern::PromoteResult promote(std::size_t limit) override {
    calls.emplace_back("promote");
    return ForwardingStorage::promote(limit);
  }

  bool watches = true;
  bool changes = true;
  std::uint64_t asked = 0;
  std::vector<std::string> calls;
  quern::StorageObserver* observer = nullptr;
};

struct Scene {
  quern::ManualClock clock;
  quern::StorageAdapter<quern::MemoryStorage> inner{quern::ClockRef(clock)};
  SharedStorage storage{inner};
  quern::JobQueue<SharedStorage> queue{storage};
  quern::HandlerRegistry handlers = quern::HandlerRegistry().on("work", [](quern::JobContext&) {});
  std::unique_ptr<quern::Processor<SharedStorage, quern::InlineExecutor>> processor =
      std::make_unique<quern::Processor<SharedStorage, quern::InlineExecutor>>(queue, handlers);

  quern::NextTick settle() {
    for (;;) {
      const quern::NextTick next = processor->tick(clock.now());
      if (next.at > clock.now()) return next;
    }
  }
  /// As another process would.
  JobId add(quern::When run_at = {}, quern::Priority priority = quern::Priority::normal) {
    const quern::NewJob job{
        .id = inner.reserve_ids(1), .kind = "work", .priority = priority, .run_at = run_at};
    inner.insert({&job, 1});
    return job.id;
  }
  [[nodiscard]] JobState state(JobId id) { return inner.find({&id, 1}).at(0).value().state; }
  int ticks_of_a_minute() {
    const auto end = clock.now() + 1min;
    int ticks = 0;
    for (; clock.now() < end; ++ticks) clock.advance(settle().at - clock.now());
    return ticks;
  }
};

}  // namespace

TEST_CASE("a processor asks for foreign changes on a timer only where its storage does not watch for them",
          "[processor]") {
  Scene scene;
  scene.settle();
  CHECK(scene.ticks_of_a_minute() <= 100);
  scene.storage.watches = false;
  CHECK(scene.ticks_of_a_minute() >= 1000);  // each 50 ms
  scene.storage.watches = true;
  CHECK(scene.ticks_of_a_minute() <= 100);
}

TEST_CASE("a processor that is told of a foreign change looks for work at once", "[processor]") {
  Scene scene;
  scene.settle();
  const JobId id = scene.add();
  CHECK(scene.settle().at > scene.clock.now());
  CHECK(scene.state(id) == JobState::ready);  // nobody has told it
  REQUIRE(scene.storage.observer != nullptr);
  scene.storage.observer->on_foreign_change();
  scene.settle();
  CHECK(scene.state(id) == JobState::completed);
}

TEST_CASE("a foreign change that got lost delays a job until the next poll", "[processor]") {
  Scene scene;
  scene.settle();
  const JobId id = scene.add();
  const auto begin = scene.clock.now();
  while (scene.state(id) != JobState::completed) scene.clock.advance(scene.settle().at - scene.clock.now());
  CHECK(scene.clock.now() - begin <= 2s);
}

TEST_CASE(
    "a storage that watches by itself is looked through at every tenth poll though it says nothing changed",
    "[processor]") {
  Scene scene;
  scene.storage.changes = false;
  scene.settle();
  const JobId id = scene.add();
  const auto begin = scene.clock.now();
  while (scene.state(id) != JobState::completed) scene.clock.advance(scene.settle().at - scene.clock.now());
  CHECK(scene.clock.now() - begin > 1s);
  CHECK(scene.clock.now() - begin <= 10s + 10ms);
}

TEST_CASE("a job that a foreign change tells of begins before anything else is asked", "[processor]") {
  Scene scene;
  scene.settle();
  const JobId id = scene.add();
  scene.storage.calls.clear();
  scene.storage.observer->on_foreign_change();
  scene.processor->tick(scene.clock.now());
  CHECK(scene.storage.calls == std::vector<std::string>{"claim"});
  CHECK(scene.state(id) == JobState::running);
  // What may be due is looked at right after that.
  scene.processor->tick(scene.clock.now());
  CHECK(scene.storage.calls.at(1) == "promote");
}

TEST_CASE("a job that another process schedules is started when it is due", "[processor]") {
  Scene scene;
  scene.settle();
  const auto due = scene.clock.now() + 300ms;
  const JobId id = scene.add(quern::When::after(300ms));
  scene.storage.observer->on_foreign_change();
  while (scene.clock.now() < due) {
    CHECK(scene.state(id) == JobState::scheduled);
    scene.clock.advance(std::min(scene.settle().at, due) - scene.clock.now());
  }
  scene.settle();
  CHECK(scene.clock.now() == due);
  CHECK(scene.state(id) == JobState::completed);
}

TEST_CASE("a job that falls due is started in time though others keep the processor busy", "[processor]") {
  Scene scene;
  scene.processor.reset();
  scene.processor = std::make_unique<quern::Processor<SharedStorage, quern::InlineExecutor>>(
      scene.queue, scene.handlers, quern::ProcessorOptions{.max_concurrent_jobs = 1});
  scene.settle();
  const JobId delayed = scene.add(quern::When::after(50ms), quern::Priority::critical);
  const auto due = scene.clock.now() + 50ms;
  // At each millisecond there is more than one tick can do, and somebody who says so.
  while (scene.state(delayed) != JobState::completed) {
    REQUIRE(scene.clock.now() <= due + 5ms);
    for (int i = 0; i < 3; ++i) scene.add();
    scene.storage.observer->on_foreign_change();
    scene.processor->tick(scene.clock.now());
    scene.clock.advance(1ms);
  }
  CHECK(scene.clock.now() >= due);
}
