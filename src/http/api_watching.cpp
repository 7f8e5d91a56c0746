#include <fmt/format.h>

#include <algorithm>

#include "http/api_context.hpp"

namespace quern::inline v1::http {
namespace {

Response metrics(const ApiContext& api, const Request& request) {
  require_all(request);
  Query(request).end();
  return text_response(to_json(api.host.metrics()), "application/json");
}

HistoryResolution fitting(Duration range) {
  if (range <= std::chrono::hours(6)) return HistoryResolution::minute;
  return range <= std::chrono::hours(24 * 14) ? HistoryResolution::hour : HistoryResolution::day;
}

Response performance(const ApiContext& api, const Request& request) {
  require_all(request);
  Query query(request);
  const TimePoint now = api.now();
  const auto from = query.time("from");
  const auto to = query.time("to");
  const auto range = query.duration("range");
  if (range && (from || to)) query.fault("range", "can't stand beside from and to");
  if (range && (*range < std::chrono::minutes(1) || *range > std::chrono::hours(24 * 3660)))
    query.fault("range", "must be from 1m to 3660d");
  HistoryQuery wanted;
  wanted.to = to.value_or(now);
  wanted.from = from.value_or(wanted.to - range.value_or(std::chrono::hours(1)));
  if (wanted.from > wanted.to) query.fault("from", "is later than to");
  wanted.resolution = fitting(wanted.to - wanted.from);
  const std::string resolution = query.text("resolution");
  if (resolution == "minute")
    wanted.resolution = HistoryResolution::minute;
  else if (resolution == "hour")
    wanted.resolution = HistoryResolution::hour;
  else if (resolution == "day")
    wanted.resolution = HistoryResolution::day;
  else if (!resolution.empty())
    query.fault("resolution", "must be minute, hour or day");
  if (const std::string queue = query.text("queue"); !queue.empty()) wanted.queue = queue;
  if (const std::string kind = query.text("kind"); !kind.empty()) wanted.kind = kind;
  if ((wanted.to - wanted.from) / length_of(wanted.resolution) >=
      static_cast<std::int64_t>(most_history_points))
    query.fault("resolution", fmt::format("would give more than {} points", most_history_points));
  query.end();
  return text_response(to_json(api.host.history(wanted)), "application/json");
}

Response failures(const ApiContext& api, const Request& request) {
  require_all_tenants(request);
  Query(request).end();
  auto groups = api.host.failures();
  std::erase_if(groups, [&](const FailureGroup& group) {
    return std::ranges::none_of(
        group.queues, [&](const std::string& queue) { return scope_of(request).reaches("", queue); });
  });
  return text_response("{\"failures\":" + to_json(groups) + "}", "application/json");
}

/// For everybody, so without details: those tell of the inside.
Response health(const ApiContext& api, bool liveness) {
  const HealthReport report = api.host.health(liveness);
  Json brief;
  brief["status"] = to_string(report.status);
  return json_response(brief, report.ok() ? 200 : 503);
}

Response health_details(const ApiContext& api, const Request& request) {
  Query(request).end();
  const HealthReport report = api.host.health(false);
  Response response = text_response(to_json(report), "application/json");
  response.status = report.ok() ? 200 : 503;
  return response;
}

Response me(const Request& request) {
  Query(request).end();
  Json json;
  json["name"] = who(request);
  json["via"] = request.caller ? request.caller->via : "open";
  const Scope& scope = scope_of(request);
  Json& permissions = json["permissions"] = Json::array();
  for (const std::string_view permission : all_permissions())
    if (scope.may(permission)) permissions.push_back(permission);
  json["tenants"] = scope.tenants ? Json(*scope.tenants) : Json(nullptr);
  json["queues"] = scope.queues ? Json(*scope.queues) : Json(nullptr);
  return json_response(json);
}

Response info(const ApiContext& api, const Request& request) {
  Query(request).end();
  Json json;
  json["name"] = "quern";
  json["api"] = 1;
  json["storage"] = api.storage().describe();
  json["now"] = to_rfc3339(api.now());
  return json_response(json);
}

Response config(const ApiContext& api, const Request& request) {
  require_all(request);
  Query(request).end();
  Json json = Json::parse(api.host.config());
  // A schedule's payload may hold what nobody is to see.
  if (json.contains("schedules"))
    for (Json& schedule : json["schedules"])
      if (schedule.contains("payload"))
        schedule["payload"] =
            Json::parse(without_secrets(api, schedule.value("kind", ""), schedule["payload"].dump()));
  return json_response(json);
}

}  // namespace

void mount_watching(Router& router, const ApiContext& api) {
  router.add({Method::get, "/api/jobs/metrics", "metrics.read",
              "What this node and the storage know of jobs, as JSON.",
              [&api](const Request& request) { return metrics(api, request); }});
  router.add(
      {Method::get, "/metrics", "metrics.read", "The same for Prometheus.", [&api](const Request& request) {
         require_all(request);
         Query(request).end();
         return text_response(to_prometheus(api.host.metrics()), prometheus_content_type);
       }});
  router.add({Method::get, "/api/jobs/performance", "metrics.read", "The history of a time.",
              [&api](const Request& request) { return performance(api, request); }});
  router.add({Method::get, "/api/failures", "jobs.read",
              "Failed attempts, grouped by what they have in common.",
              [&api](const Request& request) { return failures(api, request); }});
  router.add({Method::get, "/api/health", "", "Whether this process should get work.",
              [&api](const Request&) { return health(api, false); }});
  router.add({Method::get, "/api/health/ready", "", "The same.",
              [&api](const Request&) { return health(api, false); }});
  router.add({Method::get, "/api/health/live", "", "Whether this process should go on.",
              [&api](const Request&) { return health(api, true); }});
  router.add({Method::get, "/api/health/details", "metrics.read", "What each component's health is.",
              [&api](const Request& request) { return health_details(api, request); }});
  router.add({Method::get, "/api/me", std::string(any_caller), "Who is asking, and what that one may do.",
              [](const Request& request) { return me(request); }});
  router.add({Method::get, "/api/info", std::string(any_caller), "What is answering.",
              [&api](const Request& request) { return info(api, request); }});
  router.add({Method::get, "/api/config", "config.read", "The configuration, without secrets.",
              [&api](const Request& request) { return config(api, request); }});
}

}  // namespace quern::inline v1::http
