#pragma once

#include <memory>
#include <string>
#include <vector>

#include "quern/history.hpp"
#include "quern/testing/storage_proxy.hpp"
#include "support/engine_storage.hpp"

namespace quern_test {

using namespace std::chrono_literals;

/// One process of a fleet, as far as its history goes: its own queue, monitor and history over a storage that can be made to fail.
struct HistoryNode {
  quern::testing::StorageProxy storage;
  quern::JobQueue<quern::testing::StorageProxy> queue{storage};
  quern::JobMonitor<quern::testing::StorageProxy> monitor{queue};
  std::vector<std::string> log;
  std::size_t written = 0;  ///< Records.
  quern::JobHistory<quern::testing::StorageProxy> history;

  HistoryNode(quern::StoragePort& port, quern::HistoryOptions options)
      : storage(port), history(queue, monitor, with_log(std::move(options))) {
    storage.after = [this](std::string_view call) {
      if (call == "put_record") ++written;
    };
  }

  void tick(quern::TimePoint now) {
    monitor.tick(now);
    history.tick(now);
  }
  /// A run is told to have ended, as an engine would.
  void ran(const std::string& kind, quern::Duration time, std::size_t times = 1,
           quern::Outcome outcome = quern::Outcome::completed, const std::string& queue_name = "default") {
    quern::RunReport run;
    run.kind = kind;
    run.queue = queue_name;
    run.outcome = outcome;
    run.began = true;
    run.waited = time / 2;
    run.ran = time;
    run.age = time * 2;
    run.cpu = time / 4;
    const std::vector<quern::RunReport> runs(times, run);
    queue.core().observers().tell([&](quern::QueueObserver& observer) { observer.on_ended(runs); });
  }

 private:
  [[nodiscard]] quern::HistoryOptions with_log(quern::HistoryOptions options) {
    options.log = [this](const quern::LogRecord& record) { log.emplace_back(record.message); };
    return options;
  }
};

/// A fleet on one storage and one clock, which begins at a whole day.
struct HistoryFleet {
  quern::ManualClock clock;
  EngineStorage own{quern::ClockRef(clock)};
  quern::StoragePort& port{own.storage.port()};
  const quern::TimePoint start{clock.now()};
  std::vector<std::unique_ptr<HistoryNode>> nodes;

  HistoryNode& add(quern::HistoryOptions options = {}) {
    nodes.push_back(std::make_unique<HistoryNode>(port, std::move(options)));
    return *nodes.back();
  }
  /// Each node ticks every 20 s, so that a minute is written a tick after its end.
  void pass(quern::Duration time, quern::Duration step = 20s) {
    for (quern::Duration passed{0}; passed < time; passed += step) {
      clock.advance(step);
      for (const auto& node : nodes) node->tick(clock.now());
    }
  }
  /// From the start until now, which ends within a minute, an hour or a day that counts, too.
  [[nodiscard]] std::vector<quern::HistoryPoint> points(quern::HistoryResolution resolution,
                                                        quern::HistoryQuery query = {}) {
    if (nodes.empty()) add();
    query.from = start;
    query.to = clock.now() + 1us;
    query.resolution = resolution;
    return nodes.front()->history.query(query);
  }
  [[nodiscard]] std::vector<quern::HistoryPoint> minutes(quern::HistoryQuery query = {}) {
    return points(quern::HistoryResolution::minute, std::move(query));
  }
  [[nodiscard]] std::vector<quern::HistoryPoint> hours(quern::HistoryQuery query = {}) {
    return points(quern::HistoryResolution::hour, std::move(query));
  }
  [[nodiscard]] std::vector<quern::HistoryPoint> days(quern::HistoryQuery query = {}) {
    return points(quern::HistoryResolution::day, std::move(query));
  }
  /// The keys of the history's records that begin so.
  [[nodiscard]] std::vector<std::string> keys(std::string_view prefix = "") {
    std::vector<std::string> all;
    for (const auto& record : port.list_records("quern.history", "", 1'000'000))
      if (record.key.starts_with(prefix)) all.push_back(record.key);
    return all;
  }
};

/// Of several points, or parts of one: all together.
struct HistorySum {
  std::uint64_t completed = 0;
  std::uint64_t failed = 0;
  std::uint64_t enqueued = 0;
  quern::Duration cpu{0};
  quern::Histogram ran;

  explicit HistorySum(const std::vector<quern::HistoryPoint>& points) {
    for (const auto& point : points) {
      completed += point.counts.completed;
      failed += point.counts.failed;
      enqueued += point.counts.enqueued;
      cpu += point.counts.cpu;
      ran.merge(point.ran);
    }
  }
};

}  // namespace quern_test
