#include "quern/http/dashboard.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "http/dashboard_files.hpp"

namespace quern::inline v1::http {
namespace {

std::string_view content_type(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> types{{
      {".html", "text/html; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".svg", "image/svg+xml"},
  }};
  const auto* const found =
      std::ranges::find_if(types, [&](const auto& type) { return name.ends_with(type.first); });
  return found == types.end() ? "application/octet-stream" : found->second;
}

/// Whether If-None-Match names the tag: "*", or a list, in which tags compare weakly (RFC 9110 13.1.2). Our tags have no comma.
bool names(std::string_view list, std::string_view tag) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    std::string_view one = list.substr(0, comma);
    list.remove_prefix(comma == list.npos ? list.size() : comma + 1);
    while (!one.empty() && (one.front() == ' ' || one.front() == '\t')) one.remove_prefix(1);
    while (!one.empty() && (one.back() == ' ' || one.back() == '\t')) one.remove_suffix(1);
    if (one.starts_with("W/")) one.remove_prefix(2);
    if (one == "*" || one == tag) return true;
  }
  return false;
}

bool is_known(const Request& request, std::string_view tag) {
  return std::ranges::any_of(request.headers, [&](const Fields::Field& field) {
    return same_name(field.name, "If-None-Match") && names(field.value, tag);
  });
}

Response answer(const Request& request, const detail::DashboardFile& file) {
  Response response;
  // "no-cache" lets a browser keep a file and ask whether it is still the same, so that a new version is there at once.
  response.headers = {{"ETag", std::string(file.etag)},
                      {"Cache-Control", "no-cache"},
                      {"Content-Security-Policy", std::string(dashboard_policy)},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Referrer-Policy", "no-referrer"}};
  if (is_known(request, file.etag)) {
    response.status = 304;
    return response;
  }
  response.headers.set("Content-Type", std::string(content_type(file.name)));
  response.body = file.body;
  return response;
}

}  // namespace

void mount_dashboard(Router& router) {
  for (const detail::DashboardFile& file : detail::dashboard_files()) {
    const bool is_page = file.name == "index.html";
    std::string pattern("/");
    if (!is_page) pattern += file.name;
    router.add({.method = Method::get,
                .pattern = std::move(pattern),
                .permission = {},
                .summary = is_page ? "The dashboard." : "A file of the dashboard.",
                .handler = [&file](const Request& request) { return answer(request, file); }});
  }
}

}  // namespace quern::inline v1::http
