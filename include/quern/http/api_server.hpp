#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "quern/core/time.hpp"
#include "quern/http/http_config.hpp"
#include "quern/http/router.hpp"

namespace quern::inline v1::http {

/// A service's API and dashboard on a port of their own: all parts put together in one line.
///
///     quern::JobService service{config};
///     quern::http::ApiServer server{service, {.server = {.port = 8080}}};   // before service.start()
///     service.start();
///     server.start();
///
/// Order    of a request: Gate, AuditLog (where changes wait for it), the route, the fields that tell what is left, AuditLog.
/// Known    by API keys, those of the storage and of the configuration; and by tokens, where `HttpConfig::tokens` says so. There is no key to
///          begin with: make one by `keys().create`, or name one in the configuration or in QUERN_HTTP_KEY. Without any nobody gets in,
///          which `start` tells the log.
/// Stop     before the service: streams end, requests under way are answered, what waits for the audit log is written.
/// Threads  every member may be called from any thread; `tick` from one at a time, and not while started.
class ApiServer {
 public:
  /// The service must outlive it. Adds the handler of bulk operations to its registry. Throws ConfigError.
  template <Storage S, Executor E>
  explicit ApiServer(JobService<S, E>& service, HttpConfig config = {})
      : ApiServer(std::make_unique<ServiceHost<S, E>>(service), std::move(config)) {
    add_handlers(service.handlers());
  }
  /// On parts of the host's own.
  explicit ApiServer(std::unique_ptr<ApiHost> host, HttpConfig config = {});
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;
  /// Stops.
  ~ApiServer();

  void add_handlers(HandlerRegistry& handlers);

  // For the host's own routes, before the first request; and for what answers requests of a server of the host's own: `handle`. Each opens
  // the service where it is not open, and may throw as that.
  [[nodiscard]] Router& router();
  [[nodiscard]] ApiKeys& keys();
  [[nodiscard]] Roles& roles();
  /// Null: nothing is audited.
  [[nodiscard]] AuditLog* audit();
  [[nodiscard]] Response handle(Request& request);

  /// Reads the keys of tokens again. Throws InvalidArgument for a faulty file, and those from before go on.
  void reload_tokens();

  /// Writes what waits for the audit log, and which keys were used; says when it wants to be called next. Never throws.
  NextTick tick(TimePoint now) noexcept;

  /// Listens, and ticks on a thread of its own. Harmless when started. Throws ConfigError, Error where it can't listen, StorageError.
  void start();
  /// Harmless when it is stopped; can be started again.
  void stop() noexcept;
  /// 0 when it does not run.
  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] std::string url() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace quern::inline v1::http
