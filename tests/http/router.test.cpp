#include <nlohmann/json.hpp>
#include <stdexcept>

#include "quern/core/error.hpp"
#include "quern/http/router.hpp"
#include "support/catch.hpp"

using namespace quern::http;
using nlohmann::json;

namespace {

Request request(Method method, std::string target) { return {.method = method, .target = std::move(target)}; }

Response text(std::string body) { return {.status = 200, .headers = {}, .body = std::move(body)}; }

Route route(Method method, std::string pattern, std::string answer) {
  return {.method = method, .pattern = std::move(pattern), .handler = [answer](const Request& asked) {
            std::string body = answer;
            for (const Parameter& part : asked.parts) body += " " + part.name + "=" + part.value;
            return text(body);
          }};
}

Response ask(const Router& router, Method method, std::string target) {
  Request asked = request(method, std::move(target));
  return router.handle(asked);
}

}  // namespace

TEST_CASE("a route is found by its method and path, and what is fixed goes before what is variable",
          "[router]") {
  Router router;
  router.add(route(Method::get, "/api/jobs/:id", "job"));
  router.add(route(Method::get, "/api/jobs/metrics", "metrics"));
  router.add(route(Method::post, "/api/jobs/:id/cancel", "cancel"));
  router.add(route(Method::get, "/*file", "file"));
  CHECK(ask(router, Method::get, "/api/jobs/17").body == "job id=17");
  CHECK(ask(router, Method::get, "/api/jobs/metrics?range=1h").body == "metrics");
  CHECK(ask(router, Method::post, "/api/jobs/17/cancel").body == "cancel id=17");
  CHECK(ask(router, Method::get, "/").body == "file file=");
  CHECK(ask(router, Method::get, "/app/main.js").body == "file file=app/main.js");
}

TEST_CASE("a part of a path is decoded by itself, so a name may have a slash", "[router]") {
  Router router;
  router.add(route(Method::get, "/queues/:name", "queue"));
  CHECK(ask(router, Method::get, "/queues/a%2Fb%20c").body == "queue name=a/b c");
  CHECK(ask(router, Method::get, "/queues/a%2").status == 404);
  CHECK(ask(router, Method::get, "/queues/a%00").status == 404);
  CHECK(ask(router, Method::get, "/queues/%FF").status == 404);
  CHECK(ask(router, Method::get, "/queues/").status == 404);
}

TEST_CASE("a path that does not have the method says which it has", "[router]") {
  Router router;
  router.add(route(Method::get, "/jobs", "list"));
  router.add(route(Method::post, "/jobs", "add"));
  const Response refused = ask(router, Method::del, "/jobs");
  CHECK(refused.status == 405);
  CHECK(refused.headers.find("allow") == "GET, HEAD, POST, OPTIONS");
  const Response options = ask(router, Method::options, "/jobs");
  CHECK(options.status == 204);
  CHECK(options.headers.find("Allow") == "GET, HEAD, POST, OPTIONS");
  CHECK(ask(router, Method::options, "/elsewhere").status == 404);
  CHECK(ask(router, Method::head, "/jobs").status == 200);
}

TEST_CASE("errors are problem details, and tell nothing of the inside", "[router]") {
  Router router;
  std::string told;
  router.on_error([&](const Request&, std::string_view what) { told = what; });
  const auto throwing = [&](std::string pattern, auto thrower) {
    router.add({.method = Method::get,
                .pattern = std::move(pattern),
                .handler = [thrower](const Request&) -> Response {
                  thrower();
                  return {};
                }});
  };
  throwing("/invalid", [] { throw Problem::invalid({{"/kind", "is empty"}, {"/queue", "is too long"}}); });
  throwing("/argument", [] { throw quern::InvalidArgument("tags[2]", "is too long"); });
  throwing("/busy", [] { throw quern::StorageError("db.sqlite is locked", true); });
  throwing("/broken", [] { throw quern::StorageError("db.sqlite is damaged", false); });
  throwing("/bug", [] { throw std::logic_error("at 0x1234"); });
  throwing("/odd", [] { throw 5; });

  const Response invalid = ask(router, Method::get, "/invalid");
  CHECK(invalid.status == 422);
  CHECK(invalid.headers.find("Content-Type") == "application/problem+json");
  CHECK(
      json::parse(invalid.body) ==
      json::parse(
          R"({"type":"urn:quern:problem:invalid","title":"Values in the request are not allowed","status":422,)"
          R"("errors":[{"pointer":"/kind","detail":"is empty"},{"pointer":"/queue","detail":"is too long"}]})"));
  CHECK(json::parse(ask(router, Method::get, "/argument").body)["errors"][0]["pointer"] == "tags[2]");
  CHECK(told.empty());

  const Response busy = ask(router, Method::get, "/busy");
  CHECK(busy.status == 503);
  CHECK(busy.headers.find("Retry-After") == "1");
  CHECK(busy.body.find("sqlite") == busy.body.npos);
  CHECK(told == "db.sqlite is locked");
  for (const char* const path : {"/broken", "/bug", "/odd"}) {
    const Response failed = ask(router, Method::get, path);
    CHECK(failed.status == 500);
    CHECK(json::parse(failed.body) ==
          json::parse(
              R"({"type":"urn:quern:problem:internal","title":"An error of the server","status":500})"));
  }
  CHECK(told == "something that is not a std::exception");
}

