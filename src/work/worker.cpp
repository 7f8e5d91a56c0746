#include "quern/work/worker.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <nlohmann/json.hpp>

#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"
#include "work/worker_check.hpp"

namespace quern::inline v1 {
namespace detail {
namespace {
constexpr std::size_t longest_name = 100;
constexpr std::int64_t most_of_a_resource = 1'000'000'000'000'000;
}  // namespace

void check_resources(const Resources& resources, const std::string& path) {
  for (const auto& [name, amount] : resources) {
    check_text(name, path, longest_name);
    if (amount < 0 || amount > most_of_a_resource)
      throw InvalidArgument(fmt::format("{}.{}", path, name),
                            fmt::format("is {}; allowed is 0 to {}", amount, most_of_a_resource));
  }
}

void check_worker(const WorkerOptions& options, const std::string& path) {
  const auto fail = [&](const char* field, const std::string& problem) {
    throw InvalidArgument(fmt::format("{}.{}", path, field), problem);
  };
  if (!options.id.empty()) check_text(options.id, path + ".id", longest_name);
  if (options.max_jobs < 1 || options.max_jobs > 100'000)
    fail("max_jobs", fmt::format("is {}; allowed is 1 to 100000", options.max_jobs));
  if (!std::isfinite(options.weight) || options.weight <= 0 || options.weight > 1000)
    fail("weight", fmt::format("is {}; allowed is above 0, up to 1000", options.weight));
  check_resources(options.budget, path + ".budget");
  if (options.health_check_interval < std::chrono::milliseconds(1) ||
      options.health_check_interval > std::chrono::days(1))
    fail("health_check_interval",
         fmt::format("is {}; allowed is 1ms to 1d", to_text(options.health_check_interval)));
  if (options.graceful_shutdown_timeout < Duration::zero() ||
      options.graceful_shutdown_timeout > std::chrono::days(1))
    fail("graceful_shutdown_timeout",
         fmt::format("is {}; allowed is 0s to 1d", to_text(options.graceful_shutdown_timeout)));
}

}  // namespace detail

std::string_view to_string(WorkerState state) noexcept {
  switch (state) {
    case WorkerState::active:
      return "active";
    case WorkerState::disabled:
      return "disabled";
    case WorkerState::draining:
      return "draining";
    case WorkerState::leaving:
      break;
  }
  return "leaving";
}

std::string_view to_string(WorkerEventType type) noexcept {
  switch (type) {
    case WorkerEventType::worker_added:
      return "worker_added";
    case WorkerEventType::worker_removed:
      return "worker_removed";
    case WorkerEventType::worker_health_changed:
      break;
  }
  return "worker_health_changed";
}

std::string to_json(const WorkerEvent& event) {
  return nlohmann::json{{"type", to_string(event.type)},
                        {"at", to_rfc3339(event.at)},
                        {"worker", event.worker},
                        {"healthy", event.healthy},
                        {"reason", event.reason}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace quern::inline v1
