#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "http/api_context.hpp"
#include "quern/core/error.hpp"
#include "quern/core/fields.hpp"
#include "quern/monitor/failures.hpp"
#include "quern/queue/bulk.hpp"
#include "quern/work/job_context.hpp"

namespace quern::inline v1::http {
namespace {

/// The payload of a bulk operation.
struct BulkJob {
  std::string action{};
  std::vector<std::uint8_t> states{};
  std::string queue{};
  std::string kind{};
  std::string tenant{};
  std::string tag{};
  std::optional<TimePoint> created_from{};
  std::optional<TimePoint> created_before{};
  std::optional<std::uint64_t> failed_like{};
  std::optional<TimePoint> at{};
  std::optional<Duration> in{};
  int priority = 0;
  std::string who{};
  // How far whoever ordered it can reach.
  std::optional<std::vector<std::string>> tenants{};
  std::optional<std::vector<std::string>> queues{};
};
QUERN_FIELDS(BulkJob, action, states, queue, kind, tenant, tag, created_from, created_before, failed_like, at,
             in, priority, who, tenants, queues)

struct BulkOutcome {
  std::uint64_t matched = 0;
  std::uint64_t changed = 0;
};
QUERN_FIELDS(BulkOutcome, matched, changed)

constexpr std::array<std::string_view, 5> actions{"cancel", "retry", "delete", "reschedule", "priority"};

BulkResult act(StoragePort& storage, const BulkJob& job, const JobFilter& filter,
               const BulkOptions& options) {
  if (job.action == "cancel") return quern::detail::cancel_all(storage, filter, options);
  if (job.action == "retry") return quern::detail::retry_all(storage, filter, options);
  if (job.action == "delete") return quern::detail::erase_all(storage, filter, options);
  if (job.action == "priority")
    return quern::detail::set_priority_all(storage, filter, Priority{job.priority}, options);
  if (job.action != "reschedule") throw InvalidArgument("action", "is none that is known");
  const When when = job.at ? When::at(*job.at) : When::after(job.in.value_or(Duration::zero()));
  return quern::detail::reschedule_all(storage, filter, when, options);
}

/// What may be done to nobody's but quern's own jobs is not done in bulk: decisions about alerts, and this job itself.
bool is_for_all(const Job& job, JobId self) {
  return job.id != self && !is_reserved(job.queue) && !is_reserved(job.kind);
}

/// As to_json writes it: 16 hexadecimal digits.
std::optional<std::uint64_t> fingerprint_in(std::string_view text) {
  constexpr std::size_t digits = 16;
  constexpr int base = 16;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.size() != digits || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

BulkOrder order_in(const Request& request) {
  const nlohmann::json body = object_of(request);
  std::vector<FieldFault> faults;
  BulkOrder order;
  Members members(body, "", faults);
  members.required("action");
  if (members.text("action", order.action) && std::ranges::find(actions, order.action) == actions.end())
    members.fault("action", "must be cancel, retry, delete, reschedule or priority");
  members.required("filter");
  if (const auto* const inner = members.object("filter")) {
    Members filter(*inner, members.place("filter"), faults);
    order.filter = filter_in(filter);
    std::string fingerprint;
    if (filter.text("failed_like", fingerprint)) {
      order.failed_like = fingerprint_in(fingerprint);
      if (!order.failed_like) filter.fault("failed_like", "must be a fingerprint, 16 hexadecimal digits");
    }
    filter.end();
  }
  order.when = members.when("at", "in");
  const bool has_priority = members.number("priority", order.priority, 0, 9);
  if (order.action == "reschedule" && !order.when)
    members.fault("at", "is missing; \"in\" may stand instead");
  if (order.action == "priority" && !has_priority) members.required("priority");
  members.end();
  throw_if_any(std::move(faults));
  if (order.action == "delete") require(request, "jobs.delete");
  return order;
}

/// Of dead jobs alone.
BulkOrder dead_order_in(const Request& request, std::string action) {
  const nlohmann::json body = object_of(request, true);
  std::vector<FieldFault> faults;
  BulkOrder order;
  order.action = std::move(action);
  Members members(body, "", faults);
  if (const auto* const inner = members.object("filter")) {
    Members filter(*inner, members.place("filter"), faults);
    order.filter = filter_in(filter);
    if (std::ranges::any_of(order.filter.states, [](JobState state) { return state != JobState::dead; }))
      filter.fault("states", "may have but dead here");
    filter.end();
  }
  members.end();
  throw_if_any(std::move(faults));
  order.filter.states = {JobState::dead};
  return order;
}

BulkOrder group_order_in(const Request& request, std::string action) {
  const auto fingerprint = fingerprint_in(request.part("fingerprint"));
  if (!fingerprint) throw Problem::not_found("there is no such group of failures");
  expect_no_members(request);
  BulkOrder order;
  order.action = std::move(action);
  order.filter.states = {JobState::dead};
  order.failed_like = fingerprint;
  return order;
}

}  // namespace

Response order_bulk(const ApiContext& api, const Request& request, const BulkOrder& order) {
  const Scope& scope = scope_of(request);
  BulkJob bulk{.action = order.action,
               .queue = order.filter.queue,
               .kind = order.filter.kind,
               .tenant = order.filter.tenant,
               .tag = order.filter.tag,
               .created_from = order.filter.created_from,
               .created_before = order.filter.created_before,
               .failed_like = order.failed_like,
               .priority = order.priority,
               .who = who(request),
               .tenants = scope.tenants,
               .queues = scope.queues};
  for (const JobState state : order.filter.states) bulk.states.push_back(static_cast<std::uint8_t>(state));
  // From now on, and not from when the job runs.
  if (order.when) bulk.at = order.when->resolve(api.now());
  NewJob job;
  job.kind = bulk_kind;
  job.queue.clear();
  job.payload = Payload::of(bulk);
  job.priority = Priority::high;
  job.created_by = bulk.who;
  job.tags = {"bulk:" + order.action};
  // So that who is limited to one tenant can see how far it is.
  if (scope.tenants && scope.tenants->size() == 1) job.tenant = scope.tenants->front();
  const Enqueued added = api.host.queue().enqueue_one(job);
  if (!added.added())
    throw Problem{.status = 409, .name = "queue-full", .detail = "the operation was not begun"};
  Json json;
  json["id"] = to_string(added.id);
  Response response = json_response(json, 202);
  response.headers.set("Location", "/api/jobs/" + to_string(added.id));
  return response;
}

JobResult run_bulk(const ApiContext& api, JobContext& context) {
  const auto bulk = context.job().payload.as<BulkJob>();
  JobFilter filter{.queue = bulk.queue,
                   .kind = bulk.kind,
                   .tenant = bulk.tenant,
                   .tag = bulk.tag,
                   .created_from = bulk.created_from,
                   .created_before = bulk.created_before};
  for (const std::uint8_t state : bulk.states) filter.states.push_back(static_cast<JobState>(state));
  // Jobs that come later are not meant.
  filter.after = context.id();
  const auto filters = within_reach(filter, Scope{.tenants = bulk.tenants, .queues = bulk.queues});
  if (!filters) return JobResult::completed(Payload::of(BulkOutcome{}));

  BulkOutcome done;
  const auto like = bulk.failed_like ? failed_like(*bulk.failed_like) : nullptr;
  BulkOptions options;
  options.who = bulk.who;
  options.stop = context.stop_token();
  options.only = [&](const Job& job) { return is_for_all(job, context.id()) && (!like || like(job)); };
  for (std::size_t i = 0; i < filters->size() && !context.stop_requested(); ++i) {
    const BulkOutcome before = done;
    options.progress = [&](const BulkResult& now) {
      done.matched = before.matched + now.matched;
      done.changed = before.changed + now.changed;
      // It goes from the newest job to the oldest, so how far it is shows in the ids.
      constexpr double almost = 99;
      const double passed = 1 - static_cast<double>(now.next.value) / static_cast<double>(context.id().value);
      const double part = (static_cast<double>(i) + passed) / static_cast<double>(filters->size());
      context.progress(static_cast<int>(almost * part),
                       fmt::format("{} jobs, {} changed", done.matched, done.changed));
    };
    (void)act(api.storage(), bulk, (*filters)[i], options);
  }
  if (context.stop_requested())
    return JobResult::cancelled(fmt::format("after {} jobs, {} changed", done.matched, done.changed));
  return JobResult::completed(Payload::of(done));
}

void mount_bulk(Router& router, const ApiContext& api) {
  router.add({Method::post, "/api/jobs/bulk", "jobs.manage",
              "Begins an operation on all jobs that a filter gives.",
              [&api](const Request& request) { return order_bulk(api, request, order_in(request)); }});
  router.add(
      {Method::post, "/api/dead/redrive", "jobs.manage", "Begins to run dead jobs again.",
       [&api](const Request& request) { return order_bulk(api, request, dead_order_in(request, "retry")); }});
  router.add({Method::post, "/api/dead/purge", "jobs.delete", "Begins to delete dead jobs.",
              [&api](const Request& request) {
                return order_bulk(api, request, dead_order_in(request, "delete"));
              }});
  router.add({Method::post, "/api/failures/:fingerprint/retry", "jobs.manage",
              "Begins to run the dead jobs of a group again.", [&api](const Request& request) {
                return order_bulk(api, request, group_order_in(request, "retry"));
              }});
  router.add({Method::post, "/api/failures/:fingerprint/delete", "jobs.delete",
              "Begins to delete the dead jobs of a group.", [&api](const Request& request) {
                return order_bulk(api, request, group_order_in(request, "delete"));
              }});
}

}  // namespace quern::inline v1::http
