#include <array>
#include <map>

#include "http/api_context.hpp"
#include "quern/storage/limit_rules.hpp"

namespace quern::inline v1::http {
namespace {

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

constexpr std::array<std::pair<std::string_view, RateAlgorithm>, 2> algorithms{
    {{"token_bucket", RateAlgorithm::token_bucket}, {"sliding_window", RateAlgorithm::sliding_window}}};

/// The queue's name in the path. Throws Problem (404) for one that the caller must not know of.
std::string queue_of(const Request& request) {
  require_all_tenants(request);
  std::string name(request.part("name"));
  if (!scope_of(request).reaches("", name)) throw Problem::not_found("there is no such queue");
  return name;
}

Response queues(const ApiContext& api, const Request& request) {
  require_all_tenants(request);
  Query(request).end();
  std::map<std::string, std::map<JobState, std::uint64_t>> counts;
  for (const JobCount& count : api.storage().count()) counts[count.queue][count.state] += count.count;
  std::map<std::string, Duration> oldest;
  for (const ReadyAge& age : api.storage().oldest_ready())
    oldest[age.queue] = std::max(oldest[age.queue], age.age);

  Json json;
  Json& all = json["queues"] = Json::array();
  for (const QueueStatus& queue : api.storage().queues()) {
    if (!scope_of(request).reaches("", queue.name)) continue;
    Json& one = all.emplace_back();
    one["name"] = queue.name;
    one["paused"] = queue.paused;
    one["max_waiting"] = queue.max_waiting;
    Json states = Json::object();
    for (const auto& [state, count] : counts[queue.name]) states[std::string(to_string(state))] = count;
    one["counts"] = std::move(states);
    if (const auto age = oldest.find(queue.name); age != oldest.end())
      one["oldest_ready_s"] = seconds(age->second);
  }
  return json_response(json);
}

Response set_most(const ApiContext& api, const Request& request) {
  const std::string queue = queue_of(request);
  const nlohmann::json body = object_of(request);
  std::vector<FieldFault> faults;
  Members members(body, "", faults);
  std::uint64_t most = 0;
  constexpr std::uint64_t any = 1'000'000'000'000;
  members.required("max_waiting");
  members.count("max_waiting", most, 0, any);
  members.end();
  throw_if_any(std::move(faults));
  api.storage().limit_queue(queue, most);
  return no_content();
}

Json json_of(const LimitStatus& limit) {
  Json one;
  one["name"] = limit.rule.name;
  if (!limit.rule.queue.empty()) one["queue"] = limit.rule.queue;
  if (!limit.rule.kind.empty()) one["kind"] = limit.rule.kind;
  if (limit.rule.max_running > 0) one["max_running"] = limit.rule.max_running;
  if (limit.rule.rate.count > 0) {
    Json& rate = one["rate"];
    rate["count"] = limit.rule.rate.count;
    rate["per"] = quern::to_text(limit.rule.rate.per);
    rate["algorithm"] =
        limit.rule.rate.algorithm == RateAlgorithm::sliding_window ? "sliding_window" : "token_bucket";
    if (limit.rule.rate.burst > 0) rate["burst"] = limit.rule.rate.burst;
    one["wait_s"] = seconds(limit.wait);
  }
  one["running"] = limit.running;
  if (limit.free) one["free"] = *limit.free;
  if (limit.starts) one["starts"] = *limit.starts;
  return one;
}

Response limits(const ApiContext& api, const Request& request) {
  require_all(request);
  Query(request).end();
  Json json;
  Json& all = json["limits"] = Json::array();
  for (const LimitStatus& limit : api.storage().limits()) all.push_back(json_of(limit));
  return json_response(json);
}

Response put_limit(const ApiContext& api, const Request& request) {
  require_all(request);
  const nlohmann::json body = object_of(request);
  std::vector<FieldFault> faults;
  Members members(body, "", faults);
  LimitRule rule{.name = std::string(request.part("name"))};
  members.text("queue", rule.queue);
  members.text("kind", rule.kind);
  constexpr std::uint64_t most_running = 1'000'000'000;
  constexpr std::uint64_t most_starts = 100'000;
  members.count("max_running", rule.max_running, 0, most_running);
  if (const auto* const inner = members.object("rate")) {
    Members rate(*inner, members.place("rate"), faults);
    std::uint64_t count = 0;
    std::uint64_t burst = 0;
    rate.required("count");
    rate.required("per");
    rate.count("count", count, 1, most_starts);
    rate.count("burst", burst, 0, most_starts);
    rule.rate.count = static_cast<std::int64_t>(count);
    rule.rate.burst = static_cast<std::int64_t>(burst);
    rate.duration("per", rule.rate.per);
    rate.choice<RateAlgorithm>("algorithm", rule.rate.algorithm, algorithms);
    rate.end();
  }
  members.end();
  throw_if_any(std::move(faults));
  with_faults([&] { check(rule); });
  api.storage().set_limit(rule);
  return no_content();
}

Response erase_limit(const ApiContext& api, const Request& request) {
  require_all(request);
  if (!api.storage().erase_limit(request.part("name"))) throw Problem::not_found("there is no such limit");
  return no_content();
}

}  // namespace

void mount_queues(Router& router, const ApiContext& api) {
  router.add({Method::get, "/api/queues", "queues.read", "All queues.",
              [&api](const Request& request) { return queues(api, request); }});
  router.add({Method::post, "/api/queues/:name/pause", "queues.manage", "Lets no new job of a queue start.",
              [&api](const Request& request) {
                const std::string queue = queue_of(request);
                expect_no_members(request);
                api.storage().pause(queue);
                return no_content();
              }});
  router.add({Method::post, "/api/queues/:name/resume", "queues.manage", "Lets jobs of a queue start again.",
              [&api](const Request& request) {
                const std::string queue = queue_of(request);
                expect_no_members(request);
                api.storage().resume(queue);
                return no_content();
              }});
  router.add({Method::put, "/api/queues/:name/limit", "queues.manage", "How many jobs may wait in a queue.",
              [&api](const Request& request) { return set_most(api, request); }});
  router.add({Method::get, "/api/limits", "queues.read", "The rules for how many jobs run and start.",
              [&api](const Request& request) { return limits(api, request); }});
  router.add({Method::put, "/api/limits/:name", "queues.manage",
              "Adds a rule, or puts it in the place of the one of that name.",
              [&api](const Request& request) { return put_limit(api, request); }});
  router.add({Method::del, "/api/limits/:name", "queues.manage", "Takes a rule away.",
              [&api](const Request& request) { return erase_limit(api, request); }});
}

}  // namespace quern::inline v1::http
