#include "quern/testing/crash_loop.hpp"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "quern/storage/memory_storage.hpp"

namespace quern::inline v1::testing {
namespace {

/// One start of the process: a proxy of its own before the storage that outlives it.
class Process {
 public:
  Process(const CrashScenario& scenario, StoragePort& inner, ManualClock& clock)
      : storage_(make_storage(inner)), engine_(storage_, clock, {}, scenario.engine) {
    engine_.register_handlers(
        [&](HandlerRegistry& handlers) { handlers = scenario.handlers(engine_.queue()); });
  }

  [[nodiscard]] Engine<>& engine() noexcept { return engine_; }
  [[nodiscard]] StorageProxy& proxy() noexcept { return *proxy_; }

 private:
  AnyStorage make_storage(StoragePort& inner) {
    auto proxy = std::make_unique<StorageProxy>(inner);
    proxy_ = proxy.get();
    return AnyStorage(std::move(proxy));
  }

  StorageProxy* proxy_ = nullptr;
  AnyStorage storage_;
  Engine<> engine_;
};

void run(const std::function<void(Engine<>&)>& step, Engine<>& engine) {
  if (step)
    step(engine);
  else
    engine.drain_all();
}

/// Goes on as the next process would.
void recover(const CrashScenario& scenario, StoragePort& storage, ManualClock& clock,
             const StorageCrash& crash) {
  std::optional<Process> next;
  try {
    next.emplace(scenario, storage, clock);
    next->engine().advance(2 * scenario.engine.processor.lease);
    run(scenario.recover, next->engine());
  } catch (const std::exception& e) {
    throw Error(fmt::format("after a crash {}: {}", to_string(crash), e.what()));
  }
  scenario.check(next->engine(), crash);
}

/// One round; empty when the scenario came to its end, else where it died.
std::optional<StorageCrash> round(const CrashScenario& scenario, const StorageCrash& planned,
                                  CrashRounds& rounds) {
  ManualClock clock;
  AnyStorage storage = scenario.open ? scenario.open(clock)
                                     : AnyStorage(std::make_unique<StorageAdapter<MemoryStorage>>(clock));
  std::optional<Process> first(std::in_place, scenario, storage.port(), clock);
  if (scenario.prepare) scenario.prepare(first->engine());
  const std::size_t prepared = first->proxy().calls();
  first->proxy().crash_at(planned.call, planned.side);
  try {
    run(scenario.scenario, first->engine());
  } catch (...) {
    // Once it is dead, its errors are its own affair, whatever the host made of the SimulatedCrash.
    if (!first->proxy().crashed()) throw;
  }
  if (!first->proxy().crashed()) {
    first->proxy().crash_at(0);
    rounds.calls = first->proxy().calls() - prepared;
    scenario.check(first->engine(), {});
    return std::nullopt;
  }
  StorageCrash crash = first->proxy().crash();
  ++rounds.crashes;
  first.reset();
  recover(scenario, storage.port(), clock, crash);
  return crash;
}

}  // namespace

CrashRounds for_each_storage_crash(const CrashScenario& scenario) {
  if (!scenario.handlers) throw InvalidArgument("handlers", "is empty; a scenario needs handlers");
  if (!scenario.check) throw InvalidArgument("check", "is empty; a scenario needs something that must hold");
  CrashRounds rounds;
  if (scenario.only) {
    round(scenario, *scenario.only, rounds);
    return rounds;
  }
  for (std::size_t call = 1; call <= scenario.max_calls; ++call)
    for (const CrashSide side : {CrashSide::before, CrashSide::after})
      if (!round(scenario, {.call = call, .side = side, .name = {}}, rounds)) return rounds;
  throw Error(fmt::format("the scenario makes more than {} storage calls; does it come to an end?",
                          scenario.max_calls));
}

}  // namespace quern::inline v1::testing
