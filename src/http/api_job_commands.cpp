#include <array>

#include "http/api_context.hpp"

namespace quern::inline v1::http {
namespace {

Response result(std::string_view text) {
  Json json;
  json["result"] = text;
  return json_response(json);
}

[[noreturn]] void gone() { throw Problem::not_found("there is no such job"); }

Response cancel(const ApiContext& api, const Request& request) {
  const JobId id = job_of(api, request).id;
  expect_no_members(request);
  switch (api.storage().cancel(std::span(&id, 1), who(request)).front()) {
    case CancelResult::cancelled:
      return result("cancelled");
    case CancelResult::requested:
      return result("requested");
    case CancelResult::ended:
      throw Problem::conflict("the job has ended");
    case CancelResult::unknown:
      break;
  }
  gone();
}

Response retry(const ApiContext& api, const Request& request) {
  const JobId id = job_of(api, request).id;
  expect_no_members(request);
  switch (api.storage().retry(std::span(&id, 1), who(request)).front()) {
    case RetryResult::retried:
      return result("retried");
    case RetryResult::not_ended:
      throw Problem::conflict("the job has not ended");
    case RetryResult::key_taken:
      throw Problem::conflict("another job holds its unique key now");
    case RetryResult::unknown:
      break;
  }
  gone();
}

Response changed(ChangeResult change) {
  switch (change) {
    case ChangeResult::changed:
      return result("changed");
    case ChangeResult::running:
      throw Problem::conflict("the job runs");
    case ChangeResult::ended:
      throw Problem::conflict("the job has ended");
    case ChangeResult::unknown:
      break;
  }
  gone();
}

Response reschedule(const ApiContext& api, const Request& request) {
  const JobId id = job_of(api, request).id;
  const nlohmann::json body = object_of(request);
  std::vector<FieldFault> faults;
  Members members(body, "", faults);
  const auto when = members.when("at", "in");
  if (!when && faults.empty()) members.fault("at", "is missing; \"in\" may stand instead");
  members.end();
  throw_if_any(std::move(faults));
  return changed(api.storage().reschedule(std::span(&id, 1), *when, who(request)).front());
}

Response prioritize(const ApiContext& api, const Request& request) {
  const JobId id = job_of(api, request).id;
  const nlohmann::json body = object_of(request);
  std::vector<FieldFault> faults;
  Members members(body, "", faults);
  Priority priority;
  members.required("priority");
  members.number("priority", priority.level, 0, 9);
  members.end();
  throw_if_any(std::move(faults));
  return changed(api.storage().set_priority(std::span(&id, 1), priority, who(request)).front());
}

Response erase(const ApiContext& api, const Request& request) {
  const JobId id = job_of(api, request).id;
  switch (api.storage().erase(std::span(&id, 1)).front()) {
    case EraseResult::erased:
      return no_content();
    case EraseResult::running:
      throw Problem::conflict("the job runs; cancel it first");
    case EraseResult::needed:
      throw Problem::conflict("a blocked job waits for it");
    case EraseResult::unknown:
      break;
  }
  gone();
}

}  // namespace

void mount_job_commands(Router& router, const ApiContext& api) {
  router.add({Method::post, "/api/jobs/:id/cancel", "jobs.manage", "Cancels a job, or asks it to stop.",
              [&api](const Request& request) { return cancel(api, request); }});
  router.add({Method::post, "/api/jobs/:id/retry", "jobs.manage", "Runs an ended job again.",
              [&api](const Request& request) { return retry(api, request); }});
  router.add({Method::post, "/api/jobs/:id/reschedule", "jobs.manage",
              "Lets a waiting job wait for another time.",
              [&api](const Request& request) { return reschedule(api, request); }});
  router.add({Method::post, "/api/jobs/:id/priority", "jobs.manage", "Gives a waiting job another priority.",
              [&api](const Request& request) { return prioritize(api, request); }});
  router.add({Method::del, "/api/jobs/:id", "jobs.delete", "Deletes a job that does not run.",
              [&api](const Request& request) { return erase(api, request); }});
}

}  // namespace quern::inline v1::http
