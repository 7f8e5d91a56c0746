#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "quern/http/api_host.hpp"
#include "quern/http/router.hpp"

namespace quern::inline v1::http {

struct ApiOptions {
  /// Members of payloads and results, at any depth, that are shown as "***" to who lacks jobs.read_secret: those whose name contains one of
  /// these, whatever the case of letters. The secrets of typed payloads (quern::Secret) are hidden beside these.
  std::vector<std::string> secret_names{"password", "passwd", "secret",        "token",
                                        "api_key",  "apikey", "authorization", "credential"};
  std::size_t most_jobs = 1000;  ///< In one request: 1 to 100,000.
  /// How long an Idempotency-Key is remembered. 1 min to 30 days.
  Duration idempotency = std::chrono::hours(24);
  std::string bulk_queue = "default";  ///< Where bulk operations wait.
  /// Called before jobs of a tenant are added by a request, with their number; throws Problem where they are too many. None: any number may
  /// be added. An ApiServer sets it to `Gate::charge_jobs`.
  std::function<void(std::string_view tenant, std::uint32_t count, SteadyTime now)> charge_jobs{};
};

/// Version 1 of quern's API, docs/http-api.md, as routes of a Router.
///
///     quern::JobService service{config};
///     quern::http::Api api{service};     // before service.start()
///     quern::http::Router router;
///     api.mount(router);
///
/// Callers   a request's `caller` is taken for who asks; null may do everything, for a host that has asked by itself, and for one
///           that lets anybody. A Gate fills it in.
/// Errors    Problem, InvalidArgument and StorageError, of which the router makes answers.
/// Threads   the routes may be called from several threads.
class Api {
 public:
  /// The service must outlive it. Adds the handler of bulk operations to its registry, so before the service is opened or started. Throws ConfigError for
  /// options out of range.
  template <Storage S, Executor E>
  explicit Api(JobService<S, E>& service, ApiOptions options = {})
      : Api(std::make_unique<ServiceHost<S, E>>(service), std::move(options)) {
    add_handlers(service.handlers());
  }
  /// On parts of the host's own. `add_handlers` is then the host's to call.
  explicit Api(std::unique_ptr<ApiHost> host, ApiOptions options = {});
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;
  ~Api();

  /// The handler of "quern.bulk", on this node or any other. Must go before this does.
  void add_handlers(HandlerRegistry& handlers);
  /// Adds all routes, which this must outlive.
  void mount(Router& router);
  /// Ends the streams of events, and begins no others; for before a server stops.
  void close() noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The kind of the jobs that carry out bulk operations; kinds and queues that begin with "quern." are quern's own, and the API adds no others of them.
inline constexpr std::string_view bulk_kind = "quern.bulk";

}  // namespace quern::inline v1::http
