#include "quern/http/problem.hpp"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

namespace quern::inline v1::http {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 21> titles{{
    {"malformed", "The request cannot be read"},
    {"invalid", "Values in the request are not allowed"},
    {"unauthenticated", "Who is asking is not known"},
    {"forbidden", "This is not allowed to you"},
    {"not-found", "There is no such thing"},
    {"method-not-allowed", "This cannot be done to it"},
    {"not-acceptable", "No such form of it can be given"},
    {"timeout", "The request did not come in time"},
    {"conflict", "It does not stand so that this can be done"},
    {"precondition-failed", "It has changed meanwhile"},
    {"too-large", "The request is too large"},
    {"uri-too-long", "The address is too long"},
    {"unsupported-media-type", "The body must be JSON"},
    {"too-many-requests", "Too many requests"},
    {"headers-too-large", "The header is too large"},
    {"queue-full", "The queue takes no more jobs"},
    {"internal", "An error of the server"},
    {"busy", "The server has too much to do at present"},
    {"not-implemented", "The server does not know how to do this"},
    {"unavailable", "The storage does not answer at present"},
    {"key-reused", "The idempotency key belongs to another request"},
}};

}  // namespace

Problem Problem::not_found(std::string detail) {
  return {.status = 404, .name = "not-found", .detail = std::move(detail)};
}

Problem Problem::invalid(std::vector<FieldFault> faults) {
  return {.status = 422, .name = "invalid", .detail = {}, .faults = std::move(faults)};
}

Problem Problem::invalid(std::string pointer, std::string detail) {
  std::vector<FieldFault> faults;
  faults.push_back({std::move(pointer), std::move(detail)});
  return invalid(std::move(faults));
}

Problem Problem::malformed(std::string detail) {
  return {.status = 400, .name = "malformed", .detail = std::move(detail)};
}

Problem Problem::conflict(std::string detail) {
  return {.status = 409, .name = "conflict", .detail = std::move(detail)};
}

std::string_view title_of(std::string_view name) noexcept {
  for (const auto& [known, title] : titles)
    if (known == name) return title;
  return {};
}

Response to_response(const Problem& problem) {
  nlohmann::ordered_json body;
  body["type"] = "urn:quern:problem:" + problem.name;
  body["title"] = title_of(problem.name);
  body["status"] = problem.status;
  if (!problem.detail.empty()) body["detail"] = problem.detail;
  if (!problem.faults.empty()) {
    auto& errors = body["errors"] = nlohmann::ordered_json::array();
    for (const FieldFault& fault : problem.faults) {
      auto& one = errors.emplace_back();
      one["pointer"] = fault.pointer;
      one["detail"] = fault.detail;
    }
  }
  Response response;
  response.status = problem.status;
  response.headers = problem.headers;
  response.headers.set("Content-Type", "application/problem+json");
  response.headers.set("Cache-Control", "no-store");
  // A detail may quote what came from outside, and that need not be UTF-8.
  response.body = body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  return response;
}

}  // namespace quern::inline v1::http
