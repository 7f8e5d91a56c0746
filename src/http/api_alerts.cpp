#include "http/api_context.hpp"
#include "quern/core/error.hpp"

namespace quern::inline v1::http {
namespace {

Response alerts(const ApiContext& api, const Request& request) {
  require_all(request);
  Query(request).end();
  return text_response(
      "{\"alerts\":" + to_json(api.host.alerts()) + ",\"silences\":" + to_json(api.host.silences()) + "}",
      "application/json");
}

Response rules(const ApiContext& api, const Request& request) {
  require_all(request);
  Query(request).end();
  Json json;
  json["rules"] = Json::parse(api.host.config()).at("alerts").at("rules");
  return json_response(json);
}

Response silence(const ApiContext& api, const Request& request) {
  require_all(request);
  const nlohmann::json body = object_of(request);
  std::vector<FieldFault> faults;
  Members members(body, "", faults);
  AlertMatch match;
  std::string reason;
  members.text("rule", match.rule);
  members.text("queue", match.queue);
  members.text("kind", match.kind);
  members.text("reason", reason);
  const auto until = members.when("until", "for");
  if (!until && faults.empty()) members.fault("for", "is missing; \"until\" may stand instead");
  members.end();
  throw_if_any(std::move(faults));
  Json json;
  json["id"] = std::to_string(with_faults([&] {
    return api.host.silence(std::move(match), until->resolve(api.now()), std::move(reason), who(request));
  }));
  return json_response(json, 201);
}

Response unsilence(const ApiContext& api, const Request& request) {
  require_all(request);
  const auto id = parse_job_id(request.part("id"));  // written alike
  if (!id || !api.host.unsilence(id->value)) throw Problem::not_found("there is no such silence");
  return no_content();
}

}  // namespace

void mount_alerts(Router& router, const ApiContext& api) {
  router.add({Method::get, "/api/alerts", "alerts.read", "What is pending or firing, and the silences.",
              [&api](const Request& request) { return alerts(api, request); }});
  router.add({Method::get, "/api/alerts/rules", "alerts.read", "The rules in force.",
              [&api](const Request& request) { return rules(api, request); }});
  router.add({Method::post, "/api/alerts/silences", "alerts.manage",
              "Gives no notices of some alerts until then.",
              [&api](const Request& request) { return silence(api, request); }});
  router.add({Method::del, "/api/alerts/silences/:id", "alerts.manage", "Ends a silence.",
              [&api](const Request& request) { return unsilence(api, request); }});
}

}  // namespace quern::inline v1::http
