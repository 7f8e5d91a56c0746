#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "quern/monitor/alert_event.hpp"
#include "quern/queue/event_bus.hpp"
#include "quern/storage/observer.hpp"
#include "quern/work/worker.hpp"

namespace quern::inline v1 {

enum class SystemEventType : std::uint8_t {
  service_started,
  service_stopped,
  kind_without_handler,  ///< Jobs of this kind wait, and no node that is alive can run them.
  config_reloaded,
  schedule_executed,  ///< A scheduler has added a schedule's job; see schedule_events.hpp.
  schedule_skipped,   ///< It has left out one of its instants, or several in a row.
};
/// "service_started", "service_stopped", ...
[[nodiscard]] std::string_view to_string(SystemEventType type) noexcept;

/// Something that happened to a service as a whole.
struct SystemEvent {
  SystemEventType type = SystemEventType::service_started;
  TimePoint at{};
  std::string kind{};     ///< kind_without_handler
  std::string message{};  ///< For people.
  // schedule_executed, schedule_skipped:
  std::string schedule{};
  JobId job{};                         ///< 0: none.
  std::optional<TimePoint> instant{};  ///< The first of several.
};

/// Whatever a service tells of.
using ServiceEvent = std::variant<JobEvent, WorkerEvent, AlertEvent, SystemEvent>;

// As JSON of one line, with a "type" such as "job.completed", "worker_added", "alert_triggered", "service_started".
[[nodiscard]] std::string to_json(const JobEvent& event);
[[nodiscard]] std::string to_json(const SystemEvent& event);
[[nodiscard]] std::string to_json(const ServiceEvent& event);

/// What one kind of event can be asked for by.
template <class E>
concept OneOfServiceEvents = std::same_as<E, JobEvent> || std::same_as<E, WorkerEvent> ||
                             std::same_as<E, AlertEvent> || std::same_as<E, SystemEvent>;

/// One stream of all that happens, for subscribers that can neither slow nor crash who causes it.
///
///     auto all = service.events().subscribe([](const quern::ServiceEvent& e) { log_line(to_json(e)); });
///     auto workers = service.events().subscribe<quern::WorkerEvent>([](const auto& e) { ... });
///
/// Order    every subscriber sees the events in the order in which they were published: those of one job, one worker, or one
///          alert in the order in which they took effect.
/// Loss     what waits for a slow subscriber is bounded (`SubscribeOptions::capacity`); beyond that the oldest are dropped, and
///          counted (`Subscription::dropped`).
/// Cost     the storage builds events of jobs only while somebody asks for them.
/// Scope    of jobs, what happens through this process's storage object; of alerts, what this node tells of.
/// Threads  every member may be called from any thread, `subscribe` and `publish` also from a callback.
class ServiceEvents final : private StorageObserver {
 public:
  /// The storage must outlive it.
  explicit ServiceEvents(StoragePort& storage);
  ~ServiceEvents() override;

  /// Delivers every event from now on to `callback`, until the subscription ends.
  [[nodiscard]] Subscription subscribe(std::function<void(const ServiceEvent&)> callback,
                                       SubscribeOptions options = {});
  /// Only those of one type.
  template <OneOfServiceEvents E>
  [[nodiscard]] Subscription subscribe(std::function<void(const E&)> callback,
                                       SubscribeOptions options = {}) {
    return subscribe_to(
        std::same_as<E, JobEvent>,
        [callback = std::move(callback)](const ServiceEvent& event) {
          if (const E* const one = std::get_if<E>(&event)) callback(*one);
        },
        options);
  }

  /// Tells all subscribers. For the parts of a service, and for a host that has events of these types itself.
  void publish(ServiceEvent event) noexcept;

 private:
  [[nodiscard]] Subscription subscribe_to(bool jobs, std::function<void(const ServiceEvent&)> callback,
                                          SubscribeOptions options);
  [[nodiscard]] bool wants_events() const noexcept override;
  void on_events(std::span<const JobEvent> events) noexcept override;

  struct State;
  StoragePort& storage_;
  std::unique_ptr<State> state_;
};

}  // namespace quern::inline v1
