#include "quern/http/gate.hpp"

#include "http/support/security.hpp"
#include "quern/core/error.hpp"
#include "quern/http/router.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using namespace quern::http;
using quern_test::root;
using quern_test::SecurityScene;

namespace {

constexpr std::array methods{Method::get, Method::post, Method::put, Method::patch, Method::del};

/// A router behind a gate, with a route for each permission and method, and one for everybody.
struct GateScene : SecurityScene {
  explicit GateScene(GateOptions options = {})
      : gate(std::move(options), [this](std::string_view secret) { return keys.find(secret); }) {
    for (const std::string_view permission : all_permissions())
      for (const Method method : methods) add(method, "/" + std::string(permission), std::string(permission));
    add(Method::get, "/health", "");
    add(Method::post, "/health", "");
    router.set_gate([this](Request& asked, const Route* route) { return gate.check(asked, route); });
    router.set_after([this](const Request& asked, const Route* route, Response& response) {
      gate.finish(asked, route, response);
    });
  }

  void add(Method method, std::string pattern, std::string permission) {
    router.add({.method = method,
                .pattern = std::move(pattern),
                .permission = std::move(permission),
                .handler = [this](const Request& asked) {
                  ++handled;
                  caller = asked.caller;
                  return Response{.status = 200};
                }});
  }

  Response ask(Method method, std::string target, Fields headers = {}, std::string body = {}) {
    request = {.method = method,
               .target = std::move(target),
               .headers = std::move(headers),
               .body = std::move(body)};
    request.peer = "192.0.2.1";
    request.received = clock.steady();
    return router.handle(request);
  }
  Response get(std::string target, const std::string& secret) {
    return ask(Method::get, std::move(target), {{"Authorization", "Bearer " + secret}});
  }

  Gate gate;
  Router router;
  Request request;
  int handled = 0;
  std::shared_ptr<const Caller> caller;
};

}  // namespace

TEST_CASE("every role may do exactly what it names, by every method", "[gate]") {
  GateScene s(GateOptions{.per_caller = {.quota = 0}, .per_address = {.quota = 0}});
  s.roles.put({"reader", {"jobs.read"}}, root());
  s.roles.put({"nothing", {}}, root());
  s.roles.put({"gone", {"*"}}, root());
  struct Row {
    std::string role;
    std::string secret;
    std::vector<std::string> permissions;
  };
  std::vector<Row> rows;
  for (const char* const role : {"viewer", "operator", "admin", "reader", "nothing", "gone"})
    rows.push_back({role, s.key(role, role).secret.reveal(), *s.roles.find(role)});
  s.roles.erase("gone");
  rows.back().permissions.clear();
  int allowed = 0;
  for (const Row& row : rows) {
    const Scope scope{.permissions = row.permissions};
    for (const std::string_view permission : all_permissions()) {
      for (const Method method :
           {Method::get, Method::head, Method::post, Method::put, Method::patch, Method::del}) {
        const int before = s.handled;
        const Response answer = s.ask(method, "/" + std::string(permission), {{"X-API-Key", row.secret}});
        INFO(row.role << " " << permission << " " << to_text(method));
        REQUIRE(answer.status == (scope.may(permission) ? 200 : 403));
        REQUIRE(s.handled - before == (scope.may(permission) ? 1 : 0));
        allowed += scope.may(permission) ? 1 : 0;
      }
      // What a path has for methods is said to whoever is known.
      REQUIRE(s.ask(Method::options, "/" + std::string(permission), {{"X-API-Key", row.secret}}).status ==
              204);
    }
  }
  // viewer 8, operator 16, admin 20, reader 1; by six methods.
  CHECK(allowed == (8 + 16 + 20 + 1) * 6);
}

