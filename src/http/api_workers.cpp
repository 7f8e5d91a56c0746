#include <array>

#include "http/api_context.hpp"

namespace quern::inline v1::http {
namespace {

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

Json json_of(const WorkerStatus& worker) {
  Json one;
  one["id"] = worker.options.id;
  one["state"] = to_string(worker.state);
  one["healthy"] = worker.healthy;
  if (!worker.reason.empty()) one["reason"] = worker.reason;
  one["max_jobs"] = worker.options.max_jobs;
  one["supported_kinds"] = worker.options.supported_kinds;
  one["heartbeat_s"] = seconds(worker.heartbeat);
  Json& jobs = one["jobs"] = Json::array();
  for (const WorkerJob& job : worker.jobs) {
    Json& running = jobs.emplace_back();
    running["id"] = to_string(job.id);
    running["kind"] = job.kind;
    running["running_s"] = seconds(job.running);
    running["stopping"] = job.stopping;
  }
  if (!worker.options.budget.empty()) one["budget"] = worker.options.budget;
  if (!worker.used.empty()) one["used"] = worker.used;
  one["started"] = worker.started;
  one["completed"] = worker.completed;
  one["failed"] = worker.failed;
  one["failures_in_row"] = worker.failures_in_row;
  one["busy_s"] = seconds(worker.busy);
  return one;
}

std::string_view to_text(NodeState state) {
  switch (state) {
    case NodeState::retired:
      return "retired";
    case NodeState::dead:
      return "dead";
    case NodeState::alive:
      break;
  }
  return "alive";
}

Json json_of(const std::vector<SlotCount>& counts) {
  Json all = Json::array();
  for (const SlotCount& count : counts) {
    Json& one = all.emplace_back();
    one["name"] = count.name;
    one["slots"] = count.slots;
  }
  return all;
}

Json json_of(const NodeStatus& node) {
  Json one;
  one["id"] = std::to_string(node.id.value);
  one["name"] = node.info.name;
  one["host"] = node.info.host;
  one["process"] = node.info.process;
  one["state"] = to_text(node.state);
  one["started_at"] = to_rfc3339(node.started_at);
  one["running"] = node.running;
  one["slots"] = node.info.slots;
  one["lease_left_s"] = seconds(node.lease_left);
  one["kinds"] = json_of(node.info.kinds);
  one["queues"] = node.info.queues ? json_of(*node.info.queues) : Json(nullptr);
  return one;
}

Response workers(const ApiContext& api, const Request& request) {
  require_all(request);
  Query(request).end();
  Json json;
  const auto own = api.host.workers();
  json["runs_jobs"] = own.has_value();
  Json& all = json["workers"] = Json::array();
  if (own)
    for (const WorkerStatus& worker : *own) all.push_back(json_of(worker));
  Json& nodes = json["nodes"] = Json::array();
  for (const NodeStatus& node : api.storage().nodes()) nodes.push_back(json_of(node));
  return json_response(json);
}

Response answer(const std::optional<bool>& done) {
  if (!done) throw Problem::conflict("this process runs no jobs now");
  if (!*done) throw Problem::not_found("there is no such worker in this process");
  return no_content();
}

Response act(const ApiContext& api, const Request& request, WorkerAction action) {
  require_all(request);
  expect_no_members(request);
  return answer(api.host.change(request.part("id"), action));
}

Response resize(const ApiContext& api, const Request& request) {
  require_all(request);
  const nlohmann::json body = object_of(request);
  std::vector<FieldFault> faults;
  Members members(body, "", faults);
  int most = 0;
  constexpr int limit = 100'000;
  members.required("max_jobs");
  members.number("max_jobs", most, 1, limit);
  members.end();
  throw_if_any(std::move(faults));
  return answer(api.host.resize(request.part("id"), most));
}

Response scale(const ApiContext& api, const Request& request) {
  require_all(request);
  const nlohmann::json body = object_of(request);
  std::vector<FieldFault> faults;
  Members members(body, "", faults);
  int least = 0;
  int most = 0;
  constexpr int limit = 10'000;
  members.required("min_workers");
  members.required("max_workers");
  members.number("min_workers", least, 0, limit);
  if (members.number("max_workers", most, 1, limit) && most < least)
    members.fault("max_workers", "is below min_workers");
  members.end();
  throw_if_any(std::move(faults));
  if (!api.host.scale(static_cast<std::size_t>(least), static_cast<std::size_t>(most)))
    throw Problem::conflict("the workers of this process do not scale");
  return no_content();
}

}  // namespace

void mount_workers(Router& router, const ApiContext& api) {
  router.add({Method::get, "/api/jobs/workers", "workers.read", "The workers of this process, and all nodes.",
              [&api](const Request& request) { return workers(api, request); }});
  router.add({Method::post, "/api/jobs/workers/scale", "workers.manage",
              "Between how many workers the pool scales.",
              [&api](const Request& request) { return scale(api, request); }});
  router.add({Method::post, "/api/jobs/workers/:id/enable", "workers.manage",
              "Lets a worker take jobs again.",
              [&api](const Request& request) { return act(api, request, WorkerAction::enable); }});
  router.add({Method::post, "/api/jobs/workers/:id/disable", "workers.manage",
              "Lets a worker take no more jobs.",
              [&api](const Request& request) { return act(api, request, WorkerAction::disable); }});
  router.add({Method::post, "/api/jobs/workers/:id/drain", "workers.manage",
              "The same, and it hands back what does not end in time.",
              [&api](const Request& request) { return act(api, request, WorkerAction::drain); }});
  router.add({Method::post, "/api/jobs/workers/:id/resize", "workers.manage",
              "How many jobs a worker runs at once.",
              [&api](const Request& request) { return resize(api, request); }});
}

}  // namespace quern::inline v1::http
