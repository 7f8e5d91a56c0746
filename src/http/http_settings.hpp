#pragma once

#include "quern/http/http_config.hpp"
#include "service/settings.hpp"

namespace quern::inline v1::http {

// As in src/service/settings.hpp: one description, for a visitor that reads or writes.

using quern::detail::Range;

template <class V, class Config>
void describe_policy(V& v, const char* name, Config& policy) {
  v.group(name, [&](auto& inner) {
    inner.value("quota", policy.quota, Range<std::uint32_t>{0, 1'000'000});
    inner.value("window", policy.window, Range<Duration>{std::chrono::seconds(1), std::chrono::hours(24)});
  });
}

template <class V, class Config>
void describe_limits(V& v, Config& limits) {
  constexpr std::size_t kib = 1024;
  v.value("headBytes", limits.head_bytes, Range<std::size_t>{kib, kib * kib});
  v.value("targetBytes", limits.target_bytes, Range<std::size_t>{kib, kib * kib});
  v.value("bodyBytes", limits.body_bytes, Range<std::size_t>{kib, kib * kib * kib});
  v.value("connections", limits.connections, Range<std::size_t>{1, 1'000'000});
  v.value("connectionsPerPeer", limits.connections_per_peer, Range<std::size_t>{1, 1'000'000});
  v.value("waitingRequests", limits.waiting_requests, Range<std::size_t>{1, 1'000'000});
}

template <class V, class Config>
void describe_http(V& v, Config& config) {
  v.value("address", config.server.address);
  v.value("port", config.server.port, Range<std::uint16_t>{0, 65535});
  v.texts("hosts", config.server.hosts);
  v.value("ioThreads", config.server.io_threads, Range<int>{1, 64});
  v.value("handlerThreads", config.server.handler_threads, Range<int>{1, 1024});
  v.value("allowUnauthenticatedRemote", config.server.allow_unauthenticated_remote);
  v.group("limits", [&](auto& limits) { describe_limits(limits, config.server.limits); });
  v.value("open", config.gate.open);
  v.value("openRole", config.gate.open_role);
  v.texts("origins", config.gate.origins);
  describe_policy(v, "perCaller", config.gate.per_caller);
  describe_policy(v, "perAddress", config.gate.per_address);
  describe_policy(v, "jobsPerTenant", config.gate.jobs_per_tenant);
  v.group("api", [&](auto& api) {
    api.texts("secretNames", config.api.secret_names);
    api.value("mostJobs", config.api.most_jobs, Range<std::size_t>{1, 100'000});
    api.value("idempotency", config.api.idempotency,
              Range<Duration>{std::chrono::minutes(1), std::chrono::hours(24 * 30)});
    api.value("bulkQueue", config.api.bulk_queue);
  });
  v.list("roles", config.roles, [](auto& inner, auto& role) {
    inner.value("name", role.name);
    inner.texts("permissions", role.permissions);
  });
  v.value("dashboard", config.dashboard);
  v.maybe_group("tokens", config.tokens, [](auto& inner, auto& tokens) {
    inner.value("issuer", tokens.issuer);
    inner.value("audience", tokens.audience);
    inner.value("leeway", tokens.leeway, Range<Duration>{Duration::zero(), std::chrono::minutes(1)});
    inner.value("nameClaim", tokens.name_claim);
    inner.value("rolesClaim", tokens.roles_claim);
    inner.value("tenantsClaim", tokens.tenants_claim);
    inner.value("queuesClaim", tokens.queues_claim);
  });
  v.group("audit", [&](auto& audit) {
    audit.value("enabled", config.auditing);
    audit.value("changesWait", config.audit.changes_wait);
    audit.value("refusalsPerMinute", config.audit.refusals_per_minute, Range<std::uint32_t>{0, 1'000'000});
    audit.value("keep", config.audit.keep, Range<Duration>{Duration::zero(), std::chrono::hours(24 * 3660)});
  });
}

}  // namespace quern::inline v1::http
