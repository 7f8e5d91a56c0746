#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "quern/quern.hpp"
#include "quern/testing/engine.hpp"
#include "quern/testing/storage_proxy.hpp"
#include "support/engine_storage.hpp"

namespace quern_test {

using namespace std::chrono_literals;

/// Keeps tasks until the test runs them: a test thereby decides when a handler begins and ends.
class HeldExecutor {
 public:
  void post(quern::TaskToken token, std::function<void()> task) {
    tasks.emplace_back(token, std::move(task));
  }
  void abandon(quern::TaskToken token) { abandoned.push_back(token); }

  /// Runs the oldest task to its end.
  void run_one() {
    auto task = std::move(tasks.front().second);
    tasks.erase(tasks.begin());
    task();
  }
  void run_all() {
    while (!tasks.empty()) run_one();
  }

  std::vector<std::pair<quern::TaskToken, std::function<void()>>> tasks;
  std::vector<quern::TaskToken> abandoned;
};

/// A whole engine on the test's own thread and clock, over a storage that a test can make fail (see
/// EngineStorage for which one).
struct Engine {
  quern::ManualClock clock;
  EngineStorage own{quern::ClockRef(clock)};
  quern::StoragePort& port{own.storage.port()};
  quern::testing::StorageProxy storage{port};
  quern::JobQueue<quern::testing::StorageProxy> queue;
  quern::HandlerRegistry handlers;
  std::vector<std::string> log;

  explicit Engine(quern::JobQueueConfig config = {}) : queue(storage, std::move(config)) {}

  [[nodiscard]] quern::ProcessorOptions options() {
    quern::ProcessorOptions made;
    made.name = "test";
    made.seed = 42;
    made.log = [this](const quern::LogRecord& record) { log.emplace_back(record.message); };
    return made;
  }
  template <class E = quern::InlineExecutor>
  [[nodiscard]] std::unique_ptr<quern::Processor<quern::testing::StorageProxy, E>> processor() {
    return processor<E>(options());
  }
  template <class E = quern::InlineExecutor>
  [[nodiscard]] std::unique_ptr<quern::Processor<quern::testing::StorageProxy, E>> processor(
      quern::ProcessorOptions wanted) {
    return std::make_unique<quern::Processor<quern::testing::StorageProxy, E>>(queue, handlers,
                                                                               std::move(wanted));
  }

  /// Ticks until there is nothing to do at this moment.
  template <class P>
  quern::NextTick settle(P& processor) {
    for (int step = 0; step < 10'000; ++step) {
      const quern::NextTick next = processor.tick(clock.now());
      if (next.at > clock.now()) return next;
    }
    throw std::runtime_error("the engine does not come to rest");
  }
  /// Lets time pass, ticking whenever the engine asks for it.
  template <class P>
  void pass(P& processor, quern::Duration time) {
    const quern::TimePoint end = clock.now() + time;
    while (true) {
      const quern::TimePoint next = std::min(settle(processor).at, end);
      if (next >= end) break;
      clock.advance(next - clock.now());
    }
    clock.advance(end - clock.now());
    settle(processor);
  }

  /// As it really stands, past whatever the proxy does.
  [[nodiscard]] quern::Job job(quern::JobId id) { return port.find(std::span(&id, 1)).front().value(); }
  [[nodiscard]] quern::JobState state(quern::JobId id) { return job(id).state; }
};

namespace detail {
struct HostParts {
  quern::ManualClock clock_of_test;
  EngineStorage own{quern::ClockRef(clock_of_test)};
};
}  // namespace detail

/// The engine that hosts get for their tests, over the storage that EngineStorage names.
struct HostEngine : private detail::HostParts, public quern::testing::Engine<> {
  explicit HostEngine(quern::HandlerRegistry first = {}, quern::testing::EngineOptions options = {})
      : Engine(own.storage, clock_of_test, std::move(first), std::move(options)) {}
};

}  // namespace quern_test
