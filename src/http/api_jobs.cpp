#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "http/api_context.hpp"
#include "http/idempotency.hpp"
#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"

namespace quern::inline v1::http {
namespace {

constexpr std::array<std::pair<std::string_view, ParentPolicy>, 3> parent_policies{
    {{"cancel", ParentPolicy::cancel},
     {"run", ParentPolicy::run},
     {"stay_blocked", ParentPolicy::stay_blocked}}};

/// A job as the body describes it; what is wrong with it goes to the faults.
NewJob new_job(const nlohmann::json& body, const std::string& where, const Request& request,
               std::vector<FieldFault>& faults) {
  NewJob job;
  job.queue.clear();  // as its kind says
  Members members(body, where, faults);
  members.required("kind");
  members.text("kind", job.kind);
  std::string payload;
  if (members.json("payload", payload)) job.payload = Payload::json(std::move(payload));
  members.text("queue", job.queue);
  members.number("priority", job.priority.level, 0, 9);
  if (const auto when = members.when("run_at", "in")) job.run_at = *when;
  TimePoint deadline;
  if (members.time("deadline", deadline)) job.deadline = When::at(deadline);
  members.number("max_attempts", job.max_attempts, 0, 1'000'000);
  members.duration("timeout", job.timeout);
  members.text("tenant", job.tenant);
  members.texts("tags", job.tags);
  members.ids("parents", job.parents);
  members.choice<ParentPolicy>("on_parent_failure", job.on_parent_failure, parent_policies);
  members.text("unique_key", job.unique.key);
  members.end();

  job.created_by = who(request);
  const Scope& scope = scope_of(request);
  // Who has but one tenant means that one.
  if (job.tenant.empty() && scope.tenants && scope.tenants->size() == 1) job.tenant = scope.tenants->front();
  if (is_reserved(job.kind)) members.fault("kind", "begins with \"quern.\": those are quern's own");
  if (is_reserved(job.queue)) members.fault("queue", "begins with \"quern.\": those are quern's own");
  return job;
}

/// Fills in what the job leaves open, and checks it as every job is checked.
void prepare(const ApiContext& api, NewJob& job, const std::string& where, const Request& request,
             std::vector<FieldFault>& faults) {
  try {
    api.host.queue().prepare(job);
  } catch (const InvalidArgument& error) {
    const std::string field = error.field() == "unique.key" ? "unique_key" : error.field();
    faults.push_back({where + pointer_to(field), problem_of(error)});
    return;
  }
  const Scope& scope = scope_of(request);
  if (!scope.reaches(job.tenant, job.queue))
    faults.push_back(
        {where +
             (scope.reaches(job.tenant, scope.queues ? scope.queues->front() : "") ? "/queue" : "/tenant"),
         "is none of yours"});
}

/// Parents that are beyond the caller's reach, or not there.
void check_parents(const ApiContext& api, const std::vector<NewJob>& jobs,
                   const std::vector<std::string>& places, const Request& request,
                   std::vector<FieldFault>& faults) {
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (jobs[i].parents.empty()) continue;
    const auto found = api.storage().find(jobs[i].parents);
    for (std::size_t k = 0; k < found.size(); ++k)
      if (!found[k] || !scope_of(request).reaches(found[k]->tenant, found[k]->queue))
        faults.push_back({fmt::format("{}/parents/{}", places[i], k), "there is no such job"});
  }
}

std::string_view to_text(InsertStatus status) {
  switch (status) {
    case InsertStatus::duplicate:
      return "duplicate";
    case InsertStatus::replaced:
      return "replaced";
    case InsertStatus::rescheduled:
      return "rescheduled";
    default:
      return "added";
  }
}

Json json_of(const ApiContext& api, const Request& request, const Enqueued& answer) {
  Json json;
  json["status"] = to_text(answer.status);
  // Who holds the key may be a job that the caller must not know of.
  bool shown = answer.added();
  if (!shown) {
    const auto holder = std::move(api.storage().find(std::span(&answer.id, 1)).front());
    shown = holder && scope_of(request).reaches(holder->tenant, holder->queue);
  }
  if (shown) json["id"] = to_string(answer.id);
  return json;
}

Response answer_of(const ApiContext& api, const Request& request, const std::vector<Enqueued>& answers,
                   bool batch) {
  Json json;
  if (batch) {
    Json& all = json["jobs"] = Json::array();
    for (const Enqueued& answer : answers) all.push_back(json_of(api, request, answer));
  } else {
    json = json_of(api, request, answers.front());
  }
  const bool added = std::ranges::any_of(answers, &Enqueued::added);
  Response response = json_response(json, added ? 201 : 200);
  if (!batch && answers.front().added())
    response.headers.set("Location", "/api/jobs/" + to_string(answers.front().id));
  return response;
}

void throw_if_full(const std::vector<Enqueued>& answers) {
  if (std::ranges::any_of(answers,
                          [](const Enqueued& one) { return one.status == InsertStatus::queue_full; }))
    throw Problem{.status = 409, .name = "queue-full", .detail = "no job was added"};
}

/// The answers that adding these jobs will have, unless a unique key is held: with ids that are taken beforehand.
std::vector<Enqueued> number(const ApiContext& api, std::vector<NewJob>& jobs) {
  std::vector<Enqueued> answers;
  JobId next = api.host.queue().take_ids(jobs.size());
  for (NewJob& job : jobs) {
    job.id = next;
    answers.push_back({.id = next});
    ++next.value;
  }
  return answers;
}

void charge(const ApiContext& api, const Request& request, const std::vector<NewJob>& jobs) {
  if (!api.options.charge_jobs) return;
  std::map<std::string_view, std::uint32_t> counts;
  for (const NewJob& job : jobs) ++counts[job.tenant];
  for (const auto& [tenant, count] : counts) api.options.charge_jobs(tenant, count, request.received);
}

Response add(const ApiContext& api, const Request& request) {
  Idempotency once(api, request);
  if (once.wanted())
    if (auto kept = once.kept()) return std::move(*kept);

  const nlohmann::json body = object_of(request);
  std::vector<FieldFault> faults;
  std::vector<NewJob> jobs;
  std::vector<std::string> places;
  const bool batch = body.contains("jobs");
  if (batch) {
    Members members(body, "", faults);
    members.required("jobs");
    if (const auto* const all = members.array("jobs")) {
      if (all->empty() || all->size() > api.options.most_jobs)
        members.fault("jobs",
                      fmt::format("has {} jobs, allowed are 1 to {}", all->size(), api.options.most_jobs));
      else
        for (std::size_t i = 0; i < all->size(); ++i) {
          places.push_back(fmt::format("/jobs/{}", i));
          jobs.push_back(new_job((*all)[i], places.back(), request, faults));
        }
    }
    members.end();
  } else {
    places.emplace_back();
    jobs.push_back(new_job(body, "", request, faults));
  }
  throw_if_any(faults);
  for (std::size_t i = 0; i < jobs.size(); ++i) prepare(api, jobs[i], places[i], request, faults);
  check_parents(api, jobs, places, request, faults);
  throw_if_any(std::move(faults));

  charge(api, request, jobs);
  if (!once.wanted()) {
    const auto answers = api.host.queue().enqueue(std::move(jobs));
    throw_if_full(answers);
    return answer_of(api, request, answers, batch);
  }
  // The answer is written with the jobs, so it has to be known before. Where a unique key is held it is another one: nothing was added by
  // those jobs, and what is kept says so from then on.
  const auto expected = number(api, jobs);
  Response response = answer_of(api, request, expected, batch);
  const std::array<RecordChange, 1> change{once.keep(response)};
  const auto answers = api.host.queue().enqueue_if(jobs, change);
  if (!answers) {
    // The same request came at the same time, by another way.
    if (auto kept = once.kept()) return std::move(*kept);
    throw Problem{.status = 503, .name = "unavailable"};
  }
  throw_if_full(*answers);
  if (!std::ranges::all_of(*answers, &Enqueued::added)) {
    response = answer_of(api, request, *answers, batch);
    if (!once.kept()) throw Problem{.status = 503, .name = "unavailable"};
    const std::array<RecordChange, 1> corrected{once.keep(response)};
    (void)api.storage().insert_if({}, corrected);
  }
  once.erase_old();
  return response;
}

Response page_of(const ApiContext& api, const Request& request, bool only_dead) {
  Query query(request);
  JobFilter filter = filter_in(query);
  if (only_dead) {
    if (std::ranges::any_of(filter.states, [](JobState state) { return state != JobState::dead; }))
      query.fault("state", "must be dead here");
    filter.states = {JobState::dead};
  }
  const std::string order = query.text("order");
  if (!order.empty() && order != "newest" && order != "oldest")
    query.fault("order", "must be newest or oldest");
  filter.oldest_first = order == "oldest";
  filter.after = query.id("after");
  constexpr std::uint64_t usual = 50;
  constexpr std::uint64_t most = 500;
  filter.limit = query.count("limit", usual, 1, most);
  query.end();

  JobPage page;
  if (const auto filters = within_reach(filter, scope_of(request))) page = list(api.storage(), *filters);
  Json json;
  Json& jobs = json["jobs"] = Json::array();
  for (const Job& job : page.jobs) jobs.push_back(summary_of(api, job));
  json["next"] = page.next ? Json(to_string(page.next)) : Json(nullptr);
  return json_response(json);
}

Response one(const ApiContext& api, const Request& request) {
  Query(request).end();
  const Job job = job_of(api, request);
  const bool show_secrets = scope_of(request).may("jobs.read_secret");
  const std::string body = details_of(api, job, show_secrets);
  Response response = tagged_response(request, body, etag_of(body), "private, no-cache");
  response.noted = show_secrets && has_secrets(api, job);
  return response;
}

Response counts(const ApiContext& api, const Request& request) {
  require_all_tenants(request);
  Query(request).end();
  Json json;
  Json& all = json["counts"] = Json::array();
  for (const JobCount& count : api.storage().count()) {
    if (!scope_of(request).reaches("", count.queue)) continue;
    Json& one = all.emplace_back();
    one["queue"] = count.queue;
    one["kind"] = count.kind;
    one["state"] = to_string(count.state);
    one["count"] = count.count;
  }
  return json_response(json);
}

}  // namespace

void mount_jobs(Router& router, const ApiContext& api) {
  router.add({Method::post, "/api/jobs", "jobs.create", "Adds a job, or several: all or none.",
              [&api](const Request& request) { return add(api, request); }});
  router.add({Method::get, "/api/jobs", "jobs.read", "A page of jobs.",
              [&api](const Request& request) { return page_of(api, request, false); }});
  router.add({Method::get, "/api/dead", "jobs.read", "A page of dead jobs.",
              [&api](const Request& request) { return page_of(api, request, true); }});
  router.add({Method::get, "/api/jobs/counts", "jobs.read", "How many jobs stand where.",
              [&api](const Request& request) { return counts(api, request); }});
  router.add({Method::get, "/api/jobs/:id", "jobs.read", "All that is known of a job.",
              [&api](const Request& request) { return one(api, request); }});
}

}  // namespace quern::inline v1::http
