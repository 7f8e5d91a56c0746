#pragma once

#include <chrono>
#include <limits>
#include <type_traits>

#include "quern/service/service_config.hpp"
#include "service/settings.hpp"

namespace quern::inline v1::detail {

// What there is to set; see settings.hpp. Each of these takes the part as const or not.

namespace setting_ranges {
inline constexpr Duration zero = Duration::zero();
inline constexpr Duration ms = std::chrono::milliseconds(1);
inline constexpr Duration second = std::chrono::seconds(1);
inline constexpr Duration hour = std::chrono::hours(1);
inline constexpr Duration day = std::chrono::days(1);
inline constexpr double any = std::numeric_limits<double>::max();
}  // namespace setting_ranges

/// What stands for values that have names.
namespace setting_names {
inline constexpr SettingNames<QueueOrder, 3> orders{
    {{"priority", QueueOrder::priority}, {"weighted", QueueOrder::weighted}, {"strict", QueueOrder::strict}}};
inline constexpr SettingNames<AlertMetric::Source, 12> sources{
    {{"jobs", AlertMetric::Source::jobs},
     {"longest_run", AlertMetric::Source::longest_run},
     {"oldest_ready", AlertMetric::Source::oldest_ready},
     {"nodes", AlertMetric::Source::nodes},
     {"paused", AlertMetric::Source::paused},
     {"since_completed", AlertMetric::Source::since_completed},
     {"since_event", AlertMetric::Source::since_event},
     {"healthy_workers", AlertMetric::Source::healthy_workers},
     {"failed_share", AlertMetric::Source::failed_share},
     {"ended_per_second", AlertMetric::Source::ended_per_second},
     {"utilization", AlertMetric::Source::utilization},
     {"resident_bytes", AlertMetric::Source::resident_bytes}}};
inline constexpr SettingNames<JobState, 7> states{{{"ready", JobState::ready},
                                                   {"scheduled", JobState::scheduled},
                                                   {"blocked", JobState::blocked},
                                                   {"running", JobState::running},
                                                   {"completed", JobState::completed},
                                                   {"cancelled", JobState::cancelled},
                                                   {"dead", JobState::dead}}};
inline constexpr SettingNames<LogLevel, 4> levels{{{"debug", LogLevel::debug},
                                                   {"info", LogLevel::info},
                                                   {"warning", LogLevel::warning},
                                                   {"error", LogLevel::error}}};
inline constexpr SettingNames<RateAlgorithm, 2> algorithms{
    {{"token_bucket", RateAlgorithm::token_bucket}, {"sliding_window", RateAlgorithm::sliding_window}}};
inline constexpr SettingNames<AlertBy, 3> bys{
    {{"all", AlertBy::all}, {"queue", AlertBy::queue}, {"kind", AlertBy::kind}}};
inline constexpr SettingNames<AlertWhen, 2> whens{{{"above", AlertWhen::above}, {"below", AlertWhen::below}}};
inline constexpr SettingNames<AlertSeverity, 3> severities{{{"info", AlertSeverity::info},
                                                            {"warning", AlertSeverity::warning},
                                                            {"critical", AlertSeverity::critical}}};
inline constexpr SettingNames<Balancing, 5> balancers{{{"least_loaded", Balancing::least_loaded},
                                                       {"round_robin", Balancing::round_robin},
                                                       {"weighted", Balancing::weighted},
                                                       {"kind_affinity", Balancing::kind_affinity},
                                                       {"resource_fit", Balancing::resource_fit}}};
inline constexpr SettingNames<MissedRuns, 3> missed{
    {{"once", MissedRuns::once}, {"skip", MissedRuns::skip}, {"all", MissedRuns::all}}};
inline constexpr SettingNames<WhenBusy, 5> busy{{{"allow", WhenBusy::allow},
                                                 {"skip", WhenBusy::skip},
                                                 {"queue_one", WhenBusy::queue_one},
                                                 {"queue_all", WhenBusy::queue_all},
                                                 {"cancel", WhenBusy::cancel}}};
inline constexpr SettingNames<GapPolicy, 4> gaps{{{"vixie", GapPolicy::vixie},
                                                  {"skip", GapPolicy::skip},
                                                  {"next_valid", GapPolicy::next_valid},
                                                  {"shift", GapPolicy::shift}}};
inline constexpr SettingNames<OverlapPolicy, 4> overlaps{{{"vixie", OverlapPolicy::vixie},
                                                          {"first", OverlapPolicy::first},
                                                          {"second", OverlapPolicy::second},
                                                          {"both", OverlapPolicy::both}}};
inline constexpr SettingNames<Undeclared, 3> undeclared{
    {{"erase", Undeclared::erase}, {"pause", Undeclared::pause}, {"keep", Undeclared::keep}}};
}  // namespace setting_names

template <class V, class Queue>
void describe_queue_slots(V& v, Queue& queue) {
  v.value("name", queue.name);
  v.value("concurrency", queue.concurrency, Range<int>{0, 100'000});
  v.value("weight", queue.weight, Range<int>{1, 1000});
}

template <class V, class Processor>
void describe_processor(V& v, Processor& processor) {
  using namespace setting_ranges;
  v.value("name", processor.name);
  v.list("queues", processor.queues, [](auto& inner, auto& queue) { describe_queue_slots(inner, queue); });
  v.choice("queueOrder", processor.queue_order, setting_names::orders);
  v.value("ageing", processor.ageing, Range<Duration>{zero, 365 * day});
  v.value("lease", processor.lease, Range<Duration>{ms, day});
  v.value("pollInterval", processor.poll_interval, Range<Duration>{ms, hour});
  v.value("watchInterval", processor.watch_interval, Range<Duration>{ms, hour});
  v.value("stopGrace", processor.stop_grace, Range<Duration>{zero, day});
  v.value("progressInterval", processor.progress_interval, Range<Duration>{ms, hour});
  v.value("crashLimit", processor.crash_limit, Range<int>{1, 1000});
  v.value("flightRecord", processor.flight_record);
  v.group("jobLog", [&](auto& log) {
    log.value("lines", processor.job_log.lines, Range<std::size_t>{0, 10'000});
    log.value("bytes", processor.job_log.bytes, Range<std::size_t>{0, std::size_t{256} * 1024});
    log.value("lineBytes", processor.job_log.line_bytes, Range<std::size_t>{64, 16'384});
    log.value("interval", processor.job_log.interval, Range<Duration>{ms, hour});
    log.choice("least", processor.job_log.least, setting_names::levels);
  });
}

template <class V, class Worker>
void describe_worker(V& v, Worker& worker) {
  using namespace setting_ranges;
  v.value("id", worker.id);
  v.value("maxJobs", worker.max_jobs, Range<int>{1, 100'000});
  v.texts("supportedJobTypes", worker.supported_kinds);
  v.value("enabled", worker.enabled);
  v.value("weight", worker.weight, Range<double>{1e-6, 1000});
  v.amounts("budget", worker.budget);
  v.value("healthCheckInterval", worker.health_check_interval, Range<Duration>{ms, day});
  v.value("gracefulShutdownTimeout", worker.graceful_shutdown_timeout, Range<Duration>{zero, day});
}

template <class V, class Scaling>
void describe_scaling(V& v, Scaling& scaling) {
  using namespace setting_ranges;
  v.value("minWorkers", scaling.min_workers, Range<std::size_t>{0, 10'000});
  v.value("maxWorkers", scaling.max_workers, Range<std::size_t>{1, 10'000});
  v.group("worker", [&](auto& inner) { describe_worker(inner, scaling.worker); });
  v.value("upDepth", scaling.up_depth, Range<double>{0, 1e12});
  v.value("upWait", scaling.up_wait, Range<Duration>{zero, day});
  v.value("upUtilization", scaling.up_utilization, Range<double>{0, 1});
  v.value("downUtilization", scaling.down_utilization, Range<double>{0, 1});
  v.value("upStep", scaling.up_step, Range<std::size_t>{1, 1000});
  v.value("downStep", scaling.down_step, Range<std::size_t>{1, 1000});
  v.value("upSamples", scaling.up_samples, Range<int>{1, 1000});
  v.value("downSamples", scaling.down_samples, Range<int>{1, 1000});
  v.value("interval", scaling.interval, Range<Duration>{10 * ms, day});
  v.value("upCooldown", scaling.up_cooldown, Range<Duration>{zero, day});
  v.value("downCooldown", scaling.down_cooldown, Range<Duration>{zero, day});
}

/// An AlertMetric in parts. A metric that is a function is no setting.
struct MetricParts {
  AlertMetric::Source source = AlertMetric::Source::jobs;
  JobState state = JobState::ready;
  std::string queue{};
  std::string kind{};
  std::string event{};
  AlertBy by = AlertBy::all;
  Duration window = std::chrono::minutes(5);
  std::uint64_t least = 20;
};
[[nodiscard]] MetricParts parts_of(const AlertMetric& metric);
[[nodiscard]] AlertMetric metric_of(const MetricParts& parts);

template <class V, class Rule>
void describe_rule(V& v, Rule& rule) {
  using namespace setting_ranges;
  v.value("name", rule.name);
  MetricParts metric = parts_of(rule.metric);
  v.choice("metric", metric.source, setting_names::sources);
  v.choice("state", metric.state, setting_names::states);
  v.value("queue", metric.queue);
  v.value("kind", metric.kind);
  v.value("event", metric.event);
  v.choice("by", metric.by, setting_names::bys);
  v.value("window", metric.window, Range<Duration>{second, day});
  v.value("least", metric.least, Range<std::uint64_t>{0, std::numeric_limits<std::uint64_t>::max()});
  if constexpr (!std::is_const_v<Rule>) rule.metric = metric_of(metric);
  v.choice("when", rule.when, setting_names::whens);
  v.value("threshold", rule.threshold, Range<double>{-any, any});
  v.maybe("clear", rule.clear);
  v.value("holdFor", rule.hold_for, Range<Duration>{zero, 30 * day});
  v.value("keepFiringFor", rule.keep_firing_for, Range<Duration>{zero, 30 * day});
  v.choice("severity", rule.severity, setting_names::severities);
  v.value("coolDown", rule.cool_down, Range<Duration>{zero, 30 * day});
  v.value("repeat", rule.repeat, Range<Duration>{zero, 30 * day});
  v.value("notifyResolved", rule.notify_resolved);
  v.value("description", rule.description);
}

template <class V, class Limit>
void describe_limit(V& v, Limit& limit) {
  using namespace setting_ranges;
  v.value("name", limit.name);
  v.value("queue", limit.queue);
  v.value("kind", limit.kind);
  v.value("maxRunning", limit.max_running, Range<std::uint64_t>{0, 1'000'000'000});
  v.group("rate", [&](auto& rate) {
    rate.value("count", limit.rate.count, Range<std::int64_t>{0, 100'000});
    rate.value("per", limit.rate.per, Range<Duration>{zero, 366 * day});
    rate.choice("algorithm", limit.rate.algorithm, setting_names::algorithms);
    rate.value("burst", limit.rate.burst, Range<std::int64_t>{0, 100'000});
  });
}

/// What its values may be says `check(const ScheduleSpec&, ...)`.
template <class V, class Spec>
void describe_schedule(V& v, Spec& spec) {
  auto& timing = spec.timing;
  v.value("name", spec.name);
  v.value("cron", timing.cron);
  v.value("every", timing.every);
  v.value("anchor", timing.anchor);
  v.moments("at", timing.at);
  v.value("zone", timing.zone);
  v.group("shifts", [&](auto& shifts) {
    shifts.choice("gap", timing.shifts.gap, setting_names::gaps);
    shifts.choice("overlap", timing.shifts.overlap, setting_names::overlaps);
  });
  v.texts("except", timing.except);
  v.list("within", timing.within, [](auto& inner, auto& window) {
    inner.value("days", window.days);
    inner.value("from", window.from);
    inner.value("to", window.to);
  });
  v.maybe("start", timing.start);
  v.maybe("until", timing.until);
  v.value("jitter", timing.jitter);
  v.value("kind", spec.kind);
  v.json("payload", spec.payload);
  v.value("queue", spec.queue);
  v.value("priority", spec.priority);
  v.value("tenant", spec.tenant);
  v.texts("tags", spec.tags);
  v.value("maxAttempts", spec.max_attempts);
  v.value("timeout", spec.timeout);
  v.choice("missed", spec.missed, setting_names::missed);
  v.value("missedLimit", spec.missed_limit);
  v.value("missedWithin", spec.missed_within);
  v.choice("whenBusy", spec.when_busy, setting_names::busy);
  v.value("skipIfQueueBusy", spec.skip_if_queue_busy);
  v.value("maxRuns", spec.max_runs);
}

template <class V, class Config>
void describe_scheduler(V& v, Config& config) {
  using namespace setting_ranges;
  v.value("enabled", config.scheduling);
  v.value("refreshInterval", config.scheduler.refresh_interval, Range<Duration>{100 * ms, 60 * second});
  v.value("missedAfter", config.scheduler.missed_after, Range<Duration>{second, hour});
  v.value("setBack", config.scheduler.set_back, Range<Duration>{60 * second, 365 * day});
  v.value("retryInterval", config.scheduler.retry_interval, Range<Duration>{100 * ms, 60 * second});
  v.choice("undeclared", config.undeclared, setting_names::undeclared);
  std::string folder = config.zones.folder.string();
  v.value("zoneData", folder);
  if constexpr (!std::is_const_v<Config>) config.zones.folder = folder;
}

/// All but `queue` and `storage`.
template <class V, class Config>
void describe_service(V& v, Config& config) {
  using namespace setting_ranges;
  v.value("runJobs", config.run_jobs);
  v.list("limits", config.limits, [](auto& inner, auto& limit) { describe_limit(inner, limit); });
  v.group("processor", [&](auto& inner) { describe_processor(inner, config.pool.processor); });
  v.group("pool", [&](auto& pool) {
    pool.list("workers", config.pool.workers,
              [](auto& inner, auto& worker) { describe_worker(inner, worker); });
    pool.choice("balancing", config.balancing, setting_names::balancers);
    pool.amounts("budget", config.pool.budget);
    pool.maybe_group("scaling", config.pool.scaling,
                     [](auto& inner, auto& scaling) { describe_scaling(inner, scaling); });
    pool.value("unhealthyFailures", config.pool.unhealthy_failures, Range<int>{0, 1'000'000});
  });
  v.group("monitor", [&](auto& monitor) {
    monitor.value("sampleInterval", config.monitor.sample_interval, Range<Duration>{100 * ms, hour});
    monitor.value("mostPairs", config.monitor.most_pairs, Range<std::size_t>{1, 100'000});
    monitor.value("mostFailureGroups", config.monitor.most_failure_groups, Range<std::size_t>{1, 10'000});
    monitor.value("longRun", config.monitor.long_run, Range<Duration>{zero, day});
  });
  v.group("history", [&](auto& history) {
    history.value("enabled", config.recording);
    history.value("interval", config.history.interval, Range<Duration>{second, 60 * second});
    history.value("keepMinutes", config.history.keep_minutes, Range<Duration>{3 * hour, 31 * day});
    history.value("keepHours", config.history.keep_hours, Range<Duration>{2 * day, 730 * day});
    history.value("keepDays", config.history.keep_days, Range<Duration>{7 * day, 7300 * day});
    history.value("late", config.history.late, Range<Duration>{60 * second, hour});
    history.value("mostPairs", config.history.most_pairs, Range<std::size_t>{1, 10'000});
  });
  v.group("alerts", [&](auto& alerts) {
    alerts.value("enabled", config.alerting);
    alerts.value("interval", config.alerts.interval, Range<Duration>{100 * ms, hour});
    alerts.value("mostAlerts", config.alerts.most_alerts, Range<std::size_t>{1, 100'000});
    alerts.list("rules", config.alerts.rules, [](auto& inner, auto& rule) { describe_rule(inner, rule); });
  });
  v.group("health", [&](auto& health) {
    constexpr Range<std::uint64_t> all{0, std::numeric_limits<std::uint64_t>::max()};
    health.value("slowStorage", config.health.slow_storage, Range<Duration>{zero, hour});
    health.value("mostReady", config.health.most_ready, all);
    health.value("memoryLimit", config.health.memory_limit, all);
    health.value("stuckAfter", config.health.stuck_after, Range<Duration>{5 * second, day});
  });
  v.maybe_list("schedules", config.schedules,
               [](auto& inner, auto& schedule) { describe_schedule(inner, schedule); });
  v.group("scheduler", [&](auto& inner) { describe_scheduler(inner, config); });
  v.group("stop", [&](auto& stop) {
    stop.value("wait", config.stop.wait, Range<Duration>{zero, day});
    stop.value("grace", config.stop.grace, Range<Duration>{zero, day});
  });
}

}  // namespace quern::inline v1::detail
