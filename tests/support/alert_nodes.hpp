#pragma once

#include <memory>
#include <string>
#include <vector>

#include "quern/alerts.hpp"
#include "quern/testing/storage_proxy.hpp"
#include "support/engine_storage.hpp"

namespace quern_test {

using namespace std::chrono_literals;

/// One process of a fleet, as far as alerts go: its own queue, monitor and manager over a storage that can be made to fail.
struct AlertNode {
  quern::testing::StorageProxy storage;
  quern::JobQueue<quern::testing::StorageProxy> queue{storage};
  quern::JobMonitor<quern::testing::StorageProxy> monitor{queue, {.sample_interval = 10s}};
  quern::AlertManager<quern::testing::StorageProxy> alerts;
  std::vector<quern::AlertEvent> told;
  quern::Subscription subscription{
      alerts.subscribe([this](const quern::AlertEvent& e) { told.push_back(e); }, {.own_thread = false})};

  AlertNode(quern::StoragePort& port, quern::AlertOptions options)
      : storage(port), alerts(queue, monitor, std::move(options)) {}

  void tick(quern::TimePoint now) {
    monitor.tick(now);
    alerts.tick(now);
    subscription.pump();
  }
  /// "triggered 1, resolved 2"
  [[nodiscard]] std::string history() const {
    std::string text;
    for (const auto& event : told) {
      if (!text.empty()) text += ", ";
      text += event.type == quern::AlertEventType::triggered ? "triggered " : "resolved ";
      text += std::to_string(event.number);
    }
    return text;
  }
};

/// A fleet on one storage and one clock.
struct AlertFleetOfNodes {
  quern::ManualClock clock;
  EngineStorage own{quern::ClockRef(clock)};
  quern::StoragePort& port{own.storage.port()};
  std::vector<std::unique_ptr<AlertNode>> nodes;

  AlertNode& add(quern::AlertOptions options) {
    options.interval = 10s;
    nodes.push_back(std::make_unique<AlertNode>(port, std::move(options)));
    return *nodes.back();
  }
  /// Each node ticks every 10 s.
  void pass(quern::Duration time) {
    for (quern::Duration passed{0}; passed < time; passed += 10s) {
      clock.advance(10s);
      for (const auto& node : nodes) node->tick(clock.now());
    }
  }
  [[nodiscard]] std::size_t told() const {
    std::size_t all = 0;
    for (const auto& node : nodes) all += node->told.size();
    return all;
  }
};

}  // namespace quern_test
