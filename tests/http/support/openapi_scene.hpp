#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "http/support/openapi_watch.hpp"
#include "quern/http/api_server.hpp"
#include "quern/http/digest_api.hpp"
#include "quern/job_service.hpp"
#include "quern/testing/storage_proxy.hpp"
#include "support/catch.hpp"
#include "support/engine_storage.hpp"

namespace quern_test {

/// A whole ApiServer on the test's own thread and clock, asked without a network, whose every answer is held against its own description.
struct OpenApiScene {
  using Service = quern::JobService<quern::AnyStorage, quern::InlineExecutor>;
  using Method = quern::http::Method;
  using Response = quern::http::Response;
  using json = nlohmann::json;
  static constexpr const char* root_key = "a-key-of-the-configuration-of-32-characters";
  static constexpr const char* powerless_key = "a-key-for-nothing-at-all-of-32-characters";

  quern::ManualClock clock;
  EngineStorage own{quern::ClockRef(clock)};
  quern::testing::StorageProxy* faults = nullptr;  ///< The storage's, so that it may fail.
  quern::AnyStorage storage;
  Service service;
  quern::http::ApiServer server;
  std::function<void(quern::JobContext&)> during{};  ///< What jobs of the kind "hook" do.
  std::optional<OpenApiWatch> watch;

  std::string key = root_key;                               ///< Of the requests that follow; empty: none.
  std::string peer = "192.0.2.1";                           ///< Where they come from.
  std::string content_type = "application/json";            ///< Of their bodies.
  std::vector<std::pair<std::string, std::string>> more{};  ///< Headers of the next one.

  static quern::ServiceConfig service_config() {
    quern::ServiceConfig config;
    config.pool.scaling = quern::ScalingOptions{
        .min_workers = 2, .max_workers = 3, .worker = {.id = "w", .budget = {{"cpu", 4}}}};
    config.monitor.long_run = std::chrono::seconds(1);
    for (quern::AlertRule& rule : config.alerts.rules) {
      if (rule.name != "queue_too_long") continue;
      rule.threshold = 0;  // so that it fires
      rule.clear.reset();
      rule.hold_for = quern::Duration(0);
    }
    return config;
  }
  static quern::http::HttpConfig http_config() {
    quern::http::HttpConfig config;
    config.roles.push_back({"nothing", {}});
    config.keys.push_back({.key = {.name = "root", .role = "admin"}, .secret = quern::Secret(root_key)});
    config.keys.push_back(
        {.key = {.name = "nobody", .role = "nothing"}, .secret = quern::Secret(powerless_key)});
    config.dashboard = false;
    config.server.hosts = {"jobs.example.org"};
    config.gate.per_caller.quota = 0;
    config.gate.per_address.quota = 0;
    return config;
  }

  explicit OpenApiScene(quern::ServiceConfig config = service_config(),
                        const quern::http::HttpConfig& http = http_config())
      : storage([this] {
          auto proxy = std::make_unique<quern::testing::StorageProxy>(own.storage.port());
          faults = proxy.get();
          return quern::AnyStorage(std::move(proxy));
        }()),
        service(storage, std::move(config)),
        server(service, http) {
    add_handlers();
    quern::http::mount_digests(server.router(), service.queue().core().storage(),
                               [](std::string_view, std::string_view name) { return std::string(name); });
    watch.emplace(json::parse(plain(Method::get, "/api/openapi.json").body));
  }
  OpenApiScene(const OpenApiScene&) = delete;
  OpenApiScene& operator=(const OpenApiScene&) = delete;
  ~OpenApiScene() { service.stop(); }

  /// Without looking at the answer.
  Response plain(Method method, std::string target, std::string body = {}) {
    return plain(server, method, std::move(target), std::move(body));
  }
  Response plain(quern::http::ApiServer& of, Method method, std::string target, std::string body = {}) {
    quern::http::Request request;
    request.method = method;
    request.target = std::move(target);
    request.peer = peer;
    request.received = clock.steady();
    bool has_host = false;
    for (auto& [name, value] : more) {
      has_host = has_host || name == "Host";
      request.headers.add(name, value);
    }
    more.clear();
    if (!has_host) request.headers.add("Host", "jobs.example.org");
    if (!key.empty()) request.headers.add("Authorization", "Bearer " + key);
    if (!body.empty()) request.headers.add("Content-Type", content_type);
    request.body = std::move(body);
    return of.handle(request);
  }
  /// Fails where the answer is not as described.
  Response ask(Method method, const std::string& target, std::string body = {}) {
    return seen(method, target, plain(method, target, std::move(body)));
  }
  Response seen(Method method, const std::string& target, Response answer) {
    const auto wrong = watch->see(method, target, answer);
    INFO(to_text(method) << " " << target);
    CHECK(wrong == std::vector<std::string>{});
    return answer;
  }
  Response get(const std::string& target) { return ask(Method::get, target); }
  Response post(const std::string& target, const json& body = json::object()) {
    return ask(Method::post, target, body.dump());
  }
  Response put(const std::string& target, const json& body) { return ask(Method::put, target, body.dump()); }
  Response del(const std::string& target) { return ask(Method::del, target); }
  static std::string id_in(const Response& answer) {
    return json::parse(answer.body).at("id").get<std::string>();
  }
  /// Adds a job, and answers with its id.
  std::string add(const json& job) {
    const Response answer = post("/api/jobs", job);
    REQUIRE(answer.status == 201);
    return id_in(answer);
  }

  void settle() {
    for (int step = 0; step < 10'000; ++step)
      if (service.tick(clock.now()).at > clock.now()) return;
    throw std::runtime_error("the service does not come to rest");
  }
  void pass(quern::Duration time) {
    for (const auto end = clock.now() + time; clock.now() < end; clock.advance(std::chrono::seconds(1)))
      settle();
    settle();
  }

 private:
  void add_handlers() {
    using quern::JobContext;
    using quern::JobResult;
    auto& handlers = service.handlers();
    handlers.on("mail", [](JobContext& context) {
      context.info("sent", {{"bytes", 17}});
      context.progress(40, "page 2");
      return JobResult::completed(quern::Payload::json(R"({"sent":1})"));
    });
    handlers.on("chatty", [](JobContext& context) {
      for (int line = 0; line < 3000; ++line) context.info("a line");
    });
    handlers.on("fail", [](JobContext&) { throw std::runtime_error("no route to host"); },
                {.max_attempts = 1});
    handlers.on("hook",
                [this](JobContext& context) {
                  context.progress(10, "begun");
                  if (during) during(context);
                },
                {.cost = {{"cpu", 1}}});
  }
};

}  // namespace quern_test
