#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "quern/http/access.hpp"
#include "quern/http/api.hpp"
#include "quern/http/router.hpp"
#include "quern/job_service.hpp"
#include "support/catch.hpp"
#include "support/engine_storage.hpp"

namespace quern_test {

/// The API of a service on the test's own thread and clock, asked without any server.
struct ApiScene {
  using Service = quern::JobService<quern::AnyStorage, quern::InlineExecutor>;
  using json = nlohmann::json;

  struct Answer {
    int status = 0;
    quern::http::Fields headers{};
    std::string text{};

    [[nodiscard]] json body() const { return json::parse(text); }
    /// The pointers of a 422's faults, in their order.
    [[nodiscard]] std::vector<std::string> faults() const {
      std::vector<std::string> all;
      const json problem = body();
      if (problem.contains("errors"))
        for (const json& one : problem["errors"]) all.push_back(one["pointer"].get<std::string>());
      return all;
    }
    [[nodiscard]] std::string type() const { return body().at("type").get<std::string>(); }
    [[nodiscard]] std::string header(std::string_view name) const {
      return std::string(headers.find(name).value_or(""));
    }
  };

  quern::ManualClock clock;
  EngineStorage own{quern::ClockRef(clock)};
  Service service;
  quern::http::Api api;
  quern::http::Router router;
  std::vector<std::string> errors;                      ///< Requests that failed by the program's own fault.
  std::shared_ptr<const quern::http::Caller> caller{};  ///< Of the requests that follow.
  std::vector<std::pair<std::string, std::string>> more{};  ///< Headers of the next request.

  explicit ApiScene(quern::ServiceConfig config = {}, quern::http::ApiOptions options = {})
      : service(own.storage, std::move(config)), api(service, std::move(options)) {
    api.mount(router);
    router.on_error(
        [this](const quern::http::Request&, std::string_view what) { errors.emplace_back(what); });
  }
  ApiScene(const ApiScene&) = delete;
  ApiScene& operator=(const ApiScene&) = delete;
  ~ApiScene() { service.stop(); }

  Answer ask(quern::http::Method method, std::string target, std::string body = {}) {
    quern::http::Request request;
    request.method = method;
    request.target = std::move(target);
    request.body = std::move(body);
    request.caller = caller;
    for (auto& [name, value] : more) request.headers.add(name, value);
    more.clear();
    quern::http::Response response = router.handle(request);
    return {response.status, response.headers, response.body};
  }
  Answer get(std::string target) { return ask(quern::http::Method::get, std::move(target)); }
  Answer post(std::string target, const json& body = json::object()) {
    return ask(quern::http::Method::post, std::move(target), body.dump());
  }
  Answer put(std::string target, const json& body) {
    return ask(quern::http::Method::put, std::move(target), body.dump());
  }
  Answer del(std::string target) { return ask(quern::http::Method::del, std::move(target)); }

  void as(std::string name, quern::http::Scope scope) {
    caller = std::make_shared<quern::http::Caller>(
        quern::http::Caller{.name = name, .via = "key", .id = name, .scope = std::move(scope)});
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
  /// Adds a job by the API, and answers with its id.
  std::string add(const json& job) {
    const Answer answer = post("/api/jobs", job);
    INFO(answer.text);
    REQUIRE(answer.status == 201);
    return answer.body().at("id").get<std::string>();
  }
  json job(const std::string& id) { return get("/api/jobs/" + id).body(); }
};

}  // namespace quern_test
