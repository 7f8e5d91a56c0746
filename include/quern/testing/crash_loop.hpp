#pragma once

#include <cstddef>
#include <functional>
#include <optional>

#include "quern/storage/any_storage.hpp"
#include "quern/testing/engine.hpp"
#include "quern/testing/storage_proxy.hpp"
#include "quern/work/handler_registry.hpp"

namespace quern::inline v1::testing {

/// What a host wants to see survive a crash anywhere. The functions are called in this order, for each crash:
///
///     handlers   prepare   scenario, dies   handlers   recover   check
///
/// and in the last round, which nothing interrupts: handlers, prepare, scenario, check.
/// What the host keeps outside of the storage, such as the mails that a fake server got, survives the crash,
/// as it would in the world; `prepare` makes it empty again.
struct CrashScenario {
  /// The handlers of one start of the process: called once before the crash and once after it.
  std::function<HandlerRegistry(JobQueue<>& queue)> handlers{};
  /// Before anything can crash: a fresh world, and the jobs in it. May be empty.
  std::function<void(Engine<>& engine)> prepare{};
  /// What the process is doing when it dies; SimulatedCrash comes out of its calls then. Assert in `check`
  /// rather than here. Empty: `engine.drain_all()`.
  std::function<void(Engine<>& engine)> scenario{};
  /// What the next start of the process does, on the same storage, when the dead one's lease has passed.
  /// Empty: `engine.drain_all()`.
  std::function<void(Engine<>& engine)> recover{};
  /// What must hold then, wherever the crash was: with the assertions of any test framework. `crash.call` is
  /// 0 in the last round, which none interrupts. Put `crash` into the messages of what fails.
  std::function<void(Engine<>& engine, const StorageCrash& crash)> check{};

  /// Opens an empty storage on the clock. Empty: one in memory.
  std::function<AnyStorage(ClockRef clock)> open{};
  EngineOptions engine = defaults();
  /// Does this one alone, when looking into what failed. Its name does not matter; a call that is not reached
  /// makes it the round that nothing interrupts.
  std::optional<StorageCrash> only{};
  /// More calls than this in one scenario are taken for one that never ends.
  std::size_t max_calls = 10'000;

  /// Those of an Engine, with a lease of 30 s.
  [[nodiscard]] static EngineOptions defaults() {
    EngineOptions made;
    made.processor.lease = std::chrono::seconds(30);
    return made;
  }
};

struct CrashRounds {
  std::size_t crashes = 0;  ///< Rounds that died: two for each storage call of the scenario.
  std::size_t calls = 0;    ///< Storage calls of the round that none interrupted.
};

/// Runs the scenario again and again: the process dies before its 1st storage call, after it, before the 2nd,
/// after it, and so on until the scenario passes without dying. Each time the engine is dropped as a dead
/// process would leave it: nothing more reaches the storage, nothing is handed back, no node retires. A new
/// engine with new handlers starts on the same storage, time goes on by two leases (what becomes due runs
/// meanwhile), and `recover` and `check` are called.
///
/// In the dying process a handler that calls the storage gets a SimulatedCrash and unwinds; what it still
/// does outside of the storage is really done. Exceptions of `check` pass through. Throws Error, naming the
/// crash, when something else throws after it, and when the scenario does not come to an end. Deterministic
/// if the handlers are.
CrashRounds for_each_storage_crash(const CrashScenario& scenario);

}  // namespace quern::inline v1::testing
