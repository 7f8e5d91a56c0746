#include "quern/http/dashboard.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "quern/core/error.hpp"
#include "support/catch.hpp"

using namespace quern::http;

namespace {

Response ask(const Router& router, std::string target, Method method = Method::get, Fields headers = {}) {
  Request request{.method = method, .target = std::move(target), .headers = std::move(headers)};
  return router.handle(request);
}

Router mounted() {
  Router router;
  mount_dashboard(router);
  return router;
}

std::string in_repository(const std::string& name) {
  std::ifstream file(std::string(QUERN_SOURCE_DIR) + "/src/http/dashboard/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string header(const Response& response, std::string_view name) {
  return std::string(response.headers.find(name).value_or("(none)"));
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

TEST_CASE("the dashboard is served to everybody, each file as it stands in the repository", "[dashboard]") {
  const Router router = mounted();
  REQUIRE(router.routes().size() > 10);
  std::set<std::string> tags;
  for (const Route& route : router.routes()) {
    INFO(route.pattern);
    CHECK(route.method == Method::get);
    CHECK(route.permission.empty());
    const Response got = ask(router, route.pattern);
    REQUIRE(got.status == 200);
    CHECK(got.body == in_repository(route.pattern == "/" ? "index.html" : route.pattern.substr(1)));
    CHECK_FALSE(got.body.empty());
    const std::string type = header(got, "Content-Type");
    if (route.pattern == "/")
      CHECK(type == "text/html; charset=utf-8");
    else if (route.pattern.ends_with(".js"))
      CHECK(type == "text/javascript; charset=utf-8");
    else if (route.pattern.ends_with(".css"))
      CHECK(type == "text/css; charset=utf-8");
    else
      CHECK(type == "image/svg+xml");
    tags.insert(header(got, "ETag"));
  }
  CHECK(tags.size() == router.routes().size());
}

TEST_CASE("each file of the dashboard comes with the headers that keep others out of its page",
          "[dashboard]") {
  const Router router = mounted();
  for (const Route& route : router.routes()) {
    INFO(route.pattern);
    const std::string tag = header(ask(router, route.pattern), "ETag");
    for (const Response& got :
         {ask(router, route.pattern), ask(router, route.pattern, Method::get, {{"If-None-Match", tag}})}) {
      CHECK(header(got, "Content-Security-Policy") ==
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' "
            "data:; "
            "frame-ancestors 'none'; base-uri 'none'; form-action 'self'");
      CHECK(header(got, "X-Content-Type-Options") == "nosniff");
      CHECK(header(got, "Referrer-Policy") == "no-referrer");
      CHECK(header(got, "Cache-Control") == "no-cache");
    }
  }
}

TEST_CASE("a browser that has a file of the dashboard is told so, without its body", "[dashboard]") {
  const Router router = mounted();
  const std::string tag = header(ask(router, "/main.js"), "ETag");
  REQUIRE(tag.size() > 10);
  CHECK((tag.front() == '"' && tag.back() == '"'));
  for (const std::string& known : {tag, "W/" + tag, "\"other\", " + tag, std::string("*")}) {
    INFO(known);
    const Response got = ask(router, "/main.js", Method::get, {{"If-None-Match", known}});
    CHECK(got.status == 304);
    CHECK(got.body.empty());
    CHECK(header(got, "ETag") == tag);
  }
  CHECK(ask(router, "/main.js", Method::get, {{"If-None-Match", "\"other\""}}).status == 200);
  CHECK(ask(router, "/main.js", Method::get, {{"If-None-Match", ""}}).status == 200);
}

TEST_CASE("a file of the dashboard is asked for with HEAD, and changed by nobody", "[dashboard]") {
  const Router router = mounted();
  const Response head = ask(router, "/style.css", Method::head);
  CHECK(head.status == 200);
  CHECK(header(head, "Content-Type") == "text/css; charset=utf-8");
  CHECK(header(head, "ETag") == header(ask(router, "/style.css"), "ETag"));
  CHECK(ask(router, "/style.css", Method::post).status == 405);
}

TEST_CASE("below the dashboard's path only its files are found", "[dashboard]") {
  const Router router = mounted();
  for (const char* path :
       {"/missing.js", "/index.html", "/jobs/17", "/..%2Fdashboard.cpp", "/%2e%2e/style.css"})
    CHECK(ask(router, path).status == 404);
}

TEST_CASE("a router that has a start page refuses the dashboard", "[dashboard]") {
  Router router;
  router.add({.method = Method::get, .pattern = "/", .handler = [](const Request&) { return Response{}; }});
  CHECK_THROWS_AS(mount_dashboard(router), quern::InvalidArgument);
}

TEST_CASE("the dashboard is small, and asks nobody but its own server", "[dashboard]") {
  const Router router = mounted();
  std::size_t bytes = 0;
  for (const Route& route : router.routes()) {
    INFO(route.pattern);
    std::string body = ask(router, route.pattern).body;
    bytes += body.size();
    // The name of a vocabulary, which nobody fetches.
    const std::string_view svg = "http://www.w3.org/2000/svg";
    for (std::size_t at = 0; (at = body.find(svg)) != std::string::npos;) body.erase(at, svg.size());
    for (const char* reference :
         {"http://", "https://", "ws://", "wss://", "src=\"//", "href=\"//", " url(", "@import"})
      CHECK_FALSE(contains(body, reference));
  }
  CHECK(bytes < 150'000);
}

TEST_CASE("the dashboard's page has no script, style or handler within its markup", "[dashboard]") {
  const std::string page = lower(ask(mounted(), "/").body);
  for (std::size_t at = 0; (at = page.find("<script", at)) != std::string::npos; ++at) {
    const std::string tag = page.substr(at, page.find("</script>", at) - at);
    INFO(tag);
    CHECK(contains(tag, " src=\""));
    CHECK(tag.back() == '>');  // nothing stands between the tags
  }
  for (const char* faulty : {"<style", " style=", "javascript:", "<base", "<iframe", "<object"})
    CHECK_FALSE(contains(page, faulty));
  for (std::size_t at = 0; (at = page.find(" on", at)) != std::string::npos; ++at) {
    std::size_t end = at + 3;
    while (end < page.size() && std::isalpha(static_cast<unsigned char>(page[end])) != 0) ++end;
    CHECK((end == page.size() || page[end] != '='));
  }
}

TEST_CASE("no script of the dashboard makes markup or code out of text", "[dashboard]") {
  const Router router = mounted();
  const std::vector<std::string> forbidden{
      "innerHTML",    "outerHTML",    "insertAdjacentHTML", "document.write", "eval(",
      "new Function", "setHTML",      "DOMParser",          "srcdoc",         "createContextual",
      "javascript:",  "setTimeout('", "setTimeout(\"",      "import('"};
  std::size_t scripts = 0;
  for (const Route& route : router.routes()) {
    if (!route.pattern.ends_with(".js")) continue;
    ++scripts;
    const std::string body = ask(router, route.pattern).body;
    for (const std::string& text : forbidden) {
      INFO(route.pattern << " " << text);
      CHECK_FALSE(contains(body, text));
    }
  }
  CHECK(scripts > 10);
}