TEST_CASE("who is not known learns nothing, not even what there is", "[gate]") {
  GateScene s(GateOptions{.per_address = {.quota = 0}, .failures = {.free = 1'000'000}});
  const std::vector<Fields> credentials{
      {},
      {{"Authorization", "Bearer quern_aaaaaaaaaaaa_" + std::string(43, 'A')}},
      {{"Authorization", "Bearer "}},
      {{"Authorization", "Basic YWRtaW46YWRtaW4="}},
      {{"Authorization", "admin"}},
      {{"X-API-Key", "a.b.c"}},
      {{"X-API-Key", ""}},
      {{"Cookie", "session=1"}}};
  for (const Fields& headers : credentials) {
    for (const Method method : {Method::get, Method::head, Method::post, Method::put, Method::patch,
                                Method::del, Method::options}) {
      const Response there = s.ask(method, "/jobs.read", headers);
      const Response not_there = s.ask(method, "/nowhere", headers, "{\"a\":1}");
      REQUIRE(there.status == 401);
      REQUIRE(there.headers.find("WWW-Authenticate"));
      REQUIRE(there.body == not_there.body);
      REQUIRE(not_there.status == 401);
    }
  }
  CHECK(s.handled == 0);
  CHECK(s.ask(Method::get, "/jobs.read").headers.find("WWW-Authenticate") == R"(Bearer realm="quern")");
  CHECK(s.ask(Method::get, "/jobs.read", {{"X-API-Key", "wrong"}}).headers.find("WWW-Authenticate") ==
        R"(Bearer realm="quern", error="invalid_token")");
}

TEST_CASE("a handler is told who asks, and a foreign path is said to be none once that is known", "[gate]") {
  GateScene s;
  const std::string secret = s.key("deploy", "viewer").secret.reveal();
  CHECK(s.get("/jobs.read", secret).status == 200);
  CHECK(s.caller->name == "deploy");
  CHECK(s.ask(Method::get, "/jobs.read", {{"authorization", "bEaReR  " + secret + " "}}).status == 200);
  CHECK(s.get("/nowhere", secret).status == 404);
  CHECK(s.request.refused.empty());
  s.keys.revoke(s.caller->id, root());
  CHECK(s.get("/jobs.read", secret).status == 401);
  CHECK(s.request.refused.starts_with("the key is revoked ("));
}

TEST_CASE("what is public asks nobody and is limited by nothing", "[gate]") {
  GateScene s(GateOptions{.hosts = {"jobs.example.org"},
                          .per_address = {.quota = 1},
                          .failures = {.free = 0, .base = 1min, .ceiling = 1min}});
  for (int i = 0; i < 100; ++i) {
    REQUIRE(s.ask(Method::get, "/health", {{"X-API-Key", "wrong"}, {"Host", "10.0.0.1"}}).status == 200);
    REQUIRE(s.ask(Method::head, "/health?token=x").status == 200);
  }
  CHECK(s.caller == nullptr);
  CHECK(s.ask(Method::get, "/jobs.read").status == 401);
  CHECK(s.ask(Method::get, "/jobs.read").status == 429);
  CHECK(s.ask(Method::get, "/health").status == 200);
}

TEST_CASE("a credential in the address is refused, and said to be of no use any more", "[gate]") {
  GateScene s;
  const std::string secret = s.key("deploy", "admin").secret.reveal();
  for (const std::string& query : std::vector<std::string>{"api_key=x", "ACCESS_TOKEN=x", "a=b&token=x",
                                                           "apikey", "anything=" + secret}) {
    const Response refused = s.get("/jobs.read?" + query, secret);
    CHECK(refused.status == 400);
    CHECK(refused.body.find(secret) == refused.body.npos);
    CHECK(s.ask(Method::get, "/jobs.read?" + query).status == 400);
  }
  CHECK(s.get("/jobs.read?key=mail-17&state=dead", secret).status == 200);
  CHECK(s.ask(Method::get, "/jobs.read?a=%zz").status == 401);
}

TEST_CASE("a request with two credentials is refused, whichever is right", "[gate]") {
  GateScene s;
  const std::string secret = s.key("deploy", "admin").secret.reveal();
  const std::string bearer = "Bearer " + secret;
  CHECK(s.ask(Method::get, "/jobs.read", {{"Authorization", bearer}, {"X-API-Key", secret}}).status == 400);
  CHECK(s.ask(Method::get, "/jobs.read", {{"Authorization", bearer}, {"authorization", "Bearer x"}}).status ==
        400);
  CHECK(s.ask(Method::get, "/jobs.read", {{"X-API-Key", std::string(9000, 'a')}}).status == 400);
}

