#include "quern/monitor/history_point.hpp"

#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "monitor/history_slot.hpp"

namespace quern::inline v1 {
namespace {

using Json = nlohmann::ordered_json;

double seconds(Duration time) { return std::chrono::duration<double>(time).count(); }

Json json_of(const Histogram& histogram) {
  Json json{{"count", histogram.count()}, {"sum", seconds(histogram.sum())}};
  if (histogram.empty()) return json;
  for (const auto& [name, q] : {std::pair{"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}})
    json[name] = seconds(histogram.quantile(q).value());
  json["max"] = seconds(histogram.max());
  return json;
}

Json json_of(const HistoryGauge& gauge) { return {{"mean", gauge.mean}, {"max", gauge.max}}; }

Json json_of(const HistoryPoint& point) {
  Json json{{"from", to_rfc3339(point.from)}, {"length_s", seconds(point.length)}, {"open", point.open}};
  for (const auto& count : detail::history_counts)
    json[std::string(count.name)] = point.counts.*count.of_history;
  json["cpu_s"] = seconds(point.counts.cpu);
  json["wait_s"] = json_of(point.waited);
  json["run_s"] = json_of(point.ran);
  json["age_s"] = json_of(point.age);
  json["all_kinds"] = {{"covered_s", seconds(point.covered)},
                       {"running", point.running},
                       {"slots", point.slots},
                       {"utilization", point.utilization()}};
  if (!point.depth) return json;
  const HistoryDepth& depth = *point.depth;
  json["depth"] = {{"ready", json_of(depth.ready)},
                   {"scheduled", json_of(depth.scheduled)},
                   {"running", json_of(depth.running)},
                   {"dead", json_of(depth.dead)},
                   {"oldest_ready_s", seconds(depth.oldest_ready)}};
  json["all_kinds"]["nodes"] = json_of(depth.nodes);
  return json;
}

}  // namespace

std::string_view to_string(HistoryResolution resolution) noexcept {
  switch (resolution) {
    case HistoryResolution::minute:
      return "minute";
    case HistoryResolution::hour:
      return "hour";
    case HistoryResolution::day:
      return "day";
  }
  return "unknown";
}

Duration length_of(HistoryResolution resolution) noexcept {
  switch (resolution) {
    case HistoryResolution::minute:
      return std::chrono::minutes(1);
    case HistoryResolution::hour:
      return std::chrono::hours(1);
    case HistoryResolution::day:
      break;
  }
  return std::chrono::hours(24);
}

std::string to_json(std::span<const HistoryPoint> points) {
  Json json{{"points", Json::array()}};
  for (const HistoryPoint& point : points) json["points"].push_back(json_of(point));
  return json.dump();
}

}  // namespace quern::inline v1
