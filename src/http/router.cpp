#include "quern/http/router.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "quern/core/error.hpp"

namespace quern::inline v1::http {
namespace {

std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> parts;
  if (!path.empty() && path.front() == '/') path.remove_prefix(1);
  if (path.empty()) return parts;
  for (;;) {
    const std::size_t slash = path.find('/');
    parts.emplace_back(path.substr(0, slash));
    if (slash == path.npos) return parts;
    path.remove_prefix(slash + 1);
  }
}

bool is_variable(std::string_view part) { return !part.empty() && part.front() == ':'; }
bool is_rest(std::string_view part) { return !part.empty() && part.front() == '*'; }

void check(const Route& route, const std::vector<std::string>& parts) {
  const auto fault = [&](std::string_view what) {
    throw InvalidArgument("route", fmt::format("\"{} {}\" {}", to_text(route.method), route.pattern, what));
  };
  if (route.pattern.empty() || route.pattern.front() != '/') fault("does not begin with '/'");
  if (!route.handler) fault("has no handler");
  if (route.method == Method::head || route.method == Method::options)
    fault("is for a method that the router answers");
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].empty()) fault("has an empty part");
    if ((is_variable(parts[i]) || is_rest(parts[i])) && parts[i].size() == 1)
      fault("has a variable part without a name");
    if (is_rest(parts[i]) && i + 1 < parts.size()) fault("has something after its '*'");
  }
}

/// Same names aside, whether both are for the same paths.
bool same_pattern(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::ranges::equal(a, b, [](const std::string& x, const std::string& y) {
    return x == y || (is_variable(x) && is_variable(y)) || (is_rest(x) && is_rest(y));
  });
}

/// What is fixed goes before what is variable, and that before the rest of a path.
int rank(const std::string& part) { return is_rest(part) ? 2 : is_variable(part) ? 1 : 0; }

bool is_nearer(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::ranges::lexicographical_compare(
      a, b, [](const std::string& x, const std::string& y) { return rank(x) < rank(y); });
}

/// None: the pattern is not for that path, or a part of the path can't be decoded.
std::optional<std::vector<Parameter>> fit(const std::vector<std::string>& pattern,
                                          const std::vector<std::string>& path) {
  std::vector<Parameter> parts;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (is_rest(pattern[i])) {
      std::string rest;
      for (std::size_t j = i; j < path.size(); ++j) {
        auto part = decode(path[j], false);
        if (!part) return std::nullopt;
        if (j > i) rest += '/';
        rest += *part;
      }
      parts.push_back({pattern[i].substr(1), std::move(rest)});
      return parts;
    }
    if (i >= path.size()) return std::nullopt;
    auto part = decode(path[i], false);
    if (!part) return std::nullopt;
    if (is_variable(pattern[i])) {
      if (part->empty()) return std::nullopt;
      parts.push_back({pattern[i].substr(1), std::move(*part)});
    } else if (*part != pattern[i]) {
      return std::nullopt;
    }
  }
  if (path.size() != pattern.size()) return std::nullopt;
  return parts;
}

std::string allow(std::vector<Method> methods) {
  if (std::ranges::count(methods, Method::get) > 0) methods.push_back(Method::head);
  methods.push_back(Method::options);
  std::ranges::sort(methods);
  std::string text;
  for (const Method method : methods) {
    if (!text.empty()) text += ", ";
    text += to_text(method);
  }
  return text;
}

}  // namespace

void Router::add(Route route) {
  std::vector<std::string> parts = split(route.pattern);
  check(route, parts);
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    if (routes_[i].method == route.method && same_pattern(split_[i], parts))
      throw InvalidArgument("route",
                            fmt::format("\"{} {}\" is there already", to_text(route.method), route.pattern));
  }
  routes_.push_back(std::move(route));
  split_.push_back(std::move(parts));
}

Router::Match Router::match(Method method, std::string_view path) const {
  const std::vector<std::string> asked = split(path);
  Match found;
  std::size_t best = routes_.size();
  // First which pattern is nearest, then its methods: "/jobs/metrics" is not a job of that name with another method.
  std::vector<std::pair<std::size_t, std::vector<Parameter>>> fitting;
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    auto parts = fit(split_[i], asked);
    if (!parts) continue;
    if (best == routes_.size() || is_nearer(split_[i], split_[best])) best = i;
    fitting.emplace_back(i, std::move(*parts));
  }
  for (auto& [i, parts] : fitting) {
    if (!same_pattern(split_[i], split_[best])) continue;
    found.allowed.push_back(routes_[i].method);
    const bool serves =
        routes_[i].method == method || (method == Method::head && routes_[i].method == Method::get);
    if (!serves) continue;
    found.route = &routes_[i];
    found.parts = std::move(parts);
  }
  return found;
}

Response Router::answer(Request& request, const Match& match) const {
  if (gate_)
    if (auto refused = gate_(request, match.route)) return std::move(*refused);
  if (match.allowed.empty()) throw Problem::not_found();
  if (request.method == Method::options) {
    Response response{.status = 204};
    response.headers.set("Allow", allow(match.allowed));
    return response;
  }
  if (match.route == nullptr) {
    Problem problem{.status = 405, .name = "method-not-allowed"};
    problem.headers.set("Allow", allow(match.allowed));
    throw problem;
  }
  return match.route->handler(request);
}

Response Router::handle(Request& request) const noexcept {
  Response response;
  Match found;
  std::string failure;
  try {
    found = match(request.method, request.path());
    request.parts = std::move(found.parts);
    response = answer(request, found);
  } catch (const Problem& problem) {
    response = to_response(problem);
  } catch (const InvalidArgument& error) {
    response = to_response(Problem::invalid(error.field(), error.what()));
  } catch (const StorageError& error) {
    failure = error.what();
    Problem problem{.status = error.transient() ? 503 : 500,
                    .name = error.transient() ? "unavailable" : "internal"};
    if (error.transient()) problem.headers.set("Retry-After", "1");
    response = to_response(problem);
  } catch (const std::exception& error) {
    failure = error.what();
    response = to_response(Problem{});
  } catch (...) {
    failure = "something that is not a std::exception";
    response = to_response(Problem{});
  }
  try {
    if (!failure.empty() && told_) told_(request, failure);
    if (after_) after_(request, found.route, response);
  } catch (...) {
    // The answer stands; who looks at it can't change that.
  }
  if (request.method == Method::head && response.stream) {
    response.stream.reset();
    response.body.clear();
  }
  return response;
}

}  // namespace quern::inline v1::http