TEST_CASE("the gate is asked first, also for what is not there", "[router]") {
  Router router;
  router.add(route(Method::get, "/open", "open"));
  std::vector<std::string> asked;
  router.set_gate([&](Request&, const Route* found) -> std::optional<Response> {
    asked.push_back(found == nullptr ? "nothing" : found->pattern);
    if (found != nullptr) return std::nullopt;
    return Response{.status = 401};
  });
  CHECK(ask(router, Method::get, "/open").status == 200);
  CHECK(ask(router, Method::get, "/secret").status == 401);
  CHECK(ask(router, Method::post, "/open").status == 401);
  CHECK(asked == std::vector<std::string>{"/open", "nothing", "nothing"});
}

TEST_CASE("a faulty route is refused", "[router]") {
  Router router;
  router.add(route(Method::get, "/jobs/:id", "job"));
  CHECK_THROWS_AS(router.add(route(Method::get, "/jobs/:name", "again")), quern::InvalidArgument);
  CHECK_THROWS_AS(router.add(route(Method::get, "jobs", "")), quern::InvalidArgument);
  CHECK_THROWS_AS(router.add(route(Method::get, "/jobs//x", "")), quern::InvalidArgument);
  CHECK_THROWS_AS(router.add(route(Method::get, "/jobs/:", "")), quern::InvalidArgument);
  CHECK_THROWS_AS(router.add(route(Method::get, "/*rest/x", "")), quern::InvalidArgument);
  CHECK_THROWS_AS(router.add(route(Method::head, "/jobs", "")), quern::InvalidArgument);
  CHECK_THROWS_AS(router.add(Route{.pattern = "/jobs"}), quern::InvalidArgument);
}

TEST_CASE("a header can't be ended by what stands in it", "[router]") {
  Fields fields;
  CHECK_THROWS_AS(fields.add("X", "a\r\nSet-Cookie: b"), quern::InvalidArgument);
  CHECK_THROWS_AS(fields.add("X\n", "a"), quern::InvalidArgument);
  CHECK_THROWS_AS(fields.add("", "a"), quern::InvalidArgument);
  fields.add("X-One", "1");
  fields.add("x-one", "2");
  CHECK(fields.count("X-ONE") == 2);
  fields.set("X-One", "3");
  CHECK(fields.count("X-One") == 1);
  CHECK(fields.find("x-one") == "3");
}

TEST_CASE("a query is decoded, in its order, and a faulty one says so", "[router]") {
  const auto query = request(Method::get, "/jobs?state=dead&tag=a%26b&tag=c+d&&flag&=x").query();
  REQUIRE(query.size() == 5);
  CHECK(query[1].value == "a&b");
  CHECK(query[2].value == "c d");
  CHECK(query[3].name == "flag");
  CHECK(query[3].value.empty());
  CHECK(query[4].name.empty());
  CHECK(request(Method::get, "/jobs").query().empty());
  CHECK_THROWS_AS(request(Method::get, "/jobs?a=%zz").query(), quern::InvalidArgument);
  CHECK_THROWS_AS(request(Method::get, "/jobs?a=%").query(), quern::InvalidArgument);
  for (const std::string given : {"", "a/b?c&d=e+f%", "\xC3\xA9"})
    CHECK(decode(encode(given), true) == given);
}
