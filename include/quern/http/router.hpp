#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/http/message.hpp"
#include "quern/http/problem.hpp"

namespace quern::inline v1::http {

/// One thing that can be asked for.
struct Route {
  Method method = Method::get;
  /// "/api/jobs/:id/cancel": a part that begins with ':' stands for any one part, and has that name. A last part "*name" stands
  /// for all the rest.
  std::string pattern{};
  /// What one must be allowed to do, for the gate: "jobs.read". `any_caller`: nothing but be known. Empty: everybody may, also who is not known.
  std::string permission{};
  /// One sentence, for the description of the API.
  std::string summary{};
  std::function<Response(const Request&)> handler{};
};

/// Finds the handler of a request, and turns what it throws into an answer.
///
/// Order    the gate first, so that who may not ask does not learn what there is; then the path, then the method.
/// Errors   Problem as it is; InvalidArgument 422; a transient StorageError 503 with Retry-After, any other and whatever else is
///          thrown 500 without a word about what it was, which `on_error` is told.
/// Methods  HEAD is answered where GET is, without the body; OPTIONS says which there are, as 405 does (Allow).
/// Threads  `handle` may be called from several threads once all routes are there.
class Router {
 public:
  /// An answer ends it; none: go on. `route` is null where there is none for that path and method.
  using Gate = std::function<std::optional<Response>(Request& request, const Route* route)>;
  /// Sees each answer, and may add to it.
  using After = std::function<void(const Request& request, const Route* route, Response& response)>;

  /// Throws InvalidArgument for a faulty pattern, a route without a handler, or one that is there already.
  void add(Route route);
  void set_gate(Gate gate) { gate_ = std::move(gate); }
  void set_after(After after) { after_ = std::move(after); }
  /// Told of each request that failed by our own fault: its method and path, and what was thrown.
  void on_error(std::function<void(const Request& request, std::string_view what)> told) {
    told_ = std::move(told);
  }

  /// Never throws.
  [[nodiscard]] Response handle(Request& request) const noexcept;
  [[nodiscard]] const std::vector<Route>& routes() const noexcept { return routes_; }

 private:
  struct Match {
    const Route* route = nullptr;
    std::vector<Parameter> parts{};
    std::vector<Method> allowed{};  ///< Of that path; empty: there is no such path.
  };
  [[nodiscard]] Match match(Method method, std::string_view path) const;
  [[nodiscard]] Response answer(Request& request, const Match& match) const;

  std::vector<Route> routes_;
  std::vector<std::vector<std::string>> split_;  // the parts of each pattern
  Gate gate_{};
  After after_{};
  std::function<void(const Request&, std::string_view)> told_{};
};

}  // namespace quern::inline v1::http
