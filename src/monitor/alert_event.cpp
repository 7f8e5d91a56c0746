#include "quern/monitor/alert_event.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace quern::inline v1 {
namespace {

using Json = nlohmann::ordered_json;

/// " {queue="mail",kind="send"}", or nothing.
std::string labels(std::string_view queue, std::string_view kind) {
  std::string text;
  if (!queue.empty()) text += fmt::format("queue=\"{}\"", queue);
  if (!kind.empty()) text += fmt::format("{}kind=\"{}\"", text.empty() ? "" : ",", kind);
  if (text.empty()) return text;
  return fmt::format(" {{{}}}", text);
}

void put_labels(Json& json, const std::string& queue, const std::string& kind) {
  json["labels"] = Json::object();
  if (!queue.empty()) json["labels"]["queue"] = queue;
  if (!kind.empty()) json["labels"]["kind"] = kind;
}

}  // namespace

std::string_view to_string(AlertEventType type) noexcept {
  return type == AlertEventType::resolved ? "alert_resolved" : "alert_triggered";
}

std::string AlertEvent::summary() const {
  const auto name = fmt::format("{}: {}{}", to_string(severity), rule, labels(queue, kind));
  const auto side = when == AlertWhen::above ? "above" : "below";
  if (type == AlertEventType::resolved)
    return fmt::format("{} is resolved: it was {} {}", name, side, threshold);
  return fmt::format("{} fires: {} is {} {}", name, value, side, threshold);
}

std::string to_json(const AlertEvent& event) {
  Json json{{"type", to_string(event.type)},
            {"rule", event.rule},
            {"severity", to_string(event.severity)},
            {"description", event.description}};
  put_labels(json, event.queue, event.kind);
  json["value"] = event.value;
  json["when"] = event.when == AlertWhen::above ? "above" : "below";
  json["threshold"] = event.threshold;
  json["since"] = to_rfc3339(event.since);
  json["at"] = to_rfc3339(event.at);
  json["number"] = event.number;
  json["summary"] = event.summary();
  return json.dump();
}

std::string to_json(std::span<const AlertView> alerts) {
  Json all = Json::array();
  for (const AlertView& alert : alerts) {
    Json& json = all.emplace_back(Json{{"rule", alert.rule},
                                       {"status", to_string(alert.status)},
                                       {"severity", to_string(alert.severity)},
                                       {"description", alert.description}});
    put_labels(json, alert.queue, alert.kind);
    json["value"] = alert.value;
    json["threshold"] = alert.threshold;
    json["since"] = to_rfc3339(alert.since);
    json["silenced"] = alert.silenced;
    json["notified"] = alert.notified;
  }
  return all.dump();
}

std::string to_json(std::span<const AlertSilence> silences) {
  Json all = Json::array();
  for (const AlertSilence& silence : silences)
    all.push_back({{"id", silence.id},
                   {"rule", silence.match.rule},
                   {"queue", silence.match.queue},
                   {"kind", silence.match.kind},
                   {"begins", to_rfc3339(silence.begins)},
                   {"until", to_rfc3339(silence.until)},
                   {"reason", silence.reason},
                   {"who", silence.who}});
  return all.dump();
}

bool AlertMatch::matches(std::string_view its_rule, std::string_view its_queue,
                         std::string_view its_kind) const noexcept {
  const std::string_view wanted = rule;
  const bool same_rule = wanted.empty() || wanted == its_rule ||
                         (wanted.ends_with('*') && its_rule.starts_with(wanted.substr(0, wanted.size() - 1)));
  return same_rule && (queue.empty() || queue == its_queue) && (kind.empty() || kind == its_kind);
}

}  // namespace quern::inline v1
