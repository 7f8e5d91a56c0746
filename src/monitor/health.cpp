#include "quern/monitor/health.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>

#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"

namespace quern::inline v1 {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;

constexpr std::size_t most_message_bytes = 1000;

void check_probes(const std::vector<HealthProbe>& probes) {
  std::vector<std::string> faults;
  std::set<std::string> names;
  for (std::size_t i = 0; i < probes.size(); ++i) {
    const HealthProbe& probe = probes[i];
    const auto add = [&](std::string_view field, std::string_view problem) {
      const auto which = probe.name.empty() ? std::string() : fmt::format(" (probe \"{}\")", probe.name);
      faults.push_back(fmt::format("probes[{}].{}: {}{}", i, field, problem, which));
    };
    const auto duration = [&](std::string_view field, Duration value, Duration least, Duration most) {
      if (value < least || value > most)
        add(field, fmt::format("is {}; allowed is {} to {}", to_text(value), to_text(least), to_text(most)));
    };
    if (probe.name.empty()) add("name", "is empty");
    try {
      check_text(probe.name, "name", 100);
    } catch (const InvalidArgument& e) {
      add("name", std::string_view(e.what()).substr(6));
    }
    if (!probe.name.empty() && !names.insert(probe.name).second) add("name", "is that of another one");
    if (!probe.check) add("check", "is empty");
    duration("timeout", probe.timeout, 1ms, 1h);
    duration("interval", probe.interval, 10ms, 24h);
  }
  if (!faults.empty()) throw ConfigError(std::move(faults));
}

ProbeResult run(const HealthProbe& probe, std::stop_token stop) noexcept {
  ProbeResult result;
  try {
    try {
      result = probe.check(std::move(stop));
      result.message = clean_message(result.message, most_message_bytes);
    } catch (const std::exception& e) {
      result = {HealthStatus::down, clean_message(e.what(), most_message_bytes), {}};
    } catch (...) {
      result = {HealthStatus::down, "threw something that is no std::exception", {}};
    }
  } catch (...) {  // no memory for the message
    result.status = HealthStatus::down;
  }
  return result;
}

double seconds(Duration time) { return std::chrono::duration<double>(time).count(); }

/// What one component does to the whole.
HealthStatus weight(const ComponentHealth& component, bool liveness) {
  if (component.status == HealthStatus::unknown && liveness) return HealthStatus::up;
  const bool bad = component.status == HealthStatus::down || component.status == HealthStatus::unknown;
  if (bad) return component.critical ? HealthStatus::down : HealthStatus::degraded;
  return component.status;
}

}  // namespace

std::string_view to_string(HealthStatus status) noexcept {
  switch (status) {
    case HealthStatus::up:
      return "up";
    case HealthStatus::degraded:
      return "degraded";
    case HealthStatus::down:
      return "down";
    case HealthStatus::unknown:
      return "unknown";
  }
  return "?";
}

std::string to_json(const HealthReport& report) {
  Json json{{"status", std::string(to_string(report.status))}, {"at", to_rfc3339(report.at)}};
  json["components"] = Json::object();
  for (const ComponentHealth& component : report.components) {
    Json& one = json["components"][component.name];
    one["status"] = std::string(to_string(component.status));
    if (!component.message.empty()) one["message"] = component.message;
    one["critical"] = component.critical;
    if (component.timed_out) one["timed_out"] = true;
    if (component.checked_at) {
      one["checked_at"] = to_rfc3339(*component.checked_at);
      one["age_s"] = seconds(component.age);
      one["took_s"] = seconds(component.took);
    }
    if (component.running) one["running_s"] = seconds(*component.running);
    for (const auto& [name, value] : component.details) one["details"][name] = value;
  }
  return json.dump();
}

namespace detail {

/// A probe with its last result. Its runs keep it alive, also one that hangs.
struct HealthCore::Probe {
  explicit Probe(HealthProbe made) : probe(std::move(made)) {}
  const HealthProbe probe;

  std::mutex mutex{};  // guards what follows
  ProbeResult result{HealthStatus::unknown, "not checked yet", {}};
  std::optional<TimePoint> checked_at{};
  SteadyTime checked{0};
  Duration took{0};
  bool timed_out = false;
  SteadyTime due{0};  // of the next run
  bool running = false;
  SteadyTime begun{0};
  TaskToken token = 0;
  bool given_up = false;  // the run under way
  std::stop_source stop{};

