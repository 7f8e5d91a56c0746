#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/secret.hpp"
#include "quern/http/access.hpp"
#include "quern/http/api_keys.hpp"
#include "quern/http/audit_log.hpp"
#include "quern/http/failure_limiter.hpp"
#include "quern/http/message.hpp"
#include "quern/http/rate_limiter.hpp"
#include "quern/http/router.hpp"

namespace quern::inline v1::http {

struct GateOptions {
  /// Nobody is asked who they are, and everybody has `open_role`. Only for a server that listens on a loopback address, which is the
  /// server's to see to; requests have to name such a host, or one of `hosts`.
  bool open = false;
  std::string open_role = "admin";  ///< A built-in role.
  /// The names under which the server is asked for, without a port: "jobs.example.org". Empty: any, unless it is open. Names of the
  /// loopback are always allowed.
  std::vector<std::string> hosts{};
  /// Pages of other origins from which changes are accepted: "https://ops.example.org".
  std::vector<std::string> origins{};
  /// Of each caller, a key or a token's subject.
  RatePolicy per_caller{.name = "caller", .quota = 12'000};
  /// Of each address, before anything is looked at. Behind a proxy that does not say whom it speaks for, all have one.
  RatePolicy per_address{.name = "address", .quota = 24'000};
  /// Jobs that are added for each tenant; see `charge_jobs`. Not limited, unless it is said.
  RatePolicy jobs_per_tenant{.name = "jobs"};
  FailurePolicy failures{};
};

/// Decides about each request before it reaches its handler.
///
/// Order    1. Routes without a permission (health, the dashboard's files) pass, and are limited by nothing.
///          2. The address's limit: 429. Before the credential is looked at, since that costs something.
///          3. A credential in the address of the request: 400. It stands in histories and logs by then, so it is to be revoked.
///          4. Who it is, also for what does not exist: 401. One key or token, as `Authorization: Bearer` (RFC 6750) or `X-API-Key`.
///             Addresses that send wrong ones have to wait: 429.
///          5. Host, and for changes Origin and Sec-Fetch-Site: 403. What a browser sends on behalf of a foreign page changes nothing.
///          6. The caller's limit: 429.
///          7. The route's permission: 403.
///          8. A body must be JSON: 415.
/// Tenants  whether a job is within the caller's reach is the handlers' matter: `Request::caller`.
/// Refused  `Request::refused` then says why. The client learns no more than the kind of fault.
/// Threads  may be called from several threads.
class Gate {
 public:
  /// Whom a secret is from; see ApiKeys::find. May throw StorageError, which lets nobody in.
  using Authenticate = std::function<Authentication(std::string_view secret)>;

  /// `keys` is asked about whatever is no token, `tokens` about what looks like a JWT. Either may be empty; in a gate that is open
  /// neither is used. Throws InvalidArgument for faulty options, or a gate that is not open and has neither.
  Gate(GateOptions options, Authenticate keys, Authenticate tokens = {});
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  ~Gate();

  /// Notes every refusal, also by a handler, and every change with its outcome: what is sent by another method than GET, HEAD or OPTIONS and needs
  /// more than a permission to read. Where the log says that changes wait, one begins only when that stands in the
  /// storage; else it is refused (503). Set it before requests come. The log must outlive the gate; null: nothing is noted.
  void set_audit(AuditLog* log) noexcept { audit_ = log; }

  /// For Router::set_gate.
  [[nodiscard]] std::optional<Response> check(Request& request, const Route* route);
  /// For Router::set_after: adds the fields that tell a caller how much is left, and notes changes.
  void finish(const Request& request, const Route* route, Response& response);

  /// Counts jobs that are about to be added for a tenant, for handlers. Throws Problem 429 where there are too many.
  void charge_jobs(std::string_view tenant, std::uint32_t count, SteadyTime now);

 private:
  [[nodiscard]] std::optional<Problem> judge(Request& request, const Route* route);
  [[nodiscard]] std::optional<Problem> authenticate(Request& request, const std::string& address);
  [[nodiscard]] std::optional<Problem> check_site(Request& request) const;

  const GateOptions options_;
  const Authenticate keys_;
  const Authenticate tokens_;
  AuditLog* audit_ = nullptr;
  std::shared_ptr<const Caller> open_caller_;  // null: not open
  RateLimiter per_caller_;
  RateLimiter per_address_;
  RateLimiter jobs_per_tenant_;
  FailureLimiter failures_;
};

/// Whether a request with this method changes something.
[[nodiscard]] bool changes_something(Method method) noexcept;

}  // namespace quern::inline v1::http
