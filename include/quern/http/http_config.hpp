#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/http/access.hpp"
#include "quern/http/api.hpp"
#include "quern/http/api_keys.hpp"
#include "quern/http/audit_log.hpp"
#include "quern/http/gate.hpp"
#include "quern/http/server.hpp"

namespace quern::inline v1::http {

/// All that an ApiServer can be told. From JSON by the names of docs/http-server.md.
struct HttpConfig {
  ServerOptions server{};  ///< `authenticated` is the ApiServer's to say; the log is `log`.
  GateOptions gate{};      ///< `hosts` are those of the server.
  ApiOptions api{};
  std::vector<Role> roles{};             ///< Beside the built-in and the stored ones.
  std::vector<ConfiguredApiKey> keys{};  ///< Beside those that are stored.
  AuditOptions audit{};
  bool auditing = true;
  /// For secrets that are no API keys, such as tokens: see Gate. Code only.
  Gate::Authenticate tokens{};
  Logger log{};  ///< Code only.

  /// Throws ConfigError with every fault, each beginning with the path of its value.
  [[nodiscard]] static HttpConfig from_json(std::string_view text);
  /// Changed by the variables QUERN_HTTP_ADDRESS, QUERN_HTTP_PORT, ...; throws ConfigError.
  [[nodiscard]] static HttpConfig from_environment(HttpConfig config);
  [[nodiscard]] static HttpConfig from_environment(
      HttpConfig config, const std::function<std::optional<std::string>(const std::string& name)>& get);
  /// Throws ConfigError.
  void validate() const;
};

/// As JSON, without the secrets.
[[nodiscard]] std::string to_json(const HttpConfig& config);

}  // namespace quern::inline v1::http
