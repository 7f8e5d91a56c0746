#include <array>

#include "http/api_context.hpp"
#include "http/crypto.hpp"
#include "http/openapi_parts.hpp"

namespace quern::inline v1::http {
namespace {

struct Common {
  const char* status;
  const char* response;
};
// Which answers an operation has, whatever it does: so no part has to list them.
constexpr std::array<Common, 6> of_all{{{"400", "Malformed"},
                                        {"401", "Unauthenticated"},
                                        {"403", "Forbidden"},
                                        {"429", "TooManyRequests"},
                                        {"500", "Internal"},
                                        {"503", "Unavailable"}}};
constexpr Common of_bodies{"415", "UnsupportedMediaType"};
constexpr Common of_values{"422", "Invalid"};
constexpr Common of_any_request{"default", "Refused"};

void add(Json& responses, const Common& common) {
  if (responses.contains(common.status)) return;
  responses[common.status]["$ref"] = std::string("#/components/responses/") + common.response;
}

void complete(Json& operation, bool reads) {
  Json& responses = operation["responses"];
  if (operation["x-permission"].get_ref<const std::string&>().empty()) {
    operation["security"] = Json::array();
    return;
  }
  const bool has_body = operation.contains("requestBody");
  for (const Common& common : of_all) add(responses, common);
  if (has_body) add(responses, of_bodies);
  if (has_body || reads) add(responses, of_values);
  add(responses, of_any_request);
}

Json assembled() {
  Json document;
  for (const detail::OpenApiPart& part : detail::openapi_parts())
    if (part.name == "base.json") document = Json::parse(part.body);
  for (const detail::OpenApiPart& part : detail::openapi_parts()) {
    if (part.name == "base.json") continue;
    const Json more = Json::parse(part.body);
    document["paths"].update(more.at("paths"));
    document["components"]["schemas"].update(more.at("components").at("schemas"));
  }
  Json& paths = document["paths"];
  for (auto path = paths.begin(); path != paths.end(); ++path)
    for (auto operation = path->begin(); operation != path->end(); ++operation)
      complete(operation.value(), operation.key() == "get");
  return document;
}

struct Document {
  std::string text = assembled().dump();
  std::string etag = etag_of(text);
};

}  // namespace

void mount_openapi(Router& router) {
  router.add({Method::get, "/api/openapi.json", std::string(any_caller), "This description of the API.",
              [](const Request& request) {
                Query(request).end();
                static const Document document;
                return tagged_response(request, document.text, document.etag, "public, no-cache");
              }});
}

}  // namespace quern::inline v1::http
