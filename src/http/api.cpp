#include "quern/http/api.hpp"

#include <fmt/format.h>

#include "http/api_context.hpp"
#include "http/event_feed.hpp"
#include "quern/core/error.hpp"
#include "quern/work/job_context.hpp"

namespace quern::inline v1::http {
namespace {

ApiOptions checked(ApiOptions options) {
  std::vector<std::string> faults;
  if (options.most_jobs < 1 || options.most_jobs > 100'000)
    faults.push_back(fmt::format("api.mostJobs: is {}, allowed are 1 to 100000", options.most_jobs));
  if (options.idempotency < std::chrono::minutes(1) || options.idempotency > std::chrono::hours(24 * 30))
    faults.push_back(
        fmt::format("api.idempotency: is {}, allowed are 1m to 30d", quern::to_text(options.idempotency)));
  if (options.bulk_queue.empty()) faults.emplace_back("api.bulkQueue: is empty");
  if (!faults.empty()) throw ConfigError(std::move(faults));
  return options;
}

}  // namespace

struct Api::State {
  State(std::unique_ptr<ApiHost> its_host, ApiOptions its_options)
      : host(std::move(its_host)),
        options(checked(std::move(its_options))),
        api{*host, options},
        events(*host) {}

  std::unique_ptr<ApiHost> host;
  ApiOptions options;
  ApiContext api;
  EventFeed events;
};

Api::Api(std::unique_ptr<ApiHost> host, ApiOptions options)
    : state_(std::make_unique<State>(std::move(host), std::move(options))) {}

Api::~Api() = default;

void Api::add_handlers(HandlerRegistry& handlers) {
  handlers.on(bulk_kind,
              [state = state_.get()](JobContext& context) { return run_bulk(state->api, context); },
              {.timeout = std::chrono::hours(24), .max_attempts = 20, .queue = state_->options.bulk_queue});
}

void Api::mount(Router& router) {
  const ApiContext& api = state_->api;
  mount_openapi(router);
  mount_watching(router, api);
  mount_jobs(router, api);
  mount_job_commands(router, api);
  mount_bulk(router, api);
  mount_queues(router, api);
  mount_workers(router, api);
  mount_alerts(router, api);
  mount_schedules(router, api);
  router.add({Method::get, "/api/events", "events.read", "What happens, as server-sent events.",
              [&events = state_->events](const Request& request) { return events.subscribe(request); }});
}

void Api::close() noexcept { state_->events.close(); }

}  // namespace quern::inline v1::http
