#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/error.hpp"
#include "quern/core/time.hpp"

namespace quern::inline v1 {

/// The header fields of a message, in their order. Names compare without regard to case.
class HttpHeaders {
 public:
  struct Field {
    std::string name;
    std::string value;
  };

  HttpHeaders() = default;
  HttpHeaders(std::initializer_list<Field> fields) : fields_(fields) {}

  /// Appends a field; one of that name may be there already.
  void add(std::string name, std::string value) { fields_.push_back({std::move(name), std::move(value)}); }
  /// The value of the first or the last field of that name. Valid until the headers change.
  [[nodiscard]] std::optional<std::string_view> first(std::string_view name) const noexcept;
  [[nodiscard]] std::optional<std::string_view> last(std::string_view name) const noexcept;

  void clear() noexcept { fields_.clear(); }
  [[nodiscard]] std::size_t size() const noexcept { return fields_.size(); }
  [[nodiscard]] auto begin() const noexcept { return fields_.begin(); }
  [[nodiscard]] auto end() const noexcept { return fields_.end(); }

 private:
  std::vector<Field> fields_;
};

/// What becomes of an answer that is longer than `HttpRequest::max_response_bytes`.
enum class Overflow : std::uint8_t {
  fail,  ///< HttpError (too_large).
  cut,   ///< The answer is given with the bytes up to the limit, and `HttpResponse::truncated` set.
};

/// Which machines a request may reach.
enum class Reach : std::uint8_t {
  anywhere,     ///< Any address. For URLs from the configuration.
  public_only,  ///< Public unicast addresses only, checked on the very address that is connected to, and
                ///< never through a proxy. For URLs that somebody else could have chosen.
};

/// One request. Redirects are never followed: whoever wants that follows them by hand, so that no
/// credential goes to where it does not belong.
struct HttpRequest {
  std::string method = "GET";
  std::string url{};
  HttpHeaders headers{};
  std::string body{};  ///< Sent with any method but GET and HEAD.
  Duration connect_timeout = std::chrono::seconds(10);
  Duration timeout = std::chrono::seconds(30);  ///< For the whole exchange, connecting included.
  std::size_t max_response_bytes = 32u << 20;   ///< Of the body, after decompression.
  Overflow overflow = Overflow::fail;
  Reach reach = Reach::anywhere;
  bool environment_proxy = true;  ///< Whether http_proxy and its kin are obeyed.
  std::stop_token stop{};         ///< Ends the exchange early with HttpError (aborted).
};

/// An answer, whatever its status.
struct HttpResponse {
  int status = 0;
  HttpHeaders headers{};
  std::string body{};
  bool truncated = false;  ///< The body was longer than asked for; see Overflow::cut.
};

/// Why an exchange ended without an answer.
enum class HttpFailure : std::uint8_t {
  unresolved,       ///< The host's name could not be resolved.
  unreachable,      ///< No connection.
  timeout,          ///< Out of time.
  cut,              ///< The connection ended, or the answer was garbled, before its end.
  tls,              ///< No trustworthy TLS connection.
  too_large,        ///< The answer is larger than allowed.
  address_refused,  ///< `Reach::public_only`, and the host has an address that is not public.
  aborted,          ///< The request's stop token was set.
};

/// There is no answer. The message names the host, never the rest of the URL and no header.
class HttpError : public Error {
 public:
  HttpError(HttpFailure failure, const std::string& message, bool transient)
      : Error(message), failure_(failure), transient_(transient) {}

  [[nodiscard]] HttpFailure failure() const noexcept { return failure_; }
  /// True when the same request may work later. It does not say that this one had no effect at the other end.
  [[nodiscard]] bool transient() const noexcept { return transient_; }

 private:
  HttpFailure failure_;
  bool transient_;
};

/// Sends requests over HTTP. The one seam between quern's handlers and the network.
///
/// Threads  `perform` may be called from several threads at once.
/// Errors   HttpError when there is no answer; InvalidArgument for a request that can't be sent as it is (a
///          URL that is not http or https, a header with a line break); any status is an answer and no error.
class HttpTransport {
 public:
  virtual ~HttpTransport() = default;
  /// Sends one request and waits for its answer.
  [[nodiscard]] virtual HttpResponse perform(const HttpRequest& request) = 0;

 protected:
  HttpTransport() = default;
  HttpTransport(const HttpTransport&) = default;
  HttpTransport& operator=(const HttpTransport&) = default;
};

}  // namespace quern::inline v1
