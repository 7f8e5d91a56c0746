#include "quern/testing/crash_loop.hpp"

#include <map>
#include <set>

#include "quern/quern.hpp"
#include "quern/sqlite.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"
#include "testing/jobs.hpp"

using namespace quern_test;
using Catch::Matchers::ContainsSubstring;
using quern::HandlerRegistry;
using quern::JobContext;
using quern::JobQueue;
using quern::JobState;
using quern::testing::CrashScenario;
using quern::testing::CrashSide;
using quern::testing::Engine;
using quern::testing::for_each_storage_crash;
using quern::testing::SimulatedCrash;
using quern::testing::StorageCrash;
using quern::testing::StorageProxy;

namespace {

/// Two mails per batch, as follow-ups; what was sent lives outside of the storage.
struct World {
  std::map<int, int> sent;

  [[nodiscard]] HandlerRegistry handlers() {
    HandlerRegistry handlers;
    handlers.on<Mail>([this](const Mail& mail) { ++sent[mail.to]; });
    handlers.on<Batch>([](const Batch& batch, JobContext& context) {
      context.step("check", [] {});
      for (const int to : batch.readers) context.then(Mail{to});
    });
    return handlers;
  }
  [[nodiscard]] CrashScenario scenario() {
    CrashScenario made;
    made.handlers = [this](JobQueue<>&) { return handlers(); };
    made.prepare = [this](Engine<>& engine) {
      sent.clear();
      engine.queue().enqueue(Batch{{1, 2}});
    };
    return made;
  }
};

}  // namespace

TEST_CASE("a process dies at each of its storage calls and its jobs are done once by the next", "[crash]") {
  World world;
  std::set<std::string> names;
  std::size_t sides[2] = {0, 0};
  auto scenario = world.scenario();
  scenario.check = [&](Engine<>& engine, const StorageCrash& crash) {
    INFO(crash);
    if (crash.call > 0) ++sides[crash.side == CrashSide::before ? 0 : 1];
    names.insert(crash.name);
    CHECK(engine.count(JobState::completed, "batch") == 1);
    CHECK(engine.count(JobState::completed, "mail") == 2);
    CHECK(world.sent.size() == 2);
    for (const auto& [to, times] : world.sent) CHECK((times == 1 || (times == 2 && crash.call > 0)));
  };
  const auto rounds = for_each_storage_crash(scenario);
  CHECK(rounds.crashes == 2 * rounds.calls);
  CHECK(sides[0] == rounds.calls);
  CHECK(sides[1] == rounds.calls);
  for (const auto* name : {"", "register_node", "claim", "save_step", "finish", "promote", "rescue"})
    CHECK(names.count(name) == 1);
}

TEST_CASE("the loop finds a follow-up that is not part of the completion", "[crash]") {
  World world;
  auto scenario = world.scenario();
  scenario.handlers = [&](JobQueue<>& queue) {
    HandlerRegistry handlers;
    handlers.on<Mail>([&](const Mail& mail) { ++world.sent[mail.to]; });
    // The mistake: enqueued at once, so a crash before the completion does it again.
    handlers.on<Batch>([&queue](const Batch&) { queue.enqueue(Mail{1}); });
    return handlers;
  };
  std::vector<std::string> found;
  scenario.check = [&](Engine<>& engine, const StorageCrash& crash) {
    if (engine.count(JobState::completed, "mail") != 1) found.push_back(to_string(crash));
  };
  for_each_storage_crash(scenario);
  REQUIRE_FALSE(found.empty());
  CHECK_THAT(found.back(), ContainsSubstring("before storage call") && ContainsSubstring("(finish)"));

  // One of them alone, as somebody would who looks into it.
  const auto all = found.size();
  scenario.check = [&](Engine<>& engine, const StorageCrash& crash) {
    CHECK(to_string(crash) == found.back());
    CHECK(engine.count(JobState::completed, "mail") == 2);
  };
  std::size_t call = 0;
  for (const char digit : found.back())
    if (digit >= '0' && digit <= '9') call = call * 10 + static_cast<std::size_t>(digit - '0');
  scenario.only = StorageCrash{.call = call, .side = CrashSide::before, .name = {}};
  CHECK(for_each_storage_crash(scenario).crashes == 1);
  CHECK(found.size() == all);
}

