#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "quern/core/clock.hpp"

namespace quern::inline v1::http {

struct Caller;

/// The methods that there are here; any other one is answered by the server, with 501.
enum class Method : std::uint8_t { get, head, post, put, patch, del, options };

/// "GET", ..., "DELETE".
[[nodiscard]] std::string_view to_text(Method method) noexcept;
/// Exactly as in the request line: methods are case-sensitive (RFC 9110 9.1).
[[nodiscard]] std::optional<Method> method_of(std::string_view text) noexcept;

/// Header fields in their order. Names compare without regard to case.
class Fields {
 public:
  struct Field {
    std::string name;
    std::string value;
  };

  Fields() = default;
  /// Throws as `add`.
  Fields(std::initializer_list<Field> fields);

  /// Appends; one of that name may be there already. Throws InvalidArgument for a name that is no token, or a value with control
  /// characters other than tab: nothing that was handed in can end a header.
  void add(std::string name, std::string value);
  /// In the place of all of that name. Throws as `add`.
  void set(std::string name, std::string value);
  void erase(std::string_view name) noexcept;
  /// The first of that name. Valid until the fields change.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept;
  [[nodiscard]] std::size_t count(std::string_view name) const noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return fields_.size(); }
  [[nodiscard]] auto begin() const noexcept { return fields_.begin(); }
  [[nodiscard]] auto end() const noexcept { return fields_.end(); }

 private:
  std::vector<Field> fields_;
};

/// Whether two header names are the same.
[[nodiscard]] bool same_name(std::string_view a, std::string_view b) noexcept;

/// A name and a value, decoded: of a query, or of a path's variable part.
struct Parameter {
  std::string name;
  std::string value;
};

/// One request, whatever server has read it.
struct Request {
  Method method = Method::get;
  /// Path and query as they were sent: "/api/jobs?state=dead".
  std::string target = "/";
  Fields headers{};
  std::string body{};
  /// The address of who is connected, without a port. Empty: not known.
  std::string peer{};
  /// It came over TLS.
  bool secure = false;
  /// When it was read; what limits in time go by.
  SteadyTime received{0};

  // What follows the router and the gate fill in.

  /// The path's variable parts: `id` of "/api/jobs/:id".
  std::vector<Parameter> parts{};
  /// Who it is from. Null: nobody was asked.
  std::shared_ptr<const Caller> caller{};
  /// Why the gate has refused it: for logs, never for the client. Empty: it has not.
  std::string refused{};

  /// The target without its query, still encoded.
  [[nodiscard]] std::string_view path() const noexcept;
  /// The query's parameters in their order. Throws InvalidArgument ("query") for faulty percent signs or what is not UTF-8.
  [[nodiscard]] std::vector<Parameter> query() const;
  /// A variable part of the path; empty where the route has none of that name.
  [[nodiscard]] std::string_view part(std::string_view name) const noexcept;
};

/// What a server sends over a connection that stays open, as server-sent events do.
///
/// Threads  `start` is called once, `read` from one thread at a time, `stop` last, when the connection has gone; the wake-up may
///          be called from any thread, also from within `read`.
class ResponseStream {
 public:
  ResponseStream() = default;
  ResponseStream(const ResponseStream&) = delete;
  ResponseStream& operator=(const ResponseStream&) = delete;
  virtual ~ResponseStream() = default;

  /// To be called (until `stop` returns) whenever there is something to read, and at the end.
  virtual void start(std::function<void()> wake) = 0;
  /// What there is, up to about `most` bytes; empty: nothing at present. None: it has ended, and the connection closes.
  [[nodiscard]] virtual std::optional<std::string> read(std::size_t most) = 0;
  virtual void stop() noexcept = 0;
};

/// The answer to a request.
struct Response {
  int status = 200;
  /// Without Content-Length, Connection, Date and the like, which are the server's.
  Fields headers{};
  std::string body{};
  /// Nothing was changed, and it is noted in the audit log all the same: secrets were shown.
  bool noted = false;
  /// What follows instead of `body`, for as long as it takes.
  std::shared_ptr<ResponseStream> stream{};
};

/// Percent-decoded, also '+' as a space where `plus` says so. None: a faulty percent sign, NUL, or not UTF-8.
[[nodiscard]] std::optional<std::string> decode(std::string_view text, bool plus);
/// Percent-encoded but for unreserved characters (RFC 3986 2.3).
[[nodiscard]] std::string encode(std::string_view text);

}  // namespace quern::inline v1::http
