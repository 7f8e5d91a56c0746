#include <fmt/format.h>

#include <array>
#include <chrono>
#include <nlohmann/json.hpp>

#include "quern/core/job_state.hpp"
#include "quern/monitor/metrics.hpp"

namespace quern::inline v1 {
namespace {

using Json = nlohmann::ordered_json;

double seconds(Duration time) { return std::chrono::duration<double>(time).count(); }

Json json_of(const Histogram& histogram) {
  Json json{{"count", histogram.count()}, {"sum", seconds(histogram.sum())}};
  if (histogram.empty()) return json;
  json["mean"] = seconds(histogram.mean());
  json["min"] = seconds(histogram.min());
  for (const auto& [name, q] : {std::pair{"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}})
    json[name] = seconds(histogram.quantile(q).value());
  json["max"] = seconds(histogram.max());
  return json;
}

Json json_of(const JobMetrics& jobs) {
  Json json{{"queue", jobs.queue},           {"kind", jobs.kind},         {"enqueued", jobs.enqueued},
            {"duplicates", jobs.duplicates}, {"refused", jobs.refused},   {"started", jobs.started},
            {"completed", jobs.completed},   {"failed", jobs.failed},     {"timed_out", jobs.timed_out},
            {"retried", jobs.retried},       {"dead", jobs.dead},         {"cancelled", jobs.cancelled},
            {"snoozed", jobs.snoozed},       {"released", jobs.released}, {"lost", jobs.lost}};
  json["wait_s"] = json_of(jobs.waited);
  json["run_s"] = json_of(jobs.ran);
  json["age_s"] = json_of(jobs.age);
  json["cpu_s"] = seconds(jobs.cpu);
  json["peak_bytes"] = jobs.peak_memory;
  constexpr std::array<const char*, JobMetrics::windows.size()> names{"10s", "1m", "5m", "15m"};
  for (std::size_t i = 0; i < names.size(); ++i)
    json["rates"][names[i]] = {{"per_second", jobs.rates[i].per_second},
                               {"failed_share", jobs.rates[i].failed_share}};
  return json;
}

}  // namespace

std::string to_json(const Metrics& metrics) {
  Json json{{"at", to_rfc3339(metrics.at)}};
  json["jobs"] = Json::array();
  for (const JobMetrics& jobs : metrics.jobs) json["jobs"].push_back(json_of(jobs));
  json["storage"] = Json::object();
  for (const StorageCallMetrics& call : metrics.storage) {
    Json& one = json["storage"][std::string(to_string(call.call))] = json_of(call.took);
    one["failed"] = call.failed;
  }
  json["node"] = {{"running", metrics.running},
                  {"slots", metrics.slots},
                  {"utilization", metrics.utilization()},
                  {"found_dead_nodes", metrics.dead_nodes},
                  {"rescued_jobs", metrics.rescued_jobs},
                  {"rescue_dead_jobs", metrics.rescue_dead_jobs},
                  {"leases_lost", metrics.leases_lost},
                  {"cpu_s", seconds(metrics.process.cpu)},
                  {"resident_bytes", metrics.process.resident_bytes},
                  {"peak_bytes", metrics.process.peak_bytes}};
  Json& whole = json["all_nodes"] = {{"failed_samples", metrics.failed_samples}};
  if (metrics.sampled_at == TimePoint::min()) return json.dump();
  whole["sampled_at"] = to_rfc3339(metrics.sampled_at);
  whole["nodes"] = metrics.nodes;
  whole["counts"] = Json::array();
  for (const JobCount& count : metrics.counts)
    whole["counts"].push_back({{"queue", count.queue},
                               {"kind", count.kind},
                               {"state", std::string(to_string(count.state))},
                               {"count", count.count}});
  whole["oldest_ready"] = Json::array();
  for (const ReadyAge& oldest : metrics.oldest_ready)
    whole["oldest_ready"].push_back({{"queue", oldest.queue},
                                     {"kind", oldest.kind},
                                     {"since", to_rfc3339(oldest.since)},
                                     {"age_s", seconds(oldest.age)}});
  whole["longest_runs"] = Json::array();
  for (const LongestRun& run : metrics.longest_runs)
    whole["longest_runs"].push_back({{"queue", run.queue},
                                     {"kind", run.kind},
                                     {"job", to_string(run.job)},
                                     {"started_at", to_rfc3339(run.started_at)}});
  whole["queues"] = Json::array();
  for (const QueueStatus& queue : metrics.queues)
    whole["queues"].push_back(
        {{"name", queue.name}, {"paused", queue.paused}, {"max_waiting", queue.max_waiting}});
  whole["limits"] = Json::array();
  for (const LimitStatus& limit : metrics.limits) {
    Json& one = whole["limits"].emplace_back(Json{{"name", limit.rule.name},
                                                  {"queue", limit.rule.queue},
                                                  {"kind", limit.rule.kind},
                                                  {"running", limit.running}});
    if (limit.rule.max_running > 0) one["max_running"] = limit.rule.max_running;
    if (limit.free) one["free"] = *limit.free;
    if (limit.starts) one["starts"] = *limit.starts;
    if (limit.rule.rate.count > 0) {
      one["rate"] = {{"count", limit.rule.rate.count}, {"per_s", seconds(limit.rule.rate.per)}};
      one["wait_s"] = seconds(limit.wait);
    }
  }
  return json.dump();
}

}  // namespace quern::inline v1