TEST_CASE("nothing that a dead process does reaches the storage", "[crash]") {
  quern::ManualClock clock;
  quern::StorageAdapter<quern::MemoryStorage> memory(clock);
  quern::testing::EngineOptions options;
  options.processor.max_concurrent_jobs = 3;
  int runs = 0;
  quern::JobId id{};
  {
    StorageProxy proxy(memory);
    Engine engine(proxy, clock, {}, options);
    engine.on<Mail>([&](const Mail&, JobContext& context) {
      ++runs;
      context.step("a", [] {});
      FAIL("goes on after the crash");
    });
    id = engine.queue().enqueue(Mail{1});
    engine.queue().enqueue_all(std::vector<Mail>{{2}, {3}});
    // What follows the claim is the first handler's step.
    proxy.before = [&](std::string_view call) {
      if (call == "claim") proxy.crash_at(1);
    };
    CHECK_THROWS_AS(engine.drain(), SimulatedCrash);
    CHECK(proxy.crash().name == "save_step");
    CHECK_THROWS_AS(engine.queue().enqueue(Mail{4}), SimulatedCrash);
    CHECK_THROWS_AS(engine.job(id), SimulatedCrash);
    CHECK_THROWS_AS(engine.drain(), SimulatedCrash);
  }
  // Claimed, and left as they were: not handed back, their node not retired.
  CHECK(memory.find(std::span(&id, 1)).front().value().state == JobState::running);
  REQUIRE(memory.nodes().size() == 1);
  CHECK(memory.nodes()[0].state == quern::NodeState::alive);
  CHECK(memory.nodes()[0].running == 3);
  CHECK(runs == 1);  // of three claimed at once, the other two were never begun
}

TEST_CASE("a crash may come before a call or between its effect and its answer", "[crash]") {
  quern::MemoryStorage memory;
  quern::StorageAdapter<quern::MemoryStorage&> port(memory);
  const auto side = GENERATE(CrashSide::before, CrashSide::after);
  StorageProxy proxy(port);
  proxy.pause("a");
  proxy.crash_at(2, side);
  proxy.pause("b");
  CHECK_THROWS_WITH(proxy.pause("c"), ContainsSubstring("storage call 2 (pause)"));
  CHECK(memory.queues().size() == (side == CrashSide::before ? 2U : 3U));
  CHECK_THROWS_AS(proxy.pause("d"), SimulatedCrash);
  CHECK(memory.queues().size() == (side == CrashSide::before ? 2U : 3U));
  CHECK(proxy.calls() == 3);
}

TEST_CASE("a fatal call that throws something of its own is still the last one", "[crash]") {
  quern::MemoryStorage memory;
  quern::StorageAdapter<quern::MemoryStorage&> port(memory);
  StorageProxy proxy(port);
  proxy.crash_at(1, CrashSide::after);
  CHECK_THROWS_AS(proxy.insert(std::vector{quern::NewJob{.id = {1}, .kind = "a", .parents = {{9}}}}),
                  quern::InvalidArgument);
  CHECK_THROWS_AS(proxy.pause("a"), SimulatedCrash);
  CHECK(proxy.crashed());
}

TEST_CASE("a scenario of one's own may crash in the middle of what it does", "[crash]") {
  World world;
  auto scenario = world.scenario();
  scenario.prepare = [&](Engine<>&) { world.sent.clear(); };
  // A request that the host repeats: the unique key makes that harmless.
  const auto request = [](Engine<>& engine) {
    engine.queue().enqueue(Mail{7}, {.unique = {.key = "request 1", .while_completed = true}});
    engine.drain();
  };
  scenario.scenario = request;
  scenario.recover = request;
  scenario.check = [&](Engine<>& engine, const StorageCrash& crash) {
    INFO(crash);
    CHECK(engine.count(JobState::completed) == 1);
  };
  CHECK(for_each_storage_crash(scenario).crashes > 4);
}

TEST_CASE("an error after a crash names the crash", "[crash]") {
  World world;
  auto scenario = world.scenario();
  scenario.recover = [](Engine<>& engine) { static_cast<void>(engine.job(quern::JobId{12345})); };
  scenario.check = [](Engine<>&, const StorageCrash&) {};
  CHECK_THROWS_WITH(for_each_storage_crash(scenario),
                    ContainsSubstring("after a crash before storage call 1 (") &&
                        ContainsSubstring("there is no job 12345"));
}

TEST_CASE("a scenario that is not complete or does not end is refused", "[crash]") {
  World world;
  auto scenario = world.scenario();
  CHECK_THROWS_AS(for_each_storage_crash(scenario), quern::InvalidArgument);
  scenario.check = [](Engine<>&, const StorageCrash&) {};
  scenario.max_calls = 3;
  CHECK_THROWS_WITH(for_each_storage_crash(scenario), ContainsSubstring("more than 3 storage calls"));
  scenario.scenario = [](Engine<>&) { throw std::runtime_error("the host's own"); };
  CHECK_THROWS_WITH(for_each_storage_crash(scenario), "the host's own");
}

TEST_CASE("the loop runs on a storage of the host's choice", "[crash][sqlite]") {
  World world;
  const TempFolder folder;
  int files = 0;
  auto scenario = world.scenario();
  scenario.open = [&](quern::ClockRef clock) {
    const auto path = (folder / (std::to_string(++files) + ".db")).string();
    return quern::AnyStorage(std::make_unique<quern::StorageAdapter<quern::SqliteStorage>>(
        path, quern::SqliteOptions{.durability = quern::Durability::normal, .clock = clock}));
  };
  scenario.check = [&](Engine<>& engine, const StorageCrash& crash) {
    INFO(crash);
    CHECK(engine.count(JobState::completed) == 3);
  };
  CHECK(for_each_storage_crash(scenario).crashes > 10);
}
