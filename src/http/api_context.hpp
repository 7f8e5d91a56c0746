#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/json_body.hpp"
#include "quern/core/job.hpp"
#include "quern/http/access.hpp"
#include "quern/http/api.hpp"

namespace quern::inline v1::http {

using Json = nlohmann::ordered_json;

/// What all routes of the API share.
struct ApiContext {
  ApiHost& host;
  const ApiOptions& options;

  [[nodiscard]] StoragePort& storage() const { return host.queue().storage(); }
  [[nodiscard]] TimePoint now() const { return storage().clock().now(); }
};

// Who asks; everything where nobody was asked.

[[nodiscard]] const Scope& scope_of(const Request& request);
/// Kept with what is done in its name.
[[nodiscard]] std::string who(const Request& request);
/// For what concerns all tenants: throws Problem (403) where the caller is limited to some.
void require_all_tenants(const Request& request);
/// The same for all queues, too.
void require_all(const Request& request);
/// Throws Problem (403).
void require(const Request& request, std::string_view permission);

// Answers.

[[nodiscard]] Response json_response(const Json& body, int status = 200);
[[nodiscard]] Response text_response(std::string body, std::string type);
[[nodiscard]] Response no_content();
/// Of those bytes, with quotes.
[[nodiscard]] std::string etag_of(std::string_view body);
/// JSON that its reader may keep: 304 where it has it.
[[nodiscard]] Response tagged_response(const Request& request, std::string body, const std::string& etag,
                                       std::string cache_control);

// Jobs.

/// The id in the path. Throws Problem (404) for what is none.
[[nodiscard]] JobId id_of(const Request& request);
/// The job, where there is one within the caller's reach. Throws Problem (404).
[[nodiscard]] Job job_of(const ApiContext& api, const Request& request);
/// As a page has it.
[[nodiscard]] Json summary_of(const ApiContext& api, const Job& job);
/// All that is known of it, as text: payload and result stand in it as they are stored, but for secrets.
[[nodiscard]] std::string details_of(const ApiContext& api, const Job& job, bool show_secrets);
/// JSON text with what its names, or its kind, say is secret shown as "***".
[[nodiscard]] std::string without_secrets(const ApiContext& api, const std::string& kind,
                                          const std::string& text);

/// Whether there is anything in the job that `without_secrets` hides.
[[nodiscard]] bool has_secrets(const ApiContext& api, const Job& job);

/// What a filter says in a query or a body, and what in neither may be asked for by that caller.
struct JobQuery {
  JobFilter filter{};
  /// Instead of `filter.tenant` and `filter.queue`, where the caller has several: every pair of these.
  std::vector<std::string> tenants{};
  std::vector<std::string> queues{};
};
[[nodiscard]] JobFilter filter_in(Query& query);
[[nodiscard]] JobFilter filter_in(Members& members);
/// Narrowed to the caller's reach. None: nothing can match.
[[nodiscard]] std::optional<std::vector<JobFilter>> within_reach(const JobFilter& filter, const Scope& scope);
/// A page of what any of the filters gives.
[[nodiscard]] JobPage list(StoragePort& storage, const std::vector<JobFilter>& filters);

/// Of quern's own kinds and queues, which nobody adds jobs to by this way.
[[nodiscard]] bool is_reserved(std::string_view name);

// The parts of the API, each a file.
void mount_jobs(Router& router, const ApiContext& api);
void mount_job_commands(Router& router, const ApiContext& api);
void mount_bulk(Router& router, const ApiContext& api);
void mount_queues(Router& router, const ApiContext& api);
void mount_openapi(Router& router);
void mount_watching(Router& router, const ApiContext& api);
void mount_workers(Router& router, const ApiContext& api);
void mount_alerts(Router& router, const ApiContext& api);
void mount_schedules(Router& router, const ApiContext& api);

/// Adds a job that does it; answers with its id.
struct BulkOrder {
  std::string action{};
  JobFilter filter{};
  std::optional<When> when{};
  int priority = 0;
  std::optional<std::uint64_t> failed_like{};
};
[[nodiscard]] Response order_bulk(const ApiContext& api, const Request& request, const BulkOrder& order);
[[nodiscard]] JobResult run_bulk(const ApiContext& api, JobContext& context);

}  // namespace quern::inline v1::http
