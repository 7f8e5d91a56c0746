#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "http/schedule_json.hpp"
#include "quern/core/error.hpp"
#include "quern/schedule/scheduler.hpp"

namespace quern::inline v1::http {
namespace {

quern::detail::SchedulerCore& scheduler(const ApiContext& api) {
  if (auto* const found = api.host.scheduler()) return *found;
  throw Problem{.status = 501, .name = "not-implemented", .detail = "this service has no schedules"};
}

bool reaches(const Request& request, const ScheduleSpec& spec) {
  return scope_of(request).reaches(spec.tenant, spec.queue);
}

/// The one in the path. Throws Problem (404).
ScheduleStatus schedule_of(const ApiContext& api, const Request& request) {
  auto found = scheduler(api).find(request.part("name"));
  if (!found || !reaches(request, found->spec)) throw Problem::not_found("there is no such schedule");
  return std::move(*found);
}

bool shows_secrets(const Request& request) { return scope_of(request).may("jobs.read_secret"); }

/// Where a schedule as the API shows it has what a check of quern's own names.
std::string place_of(std::string_view field) {
  constexpr std::array<std::string_view, 10> of_timing{"cron",   "every", "anchor", "at",     "zone",
                                                       "except", "start", "until",  "within", "jitter"};
  const std::string_view first = field.substr(0, field.find_first_of(".["));
  const bool is_timing = std::ranges::find(of_timing, first) != of_timing.end();
  return (is_timing ? "/timing" : "") + pointer_to(field);
}

/// What it finds wrong with a schedule is told as a fault of the body.
template <class Act>
auto with_schedule_faults(const Act& act) {
  try {
    return with_faults(act, place_of);
  } catch (const ZoneError& error) {
    throw Problem::invalid("/timing/zone", error.what());
  }
}

Response page(const ApiContext& api, const Request& request) {
  Query query(request);
  const std::string after = query.text("after");
  constexpr std::uint64_t most = 1000;
  constexpr std::uint64_t usual = 100;
  const std::uint64_t limit = query.count("limit", usual, 1, most);
  query.end();
  auto& core = scheduler(api);
  const auto found = core.list(after, limit);
  Json json;
  Json& all = json["schedules"] = Json::array();
  for (const ScheduleStatus& status : found)
    if (reaches(request, status.spec)) all.push_back(json_of(api, status, shows_secrets(request)));
  json["next"] = found.size() == limit ? Json(found.back().spec.name) : Json(nullptr);
  return json_response(json);
}

ScheduleSpec read(const ApiContext& api, const Request& request, std::string name) {
  std::vector<FieldFault> faults;
  ScheduleSpec spec = schedule_in(object_of(request), std::move(name), faults);
  const Scope& scope = scope_of(request);
  if (spec.tenant.empty() && scope.tenants && scope.tenants->size() == 1)
    spec.tenant = scope.tenants->front();
  if (faults.empty() && !reaches(request, spec))
    faults.push_back({spec.tenant.empty() ? "/queue" : "/tenant", "is none of yours"});
  throw_if_any(std::move(faults));
  // Who sends back what it was shown would make the stars the payload.
  if (spec.payload.find("\"***\"") != spec.payload.npos && !shows_secrets(request)) {
    const auto before = scheduler(api).find(spec.name);
    const bool as_shown =
        before && without_secrets(api, before->spec.kind, before->spec.payload) == spec.payload;
    if (!as_shown) throw Problem::invalid("/payload", "has \"***\" in the place of a secret");
    spec.payload = before->spec.payload;
  }
  return spec;
}

Response create(const ApiContext& api, const Request& request) {
  const ScheduleSpec spec = read(api, request, {});
  if (!with_schedule_faults([&] { return scheduler(api).put(spec, false, false); }))
    throw Problem::conflict("there is a schedule of that name");
  const auto made = scheduler(api).find(spec.name);
  if (!made) throw Problem::conflict("it was erased at once");
  Response response = json_response(json_of(api, *made, shows_secrets(request)), 201);
  response.headers.set("Location", "/api/jobs/schedules/" + encode(spec.name));
  return response;
}

Response replace(const ApiContext& api, const Request& request) {
  const std::string name(request.part("name"));
  auto& core = scheduler(api);
  const auto before = core.find(name);
  // One that is another's looks as if it were not there, and must not be written over.
  if (before && !reaches(request, before->spec)) throw Problem::conflict("the name is taken");
  const ScheduleSpec spec = read(api, request, name);
  with_schedule_faults([&] { return core.put(spec, true, false); });
  const auto made = core.find(name);
  if (!made) throw Problem::conflict("it was erased at once");
  return json_response(json_of(api, *made, shows_secrets(request)), before ? 200 : 201);
}

Response set_paused(const ApiContext& api, const Request& request, bool paused) {
  const ScheduleStatus status = schedule_of(api, request);
  expect_no_members(request);
  if (!scheduler(api).set_paused(status.spec.name, paused))
    throw Problem::not_found("there is no such schedule");
  return no_content();
}

Response trigger(const ApiContext& api, const Request& request) {
  const ScheduleStatus status = schedule_of(api, request);
  const nlohmann::json body = object_of(request, true);
  std::vector<FieldFault> faults;
  Members members(body, "", faults);
  TriggerOptions options{.who = who(request)};
  std::string payload;
  if (members.json("payload", payload)) options.payload = std::move(payload);
  members.text("key", options.key);
  members.end();
  throw_if_any(std::move(faults));
  const Enqueued added =
      with_schedule_faults([&] { return scheduler(api).trigger(status.spec.name, options); });
  if (added.status == InsertStatus::queue_full) throw Problem{.status = 409, .name = "queue-full"};
  Json json;
  json["id"] = to_string(added.id);
  json["status"] = added.added() ? "added" : "duplicate";
  return json_response(json, added.added() ? 201 : 200);
}

Response runs(const ApiContext& api, const Request& request) {
  const ScheduleStatus status = schedule_of(api, request);
  Query(request).end();
  Json json;
  Json& all = json["runs"] = Json::array();
  const auto& recent = status.state.recent;
  for (auto run = recent.rbegin(); run != recent.rend(); ++run) all.push_back(json_of(*run));
  return json_response(json);
}

/// "2026-03-29T03:30:00+02:00"
std::string local_text(TimePoint instant, std::chrono::seconds offset) {
  std::string text = to_rfc3339(instant + offset);
  text.pop_back();
  const auto minutes =
      std::chrono::duration_cast<std::chrono::minutes>(offset < std::chrono::seconds(0) ? -offset : offset)
          .count();
  return text + fmt::format("{}{:02}:{:02}", offset < std::chrono::seconds(0) ? '-' : '+', minutes / 60,
                            minutes % 60);
}

Response preview(const ApiContext& api, const Request& request) {
  Query query(request);
  constexpr std::uint64_t most = 1000;
  const std::uint64_t count = query.count("count", 10, 1, most);
  const auto from = query.time("from");
  query.end();
  std::vector<FieldFault> faults;
  nlohmann::json body = object_of(request);
  // What the job does is of no account here.
  if (!body.contains("name")) body["name"] = "preview";
  if (!body.contains("kind")) body["kind"] = "preview";
  const ScheduleSpec spec = schedule_in(body, {}, faults);
  throw_if_any(std::move(faults));
  auto& core = scheduler(api);
  const auto times =
      with_schedule_faults([&] { return core.preview(spec, from.value_or(api.now()), count); });
  Json json;
  json["description"] = with_schedule_faults([&] { return core.describe(spec); });
  Json& all = json["times"] = Json::array();
  for (const ScheduledTime& time : times) {
    Json& one = all.emplace_back();
    one["instant"] = to_rfc3339(time.instant);
    one["due"] = to_rfc3339(time.due);
    one["local"] = local_text(time.instant, time.offset);
    one["offset"] = time.offset.count();
    one["shifted"] = time.shifted;
  }
  return json_response(json);
}

}  // namespace

void mount_schedules(Router& router, const ApiContext& api) {
  const std::string all = "/api/jobs/schedules";
  const std::string one = all + "/:name";
  router.add({Method::get, all, "schedules.read", "The schedules, by name.",
              [&api](const Request& request) { return page(api, request); }});
  router.add({Method::post, all, "schedules.manage", "Creates a schedule.",
              [&api](const Request& request) { return create(api, request); }});
  router.add({Method::post, all + "/preview", "schedules.read",
              "The next times of a schedule that need not exist.",
              [&api](const Request& request) { return preview(api, request); }});
  router.add({Method::get, one, "schedules.read", "A schedule.", [&api](const Request& request) {
                Query(request).end();
                return json_response(json_of(api, schedule_of(api, request), shows_secrets(request)));
              }});
  router.add({Method::put, one, "schedules.manage", "Creates a schedule, or replaces it.",
              [&api](const Request& request) { return replace(api, request); }});
  router.add({Method::del, one, "schedules.manage", "Deletes a schedule; jobs that it has added stay.",
              [&api](const Request& request) {
                if (!scheduler(api).erase(schedule_of(api, request).spec.name))
                  throw Problem::not_found("there is no such schedule");
                return no_content();
              }});
  router.add({Method::post, one + "/pause", "schedules.manage", "No jobs until it is resumed.",
              [&api](const Request& request) { return set_paused(api, request, true); }});
  router.add({Method::post, one + "/resume", "schedules.manage", "Goes on.",
              [&api](const Request& request) { return set_paused(api, request, false); }});
  router.add({Method::post, one + "/trigger", "schedules.trigger", "Adds a schedule's job now.",
              [&api](const Request& request) { return trigger(api, request); }});
  router.add({Method::get, one + "/runs", "schedules.read", "What was decided of its last instants.",
              [&api](const Request& request) { return runs(api, request); }});
}

}  // namespace quern::inline v1::http