TEST_CASE("whoever tries keys out has to wait, and those who were right there lately need not", "[gate]") {
  GateScene s(GateOptions{.failures = {.free = 5, .base = 10s, .ceiling = 1min, .forget = 10min}});
  const std::string known = s.key("known", "viewer").secret.reveal();
  const std::string late = s.key("late", "viewer").secret.reveal();
  CHECK(s.get("/jobs.read", known).status == 200);
  for (int i = 0; i < 6; ++i) CHECK(s.get("/jobs.read", "wrong").status == 401);
  const Response waits = s.get("/jobs.read", "wrong");
  CHECK(waits.status == 429);
  CHECK(waits.headers.find("Retry-After") == "10");
  CHECK(s.get("/jobs.read", late).status == 429);
  CHECK(s.get("/jobs.read", known).status == 200);
  s.clock.advance(10s);
  CHECK(s.get("/jobs.read", late).status == 200);
}

TEST_CASE("a caller who asks too often is told when to come again, and others are not in the way", "[gate]") {
  GateScene s(GateOptions{.per_caller = {.name = "caller", .quota = 60}, .per_address = {.quota = 0}});
  const std::string eager = s.key("eager", "viewer").secret.reveal();
  const std::string calm = s.key("calm", "viewer").secret.reveal();
  CHECK(s.get("/jobs.read", eager).headers.find("RateLimit") == R"("caller";r=59;t=1)");
  for (int i = 0; i < 59; ++i) REQUIRE(s.get("/jobs.read", eager).status == 200);
  const Response refused = s.get("/jobs.read", eager);
  CHECK(refused.status == 429);
  CHECK(refused.headers.find("Retry-After") == "1");
  CHECK(refused.headers.find("RateLimit-Policy") == R"("caller";q=60;w=60)");
  CHECK(refused.headers.count("RateLimit") == 1);
  CHECK(s.get("/jobs.read", calm).status == 200);
  s.clock.advance(1s);
  CHECK(s.get("/jobs.read", eager).status == 200);
}

TEST_CASE("jobs that are added are counted for their tenant", "[gate]") {
  GateScene s(GateOptions{.jobs_per_tenant = {.name = "jobs", .quota = 100}});
  s.gate.charge_jobs("a", 100, 1h);
  s.gate.charge_jobs("b", 1, 1h);
  try {
    s.gate.charge_jobs("a", 10, 1h);
    FAIL("it was not refused");
  } catch (const Problem& problem) {
    CHECK(problem.status == 429);
    CHECK(problem.headers.find("Retry-After") == "6");
  }
  s.gate.charge_jobs("a", 10, 1h + 6s);
}

TEST_CASE("a change that a browser sends for a foreign page is refused, and reading is not", "[gate]") {
  GateScene s(GateOptions{.origins = {"https://ops.example.org"}});
  const std::string secret = s.key("deploy", "admin").secret.reveal();
  const auto status = [&](Method method, Fields fields) {
    fields.add("X-API-Key", secret);
    fields.add("Host", "jobs.example.org:8080");
    return s.ask(method, "/jobs.manage", fields).status;
  };
  for (const Method method : {Method::post, Method::put, Method::patch, Method::del}) {
    CHECK(status(method, {}) == 200);
    CHECK(status(method, {{"Sec-Fetch-Site", "same-origin"}}) == 200);
    CHECK(status(method, {{"Sec-Fetch-Site", "none"}}) == 200);
    CHECK(status(method, {{"Sec-Fetch-Site", "cross-site"}}) == 403);
    CHECK(status(method, {{"Sec-Fetch-Site", "same-site"}}) == 403);
    CHECK(status(method, {{"Sec-Fetch-Site", "odd"}}) == 403);
    CHECK(status(method, {{"Origin", "http://jobs.example.org:8080"}}) == 200);
    CHECK(status(method, {{"Origin", "https://jobs.example.org:8080"}}) == 200);
    CHECK(status(method, {{"Origin", "http://jobs.example.org"}}) == 403);
    CHECK(status(method, {{"Origin", "http://evil.example.org"}}) == 403);
    CHECK(status(method, {{"Origin", "http://jobs.example.org:8080.evil.example.org"}}) == 403);
    CHECK(status(method, {{"Origin", "null"}}) == 403);
    CHECK(status(method, {{"Origin", ""}}) == 403);
    CHECK(status(method,
                 {{"Origin", "http://jobs.example.org:8080"}, {"Origin", "http://evil.example.org"}}) == 403);
    CHECK(status(method, {{"Origin", "https://ops.example.org"}, {"Sec-Fetch-Site", "cross-site"}}) == 200);
  }
  CHECK(status(Method::get, {{"Sec-Fetch-Site", "cross-site"}}) == 200);
  CHECK(s.request.refused.empty());
  for (const char* const faulty :
       {"*", "null", "ops.example.org", "https://a/b", "https://*.org", "https://A.org"})
    CHECK_THROWS_AS(Gate({.origins = {faulty}}, [](std::string_view) { return Authentication{}; }),
                    quern::InvalidArgument);
}

