#include "http/api_context.hpp"

#include <algorithm>

#include "http/crypto.hpp"

namespace quern::inline v1::http {

const Scope& scope_of(const Request& request) {
  static const Scope everything{.permissions = {"*"}};
  return request.caller ? request.caller->scope : everything;
}

std::string who(const Request& request) { return request.caller ? request.caller->name : std::string(); }

namespace {

[[noreturn]] void forbid(std::string detail) {
  throw Problem{.status = 403, .name = "forbidden", .detail = std::move(detail)};
}

}  // namespace

void require_all_tenants(const Request& request) {
  if (scope_of(request).tenants) forbid("this concerns all tenants, and you may see only some");
}

void require_all(const Request& request) {
  if (!scope_of(request).unlimited())
    forbid("this concerns all tenants and queues, and you may see only some");
}

void require(const Request& request, std::string_view permission) {
  if (!scope_of(request).may(permission)) forbid("needs the permission " + std::string(permission));
}

Response json_response(const Json& body, int status) {
  Response response = text_response(body.dump(), "application/json");
  response.status = status;
  return response;
}

Response text_response(std::string body, std::string type) {
  Response response;
  response.headers.set("Content-Type", std::move(type));
  response.headers.set("Cache-Control", "no-store");
  response.body = std::move(body);
  return response;
}

Response no_content() { return {.status = 204}; }

std::string etag_of(std::string_view body) {
  constexpr std::size_t enough = 16;
  return '"' + detail::to_base64url(detail::sha256(body).substr(0, enough)) + '"';
}

Response tagged_response(const Request& request, std::string body, const std::string& etag,
                         std::string cache_control) {
  Response response = text_response(std::move(body), "application/json");
  response.headers.set("ETag", etag);
  response.headers.set("Cache-Control", std::move(cache_control));
  if (request.headers.find("If-None-Match") == etag) {
    response.status = 304;
    response.headers.erase("Content-Type");
    response.body.clear();
  }
  return response;
}

bool is_reserved(std::string_view name) { return name.starts_with("quern."); }

JobFilter filter_in(Query& query) {
  JobFilter filter;
  for (const std::string& state : query.list("state")) {
    if (const auto known = parse_job_state(state))
      filter.states.push_back(*known);
    else
      query.fault("state", "must be blocked, scheduled, ready, running, completed, dead or cancelled");
  }
  filter.queue = query.text("queue");
  filter.kind = query.text("kind");
  filter.tenant = query.text("tenant");
  filter.tag = query.text("tag");
  filter.created_from = query.time("created_from");
  filter.created_before = query.time("created_before");
  return filter;
}

JobFilter filter_in(Members& members) {
  JobFilter filter;
  std::vector<std::string> states;
  members.texts("states", states);
  for (const std::string& state : states) {
    if (const auto known = parse_job_state(state))
      filter.states.push_back(*known);
    else
      members.fault("states", "may have blocked, scheduled, ready, running, completed, dead and cancelled");
  }
  members.text("queue", filter.queue);
  members.text("kind", filter.kind);
  members.text("tenant", filter.tenant);
  members.text("tag", filter.tag);
  members.time("created_from", filter.created_from);
  members.time("created_before", filter.created_before);
  return filter;
}

namespace {

/// The names that a filter may have: the one that it has, if it is among those allowed, or all of these.
std::vector<std::string> names(const std::string& asked,
                               const std::optional<std::vector<std::string>>& allowed) {
  if (!allowed) return {asked};
  if (asked.empty()) return *allowed;
  if (std::ranges::find(*allowed, asked) != allowed->end()) return {asked};
  return {};
}

}  // namespace

std::optional<std::vector<JobFilter>> within_reach(const JobFilter& filter, const Scope& scope) {
  std::vector<JobFilter> filters;
  for (const std::string& tenant : names(filter.tenant, scope.tenants)) {
    for (const std::string& queue : names(filter.queue, scope.queues)) {
      JobFilter& one = filters.emplace_back(filter);
      one.tenant = tenant;
      one.queue = queue;
    }
  }
  if (filters.empty()) return std::nullopt;
  return filters;
}

JobPage list(StoragePort& storage, const std::vector<JobFilter>& filters) {
  if (filters.size() == 1) return storage.list(filters.front());
  JobPage merged;
  bool more = false;
  for (const JobFilter& filter : filters) {
    JobPage page = storage.list(filter);
    more = more || page.next;
    std::ranges::move(page.jobs, std::back_inserter(merged.jobs));
  }
  const bool oldest_first = filters.front().oldest_first;
  std::ranges::sort(merged.jobs,
                    [&](const Job& a, const Job& b) { return oldest_first ? a.id < b.id : b.id < a.id; });
  const std::size_t limit = filters.front().limit;
  if (merged.jobs.size() > limit) {
    merged.jobs.resize(limit);
    more = true;
  }
  if (more && !merged.jobs.empty()) merged.next = merged.jobs.back().id;
  return merged;
}

JobId id_of(const Request& request) {
  if (const auto id = parse_job_id(request.part("id"))) return *id;
  throw Problem::not_found("there is no such job");
}

Job job_of(const ApiContext& api, const Request& request) {
  const JobId id = id_of(request);
  std::optional<Job> job = std::move(api.storage().find(std::span(&id, 1)).front());
  if (!job || !scope_of(request).reaches(job->tenant, job->queue))
    throw Problem::not_found("there is no such job");
  return std::move(*job);
}

}  // namespace quern::inline v1::http
