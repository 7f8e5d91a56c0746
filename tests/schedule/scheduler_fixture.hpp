#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fixture.hpp"
#include "quern/scheduler.hpp"
#include "quern/testing/storage_proxy.hpp"
#include "support/catch.hpp"
#include "support/engine_storage.hpp"

namespace quern_test::scheduling {

using quern::Duration;
using quern::ScheduleSpec;
using quern::TimePoint;

/// One process: its own queue and scheduler over a storage that can be made to fail.
struct Process {
  quern::testing::StorageProxy storage;
  quern::JobQueue<quern::testing::StorageProxy> queue{storage};
  std::vector<quern::ScheduleEvent> events;
  std::vector<std::string> log;
  quern::Scheduler<quern::testing::StorageProxy> scheduler;

  explicit Process(quern::StoragePort& port, quern::SchedulerOptions options = {})
      : storage(port), scheduler(queue, zones(), told(std::move(options))) {}

  quern::SchedulerOptions told(quern::SchedulerOptions options) {
    if (options.seed == 0) options.seed = 1;
    options.on_event = [this](const quern::ScheduleEvent& event) { events.push_back(event); };
    options.log = [this](const quern::LogRecord& record) { log.emplace_back(record.message); };
    return options;
  }
};

struct Fleet {
  quern::ManualClock clock;
  EngineStorage own{quern::ClockRef(clock)};
  quern::StoragePort& port{own.storage.port()};
  std::vector<std::unique_ptr<Process>> processes;

  /// The seeds of its processes are 1, 2, ...
  explicit Fleet(std::size_t size = 1, quern::SchedulerOptions options = {}) {
    // A round moment, so that the tests read well.
    clock.set_wall(at("2026-03-02T10:00:00Z"));
    for (std::size_t i = 0; i < size; ++i) {
      options.seed = i + 1;
      processes.push_back(std::make_unique<Process>(port, options));
    }
  }
  Process& operator[](std::size_t i) { return *processes[i]; }
  quern::Scheduler<quern::testing::StorageProxy>& scheduler() { return processes[0]->scheduler; }

  /// Each ticks until it has nothing to do at this moment; says when the first one wants to be called.
  TimePoint settle() {
    TimePoint next = TimePoint::max();
    for (auto& process : processes) {
      TimePoint mine = clock.now();
      for (int step = 0; mine <= clock.now(); ++step) {
        REQUIRE(step < 10'000);
        mine = process->scheduler.tick(clock.now()).at;
      }
      next = std::min(next, mine);
    }
    return next;
  }
  void pass(Duration time) {
    const TimePoint end = clock.now() + time;
    for (TimePoint next = settle(); next < end; next = settle()) clock.advance(next - clock.now());
    clock.advance(end - clock.now());
    settle();
  }
  /// The due times of all jobs of a kind, in order.
  std::vector<std::string> due(std::string_view kind = "work") {
    std::vector<std::string> times;
    for (const quern::Job& job : jobs(kind)) times.push_back(quern::to_rfc3339(job.run_at));
    std::ranges::sort(times);
    return times;
  }
  std::vector<quern::Job> jobs(std::string_view kind = "work") {
    auto found = port.list({.kind = std::string(kind), .limit = 10'000}).jobs;
    std::ranges::sort(found, {}, &quern::Job::id);
    return found;
  }
  quern::ScheduleStatus status(std::string_view name = "s") { return scheduler().find(name).value(); }
};

inline ScheduleSpec spec(quern::TimingSpec timing, std::string name = "s") {
  ScheduleSpec made;
  made.name = std::move(name);
  made.timing = std::move(timing);
  made.kind = "work";
  return made;
}

inline ScheduleSpec every(Duration interval, std::string name = "s") {
  return spec({.every = interval}, std::move(name));
}

using Texts = std::vector<std::string>;

}  // namespace quern_test::scheduling
