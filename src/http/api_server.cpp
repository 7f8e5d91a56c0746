#include "quern/http/api_server.hpp"

#include <fmt/format.h>

#include <mutex>
#include <optional>

#include "quern/core/error.hpp"
#include "quern/core/runner.hpp"
#include "quern/http/admin_api.hpp"
#include "quern/http/dashboard.hpp"
#include "quern/http/server.hpp"

namespace quern::inline v1::http {
namespace {

HttpConfig checked(HttpConfig config) {
  config.validate();
  return config;
}

}  // namespace

struct ApiServer::State {
  /// What stands on the storage, which is there once the service is open.
  struct Parts {
    Parts(StoragePort& storage, Api& api, const HttpConfig& config)
        : clock(storage.clock()),
          roles(storage, config.roles),
          keys(storage, roles, clock),
          gate(gate_options(config), [this](auto secret) { return keys.find(secret); }, token_check(config)) {
      keys.configure(config.keys);
      read_token_keys(config);
      if (config.auditing) gate.set_audit(&audit.emplace(storage, config.audit, clock, config.log));
      router.set_gate([this](Request& request, const Route* route) { return gate.check(request, route); });
      router.set_after([this](const Request& request, const Route* route, Response& response) {
        gate.finish(request, route, response);
      });
      if (config.dashboard) mount_dashboard(router);
      api.mount(router);
      mount_keys(router, keys, roles);
      if (audit) mount_audit(router, *audit);
    }

    static GateOptions gate_options(const HttpConfig& config) {
      GateOptions options = config.gate;
      options.hosts = config.server.hosts;
      return options;
    }

    /// Nothing where there are no tokens.
    Gate::Authenticate token_check(const HttpConfig& given) {
      if (!given.tokens) return {};
      tokens.emplace(*given.tokens, roles, clock);
      return [this](std::string_view secret) { return tokens->verify(secret); };
    }
    /// Throws InvalidArgument, and nothing has changed.
    void read_token_keys(const HttpConfig& given) {
      if (!tokens) return;
      std::vector<TokenKey> all;
      for (const std::filesystem::path& file : given.token_keys)
        for (TokenKey& key : http::read_token_keys(file)) all.push_back(std::move(key));
      tokens->set_keys(all);
    }

    ClockRef clock;
    Roles roles;
    ApiKeys keys;
    std::optional<TokenVerifier> tokens{};  // made as the gate is
    std::optional<AuditLog> audit;
    Gate gate;
    Router router;
  };

  State(std::unique_ptr<ApiHost> its_host, HttpConfig its_config)
      : config(checked(std::move(its_config))), host(*its_host), api(std::move(its_host), api_options()) {}

  ApiOptions api_options() {
    ApiOptions options = config.api;
    if (config.gate.jobs_per_tenant.quota > 0)
      // A request comes when the parts are there.
      options.charge_jobs = [this](std::string_view tenant, std::uint32_t count, SteadyTime now) {
        parts->gate.charge_jobs(tenant, count, now);
      };
    return options;
  }

  Parts& opened() {
    const std::lock_guard lock(mutex);
    if (!parts) {
      parts.emplace(host.queue().storage(), api, config);
      parts->router.on_error([this](const Request& request, std::string_view what) {
        tell(LogLevel::error, fmt::format("{} {} failed: {}", to_text(request.method), request.path(), what));
      });
    }
    return *parts;
  }

  void tell(LogLevel level, const std::string& message) const noexcept {
    if (!config.log) return;
    try {
      config.log(LogRecord{.level = level, .message = message});
    } catch (...) {
      // Who logs has nobody to tell that it could not.
    }
  }

  ServerOptions server_options() {
    ServerOptions options = config.server;
    options.authenticated = !config.gate.open;
    options.log = config.log;
    return options;
  }

  bool has_keys(Parts& its) const {
    return config.gate.open || config.tokens || !config.keys.empty() || !its.keys.list({}, 1).empty();
  }

  const HttpConfig config;
  ApiHost& host;
  Api api;
  std::mutex mutex;            // guards `parts` being made
  std::optional<Parts> parts;  // once made, they stay
  std::mutex running;          // held by a start or a stop; guards what follows
  std::optional<Server> server;
  const std::shared_ptr<Waker> waker = std::make_shared<Waker>();
  Runner runner;
};

ApiServer::ApiServer(std::unique_ptr<ApiHost> host, HttpConfig config)
    : state_(std::make_unique<State>(std::move(host), std::move(config))) {}

ApiServer::~ApiServer() { stop(); }

void ApiServer::add_handlers(HandlerRegistry& handlers) { state_->api.add_handlers(handlers); }
Router& ApiServer::router() { return state_->opened().router; }
ApiKeys& ApiServer::keys() { return state_->opened().keys; }
Roles& ApiServer::roles() { return state_->opened().roles; }
AuditLog* ApiServer::audit() {
  auto& audit = state_->opened().audit;
  return audit ? &*audit : nullptr;
}
void ApiServer::reload_tokens() { state_->opened().read_token_keys(state_->config); }
Response ApiServer::handle(Request& request) { return state_->opened().router.handle(request); }

NextTick ApiServer::tick(TimePoint now) noexcept {
  constexpr Duration again = std::chrono::minutes(1);
  try {
    State::Parts& parts = state_->opened();
    NextTick next{now + again};
    if (parts.audit) next = earliest(next, parts.audit->tick());
    return earliest(next, parts.keys.tick());
  } catch (const std::exception& error) {
    state_->tell(LogLevel::warning, fmt::format("the API's records could not be written: {}", error.what()));
    return {now + again};
  }
}

void ApiServer::start() {
  const std::lock_guard lock(state_->running);
  if (state_->server) return;
  State::Parts& parts = state_->opened();
  if (!state_->has_keys(parts))
    state_->tell(
        LogLevel::warning,
        "the API has no key yet, so nobody gets in; make one by ApiServer::keys, or set QUERN_HTTP_KEY");
  state_->server.emplace([&parts](Request& request) { return parts.router.handle(request); },
                         state_->server_options(), parts.clock);
  try {
    state_->server->start();
    state_->runner.start(*this, parts.clock, state_->waker);
  } catch (...) {
    state_->server.reset();
    throw;
  }
  state_->tell(LogLevel::info, fmt::format("the API is at {}", state_->server->url()));
}

void ApiServer::stop() noexcept {
  const std::lock_guard lock(state_->running);
  if (!state_->server) return;
  state_->server->stop();
  state_->server.reset();
  state_->runner.stop();
  try {
    if (auto& audit = state_->opened().audit) audit->flush();
  } catch (const std::exception& error) {
    state_->tell(LogLevel::error,
                 fmt::format("the last entries of the audit log could not be written: {}", error.what()));
  }
}

std::uint16_t ApiServer::port() const {
  const std::lock_guard lock(state_->running);
  return state_->server ? state_->server->port() : std::uint16_t{0};
}

std::string ApiServer::url() const {
  const std::lock_guard lock(state_->running);
  return state_->server ? state_->server->url() : std::string();
}

}  // namespace quern::inline v1::http
