#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "quern/http/message.hpp"

namespace quern::inline v1::http {

/// What is wrong with one value of a request.
struct FieldFault {
  /// A JSON pointer into the body ("/jobs/0/kind"), or "query:NAME", "header:NAME".
  std::string pointer;
  std::string detail;
};

/// An error as problem details (RFC 9457). Thrown by handlers; the router makes an answer of it.
///
/// `name` is stable and becomes the type, "urn:quern:problem:NAME"; programs go by it, people read the rest. Neither may tell of a
/// payload, a secret or the inside of the program.
struct Problem {
  int status = 500;
  std::string name = "internal";
  std::string detail{};
  std::vector<FieldFault> faults{};
  /// Fields to be sent along: Allow, Retry-After, WWW-Authenticate.
  Fields headers{};

  // The usual ones.
  [[nodiscard]] static Problem not_found(std::string detail = "there is nothing of that name here");
  /// 422: the body can be read, and values in it are not allowed.
  [[nodiscard]] static Problem invalid(std::vector<FieldFault> faults);
  [[nodiscard]] static Problem invalid(std::string pointer, std::string detail);
  /// 400: the request can't be read.
  [[nodiscard]] static Problem malformed(std::string detail);
  /// 409: what stands there does not allow it.
  [[nodiscard]] static Problem conflict(std::string detail);
};

/// The title that goes with a problem's name; empty where it is not one of quern's.
[[nodiscard]] std::string_view title_of(std::string_view name) noexcept;

/// `application/problem+json` with type, title, status, detail and errors; never cached.
[[nodiscard]] Response to_response(const Problem& problem);

}  // namespace quern::inline v1::http
