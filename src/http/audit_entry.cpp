#include "quern/http/audit_entry.hpp"

#include <algorithm>

#include "quern/http/access.hpp"

namespace quern::inline v1::http {
namespace {

bool is_request_id(std::string_view text) {
  constexpr std::size_t most = 64;
  return !text.empty() && text.size() <= most && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

/// "17"; of several parts "mail/17".
std::string object_of(const Request& request) {
  std::string object;
  for (const Parameter& part : request.parts) {
    if (!object.empty()) object += '/';
    object += part.value;
  }
  return object;
}

}  // namespace

AuditEntry audit_entry(const Request& request, const Route* route, const Response* response) {
  AuditEntry entry{.peer = request.peer};
  if (request.caller != nullptr) {
    entry.who = request.caller->name;
    entry.via = request.caller->via;
    entry.id = request.caller->id;
  }
  entry.object = object_of(request);
  entry.queue = request.part("queue");
  entry.tenant = request.part("tenant");
  entry.reason = request.refused;
  entry.details.emplace("method", to_text(request.method));
  if (route != nullptr) {
    entry.action = route->permission;
    entry.type = route->permission.substr(0, std::min(route->permission.find('.'), route->permission.size()));
    entry.details.emplace("route", route->pattern);
  } else {
    // Without the query, in which anything may stand.
    entry.details.emplace("path", request.path());
  }
  if (response != nullptr) {
    entry.status = response->status;
    // What was made is named as the path's variable part would name it.
    if (const auto location = response->headers.find("Location"); location && entry.object.empty())
      entry.object =
          decode(location->substr(location->rfind('/') + 1), false).value_or(std::string(*location));
  }
  const std::string_view id = request.headers.find("X-Request-Id").value_or("");
  if (is_request_id(id)) entry.request_id = id;
  return entry;
}

}  // namespace quern::inline v1::http