  /// False: it was given up before a thread came to it, and who waits for that thread would wait for nothing.
  [[nodiscard]] bool wanted() {
    const std::lock_guard lock(mutex);
    if (given_up) running = false;
    return !given_up;
  }
  void end_run(ProbeResult found, ClockRef clock) {
    const SteadyTime steady = clock.steady();
    const TimePoint now = clock.now();
    const std::lock_guard lock(mutex);
    running = false;
    if (given_up) {  // too late; look again soon
      due = steady;
      return;
    }
    result = std::move(found);
    timed_out = false;
    took = steady - begun;
    checked = steady;
    checked_at = now;
  }
};

HealthCore::HealthCore(std::vector<HealthProbe> probes, ClockRef clock, Logger log, Post post,
                       Abandon abandon)
    : clock_(clock),
      log_(std::move(log)),
      post_(std::move(post)),
      abandon_(std::move(abandon)),
      waker_(std::make_shared<Waker>()) {
  check_probes(probes);
  for (HealthProbe& probe : probes) probes_.push_back(std::make_shared<Probe>(std::move(probe)));
}

HealthCore::~HealthCore() {
  for (const auto& probe : probes_) {
    TaskToken token = 0;
    {
      const std::lock_guard lock(probe->mutex);
      if (!probe->running) continue;
      probe->given_up = true;
      token = probe->token;
    }
    probe->stop.request_stop();
    abandon_(token);
  }
}

NextTick HealthCore::tick(TimePoint now) noexcept {
  const SteadyTime steady = clock_.steady();
  SteadyTime next = SteadyTime::max();
  for (const auto& probe : probes_) {
    bool late = false;
    bool due = false;
    {
      const std::lock_guard lock(probe->mutex);
      late = probe->running && !probe->given_up && steady - probe->begun >= probe->probe.timeout;
      due = !probe->running && steady >= probe->due;
    }
    if (late) give_up(*probe, steady);
    if (due) begin(probe);
    const std::lock_guard lock(probe->mutex);
    if (!probe->running)
      next = std::min(next, probe->due);
    else if (!probe->given_up)
      next = std::min(next, probe->begun + probe->probe.timeout);
    else  // until it comes back
      next = std::min(next, steady + probe->probe.interval);
  }
  if (next == SteadyTime::max()) return {};
  return {now + std::max(Duration::zero(), next - steady)};
}

void HealthCore::begin(const std::shared_ptr<Probe>& probe) {
  const TaskToken token = ++last_token_;
  const SteadyTime steady = clock_.steady();
  std::stop_source stop;
  {
    const std::lock_guard lock(probe->mutex);
    probe->running = true;
    probe->given_up = false;
    probe->begun = steady;
    probe->due = steady + probe->probe.interval;
    probe->token = token;
    probe->stop = stop;
  }
  try {
    post_(token, [probe, clock = clock_, token_of = stop.get_token()] {
      if (probe->wanted()) probe->end_run(run(probe->probe, token_of), clock);
    });
  } catch (const std::exception& e) {
    probe->end_run({HealthStatus::unknown, clean_message(e.what(), most_message_bytes), {}}, clock_);
    log_to(log_, LogLevel::warning,
           fmt::format("the probe {} has no thread: {}", probe->probe.name, e.what()));
  }
}

void HealthCore::give_up(Probe& probe, SteadyTime steady) {
  TaskToken token = 0;
  std::stop_source stop;
  {
    const std::lock_guard lock(probe.mutex);
    if (!probe.running) return;  // it has just ended
    probe.given_up = true;
    probe.timed_out = true;
    probe.result = {HealthStatus::down, fmt::format("timed out after {}", to_text(probe.probe.timeout)), {}};
    probe.took = steady - probe.begun;
    probe.checked = steady;
    probe.checked_at = clock_.now();
    token = probe.token;
    stop = probe.stop;
  }
  stop.request_stop();
  abandon_(token);
  log_to(log_, LogLevel::warning,
         fmt::format("the probe {} has timed out after {}", probe.probe.name, to_text(probe.probe.timeout)));
}

HealthReport HealthCore::report(bool liveness) const {
  HealthReport report;
  report.at = clock_.now();
  const SteadyTime steady = clock_.steady();
  for (const auto& probe : probes_) {
    const ProbeScope scope = probe->probe.scope;
    if (scope == (liveness ? ProbeScope::readiness : ProbeScope::liveness)) continue;
    ComponentHealth& component = report.components.emplace_back();
    component.name = probe->probe.name;
    component.critical = probe->probe.critical;
    const std::lock_guard lock(probe->mutex);
    component.status = probe->result.status;
    component.message = probe->result.message;
    component.details = probe->result.details;
    component.timed_out = probe->timed_out;
    component.took = probe->took;
    component.checked_at = probe->checked_at;
    if (probe->checked_at) component.age = std::max(Duration::zero(), steady - probe->checked);
    if (probe->running) component.running = std::max(Duration::zero(), steady - probe->begun);
    // Nobody ticks any more, or for a long time there was no thread for it. A run that hangs is known to be down.
    if (!probe->timed_out && probe->checked_at &&
        component.age > 3 * probe->probe.interval + probe->probe.timeout) {
      component.status = HealthStatus::unknown;
      component.message = fmt::format("not checked for {}", to_text(component.age));
    }
  }
  HealthStatus worst = HealthStatus::up;
  for (const ComponentHealth& component : report.components)
    worst = std::max(worst, weight(component, liveness));
  report.status = worst;
  return report;
}

}  // namespace detail
}  // namespace quern::inline v1
