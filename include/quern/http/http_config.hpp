#pragma once

#include <filesystem>
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
#include "quern/http/token.hpp"

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
  bool dashboard = true;  ///< Served at "/".
  /// None: no token is accepted.
  std::optional<TokenOptions> tokens{};
  /// Where the keys are that tokens are checked with: see `read_token_keys`. Read at each start and by `ApiServer::reload_tokens`.
  std::vector<std::filesystem::path> token_keys{};
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