TEST_CASE("a body that is not JSON is refused before anything reads it", "[gate]") {
  GateScene s;
  const std::string secret = s.key("deploy", "admin").secret.reveal();
  const auto status = [&](Fields fields, std::string body) {
    fields.add("X-API-Key", secret);
    return s.ask(Method::post, "/jobs.create", fields, std::move(body)).status;
  };
  CHECK(status({{"Content-Type", "application/json"}}, "{}") == 200);
  CHECK(status({{"Content-Type", "Application/JSON ; charset=utf-8"}}, "{}") == 200);
  CHECK(status({}, "") == 200);
  CHECK(status({}, "{}") == 415);
  for (const char* const type : {"text/plain", "application/x-www-form-urlencoded", "multipart/form-data",
                                 "application/jsonp", "text/plain;application/json", ""})
    CHECK(status({{"Content-Type", type}}, "{}") == 415);
}

TEST_CASE("an open gate asks nobody, but only under its own names and for its own pages", "[gate]") {
  GateScene s(GateOptions{.open = true, .open_role = "viewer", .hosts = {"box.local"}});
  const auto status = [&](Method method, std::string target, Fields fields) {
    return s.ask(method, std::move(target), std::move(fields)).status;
  };
  for (const char* const host :
       {"localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]", "[::1]:8080", "box.local"})
    CHECK(status(Method::get, "/jobs.read", {{"Host", host}}) == 200);
  CHECK(s.caller->via == "open");
  // A name that somebody lets point to this machine.
  for (const char* const host :
       {"rebind.example.org", "localhost.example.org", "127.0.0.1.example.org", "", "::1"})
    CHECK(status(Method::get, "/jobs.read", {{"Host", host}}) == 403);
  CHECK(status(Method::get, "/jobs.read", {}) == 403);
  CHECK(status(Method::get, "/jobs.read", {{"Host", "localhost"}, {"Host", "evil"}}) == 403);
  CHECK(status(Method::get, "/jobs.read", {{"Host", "localhost"}, {"Origin", "http://evil.example.org"}}) ==
        403);
  CHECK(status(Method::post, "/jobs.manage", {{"Host", "localhost"}}) == 403);
  CHECK(status(Method::get, "/nowhere", {{"Host", "localhost"}}) == 404);
}

TEST_CASE("a gate that would let nobody in, or too many, is not made", "[gate]") {
  CHECK_THROWS_AS(Gate({}, {}), quern::InvalidArgument);
  CHECK_THROWS_AS(Gate({.open = true, .open_role = "root"}, {}), quern::InvalidArgument);
}

TEST_CASE("a storage that can't say whose key it is lets nobody in", "[gate]") {
  Router router;
  bool handled = false;
  router.add({.pattern = "/x", .permission = "jobs.read", .handler = [&](const Request&) {
                handled = true;
                return Response{};
              }});
  Gate gate({}, [](std::string_view) -> Authentication { throw quern::StorageError("gone", true); });
  router.set_gate([&](Request& request, const Route* route) { return gate.check(request, route); });
  Request request{.target = "/x", .headers = {{"X-API-Key", "quern_x"}}};
  CHECK(router.handle(request).status == 503);
  CHECK_FALSE(handled);
}
