#include "quern/http/http_config.hpp"

#include <cstdlib>
#include <utility>

#include "http/http_settings.hpp"
#include "quern/core/error.hpp"

namespace quern::inline v1::http {
namespace {

using quern::detail::JsonSettings;
using quern::detail::SettingFaults;
using quern::detail::SettingsWriter;
using quern::detail::VariableSettings;

/// None where it is not named: everything.
void read_names(JsonSettings& settings, const char* name, std::optional<std::vector<std::string>>& names) {
  const auto* const found = settings.find(name);
  if (found == nullptr || found->is_null()) return;
  std::vector<std::string> read;
  settings.texts(name, read);
  names = std::move(read);
}

// What is secret, or a path to what is, is read and never written.
void read_secrets(JsonSettings& settings, HttpConfig& config) {
  settings.list("keys", config.keys, [](auto& inner, ConfiguredApiKey& key) {
    std::string secret;
    std::string expires;
    inner.value("name", key.key.name);
    inner.value("role", key.key.role);
    inner.texts("permissions", key.key.permissions);
    read_names(inner, "tenants", key.key.tenants);
    read_names(inner, "queues", key.key.queues);
    inner.value("sha256", key.sha256);
    inner.value("secret", secret);
    inner.value("expires", expires);
    key.secret = Secret(std::move(secret));
    if (expires.empty()) return;
    try {
      key.key.expires = parse_rfc3339(expires);
    } catch (const InvalidArgument&) {
      inner.fault("expires", "must be a time, such as \"2026-12-31T00:00:00Z\"");
    }
  });
  std::string audit_key;
  settings.value("auditKey", audit_key);
  if (!audit_key.empty()) config.audit.key = Secret(std::move(audit_key));
  std::vector<std::string> token_keys;
  settings.texts("tokenKeys", token_keys);
  config.token_keys.assign(token_keys.begin(), token_keys.end());
  settings.maybe_group("tls", config.server.tls, [](auto& inner, ServerTls& tls) {
    std::string certificate = tls.certificate.string();
    std::string key = tls.key.string();
    std::string client_ca = tls.client_ca.string();
    inner.value("certificate", certificate);
    inner.value("key", key);
    inner.value("clientCa", client_ca);
    tls = {.certificate = certificate, .key = key, .client_ca = client_ca};
  });
}

}  // namespace

HttpConfig HttpConfig::from_json(std::string_view text) {
  try {
    check_json(text, "http", JobLimits{});
  } catch (const InvalidArgument& error) {
    throw ConfigError({error.what()});
  }
  HttpConfig config;
  SettingFaults faults;
  const auto json = nlohmann::json::parse(text);
  JsonSettings::read(json, "http", faults, [&](JsonSettings& settings) {
    describe_http(settings, config);
    read_secrets(settings, config);
  });
  faults.throw_if_any();
  config.validate();
  return config;
}

HttpConfig HttpConfig::from_environment(HttpConfig config) {
  return from_environment(std::move(config), [](const std::string& name) -> std::optional<std::string> {
    const char* const value =
        std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): read, as at each start
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  });
}

HttpConfig HttpConfig::from_environment(
    HttpConfig config, const std::function<std::optional<std::string>(const std::string& name)>& get) {
  SettingFaults faults;
  VariableSettings settings(get, "http.", faults);
  describe_http(settings, config);
  faults.throw_if_any();
  // One key for everything, for a start without a file.
  if (auto secret = get("QUERN_HTTP_KEY"); secret && !secret->empty())
    config.keys.push_back(
        {.key = {.name = "environment", .role = "admin"}, .secret = Secret(std::move(*secret))});
  if (auto key = get("QUERN_HTTP_AUDIT_KEY"); key && !key->empty())
    config.audit.key = Secret(std::move(*key));
  config.validate();
  return config;
}

void HttpConfig::validate() const {
  ServerOptions options = server;
  options.authenticated = !gate.open;
  SettingFaults faults;
  try {
    options.check();
  } catch (const ConfigError& error) {
    for (const std::string& line : error.faults()) faults.lines.push_back("http." + line);
  }
  const auto check_one = [&](const std::string& where, const auto& act) {
    try {
      act();
    } catch (const InvalidArgument& error) {
      faults.lines.push_back(where + error.what());
    }
  };
  for (std::size_t i = 0; i < roles.size(); ++i)
    check_one("http.", [&] { check(roles[i], fmt::format("roles[{}]", i)); });
  if (tokens.has_value() == token_keys.empty())
    faults.add("http.tokenKeys", "go with \"tokens\", and neither without the other");
  check_one("http.", [&] { check(gate.per_caller, "perCaller"); });
  check_one("http.", [&] { check(gate.per_address, "perAddress"); });
  check_one("http.", [&] { check(gate.jobs_per_tenant, "jobsPerTenant"); });
  faults.throw_if_any();
}

std::string to_json(const HttpConfig& config) {
  nlohmann::ordered_json json;
  SettingsWriter writer(json);
  describe_http(writer, std::as_const(config));
  return json.dump();
}

}  // namespace quern::inline v1::http
